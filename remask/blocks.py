"""Where a row may commit now: the windows of semi-autoregressive decoding (LLaDA, §2.4 and App. B.4)."""

from dataclasses import dataclass

import numpy as np

from .canvas import Bools, Ints
from .errors import RecipeError
from .exactness import Exactness


@dataclass(frozen=True)
class Whole:
    """One window: every undecided position at once."""

    exactness = Exactness.EXACT

    def windows(self, undecided: Bools) -> list[Ints]:
        """The undecided positions (n,), as one window."""
        return [np.flatnonzero(undecided)]


@dataclass(frozen=True)
class Blocks:
    """Windows of `length` undecided positions from left to right, the last one shorter where it does not divide.

    After a prompt these are LLaDA's blocks; in a template they run through the holes and skip what is given.
    """

    length: int = 32
    exactness = Exactness.EXACT

    def __post_init__(self) -> None:
        if self.length < 1:
            raise RecipeError(f"block_length must be at least 1, got {self.length}; LLaDA uses 8 to 128")

    def windows(self, undecided: Bools) -> list[Ints]:
        """Windows (<= length,) of positions, in order."""
        positions = np.flatnonzero(undecided)
        return [positions[i : i + self.length] for i in range(0, len(positions), self.length)]


@dataclass(frozen=True)
class Grid:
    """Windows cut at multiples of `length` from position 0: the grid that block-causal models are trained on."""

    length: int
    exactness = Exactness.EXACT

    def windows(self, undecided: Bools) -> list[Ints]:
        """The undecided positions of each cell that has any, in order."""
        positions = np.flatnonzero(undecided)
        cells = positions // self.length
        return [positions[cells == cell] for cell in np.unique(cells)]
