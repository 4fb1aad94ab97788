"""Runs rows through the loop, and says what came out in a form that compares bit by bit."""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from remask.decoding.canvas import Canvas
from remask.decoding.joint import Proposer
from remask.decoding.recipe import Recipe
from remask.engine.batch import Batch, Layout
from remask.engine.requests import Change, Step
from remask.engine.row import Row
from remask.engine.step import denoise
from remask.engine.transfer import upload
from remask.models.contract import Contract, Ints, Predictor
from remask.testing import TOY

Template = Sequence[int | None]


@dataclass(frozen=True)
class Job:
    """One row to be run: what `Row` needs, as values."""

    template: tuple[int | None, ...]
    recipe: Recipe = Recipe()
    seed: int = 0
    stop_ids: tuple[int, ...] = ()
    candidates: int = 0
    proposer: Proposer | None = None

    def row(self, contract: Contract = TOY) -> Row:
        canvas = Canvas.template(self.template, contract.mask_id)
        values = {name: getattr(self, name) for name in ("seed", "stop_ids", "candidates", "proposer")}
        return Row(canvas, self.recipe, contract, **values)


def hidden(model: Predictor, layout: Layout, reads: Ints) -> Tensor:
    """The hidden rows (R, d) of the packed rows `reads` (R,)."""
    return model.hidden(layout.packed(upload(layout.sources(reads), model.device)))


def holes(count: int) -> tuple[None, ...]:
    return (None,) * count


def run(model: Predictor, jobs: Iterable[Job]) -> list[tuple[Row, list[Step]]]:
    """Each job's row and its steps, all in one batch."""
    rows = [job.row(model.contract) for job in jobs]
    steps: dict[int, list[Step]] = {id(row): [] for row in rows}
    for row, step in itertools.islice(denoise(model, rows), 2_000):
        steps[id(row)].append(step)
    assert all(row.finish_reason for row in rows), "a row did not end"
    return [(row, steps[id(row)]) for row in rows]


def alone(model: Predictor, job: Job) -> tuple[Row, list[Step]]:
    return run(model, [job])[0]


def stored_bytes(batch: Batch) -> int:
    """The bytes of all storages that hold the batch's keys and values."""
    storages = [data.untyped_storage() for slab in batch.slabs.values() for data in slab.store.data]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


def tokens(row: Row) -> list[int]:
    return [int(token) for token in row.canvas.tokens]


def decisions(steps: Iterable[Step]) -> list[Any]:
    """What was decided and when, without any floating-point number."""
    return [[(c.position, c.token, c.state) for c in step.changes] for step in steps]


def bits(steps: Iterable[Step]) -> list[Any]:
    """All of the steps but the time they took; NaN equals NaN."""
    return [
        (
            step.index, step.block, step.window, step.undecided, step.settled, step.forwards,
            [_exact(c) for c in step.changes], [_exact(c) for c in step.guesses],
            {p: [(c.token, c.probability.hex()) for c in top] for p, top in step.candidates.items()},
        )
        for step in steps
    ]  # fmt: skip


def _exact(change: Change) -> tuple[Any, ...]:
    numbers = (change.confidence, change.logprob)
    return (change.position, change.token, change.state, *(math.isnan(x) or x.hex() for x in numbers))
