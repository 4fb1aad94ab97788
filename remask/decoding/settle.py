"""The decision of a step over whole windows: narrowing of the block, selection and revision, on one grid.

No vocabulary here: the scan has reduced it (`remask.decoding.scan`). A grid is never cut, because most rules compare
all positions of a window.
"""

from dataclasses import dataclass, replace

from torch import Tensor

from .grid import Grid
from .recipe import Recipe
from .selection import select


@dataclass(frozen=True)
class Changes:
    """What a step wants to change, (B, W) each; the core carries out what is allowed of it.

    `inside` marks the reads that stay in the window, for rules that end a block where the text pauses.
    """

    reveal: Tensor
    edit: Tensor
    remask: Tensor
    inside: Tensor


def settle(grid: Grid, recipe: Recipe, block_size: int | None) -> Changes:
    """Decide which candidates of the grid leave [MASK], and which committed positions are rewritten or go back.

    The numbers of `recipe` are floats, or columns (B, 1) where rows differ in them; `block_size` is the model's own.
    """
    inside = recipe.blocks.narrow(grid, block_size)
    grid = replace(grid, candidate=grid.candidate & inside)
    revision = recipe.revise.revise(grid, select(recipe.select, grid))
    return Changes(
        reveal=revision.reveal & grid.candidate,
        edit=revision.edit & grid.committed,
        remask=revision.remask & grid.committed,
        inside=inside,
    )
