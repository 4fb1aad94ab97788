"""Laws of the slabs: they hold what live rows need, soon no more, and no answer depends on where its keys lie."""

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remask import LLM
from remask.decoding.blocks import Blocks, Whole
from remask.decoding.caches import Delayed, Dual, Prefix
from remask.decoding.recipe import Guidance, Recipe
from remask.decoding.selection import Threshold, TopK
from remask.engine import slab
from remask.engine.batch import Batch, lay
from remask.engine.memory import footprint
from remask.engine.requests import Step
from remask.engine.row import Row
from remask.engine.slab import STEPS_WITHOUT_USE
from remask.engine.step import step
from remask.models.contract import Predictor
from remask.models.kv import KVStore
from remask.models.predictor import MaskPredictor
from remask.testing import Fake, Hashed
from tests.helpers.jobs import Job, alone, bits, decisions, holes, stored_bytes
from tests.helpers.strategies import jobs, models

SLOW = Recipe(blocks=Whole(), select=TopK(), cache=Dual(every=100))  # a token a step
FAST = replace(SLOW, select=Threshold(0.0))  # all in one step
LATE = holes(3 * STEPS_WITHOUT_USE)
FILLED = [(4,), (4, 6, 2, 5)]  # behind the holes of two rows


def follow(model: Predictor, jobs: Sequence[Job]) -> tuple[list[list[Step]], list[tuple[int, int]]]:
    """Each job's steps, and after every step of the batch how many rows live and what their keys and values take."""
    batch, rows = Batch(model), [job.row(model.contract) for job in jobs]
    made: list[list[Step]] = [[] for _ in jobs]
    taken = []
    for row in rows:
        batch.admit(row)
    while batch.rows:
        for row, one in step(batch):
            made[rows.index(row)].append(one)
        for row in [row for row in batch.rows if row.finish_reason]:
            batch.evict(row)
        taken.append((len(batch.rows), stored_bytes(batch)))
    return made, taken


def left_alone(taken: list[tuple[int, int]]) -> list[int]:
    """The bytes after each step that left one row."""
    return [took for rows, took in taken if rows == 1]


BURSTS = [
    pytest.param((1, *LATE), (1, 2, *holes(12)), 0, id="of another length"),  # their slab goes with them
    pytest.param((1, *LATE), (2, *LATE), STEPS_WITHOUT_USE, id="of its length"),  # this one shrinks
]


@pytest.mark.parametrize(("short", "burst", "steps"), BURSTS)
def test_after_a_burst_the_bytes_fall_to_what_is_left(
    short: tuple[int | None, ...], burst: tuple[int | None, ...], steps: int
) -> None:
    model = Hashed()
    batch = [*(Job(burst, FAST, seed=i) for i in range(64)), Job(short, SLOW)]
    made, taken = follow(model, batch)
    left = left_alone(taken)
    need = footprint([Job(short, SLOW).row()], model).store
    assert len(left) > STEPS_WITHOUT_USE
    assert left[0] == need * (65 if steps else 1)
    assert all(took == need for took in left[steps:])
    for job, steps_of_job in zip(batch, made, strict=True):
        assert bits(steps_of_job) == bits(alone(model, job)[1])


@pytest.mark.parametrize("of_one_length", [False, True])
def test_a_trained_model_does_not_notice(llm: LLM, of_one_length: bool) -> None:
    """Its keys move to the front of a slab that shrinks under it."""
    model, prompt = llm.model, llm.encode("Sort 5380217.")
    short = Job((*prompt, *holes(24)), replace(SLOW, blocks=Blocks(24)))
    burst = [Job((*prompt, *holes(24 if of_one_length else 40)), FAST, seed=i) for i in range(64)]
    made, taken = follow(model, [*burst, short])
    left = left_alone(taken)
    assert left[-1] == footprint([short.row(model.contract)], model).store
    assert decisions(made[-1]) == decisions(alone(model, short)[1])


