"""The reverse process of a masked diffusion model, once for every recipe.

Predict every [MASK] at once, keep what is trusted most, leave or put back [MASK] elsewhere, until none is left
(LLaDA, arXiv 2502.09992, Algorithms 4 and 5). One `step` advances rows of a batch once; a method is a value on an axis
of the row's recipe, never a loop of its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import fields

import numpy as np
import torch
from torch import Tensor

from ..decoding.columns import cut
from ..decoding.joint import amend, propose
from ..decoding.scan import Seen, join, scan
from ..decoding.settle import Changes, settle
from ..models.contract import Plan, Predictor
from .batch import Batch, lay
from .part import Part, partition
from .requests import Candidate, Step
from .row import Decision, Row
from .transfer import Array, download, upload

ROW_VALUES = [f.name for f in fields(Decision) if f.name != "candidates"]
LOGITS_AT_ONCE = 2**25  # numbers of one logits tensor, 128 MiB in float32; more reads are scanned in turns


def denoise(model: Predictor, rows: Sequence[Row]) -> Iterator[tuple[Row, Step]]:
    """Run `rows` to their ends in one batch, yielding each row's steps as they happen."""
    batch = Batch(model)
    for row in rows:
        batch.admit(row)
    while batch.rows:
        yield from step(batch)
        for row in [row for row in batch.rows if row.finish_reason]:
            batch.evict(row)


@torch.inference_mode()
def step(batch: Batch, rows: Sequence[Row] | None = None) -> list[tuple[Row, Step]]:
    """Advance these rows of the batch once, by default all of them. Rows whose logits break end with an error and
    yield no step. An error on the way leaves every row as it was: nothing is committed before all have decided."""
    rows = batch.rows if rows is None else rows
    plans = [row.plan() for row in rows]
    parts = partition(rows, plans)
    hidden = forward(batch, rows, plans, parts)
    decisions = decide(batch.model, parts, hidden)
    return [
        (row, made)
        for row, plan in zip(rows, plans, strict=True)
        if (made := row.apply(plan, decisions[row])) is not None
    ]


def forward(batch: Batch, rows: Sequence[Row], plans: Sequence[Plan], parts: Sequence[Part]) -> list[Tensor]:
    """Compute all plans in one packed forward; return the hidden reads (S, R, d) of each part."""
    laid = lay(batch, plans, rows)
    where = dict(zip(rows, laid.where, strict=True))
    wanted = [where[row][stream] for part in parts for stream in range(part.streams) for row in part.rows]
    hidden = batch.model.hidden(laid.read(np.concatenate(wanted), batch.model.device))
    sizes = [part.streams * int(part.counts.sum()) for part in parts]
    return [piece.unflatten(0, (part.streams, -1)) for part, piece in zip(parts, hidden.split(sizes), strict=True)]


def decide(model: Predictor, parts: Sequence[Part], hidden: Sequence[Tensor]) -> dict[Row, Decision]:
    """Scan the logits of every part and settle its grid; return what was decided for each row, on the host."""
    inputs = [part.inputs() for part in parts]
    tensors = iter(upload([array for values in inputs for array in values.values()], model.device))
    results: list[dict[str, Tensor]] = []
    for part, values, rows in zip(parts, inputs, hidden, strict=True):
        results.append(result(model, part, {name: next(tensors) for name in values}, rows))
    arrays = iter(download([tensor for values in results for tensor in values.values()]))
    return {
        row: decision
        for part, values in zip(parts, results, strict=True)
        for row, decision in unpack(part, {name: next(arrays) for name in values})
    }


def result(model: Predictor, part: Part, inputs: dict[str, Tensor], hidden: Tensor) -> dict[str, Tensor]:
    """Return what the recipe of a part makes of its reads, by name (R, …), on the device."""
    recipe, contract, joint = part.recipe(model.device), model.contract, part.joint(inputs)
    seen = propose(look(model, part, inputs, hidden), joint, recipe, contract)
    if not part.counts.any():  # rows that read nothing in this step
        changes = Changes(*[seen.healthy.new_zeros(0, 0)] * 4)
    else:
        changes = settle(part.grid(inputs, seen), recipe, contract.block_size)
    changes = Changes(*(part.unspread(getattr(changes, f.name), inputs) for f in fields(changes)))
    seen = amend(seen, joint, changes, recipe, contract)
    named = {f.name: getattr(seen, f.name) for f in fields(seen) if f.name != "tables"}
    named |= {f.name: getattr(changes, f.name) for f in fields(changes)}
    return {name: value for name, value in named.items() if value is not None}


def look(model: Predictor, part: Part, inputs: dict[str, Tensor], hidden: Tensor) -> Seen:
    """Scan the hidden reads (S, R, d) of a part, so many at a time that their logits have room."""
    at_once = max(1, LOGITS_AT_ONCE // model.contract.vocab_size)
    reads, recipe = part.reads(inputs), part.recipe_of_reads(model.device)
    if hidden.shape[1] <= at_once:
        return scan(model.logits, hidden, reads, recipe, model.contract, part.top)
    seen = []
    for start in range(0, hidden.shape[1], at_once):
        chunk = slice(start, start + at_once)
        numbers = cut(recipe, chunk)
        seen.append(scan(model.logits, hidden[:, chunk], reads.cut(chunk), numbers, model.contract, part.top))
    return join(seen)


def unpack(part: Part, values: dict[str, Array]) -> Iterator[tuple[Row, Decision]]:
    """Yield what was decided for each row of a part."""
    reads = int(part.counts.sum())
    nothing: dict[str, Array] = {
        "drift": np.zeros(reads, np.float32),
        "leaders": np.zeros((reads, 0), np.int64),
        "shares": np.zeros((reads, 0), np.float32),
    }
    start = 0
    for row, plan in zip(part.rows, part.plans, strict=True):
        own = slice(start, start + len(plan.reads))
        start = own.stop
        mine = {name: (nothing | values)[name][own] for name in ROW_VALUES}
        yield row, Decision(**mine, candidates=candidates(row, plan, values, own))


def candidates(row: Row, plan: Plan, values: dict[str, Array], own: slice) -> dict[int, tuple[Candidate, ...]]:
    """Return the likeliest tokens of each position that a row reads, as many as it asks for."""
    if not row.candidates:
        return {}
    tokens, chances = (values[name][own, : row.candidates] for name in ("top", "chances"))
    return {
        int(at): tuple(Candidate(int(t), float(p)) for t, p in zip(*pair, strict=True))
        for at, *pair in zip(plan.reads, tokens, chances, strict=True)
    }
