"""Rows whose recipes differ in numbers alone decide together, each as if alone; any subset of rows may step."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from remask.decoding.blocks import Blocks, Whole
from remask.decoding.process import Guidance, Process
from remask.decoding.recipe import Recipe
from remask.decoding.revision import WINO, Edit, ReMDM
from remask.decoding.selection import (
    Bernoulli,
    Dynamic,
    EntropyBound,
    Factor,
    Frechet,
    GumbelTopK,
    Neighbour,
    Segment,
    Threshold,
)
from remask.engine.batch import Batch
from remask.engine.part import partition
from remask.engine.step import step
from remask.testing import Hashed
from tests.helpers.jobs import Job, alone, bits, holes, run
from tests.helpers.strategies import jobs, models

WHOLE = Recipe(blocks=Whole())
NUMBERS: dict[str, Callable[[float], Recipe]] = {  # a recipe for each number in (0, 1)
    "temperature": lambda x: replace(WHOLE, process=Process(temperature=2 * x)),
    "temperature, top-p": lambda x: replace(WHOLE, process=Process(temperature=0.5 + x, top_p=x, scores="processed")),
    "guidance": lambda x: replace(WHOLE, guidance=Guidance(3 * x)),
    "threshold": lambda x: replace(WHOLE, select=Threshold(x)),
    "dynamic": lambda x: replace(WHOLE, select=Dynamic(x)),
    "factor": lambda x: replace(WHOLE, select=Factor(3 * x)),
    "frechet": lambda x: replace(WHOLE, select=Frechet(x / 2)),
    "entropy bound": lambda x: replace(WHOLE, select=EntropyBound(4 * x)),
    "segment": lambda x: replace(WHOLE, select=Segment(x, x / 2)),
    "neighbour": lambda x: replace(WHOLE, select=Neighbour(x, x / 2)),
    "gumbel": lambda x: replace(WHOLE, select=GumbelTopK(x)),
    "edit": lambda x: replace(WHOLE, blocks=Blocks(4), revise=Edit(x, remask=True)),
    "wino": lambda x: replace(WHOLE, revise=WINO(x)),
    **{
        f"remdm, {schedule}": lambda x, schedule=schedule: replace(  # type: ignore[misc]
            WHOLE, select=Bernoulli(), revise=ReMDM(x, schedule)
        )
        for schedule in ("cap", "rescale", "conf")
    },
}
shares = st.floats(0.01, 0.99)


@pytest.mark.parametrize("name", NUMBERS)
@given(numbers=st.lists(shares, min_size=2, max_size=5), seed=st.integers(0, 99), equal=st.booleans())
def test_rows_that_differ_in_a_number_are_one_part_and_each_is_the_row_alone(
    name: str, numbers: list[float], seed: int, equal: bool
) -> None:
    model = Hashed(seed)
    work = [Job((1, 2, *holes(6 if equal else 4 + i % 3)), NUMBERS[name](x), seed=i) for i, x in enumerate(numbers)]
    rows = [job.row(model.contract) for job in work]
    assert len(partition(rows, [row.plan() for row in rows])) == 1
    for job, (_, steps) in zip(work, run(model, work), strict=True):
        assert bits(steps) == bits(alone(model, job)[1])


def test_rows_that_take_other_branches_are_parts_of_their_own() -> None:
    recipes = [
        WHOLE,
        replace(WHOLE, process=Process(temperature=0.5)),
        replace(WHOLE, guidance=Guidance(1.0)),
        replace(WHOLE, confidence="margin"),
        replace(WHOLE, select=Threshold(0.5)),
        replace(WHOLE, select=Threshold(0.5, strict=True)),
        replace(WHOLE, select=Bernoulli(), revise=ReMDM()),
    ]
    rows = [Job((1, *holes(4)), recipe).row() for recipe in recipes]
    assert [len(part.rows) for part in partition(rows, [row.plan() for row in rows])] == [1] * len(recipes)


@given(models, st.lists(jobs(), min_size=2, max_size=4), st.randoms(use_true_random=False))
def test_whichever_rows_step_next_each_is_the_row_alone(model: Hashed, work: list[Job], draw: Any) -> None:
    batch, rows = Batch(model), [job.row(model.contract) for job in work]
    steps: dict[int, list[Any]] = {id(row): [] for row in rows}
    for row in rows:
        batch.admit(row)
    while batch.rows:
        chosen = draw.sample(batch.rows, draw.randint(1, len(batch.rows)))
        for row, made in step(batch, chosen):
            steps[id(row)].append(made)
        for row in [row for row in batch.rows if row.finish_reason]:
            batch.evict(row)
    for job, row in zip(work, rows, strict=True):
        assert bits(steps[id(row)]) == bits(alone(model, job)[1])


class Broken(Hashed):
    """Its head or its body raises, as a device without memory does, for as long as `breaks` says."""

    def __init__(self, seed: int, breaks: Callable[[str, int], bool]) -> None:
        super().__init__(seed)
        self.breaks = breaks

    def hidden(self, batch: Any) -> torch.Tensor:
        if self.breaks("hidden", len(batch.reads)):
            raise MemoryError("no room")
        return super().hidden(batch)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        if self.breaks("logits", len(hidden)):
            raise MemoryError("no room")
        return super().logits(hidden)


@pytest.mark.parametrize("where", ["hidden", "logits"])
@given(st.lists(jobs(), min_size=1, max_size=3), st.integers(1, 12))
def test_a_step_that_breaks_leaves_every_row_as_it_was(where: str, work: list[Job], at: int) -> None:
    calls = 0

    def breaks(place: str, size: int) -> bool:
        nonlocal calls
        calls += place == where
        return place == where and calls == at

    model, whole = Broken(3, breaks), Hashed(3)
    batch, rows = Batch(model), [job.row(model.contract) for job in work]
    steps: dict[int, list[Any]] = {id(row): [] for row in rows}
    for row in rows:
        batch.admit(row)
    while batch.rows:
        try:
            for row, made in step(batch):
                steps[id(row)].append(made)
        except MemoryError:
            continue
        for row in [row for row in batch.rows if row.finish_reason]:
            batch.evict(row)
    for job, row in zip(work, rows, strict=True):
        assert bits(steps[id(row)]) == bits(alone(whole, job)[1])
