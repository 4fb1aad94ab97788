"""The token row x_t: what is given, what is decided, what is still [MASK].

"Undecided" is a bitmap of its own and never `tokens == mask_id`: a prompt may contain the mask token as text.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from .errors import RecipeError
from .exactness import Exactness

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]


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
