"""The token row x_t with its given, committed and undecided positions, and the part of it that the network sees.

"Undecided" is never `tokens == mask_id`: a prompt may contain the mask token as text. The canvas keeps bitmaps.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ..errors import RecipeError, bounded
from ..exactness import Exactness
from ..models.contract import Bools, Floats, Ints
from .value import Value


@dataclass
class Canvas:
    """One row, on the host. `tokens` (L,) hold the mask id at every undecided position.

    A position is exactly one of `given` (the user's, never changed), `committed` (decided by the model) and
    `undecided`. At a committed position `confidence` and `logprob` are those of the step that decided it, and `age` is
    the index of that step; elsewhere they are NaN, NaN and -1. A committed position is `pinned` if no rule may revise
    it. `commit`, `pin` and `remask` keep it so: no other code writes. The answer ends before `limit`; positions behind
    it are there for the network alone.
    """

    tokens: Ints
    given: Bools
    mask_id: int
    limit: int = -1  # -1: the length
    committed: Bools = field(init=False)
    undecided: Bools = field(init=False)
    confidence: Floats = field(init=False)
    logprob: Floats = field(init=False)
    age: Ints = field(init=False)
    pinned: Bools = field(init=False)

    def __post_init__(self) -> None:
        length = len(self.tokens)
        self.limit = length if self.limit < 0 else self.limit
        self.committed, self.undecided, self.pinned = np.zeros(length, bool), ~self.given, np.zeros(length, bool)
        self.confidence = np.full(length, np.nan, np.float32)
        self.logprob = np.full(length, np.nan, np.float32)
        self.age = np.full(length, -1, np.int64)

    @classmethod
    def after(cls, prompt: Sequence[int], gen_length: int, mask_id: int) -> "Canvas":
        """Return the canvas on which LLaDA generates: `prompt`, then `gen_length` undecided positions."""
        return cls.template([*prompt, *[None] * gen_length], mask_id)

    @classmethod
    def template(cls, tokens: Sequence[int | None], mask_id: int, limit: int = -1) -> "Canvas":
        """Return a canvas of given tokens and holes: every None is an undecided position."""
        given = np.array([token is not None for token in tokens], bool)
        ids = np.array([mask_id if token is None else token for token in tokens], np.int64)
        return cls(ids, given, mask_id, limit)

    def __len__(self) -> int:
        return len(self.tokens)

    def commit(self, at: Ints, tokens: Ints, confidence: Floats, logprob: Floats, age: int | Ints) -> None:
        """Commit `tokens` (n,) at the positions `at` (n,), none of them given, as decided by the step `age`."""
        self.tokens[at], self.confidence[at], self.logprob[at], self.age[at] = tokens, confidence, logprob, age
        self.committed[at], self.undecided[at] = True, False

    def remask(self, at: Ints) -> None:
        """Send the committed positions `at` (n,) back to [MASK]."""
        self.tokens[at], self.confidence[at], self.logprob[at], self.age[at] = self.mask_id, np.nan, np.nan, -1
        self.committed[at], self.undecided[at], self.pinned[at] = False, True, False

    def pin(self, at: Ints) -> None:
        """Protect the committed positions `at` (n,) from revision."""
        self.pinned[at] = True

    @property
    def revisable(self) -> Bools:
        """The committed positions (L,) that a rule may rewrite or send back to [MASK]."""
        return self.committed & ~self.pinned

    def unconditional(self) -> Ints:
        """Return the tokens (L,) with [MASK] at all given positions: the second stream of classifier-free guidance
        (LLaDA, §2.4)."""
        return np.where(self.given, self.mask_id, self.tokens)


class Shown(Value):
    """A value of the canvas axis: the positions that exist for the network now.

    Positions from the horizon on do not exist yet, unless the open window holds them. Until the row has taken its
    first step, each forward may move the horizon; one that does commits nothing.
    """

    @abstractmethod
    def positions(self, canvas: Canvas, window: Ints) -> Ints:
        """Return the sorted positions that the network sees while `window` is open; they include `window`."""

    def horizon(self, canvas: Canvas) -> int:
        """Return the first horizon; by default everything exists."""
        return len(canvas)

    def reads(self, canvas: Canvas, horizon: int) -> Ints:
        """Return the positions (t,) whose guesses decide whether more must exist, read beside the window; by default
        none."""
        return np.empty(0, np.int64)

    def grow(self, horizon: int, ends: Bools, logprob: Floats) -> int:
        """Return the next horizon, or the same if nothing more needs to exist. `ends` (t,) marks the guesses of the
        extra reads that end the text, `logprob` (t,) is ln of their probabilities."""
        return horizon


@dataclass(frozen=True)
class Full(Shown):
    """All positions, as in the authors' code: the network sees how long the answer will be."""

    exactness = Exactness.EXACT

    def positions(self, canvas: Canvas, window: Ints) -> Ints:
        """Return every position (L,)."""
        return np.arange(len(canvas))


@dataclass(frozen=True)
class Lookahead(Shown):
    """The [MASK]s of the window, and the next `masks` behind it, but none farther away.

    This makes the forward shorter, and far masks do not distract attention from the context (arXiv 2511.21338).
    """

    masks: int = 0
    exactness = Exactness.OTHER_CANVAS

    def __post_init__(self) -> None:
        if self.masks < 0:
            raise RecipeError(f"lookahead must be at least 0 masks behind the window, got {self.masks}")

    def positions(self, canvas: Canvas, window: Ints) -> Ints:
        """Return all positions but the undecided ones too far behind the window."""
        behind = np.flatnonzero(canvas.undecided)
        behind = behind[behind > window[-1]]
        return np.delete(np.arange(len(canvas)), behind[self.masks :])


@dataclass(frozen=True)
class Suffix(Shown):
    """A sample of the [MASK]s behind the window, thinner with distance, none from `reach` on (DPad, arXiv 2508.14148,
    §3.2).

    A position at distance d is kept with density min(1, scale · φ(sigma · d / reach)), φ the standard normal
    density. DPad draws the sample at random; this keeps the positions at which the summed density passes a whole
    number, which are the same in every run.
    """

    reach: int = 128
    sigma: float = 4.0
    scale: float = 2.0
    exactness = Exactness.OTHER_CANVAS

    def __post_init__(self) -> None:
        for name in ("reach", "sigma", "scale"):
            bounded(f"canvas.{name}", getattr(self, name), 1e-6, 1e6, "DPad uses 128, 4 and 2")

    def positions(self, canvas: Canvas, window: Ints) -> Ints:
        """Return all positions but the undecided ones behind the window that are not in the sample."""
        behind = np.flatnonzero(canvas.undecided)
        behind = behind[behind > window[-1]]
        distance = np.arange(1, len(canvas) - int(window[-1]))
        normal = np.exp(-((self.sigma * distance / self.reach) ** 2) / 2) / np.sqrt(2 * np.pi)
        total = np.floor(np.cumsum(np.where(distance < self.reach, np.minimum(1, self.scale * normal), 0)))
        sample = np.diff(total, prepend=0) > 0
        return np.delete(np.arange(len(canvas)), behind[~sample[behind - window[-1] - 1]])


@dataclass(frozen=True)
class Growing(Shown):
    """A canvas that grows to the length of the answer, at most gen_length: the first stage of DAEDAL (arXiv 2508.00819,
    §3.2).

    At first, `first` positions exist. The last `tail` of them foresee the end if their probabilities of an
    end-of-sequence guess average at least `confidence`. Until then, each forward adds `step` positions and commits
    nothing. A later block exists from the time that it is reached. DAEDAL's second stage, which inserts positions, is
    not implemented.
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
        """Return every position (L,): the horizon hides those that do not exist yet."""
        return np.arange(len(canvas))

    def horizon(self, canvas: Canvas) -> int:
        """Return the end of the first undecided positions."""
        return int(np.flatnonzero(canvas.undecided)[: self.first][-1]) + 1

    def reads(self, canvas: Canvas, horizon: int) -> Ints:
        """Return the tail: the last undecided positions that exist."""
        undecided = np.flatnonzero(canvas.undecided)
        return undecided[undecided < horizon][-self.tail :]

    def grow(self, horizon: int, ends: Bools, logprob: Floats) -> int:
        """Return the same horizon if the tail foresees the end, else one that is `step` positions farther."""
        foreseen = float(np.where(ends, np.exp(logprob), 0).sum()) >= self.confidence * len(ends)
        return horizon if foreseen else horizon + self.step


CANVASES: dict[str, type[Shown]] = {"full": Full, "lookahead": Lookahead, "suffix": Suffix, "growing": Growing}
