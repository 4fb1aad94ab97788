"""The windows in which a row may commit: semi-autoregressive decoding (LLaDA, §2.4 and App. B.4)."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ..errors import RecipeError, bounded, quoted
from ..exactness import Exactness
from ..models.contract import Bools, Contract, Ints
from .grid import Grid
from .process import ids
from .schedule import Schedule, share_steps
from .value import Value, in_vocabulary


class Division(Value):
    """A value of the blocks axis: the division of the undecided positions into windows, one after the other.

    By default the windows are fixed, and any position of the open one may be committed at any step.
    """

    exactness: ClassVar[Exactness] = Exactness.EXACT

    @abstractmethod
    def windows(self, undecided: Bools) -> list[Ints]:
        """Return the windows, in order: sorted positions, each of the undecided ones (L,) in one of them."""

    def filled(self, length: int, contract: Contract) -> int:
        """Return the length of the canvas on which an answer that ends at `length` is decoded: by default the same."""
        return length

    def shares(self, sizes: Sequence[int], steps: int) -> list[int]:
        """Return the steps of each window; `sizes` are the numbers of their positions. Raises RecipeError if there are
        more windows than steps."""
        return share_steps(sizes, steps)

    def timetable(
        self, sizes: Sequence[int], steps: int | None, answer: int, schedule: Schedule
    ) -> tuple[list[int], list[list[int]]]:
        """Return the steps of each window, and how many positions each of them is to commit.

        `steps` are those of the recipe (None: one a position), `answer` is the number of positions asked for. Raises
        RecipeError if there are more windows than steps.
        """
        shares = self.shares(sizes, steps or sum(sizes))
        return shares, [schedule(size, share) for size, share in zip(sizes, shares, strict=True)]

    def narrow(self, grid: Grid, block_size: int | None) -> Tensor:
        """Mark the reads that may be committed in this step (B, W); by default all of them."""
        return grid.valid

    @property
    def narrows(self) -> bool:
        """True if the rule has a `narrow` of its own, so that only rows of equal rules decide together."""
        return type(self).narrow is not Division.narrow

    def recut(self, windows: list[Ints], block: int, inside: Ints, undecided: Bools) -> list[Ints]:
        """Return the windows after the first step in window `block`; `inside` are its positions that `narrow` marked,
        `undecided` (L,) is from before the step. By default they stay."""
        return windows

    def fit(self, contract: Contract) -> "Division":
        """Return the rule for this model: one with a grid of its own takes no other. Raises RecipeError."""
        if contract.block_size is not None:
            raise RecipeError(
                f"this model decodes on its own grid of {contract.block_size} positions and takes no block_length; "
                "leave it out"
            )
        return self


@dataclass(frozen=True)
class Auto(Division):
    """The model's own windows: its grid if it has one, else LLaDA's blocks of 32. The parameters are those of
    `AlignedBlocks`, for a grid."""

    fill: bool = False
    denoising_steps: int | None = None
    minimal_topk: int | None = None

    def fit(self, contract: Contract) -> Division:
        """Return the rule that the model has."""
        if contract.block_size is not None:
            return AlignedBlocks(contract.block_size, self.fill, self.denoising_steps, self.minimal_topk)
        if self != Auto():
            raise RecipeError(
                "blocks.fill, denoising_steps and minimal_topk are for models with a grid, and this one has none; "
                "use blocks = auto alone"
            )
        return Blocks()

    def windows(self, undecided: Bools) -> list[Ints]:
        """Raise RecipeError: without a model there are none."""
        raise RecipeError("blocks auto are a model's own, and this recipe has met none; call its `fit` first")


@dataclass(frozen=True)
class Whole(Division):
    """One window: every undecided position at once."""

    def windows(self, undecided: Bools) -> list[Ints]:
        """Return one window: all undecided positions (n,)."""
        return [np.flatnonzero(undecided)]


@dataclass(frozen=True)
class Blocks(Division):
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
class AlignedBlocks(Division):
    """Windows that begin at multiples of `length`, counted from position 0: the grid of block-causal models.

    fill             the last block is decoded to its end, and what lies behind the answer is cut off: the network then
                     sees as many [MASK]s there as in training (LLaDA2, SDAR, Fast-dLLM v2)
    denoising_steps  forwards of a whole block, where the recipe states no steps of the whole answer; `length` if left
                     out. A block that is partly given takes the same numbers of positions until it is full (SDAR; the
                     `steps` of LLaDA2)
    minimal_topk     at most answer // minimal_topk forwards a block, so that a short answer takes fewer (LLaDA2)
    """

    length: int
    fill: bool = False
    denoising_steps: int | None = None
    minimal_topk: int | None = None

    def __post_init__(self) -> None:
        if self.length < 1:
            raise RecipeError(f"blocks.length must be at least 1, got {self.length}; SDAR uses 4 to 64")
        for name in ("denoising_steps", "minimal_topk"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise RecipeError(f"blocks.{name} must be at least 1, got {value}; leave it out for the block's length")

    def fit(self, contract: Contract) -> Division:
        """Return the rule; a model with a grid takes its own."""
        return self if contract.block_size == self.length else super().fit(contract)

    def filled(self, length: int, contract: Contract) -> int:
        """Return the end of the last block if the rule fills it."""
        return whole_blocks(length, self.length) if self.fill else length

    def timetable(
        self, sizes: Sequence[int], steps: int | None, answer: int, schedule: Schedule
    ) -> tuple[list[int], list[list[int]]]:
        """Return the same steps for every window, unless the recipe states those of the whole answer."""
        if steps is not None or self.denoising_steps is self.minimal_topk is None:
            return super().timetable(sizes, steps, answer, schedule)
        share = self.length if self.denoising_steps is None else self.denoising_steps
        if self.minimal_topk is not None:
            share = min(share, max(1, answer // self.minimal_topk))
        quotas = schedule(self.length, share)
        return [share] * len(sizes), [first_of(quotas, size) for size in sizes]

    def windows(self, undecided: Bools) -> list[Ints]:
        """Return the undecided positions of each cell of the grid that has any, in order."""
        positions = np.flatnonzero(undecided)
        cells = positions // self.length
        return [positions[cells == cell] for cell in np.unique(cells)]


def first_of(quotas: Sequence[int], count: int) -> list[int]:
    """Return the first of `quotas` that add up to `count`, the last of them cut."""
    ends = list(accumulate(quotas))
    return [quota - max(0, end - count) for quota, end in zip(quotas, ends, strict=True) if end - quota < count]


def whole_blocks(length: int, size: int) -> int:
    """Round `length` up to a multiple of `size`."""
    return -(-length // size) * size


@dataclass(frozen=True)
class Adaptive(Division):
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

    def shares(self, sizes: Sequence[int], steps: int) -> list[int]:
        """Return the steps of each window, at least one: how many windows there will be, nobody can know."""
        return share_steps(sizes, max(steps, len(sizes)))

    def recut(self, windows: list[Ints], block: int, inside: Ints, undecided: Bools) -> list[Ints]:
        """Return the open window as `inside`, and the rest cut again."""
        rest = undecided.copy()
        rest[inside] = False
        return [*windows[:block], inside, *(self.windows(rest) if rest.any() else [])]

    def spelled(self, encode: Callable[[str], list[int]]) -> "Adaptive":
        """Return the rule with its delimiters as token ids."""
        ids = [encode(mark) if isinstance(mark, str) else [mark] for mark in self.delimiters]
        for mark, tokens in zip(self.delimiters, ids, strict=True):
            if len(tokens) != 1:
                raise RecipeError(
                    f"blocks.delimiters: {quoted(mark)} is {len(tokens)} tokens of this model, and must be one"
                )
        return replace(self, delimiters=tuple(i for tokens in ids for i in tokens))

    def fit(self, contract: Contract) -> Division:
        """Return the rule; its delimiters must be ids of this model."""
        if any(isinstance(mark, str) for mark in self.delimiters):
            raise RecipeError("blocks.delimiters holds strings, which need a tokenizer; give token ids")
        in_vocabulary("blocks.delimiters", self.delimiters, contract)
        return super().fit(contract)

    def narrow(self, grid: Grid, block_size: int | None) -> Tensor:
        """Mark the reads that stay in the window (B, W); only the first step in a window removes any."""
        marks = ids(tuple(mark for mark in self.delimiters if isinstance(mark, int)), grid.guess.device)
        pauses = grid.candidate & (grid.guess[..., None] == marks).any(-1)
        sure = grid.confidence.nan_to_num(nan=-torch.inf).masked_fill(~pauses, -torch.inf).max(1, keepdim=True)
        column = torch.arange(pauses.shape[1], device=marks.device)
        cut = torch.where(
            sure.values >= self.threshold, column <= sure.indices, grid.candidate.cumsum(1) <= self.length
        )
        return torch.where(grid.time[:, :1] == 1, cut, True)


@dataclass(frozen=True)
class SubBlocks(Division):
    """Windows of `length` inside the blocks of a block-causal model (Fast-dLLM v2, arXiv 2509.26328, §3.3; its
    `small_block_size`). The first token of a block is committed alone, by the forward that stores the block before.
    With `fill`, the last block is decoded to its end (see `AlignedBlocks`)."""

    length: int = 8
    fill: bool = False

    def __post_init__(self) -> None:
        if self.length < 1:
            raise RecipeError(f"blocks.length must be at least 1, got {self.length}; Fast-dLLM v2 uses 8")

    def fit(self, contract: Contract) -> Division:
        """Return the rule; its windows must divide the model's grid."""
        size = contract.block_size
        if size is None or size % self.length:
            raise RecipeError(
                f"sub_blocks of {self.length} need a model with a grid of a multiple of that, and this one "
                f"{'has none' if size is None else f'has {size}'}; use blocks = auto"
            )
        return self

    def filled(self, length: int, contract: Contract) -> int:
        """Return the end of the model's last block if the rule fills it."""
        return whole_blocks(length, contract.block_size or 1) if self.fill else length

    def windows(self, undecided: Bools) -> list[Ints]:
        """Return the windows of `AlignedBlocks(length)`."""
        return AlignedBlocks(self.length).windows(undecided)

    def narrow(self, grid: Grid, block_size: int | None) -> Tensor:
        """Mark all reads of the window (B, W), but in the first step of a block its first position alone."""
        assert block_size is not None
        first = grid.candidate & (grid.candidate.cumsum(1) == 1)
        leads = (grid.time[:, :1] == 1) & (first & (grid.position % block_size == 0)).any(1, keepdim=True)
        return torch.where(leads, first, True)


DIVISIONS: dict[str, type[Division]] = {
    "auto": Auto,
    "whole": Whole,
    "blocks": Blocks,
    "grid": AlignedBlocks,
    "sub_blocks": SubBlocks,
    "adaptive": Adaptive,
}
