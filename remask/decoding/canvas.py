"""The token row x_t: what is given, what is decided, what is still [MASK].

"Undecided" is a bitmap of its own and never `tokens == mask_id`: a prompt may contain the mask token as text.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from ..errors import RecipeError, bounded
from ..exactness import Exactness
from ..models.contract import Bools, Floats, Ints


@dataclass
class Canvas:
    """One row, on the host. `tokens` (L,) hold the mask id wherever a position is undecided.

    A position is exactly one of `given` (the user's, never touched), `committed` (decided by the model) and
    undecided. For committed positions, `confidence` and `logprob` are those of the step that decided them, `age` is
    that step's index; elsewhere they are NaN and -1.
    """

    tokens: Ints
    given: Bools
    mask_id: int
    committed: Bools = field(init=False)
    confidence: Floats = field(init=False)
    logprob: Floats = field(init=False)
    age: Ints = field(init=False)

    def __post_init__(self) -> None:
        length = len(self.tokens)
        self.committed = np.zeros(length, bool)
        self.confidence = np.full(length, np.nan, np.float32)
        self.logprob = np.full(length, np.nan, np.float32)
        self.age = np.full(length, -1, np.int64)

    @classmethod
    def after(cls, prompt: Sequence[int], gen_length: int, mask_id: int) -> "Canvas":
        """`prompt` followed by `gen_length` undecided positions: what LLaDA generates on."""
        return cls.template([*prompt, *[None] * gen_length], mask_id)

    @classmethod
    def template(cls, tokens: Sequence[int | None], mask_id: int) -> "Canvas":
        """Given tokens with holes: every None is an undecided position."""
        given = np.array([token is not None for token in tokens], bool)
        ids = np.array([mask_id if token is None else token for token in tokens], np.int64)
        return cls(ids, given, mask_id)

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def undecided(self) -> Bools:
        """Positions that are still [MASK] (L,)."""
        return ~(self.given | self.committed)

    def unconditional(self) -> Ints:
        """The tokens with everything given masked: the second stream of classifier-free guidance (LLaDA, §2.4)."""
        return np.where(self.given, self.mask_id, self.tokens)


class Shown(Protocol):
    """A value of the canvas axis: which positions exist for the network now."""

    @property
    def exactness(self) -> Exactness:
        """What it claims."""

    def positions(self, canvas: Canvas, window: Ints) -> Ints:
        """Sorted positions that the network computes and sees while `window` is open; all of that among them."""


@dataclass(frozen=True)
class Full:
    """All of them, as the authors have it: the network sees how much is still to come."""

    exactness = Exactness.EXACT

    def positions(self, canvas: Canvas, window: Ints) -> Ints:
        """Every position (L,)."""
        return np.arange(len(canvas))


@dataclass(frozen=True)
class Lookahead:
    """[MASK]s only where they are due: those of the window and the next `masks` behind it.

    Saves their forward, and keeps far masks from distracting attention from the context (arXiv 2511.21338).
    """

    masks: int = 0
    exactness = Exactness.OTHER_CANVAS

    def __post_init__(self) -> None:
        if self.masks < 0:
            raise RecipeError(f"lookahead must be at least 0 masks behind the window, got {self.masks}")

    def positions(self, canvas: Canvas, window: Ints) -> Ints:
        """All but the undecided positions too far behind the window."""
        behind = np.flatnonzero(canvas.undecided)
        behind = behind[behind > window[-1]]
        return np.delete(np.arange(len(canvas)), behind[self.masks :])


@dataclass(frozen=True)
class Suffix:
    """Behind the window only a thinning sample of [MASK]s, and none from `reach` on (DPad, arXiv 2508.14148, §3.2).

    A position at distance d is kept with density min(1, scale · φ(sigma · d / reach)), φ the standard normal
    density. Where DPad draws, this keeps the positions at which the summed density passes a whole number: the same
    ones in every run.
    """

    reach: int = 128
    sigma: float = 4.0
    scale: float = 2.0
    exactness = Exactness.OTHER_CANVAS

    def __post_init__(self) -> None:
        for name in ("reach", "sigma", "scale"):
            bounded(f"canvas.{name}", getattr(self, name), 1e-6, 1e6, "DPad uses 128, 4 and 2")

    def positions(self, canvas: Canvas, window: Ints) -> Ints:
        """All but the undecided positions behind the window that are not kept."""
        behind = np.flatnonzero(canvas.undecided)
        behind = behind[behind > window[-1]]
        away = np.arange(1, len(canvas) - int(window[-1]))
        normal = np.exp(-((self.sigma * away / self.reach) ** 2) / 2) / np.sqrt(2 * np.pi)
        summed = np.floor(np.cumsum(np.where(away < self.reach, np.minimum(1, self.scale * normal), 0)))
        kept = np.diff(summed, prepend=0) > 0
        return np.delete(np.arange(len(canvas)), behind[~kept[behind - window[-1] - 1]])


@dataclass(frozen=True)
class Growing:
    """As long as the answer needs, up to gen_length: the first stage of DAEDAL (arXiv 2508.00819, §3.2).

    `first` positions exist at first. As long as the last `tail` of them do not foresee the end, their probabilities
    of an end-of-sequence guess averaging less than `confidence`, each forward adds `step` more and commits nothing.
    Blocks that are reached later exist from then on. DAEDAL's second stage, which inserts positions in between, is
    left out.
    """

    first: int = 64
    step: int = 32
    confidence: float = 0.5
    tail: int = 32
    exactness = Exactness.OTHER_CANVAS

    def __post_init__(self) -> None:
        for name in ("first", "step", "tail"):
            if getattr(self, name) < 1:
                raise RecipeError(
                    f"canvas.{name} must be at least 1, got {getattr(self, name)}; DAEDAL uses 64, 8 and 32"
                )
        bounded("canvas.confidence", self.confidence, 0, 1, "DAEDAL uses 0.5")

    def positions(self, canvas: Canvas, window: Ints) -> Ints:
        """Every position (L,); the row hides what does not exist yet."""
        return np.arange(len(canvas))

    def foresees(self, ends: Bools, probability: Floats) -> bool:
        """Whether the guesses of the tail (tail,), of which `ends` end the text, average the confidence."""
        return float(np.where(ends, probability, 0).sum()) >= self.confidence * len(ends)
