"""A fork goes on from a moment of a run: without edits as that run did, with edits as they say, and beside anybody."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remask.decoding.canvas import Growing
from remask.decoding.recipe import Recipe
from remask.engine.engine import Engine
from remask.engine.fork import restore
from remask.engine.past import Edit, Past
from remask.engine.requests import Request, Step
from remask.engine.row import Row
from remask.engine.step import denoise
from remask.errors import RequestError
from remask.models.contract import Predictor
from remask.models.predictor import MaskPredictor
from remask.testing import TOY, Fake, Hashed
from tests.conftest import VOCAB
from tests.helpers.jobs import Job, alone, bits, decisions, holes, tokens
from tests.helpers.strategies import jobs, models
from tests.laws.test_neighbours import RECIPES
from tests.laws.test_recipes import GRIDDED, SHIPPED, fitting
from tests.laws.test_recipes import RECIPES as LOADED


def past(job: Job, row: Row) -> Past:
    """The past of a row that ran."""
    request = Request(job.template, job.recipe, job.seed, job.stop_ids, candidates=job.candidates)
    return Past(request, log=tuple(row.log))


def rest(model: Predictor, row: Row) -> list[Step]:
    return [step for _, step in denoise(model, [row])] if row.finish_reason is None else []


def fork(model: Predictor, job: Job, step: int, edit: Edit = Edit()) -> tuple[list[Step], list[Step], Row]:
    """The steps of a run, those of its fork, and the row of the fork."""
    one, steps = alone(model, job)
    row = restore(past(job, one).until(step).edited(edit), model.contract)
    return steps, rest(model, row), row


def moments(steps: Sequence[Step]) -> list[int]:
    """Some steps of a run to fork after: the first, the last, and three between."""
    return sorted({0, len(steps) - 1, *(len(steps) * part // 4 for part in (1, 2, 3))})


# --- without edits ---


@given(models, jobs(), st.data())
def test_without_edits_a_fork_goes_on_as_its_run_to_the_last_bit(model: Fake, job: Job, data: st.DataObject) -> None:
    one, steps = alone(model, job)
    step = data.draw(st.integers(0, len(steps)))
    again = restore(past(job, one).until(step), model.contract)
    assert bits(rest(model, again)) == bits(steps[step:])
    assert (again.finish_reason, tokens(again)) == (one.finish_reason, tokens(one))


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("temperature", [None, 0.8])
def test_every_shipped_recipe_goes_on_to_the_last_bit(name: str, temperature: float | None) -> None:
    model, recipe = fitting(name, Hashed(5, tie_rate=0.3)), LOADED[name]
    if temperature is not None:
        recipe = replace(recipe, process=replace(recipe.process, temperature=temperature))
    job = Job((1, 2, *holes(9), 3, *holes(12)), recipe, seed=11)
    one, steps = alone(model, job)
    for step in moments(steps):
        again = restore(past(job, one).until(step), model.contract)
        assert bits(rest(model, again)) == bits(steps[step:]) and tokens(again) == tokens(one)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_on_a_transformer_a_fork_decides_as_its_run(tiny: MaskPredictor, recipe: Recipe) -> None:
    job = Job((*np.random.default_rng(1).integers(0, VOCAB, 4).tolist(), *holes(11)), recipe, seed=2)
    one, steps = alone(tiny, job)
    for step in moments(steps):
        again = restore(past(job, one).until(step), tiny.contract)
        assert decisions(rest(tiny, again)) == decisions(steps[step:]) and tokens(again) == tokens(one)


@pytest.mark.parametrize("name", sorted(GRIDDED))
def test_on_a_block_causal_transformer_a_fork_decides_as_its_run(blockwise: MaskPredictor, name: str) -> None:
    recipe = LOADED[name]
    if name == "fast-dllm-v2":  # its windows divide a grid of 8
        pytest.skip("needs another grid")
    job = Job((1, 2, 3, 4, 5, *holes(14)), recipe, seed=2)
    if recipe.revise.edits:
        pytest.skip("needs a model that edits")
    one, steps = alone(blockwise, job)
    for step in moments(steps):
        again = restore(past(job, one).until(step), blockwise.contract)
        assert decisions(rest(blockwise, again)) == decisions(steps[step:]) and tokens(again) == tokens(one)