@given(models, st.lists(st.tuples(jobs(), st.integers(0, 6)), min_size=2, max_size=8))
def test_slabs_that_shrink_at_once_change_no_bit(model: Fake, visits: list[tuple[Job, int]]) -> None:
    batch, rows = Batch(model), [job.row(model.contract) for job, _ in visits]
    made: dict[int, list[Step]] = {id(row): [] for row in rows}
    need = {row: footprint([row], model).store for row in rows}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slab, "STEPS_WITHOUT_USE", 1)
        for now in range(2_000):
            for row, (_, arrival) in zip(rows, visits, strict=True):
                if now == arrival:
                    batch.admit(row)
            for row, one in step(batch) if batch.rows else ():
                made[id(row)].append(one)
            for row in [row for row in batch.rows if row.finish_reason]:
                batch.evict(row)
            assert stored_bytes(batch) >= sum(need[row] for row in batch.rows)
            if all(row.finish_reason for row in rows):
                break
    for row, (job, _) in zip(rows, visits, strict=True):
        assert bits(made[id(row)]) == bits(alone(model, job)[1])


@pytest.mark.parametrize("left", [math.nan, math.inf, -math.inf])
def test_what_an_earlier_row_left_reaches_nobody(tiny: MaskPredictor, left: float) -> None:
    """Two rows of like length side by side, the shorter one where a row was whose keys broke: what a mask hides too."""
    jobs_ = [Job((1, *holes(31)), SLOW), *(Job((i, 3, *holes(8), *given), SLOW) for i, given in enumerate(FILLED))]
    earlier, *rows = [job.row(tiny.contract) for job in jobs_]
    batch = Batch(tiny)
    for row in (earlier, rows[1]):
        batch.admit(row)
    for data in batch.slabs[32].store.data:
        data[:, earlier.entries] = left
    batch.evict(earlier)
    batch.admit(rows[0])
    made: dict[Row, list[Step]] = {row: [] for row in rows}
    masked = 0
    while batch.rows:
        masked += any("visible" in span.arrays for span in lay(batch, [row.plan() for row in batch.rows]).spans)
        for row, one in step(batch):
            made[row].append(one)
        for row in [row for row in batch.rows if row.finish_reason]:
            batch.evict(row)
    assert masked > 4
    for row, job in zip(rows, jobs_[1:], strict=True):
        assert decisions(made[row]) == decisions(alone(tiny, job)[1])


@pytest.mark.parametrize("cache", [Dual(every=4), Prefix(every=4), Delayed(4)], ids=repr)
def test_rows_of_a_real_network_go_on_after_a_move(tiny: MaskPredictor, cache: Dual | Prefix | Delayed) -> None:
    """The first four leave; what is left moves to their places, both streams of it."""
    slow = replace(SLOW, cache=cache, guidance=Guidance(1.0))
    batch = [Job((i, 3, *holes(20)), FAST if i < 4 else slow) for i in range(6)]
    expected = [decisions(alone(tiny, job)[1]) for job in batch]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slab, "STEPS_WITHOUT_USE", 1)
        made, taken = follow(tiny, batch)
    assert [decisions(steps) for steps in made] == expected
    assert taken[1][1] == taken[0][1] // 2 > 0


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("shrinks", [False, True])
def test_a_copy_that_finds_no_room_leaves_every_key_where_it_is_sought(
    tiny: MaskPredictor, monkeypatch: pytest.MonkeyPatch, shrinks: bool, layer: int
) -> None:
    """While a slab grows, or shrinks, at any layer. Later rows find their room."""
    jobs_ = [Job((i, 3, *holes(12)), SLOW) for i in range(4)]
    batch, rows = Batch(tiny), [job.row(tiny.contract) for job in jobs_]
    made: dict[Row, list[Step]] = {row: [] for row in rows}
    for row in rows[:3]:
        batch.admit(row)

    def advance() -> None:
        for row, one in step(batch):
            made[row].append(one)

    def broken(store: KVStore, entries: int) -> None:
        whole, store.data = store.data, store.data[:layer]
        resize(store, entries)
        store.data += whole[layer:]
        raise MemoryError("no room")

    advance()
    resize = KVStore.resize
    with monkeypatch.context() as patch:
        patch.setattr(KVStore, "resize", broken)
        if shrinks:
            batch.evict(rows[0])
        with pytest.raises(MemoryError):
            batch.shrink() if shrinks else batch.admit(rows[3])
    advance()
    batch.admit(rows[3])
    while batch.rows:
        advance()
        for row in [row for row in batch.rows if row.finish_reason]:
            batch.evict(row)
    for row, job in zip(rows, jobs_, strict=True):
        whole = decisions(alone(tiny, job)[1])
        assert decisions(made[row]) == (whole[: len(made[row])] if shrinks and row is rows[0] else whole)
