"""Your row is yours: a row's answer does not depend on who shares its batch, when they come, and whether they break."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from remask.decoding.blocks import Adaptive, Blocks, Whole
from remask.decoding.caches import Delayed, Dual, NoCache, Prefix
from remask.decoding.history import Credit
from remask.decoding.prior import Certain, Leftward
from remask.decoding.recipe import Guidance, Process, Recipe
from remask.decoding.revision import RCR, WINO, Edit, ReMDM
from remask.decoding.selection import SELECTORS, Bernoulli, Threshold
from remask.engine.batch import Batch
from remask.engine.requests import Step
from remask.engine.row import Row
from remask.engine.step import step
from remask.errors import RowError
from remask.models.predictor import MaskPredictor
from remask.testing import TOY, Fake, Hashed, Oracle, Poisoned
from tests.conftest import VOCAB
from tests.helpers.jobs import Job, alone, bits, decisions, holes, run, tokens
from tests.helpers.strategies import jobs, models


def same_bits(mine: tuple[Row, list[Step]], theirs: tuple[Row, list[Step]]) -> bool:
    """Whether two runs are one, to the last bit."""
    (row, steps), (other, others) = mine, theirs
    ends = (row.finish_reason, tokens(row)), (other.finish_reason, tokens(other))
    return bits(steps) == bits(others) and ends[0] == ends[1]


@given(models, st.lists(jobs(), min_size=2, max_size=8))
def test_a_row_in_a_batch_is_the_row_alone_to_the_last_bit(model: Fake, batch: list[Job]) -> None:
    for job, together in zip(batch, run(model, batch), strict=True):
        assert same_bits(alone(model, job), together)


@given(models, jobs(), st.integers(2, 8))
def test_equal_rows_side_by_side_are_equal_to_the_last_bit(model: Fake, job: Job, count: int) -> None:
    first, *others = run(model, [job] * count)
    assert all(same_bits(first, other) for other in others)


@given(models, st.lists(st.tuples(jobs(), st.integers(0, 6), st.integers(1, 12)), min_size=2, max_size=5))
def test_rows_that_come_and_go_do_not_change_the_others(model: Fake, visits: list[tuple[Job, int, int]]) -> None:
    """Each comes at its own step, and some leave before they are done; what a row has by then is what it has alone."""
    batch, rows = Batch(model), [job.row(model.contract) for job, _, _ in visits]
    seen: dict[int, list[Step]] = {id(row): [] for row in rows}
    for now in range(2_000):
        for row, (_, arrival, stay) in zip(rows, visits, strict=True):
            if now == arrival:
                batch.admit(row)
            elif row in batch.rows and now >= arrival + stay and stay < 6:
                row.finish("cancelled")
                batch.evict(row)
        for row, made in step(batch) if batch.rows else ():
            seen[id(row)].append(made)
        for row in [row for row in batch.rows if row.finish_reason]:
            batch.evict(row)
        if all(row.finish_reason for row in rows):
            break
    for row, (job, _, _) in zip(rows, visits, strict=True):
        _, steps = alone(model, job)
        mine = seen[id(row)]
        assert bits(mine) == bits(steps)[: len(mine)]
        assert len(mine) == len(steps) or row.finish_reason == "cancelled"
    assert not batch.rows and not batch.slabs


FOUR = Blocks(4)
RECIPES = {
    "llada": Recipe(blocks=FOUR),
    "few steps": Recipe(blocks=Whole(), steps=5),
    "temperature": Recipe(blocks=FOUR, process=Process(temperature=0.8)),
    "top-p": Recipe(blocks=FOUR, process=Process(temperature=0.8, top_p=0.9, top_k=5)),
    "processed scores": Recipe(blocks=FOUR, process=Process(temperature=0.8, top_p=0.9, scores="processed")),
    "random": Recipe(blocks=FOUR, confidence="random"),
    "margin": Recipe(blocks=FOUR, confidence="margin"),
    "entropy": Recipe(blocks=FOUR, confidence="entropy"),
    "cfg": Recipe(blocks=FOUR, guidance=Guidance(1.0)),
    "linear_t": Recipe(blocks=Whole(), schedule="linear_t", steps=5),
    "cosine": Recipe(blocks=Whole(), schedule="cosine", steps=5),
    "adaptive": Recipe(blocks=Adaptive(3, 6, 0.05, tuple(range(20))), select=Threshold(0.1)),
    "leftward": Recipe(blocks=FOUR, prior=Leftward()),
    "certain": Recipe(blocks=FOUR, prior=Certain()),
    "credit": Recipe(blocks=FOUR, history=Credit(3.0)),
    **{name: Recipe(blocks=FOUR, steps=6, select=rule()) for name, rule in SELECTORS.items()},
    "dual": Recipe(blocks=FOUR, cache=Dual()),
    "dual, again": Recipe(blocks=FOUR, cache=Dual(every=3)),
    "dual, drift": Recipe(blocks=FOUR, cache=Dual(drift=0.4, vicinity=2)),
    "prefix": Recipe(blocks=FOUR, cache=Prefix()),
    "delayed": Recipe(blocks=FOUR, cache=Delayed(3)),
    "wino": Recipe(blocks=FOUR, revise=WINO(0.3), steps=6),
    "wino, dual": Recipe(blocks=FOUR, revise=WINO(0.3), steps=6, cache=Dual()),
    "t2m": Recipe(blocks=FOUR, revise=Edit(0.05, remask=True)),
    "rcr": Recipe(blocks=FOUR, revise=RCR(), steps=6),
    "remdm": Recipe(blocks=FOUR, revise=ReMDM(0.5), select=Bernoulli()),
}


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_on_a_transformer_a_row_in_a_batch_decides_as_the_row_alone(tiny: MaskPredictor, recipe: Recipe) -> None:
    draw = np.random.default_rng(0)
    batch = [
        Job((*draw.integers(0, VOCAB, size).tolist(), *holes(8 + size % 3)), recipe, seed=size)
        for size in (1, 3, 3, 6, 9, 14, 2, 5)
    ]
    singles = [alone(tiny, job) for job in batch]
    for count in (2, 5, 8):
        for (row, steps), (one, ones) in zip(run(tiny, batch[:count]), singles, strict=False):
            assert decisions(steps) == decisions(ones) and tokens(row) == tokens(one)


def test_the_bitwise_law_can_fail() -> None:
    """A model whose logits depend on how many rows are asked for breaks it."""

    class Crowded(Hashed):
        def logits(self, hidden: Tensor) -> Tensor:
            return super().logits(hidden) * (1 + len(hidden))

    job = Job((1, *holes(4)))
    assert not same_bits(alone(Crowded(), job), run(Crowded(), [job, job])[0])


# --- a row whose logits break fails alone ---

BROKEN = [math.nan, math.inf, -math.inf]
MARKED = 7  # the token that a poisoned row begins with


@pytest.mark.parametrize("value", BROKEN)
@pytest.mark.parametrize("guidance", [0.0, 1.0])
def test_a_poisoned_row_fails_alone_with_its_step_and_position(value: float, guidance: float) -> None:
    healthy = Hashed(3)
    recipe = Recipe(blocks=Whole(), guidance=Guidance(guidance))
    left = 4  # masks when it breaks: with one token a step, step 6 - 4 = 2

    def when(position: int, seen: Tensor) -> bool:
        return seen[0] == MARKED and position == victim and int((seen == TOY.mask_id).sum()) == left

    batch = [Job((start, *holes(6)), recipe) for start in (1, MARKED, 2, 3)]
    singles = [alone(healthy, job) for job in batch]
    victim = singles[1][1][5].changes[0].position  # the last to be committed
    together = run(Poisoned(healthy, value, when), batch)
    for i, (single, (row, steps)) in enumerate(zip(singles, together, strict=True)):
        if i != 1:
            assert same_bits(single, (row, steps))
            continue
        assert row.finish_reason == "error" and isinstance(row.error, RowError)
        assert (row.error.step, row.error.position) == (2, victim)
        assert bits(steps) == bits(single[1])[:2]  # what it had is what it would have had


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("column", [15, 14, 0])
def test_one_broken_logit_is_enough_wherever_it_stands(value: float, column: int) -> None:
    class Broken(Hashed):
        def logits(self, hidden: Tensor) -> Tensor:
            return super().logits(hidden).index_fill(1, torch.tensor([column]), value)

    row, steps = alone(Broken(), Job((1, *holes(3))))
    assert (row.finish_reason, steps) == ("error", [])


def test_nothing_but_forbidden_ids_to_choose_from_is_a_failure() -> None:
    row, _ = alone(Oracle([15] * 4, 1.0), Job((1, *holes(3))))
    assert row.finish_reason == "error"
    everything = tuple(range(16))
    row, _ = alone(Hashed(), Job((1, *holes(3)), Recipe(process=Process(suppress=everything))))
    assert row.finish_reason == "error"


def test_minus_infinity_in_some_columns_is_no_failure() -> None:
    row, _ = alone(Oracle([2] * 6, 1.0), Job((1, *holes(5)), Recipe(guidance=Guidance(2.0))))
    assert row.finish_reason == "length" and tokens(row)[1:] == [2] * 5


# --- unlike plans in one step ---


def test_rows_with_unlike_plans_in_one_step_are_each_their_run_alone(tiny: MaskPredictor) -> None:
    """Other caches, lengths, streams, windows and revisers: no plan shares its shape with all others."""
    caches = (NoCache(), Dual(every=1), Dual(every=2), Dual(every=100))
    recipes = [
        replace(recipe, cache=cache)
        for cache in caches
        for recipe in (RECIPES["llada"], RECIPES["cfg"], RECIPES["temperature"], RECIPES["wino"])
    ]
    batch = [Job((i % 5, 3, *holes(5 + i % 4)), recipe, seed=i) for i, recipe in enumerate(recipes)]
    for job, (row, steps) in zip(batch, run(tiny, batch), strict=True):
        one, ones = alone(tiny, job)
        assert decisions(steps) == decisions(ones) and tokens(row) == tokens(one)
    fake = Hashed(4)
    for job, together in zip(batch, run(fake, batch), strict=True):
        assert same_bits(alone(fake, job), together)


def test_an_empty_store_and_no_store_meet_in_one_step() -> None:
    """A window from position 0 on leaves a prefix cache no slot to read, a refresh names none: both write keys."""
    model = Hashed(1)
    batch = [Job((*holes(4), 1), Recipe(cache=cache)) for cache in (Prefix(), Prefix(every=1), Prefix())]
    for job, together in zip(batch, run(model, batch), strict=True):
        assert same_bits(alone(model, job), together)
