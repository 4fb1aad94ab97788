"""Laws of every axis: its values look alike, what a value leaves out has a default, and none keeps a row alive."""

from dataclasses import dataclass, is_dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from remask.decoding.axes import AXES, KINDS
from remask.decoding.blocks import AlignedBlocks, Auto, Division, SubBlocks, Whole
from remask.decoding.caches import BlockCausal, Cache, NoCache, View
from remask.decoding.canvas import Canvas, Shown
from remask.decoding.grid import Grid
from remask.decoding.history import Enhancer, Memory
from remask.decoding.prior import Prior
from remask.decoding.recipe import Recipe
from remask.decoding.revision import Never, Reviser, Revision
from remask.decoding.selection import Selector, TopK
from remask.decoding.value import Value
from remask.errors import RecipeError
from remask.exactness import Exactness
from remask.models.contract import Bools, Contract, Floats, Ints, Plan
from remask.testing import TOY, Hashed
from tests.helpers.jobs import Job, alone, bits, holes, run

GRID = replace(TOY, block_size=4)


@pytest.mark.parametrize(("axis", "name"), [(axis, name) for axis, values in AXES.items() for name in values])
def test_every_value_is_frozen_states_its_claim_and_derives_from_its_axis(axis: str, name: str) -> None:
    value: Any = AXES[axis][name]
    assert issubclass(value, KINDS[axis]) and issubclass(KINDS[axis], Value)
    assert is_dataclass(value) and value.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert isinstance(value.exactness, Exactness)


@pytest.mark.parametrize("axis", AXES)
def test_a_value_of_another_axis_is_refused(axis: str) -> None:
    other = TopK() if axis != "select" else NoCache()
    for wrong in (other, type(other), "nonsense", None):
        with pytest.raises(RecipeError, match=f"{axis} must be a value of its axis, as remask"):
            Recipe(**{axis: wrong})


# --- the least that a value of each axis may be ---


@dataclass(frozen=True)
class LeastCanvas(Shown):
    exactness: ClassVar[Exactness] = Exactness.EXACT

    def positions(self, canvas: Canvas, window: Ints) -> Ints:
        return np.arange(len(canvas))


@dataclass(frozen=True)
class LeastDivision(Division):
    def windows(self, undecided: Bools) -> list[Ints]:
        return Whole().windows(undecided)


@dataclass(frozen=True)
class LeastEnhancer(Enhancer):
    exactness: ClassVar[Exactness] = Exactness.EXACT

    def enhance(self, logits: Tensor, memory: Memory | None) -> Tensor:
        return logits


@dataclass(frozen=True)
class LeastPrior(Prior):
    exactness: ClassVar[Exactness] = Exactness.EXACT

    def weights(self, canvas: Canvas, window: Ints, positions: Ints) -> Floats:
        return np.ones(len(positions), np.float32)


@dataclass(frozen=True)
class LeastSelector(Selector):
    def choose(self, grid: Grid) -> Tensor:
        return TopK().choose(grid)


@dataclass(frozen=True)
class LeastReviser(Reviser):
    def revise(self, grid: Grid, chosen: Tensor) -> Revision:
        return Never().revise(grid, chosen)


@dataclass(frozen=True)
class LeastCache(Cache):
    exactness: ClassVar[Exactness] = Exactness.APPROXIMATE

    def plan(self, view: View) -> Plan:
        return view.refresh()


LEAST = {
    "canvas": LeastCanvas(),
    "blocks": LeastDivision(),
    "history": LeastEnhancer(),
    "prior": LeastPrior(),
    "select": LeastSelector(),
    "revise": LeastReviser(),
    "cache": LeastCache(),
}


@pytest.mark.parametrize("axis", LEAST)
@given(seed=st.integers(0, 99))
def test_the_least_value_of_an_axis_decodes_as_the_default_does(axis: str, seed: int) -> None:
    plain = Recipe(blocks=Whole(), steps=3)
    work = [Job((1, 2, *holes(7), 3), recipe, seed) for recipe in (plain, replace(plain, **{axis: LEAST[axis]}))]
    mine, default = (alone(Hashed(seed), job)[1] for job in work)
    assert [step.changes for step in mine] == [step.changes for step in default]


def test_what_an_axis_asks_for_cannot_be_left_out() -> None:
    for kind in (Shown, Division, Enhancer, Prior, Selector, Reviser, Cache):
        with pytest.raises(TypeError, match="abstract"):
            kind()  # type: ignore[abstract]


# --- hooks ---


@dataclass(frozen=True)
class Greedy(LeastCanvas):
    """Never has enough: its horizon moves by `by` positions, for ever."""

    by: int = 1

    def horizon(self, canvas: Canvas) -> int:
        return 2

    def reads(self, canvas: Canvas, horizon: int) -> Ints:
        return np.arange(1, horizon)

    def grow(self, horizon: int, ends: Bools, logprob: Floats) -> int:
        return horizon + self.by


@pytest.mark.parametrize(("by", "idle"), [(1, 8), (3, 3), (10**9, 1), (0, 0), (-1, 0)])
def test_a_canvas_that_never_has_enough_ends_all_the_same(by: int, idle: int) -> None:
    row, steps = alone(Hashed(1), Job((1, *holes(9)), Recipe(canvas=Greedy(by=by), blocks=Whole())))
    assert row.finish_reason == "length" and row.canvas.committed.sum() == 9
    assert [step.index for step in steps if not step.changes] == list(range(idle))


def test_rows_whose_blocks_narrow_by_rules_of_their_own_decide_apart() -> None:
    """A rule of `sub_blocks` beside one of the plain grid: neither takes the other's."""
    model = Hashed(5, contract=GRID)
    recipes = [Recipe(blocks=blocks, cache=BlockCausal()) for blocks in (Auto(), SubBlocks(2), SubBlocks(4))]
    for work in (recipes, recipes[::-1]):
        jobs = [Job((1, 2, *holes(10)), recipe, seed) for seed, recipe in enumerate(work)]
        for job, (_, steps) in zip(jobs, run(model, jobs), strict=True):
            assert bits(steps) == bits(alone(model, job)[1])


@pytest.mark.parametrize("contract", [TOY, GRID])
def test_auto_is_the_windows_of_the_model(contract: Contract) -> None:
    fitted = Recipe().fit(contract, 16)
    assert fitted.blocks == (AlignedBlocks(4) if contract.block_size else Recipe.load("llada+blocks=blocks").blocks)
    assert fitted.fit(contract, 16) == fitted
    with pytest.raises(RecipeError, match="call its `fit` first"):
        Auto().windows(np.ones(4, bool))
