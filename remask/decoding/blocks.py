"""The windows in which a row may commit: semi-autoregressive decoding (LLaDA, §2.4 and App. B.4)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ..errors import RecipeError, bounded
from ..exactness import Exactness
from ..models.contract import Bools, Ints
from .grid import Grid


class _Rule:
    """The common part of the rules: fixed windows, in which any position may be committed at any step."""

    exactness: ClassVar[Exactness] = Exactness.EXACT
    narrows: ClassVar[bool] = False  # True if `narrow` marks other than all reads
    recut: ClassVar[bool] = False  # True if the first step in a window decides where the window ends

    def narrow(self, grid: Grid, block_size: int | None) -> Tensor:
        """Mark the reads that may be committed in this step (B, W); if the rule recuts, they are the new window. Here:
        all of them."""
        return grid.valid


@dataclass(frozen=True)
class Whole(_Rule):
    """One window: every undecided position at once."""

    def windows(self, undecided: Bools) -> list[Ints]:
        """Return one window: all undecided positions (n,)."""
        return [np.flatnonzero(undecided)]


@dataclass(frozen=True)
class Blocks(_Rule):
    """Windows of `length` undecided positions, from left to right; the last one may be shorter.

    After a prompt these are LLaDA's blocks; in a template they go from hole to hole and skip the given positions.
    """

    length: int = 32

    def __post_init__(self) -> None:
        if self.length < 1:
            raise RecipeError(f"block_length must be at least 1, got {self.length}; LLaDA uses 8 to 128")

    def windows(self, undecided: Bools) -> list[Ints]:
        """Return the windows, each with at most `length` positions, in order."""
        positions = np.flatnonzero(undecided)
        return [positions[i : i + self.length] for i in range(0, len(positions), self.length)]


@dataclass(frozen=True)
class AlignedBlocks(_Rule):
    """Windows that begin at multiples of `length`, counted from position 0: the grid of block-causal models."""

    length: int

    def __post_init__(self) -> None:
        if self.length < 1:
            raise RecipeError(f"blocks.length must be at least 1, got {self.length}; SDAR uses 4 to 64")

    def windows(self, undecided: Bools) -> list[Ints]:
        """Return the undecided positions of each cell of the grid that has any, in order."""
        positions = np.flatnonzero(undecided)
        cells = positions // self.length
        return [positions[cells == cell] for cell in np.unique(cells)]


@dataclass(frozen=True)
class Adaptive(_Rule):
    """Blocks that end where the text pauses (AdaBlock, arXiv 2509.26432, §3.3).

    The first step of a block looks `reach` undecided positions ahead. If the most confident guess of a delimiter
    reaches `threshold`, the block ends with it, else after `length`. Delimiters are token ids, or strings of one token.
    The first step also commits.
    """

    length: int = 32
    reach: int = 64
    threshold: float = 0.3
    delimiters: tuple[int | str, ...] = ("\n",)
    exactness: ClassVar[Exactness] = Exactness.OTHER_ORDER
    narrows: ClassVar[bool] = True
    recut: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "delimiters", tuple(self.delimiters))
        if not 1 <= self.length <= self.reach:
            raise RecipeError(
                f"blocks.length must lie between 1 and blocks.reach, got {self.length} and {self.reach}; "
                "AdaBlock looks a quarter of the answer ahead"
            )
        bounded("blocks.threshold", self.threshold, 0, 1, "AdaBlock uses 0.3 to 0.5")
        if not self.delimiters:
            raise RecipeError('blocks.delimiters is empty; without any, use blocks = { by = "blocks" }')

    def windows(self, undecided: Bools) -> list[Ints]:
        """Return the positions that the next block may take, then blocks of `length`, which are cut again later."""
        positions = np.flatnonzero(undecided)
        rest = positions[self.reach :]
        return [positions[: self.reach], *(rest[i : i + self.length] for i in range(0, len(rest), self.length))]

    def narrow(self, grid: Grid, block_size: int | None) -> Tensor:
        """Mark the reads that stay in the window (B, W); only the first step in a window removes any."""
        ids = torch.tensor([i for i in self.delimiters if isinstance(i, int)], device=grid.guess.device)
        pauses = grid.candidate & torch.isin(grid.guess, ids)
        sure = grid.confidence.nan_to_num(nan=-torch.inf).masked_fill(~pauses, -torch.inf).max(1, keepdim=True)
        column = torch.arange(pauses.shape[1], device=ids.device)
        cut = torch.where(
            sure.values >= self.threshold, column <= sure.indices, grid.candidate.cumsum(1) <= self.length
        )
        return torch.where(grid.time[:, :1] == 1, cut, True)


@dataclass(frozen=True)
class SubBlocks(_Rule):
    """Windows of `length` inside the blocks of a block-causal model (Fast-dLLM v2, arXiv 2509.26328, §3.3; its
    `small_block_size`). The first token of a block is committed alone, by the forward that stores the block before."""

    length: int = 8

    def __post_init__(self) -> None:
        if self.length < 1:
            raise RecipeError(f"blocks.length must be at least 1, got {self.length}; Fast-dLLM v2 uses 8")

    def windows(self, undecided: Bools) -> list[Ints]:
        """Return the windows of `AlignedBlocks(length)`."""
        return AlignedBlocks(self.length).windows(undecided)

    def narrow(self, grid: Grid, block_size: int | None) -> Tensor:
        """Mark all reads of the window (B, W), but in the first step of a block its first position alone."""
        assert block_size is not None
        first = grid.candidate & (grid.candidate.cumsum(1) == 1)
        leads = (grid.time[:, :1] == 1) & (first & (grid.position % block_size == 0)).any(1, keepdim=True)
        return torch.where(leads, first, True)
