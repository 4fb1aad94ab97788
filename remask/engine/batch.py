"""The batch: the live rows, their keys and values, and the packing of their plans into one forward.

The device holds keys and values; all other state of a row is in `remask.engine.row`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import RecipeError
from ..models.contract import Bools, Group, Ints, Packed, Plan, Predictor
from ..models.rotary import Rotations
from .row import Row
from .slab import Slab, rounded, slab_length
from .transfer import Array, Arrays, Tensors, upload

MIN_QUERIES = 8  # float GEMMs are not row-invariant below this many rows


class Batch:
    """The live rows, and the slabs that hold their keys and values, by length. Rows enter and leave between steps."""

    def __init__(self, model: Predictor) -> None:
        self.model = model
        self.rows: list[Row] = []
        self.slabs: dict[int, Slab] = {}

    @property
    def entries(self) -> dict[int, int]:
        """The number of entries that the slab of each length has."""
        return {length: slab.entries for length, slab in self.slabs.items()}

    def admit(self, row: Row) -> None:
        """Admit a row; it takes part from the next step on. For a fork, make the stored keys and values again."""
        if length := slab_length(row):
            slab = self.slabs.get(length) or Slab(self.model, length)
            slab.admit(row)
            self.slabs[length] = slab
        self.rows.append(row)
        try:
            self._store_again(row)
        except BaseException:
            self.evict(row)
            raise

    def evict(self, row: Row) -> None:
        """Remove a row; other rows do not change. A slab without any row goes too."""
        self.rows.remove(row)
        if slab := self.slabs.get(slab_length(row)):
            slab.evict(row)
            if not slab.rows:
                del self.slabs[slab.length]

    def count(self) -> None:
        """Count a step, after which slabs that are half free may shrink."""
        for slab in self.slabs.values():
            slab.count()

    def shrink(self) -> None:
        """Give back now what no row uses."""
        for slab in self.slabs.values():
            slab.shrink()

    @torch.inference_mode()
    def _store_again(self, row: Row) -> None:
        """Compute the forwards of a row's past that made its stored keys and values, in their order."""
        for plan in row.stored:
            layout = lay(self, [plan], [row])
            sources = layout.sources(layout.where[0].flatten())
            self.model.hidden(layout.packed(upload(sources, self.model.device)))
        row.stored = []


@dataclass(frozen=True)
class Span:
    """Sequences of equal shape, adjacent in a packed batch: a `Group` that is still on the host.

    `arrays` are those of the group's tensors that it has, by name; `store` is where it reads or writes keys. `whole` is
    True if they can be read in place.
    """

    start: int
    rows: int
    queries: int
    arrays: Arrays
    store: Any = None
    whole: bool = False

    def group(self, tensors: Tensors) -> Group:
        """Return the group, from the `tensors` that its arrays became."""
        whole = self.run(tensors["entries"]) if self.whole else None
        return Group(self.start, self.rows, self.queries, store=self.store, whole=whole, **tensors)

    def run(self, entries: Tensor) -> slice | Tensor:
        """Return what finds the entries of a group whose keys are read in place: a slice if they are adjacent."""
        first, last = (int(self.arrays["entries"][i]) for i in (0, -1))
        adjacent = np.array_equal(self.arrays["entries"], np.arange(first, last + 1))
        return slice(first, last + 1) if adjacent else entries


@dataclass(frozen=True)
class Layout:
    """Plans end to end, on the host: N packed rows in `spans`, and in `where` the packed rows (S, R) that hold the
    reads of each plan."""

    tokens: Ints  # (N,)
    positions: Ints  # (N,)
    rotations: Arrays  # `frequencies` and `amplitude` of U distinct ones, `which` of them each row has; or nothing
    spans: list[Span]
    where: list[Ints]

    def sources(self, reads: Ints) -> list[Arrays]:
        """Return all arrays of the forward that yields the packed rows `reads` (R,)."""
        own = {"tokens": self.tokens, "positions": self.positions, "reads": reads, **self.rotations}
        return [own, *(span.arrays for span in self.spans)]

    def packed(self, tensors: Sequence[Tensors]) -> Packed:
        """Return the forward, from the `tensors` that its `sources` became."""
        own, *others = tensors
        groups = [span.group(its) for span, its in zip(self.spans, others, strict=True)]
        rotations = Rotations(**{name: own[name] for name in self.rotations}) if self.rotations else None
        return Packed(own["tokens"], own["positions"], groups, own["reads"], rotations)


def lay(batch: Batch, plans: Sequence[Plan], rows: Sequence[Row] | None = None) -> Layout:
    """Put all plans end to end. Plans of like shape, and of one slab if they store keys, become one span, so attention
    computes them side by side."""
    rows = batch.rows if rows is None else rows
    parts = list(divide(batch, rows, plans))
    order = [i for members, _ in parts for i in members]
    tokens, positions, spans, start = [], [], [], 0
    where = [np.empty(0, np.int64)] * len(plans)
    for members, whole in parts:
        spans.append(span(batch, rows, plans, members, whole, start))
        for i in members:
            streams, queries = plans[i].tokens.shape
            where[i] = start + queries * np.arange(streams)[:, None] + plans[i].sources
            tokens.append(plans[i].tokens.reshape(-1))
            positions.append(np.tile(plans[i].positions, streams))
            start += streams * queries
    if start < MIN_QUERIES:  # rows without a reader make the matrices tall enough
        filler = np.zeros(MIN_QUERIES - start, np.int64)
        spans.append(Span(start, 1, len(filler), {}))
        tokens, positions = [*tokens, filler], [*positions, filler]
    rotations = turns(batch.model, [plans[i] for i in order], max(0, MIN_QUERIES - start))
    return Layout(np.concatenate(tokens), np.concatenate(positions), rotations, spans, where)


def divide(batch: Batch, rows: Sequence[Row], plans: Sequence[Plan]) -> Iterator[tuple[list[int], bool]]:
    """Yield the plans that become one span each, and whether their keys are read in place. Then they need like numbers
    of them, not equal ones, and on a CPU adjacent entries: there a call more costs less than a copy of the keys."""
    alike: dict[tuple[int, ...], list[int]] = {}
    for i, plan in enumerate(plans):
        slab, whole = slab_length(rows[i]) if plan.stores else 0, is_whole(plan)
        if plan.stores and slab not in batch.slabs:
            raise RecipeError("a cache planned to use stored keys and values, but its `slots` asked for no store")
        queries, stored, *others = plan.shape
        keys = rounded(stored + queries) if whole else stored
        alike.setdefault((whole, slab, plan.stored is None, queries, keys, *others), []).append(i)
    on_cpu = batch.model.device.type == "cpu"
    for kind, members in alike.items():
        if whole := bool(kind[0]):
            members.sort(key=lambda i: rows[i].entries)
        for part in runs(members, rows) if whole and on_cpu else [members]:
            yield part, whole


def runs(members: Sequence[int], rows: Sequence[Row]) -> Iterator[list[int]]:
    """Yield `members`, sorted by their entries, in parts whose entries are adjacent."""
    run = [members[0]]
    for i in members[1:]:
        if rows[i].entries[0] != rows[run[-1]].entries[-1] + 1:
            yield run
            run = []
        run.append(i)
    yield run


def span(
    batch: Batch, rows: Sequence[Row], plans: Sequence[Plan], members: Sequence[int], whole: bool, start: int
) -> Span:
    """Return the span of the plans `members`, all of like shape, from packed row `start` on."""
    plans = [plans[i] for i in members]
    first, streams = plans[0], [len(plan.tokens) for plan in plans]

    def stack(values: Sequence[Any]) -> Array:
        return np.repeat(np.stack(values), streams, 0)

    shape = Span(start, sum(streams), len(first.positions), {})
    if first.visible is not None:
        shape.arrays["visible"] = stack([plan.visible for plan in plans])
    if not first.stores:
        return shape
    shape.arrays["entries"] = np.array([entry for i in members for entry in rows[i].entries])
    if first.stored is not None:
        shape.arrays.update((name, stack(values)) for name, values in slots([plan.stored for plan in plans], shape))
    if first.keep is not None:
        shape.arrays["keep"] = stack([plan.keep for plan in plans])
    return replace(shape, store=batch.slabs[slab_length(rows[members[0]])].store, whole=whole)


def slots(stored: Sequence[Any], shape: Span) -> Iterator[tuple[str, list[Ints] | list[Bools]]]:
    """Yield the slots of each plan of a span, by name; if there are unlike numbers, filled up with -1, and the marks
    (1, keys) of those that it has."""
    counts = [len(of) for of in stored]
    if counts.count(counts[0]) == len(counts):
        yield "slots", list(stored)
        return
    keys = np.arange(rounded(max(counts) + shape.queries))
    yield "slots", [np.pad(of, (0, len(keys) - shape.queries - len(of)), constant_values=-1) for of in stored]
    yield "visible", [keys[None] < count + shape.queries for count in counts]


def turns(model: Predictor, plans: Sequence[Plan], filler: int) -> Arrays:
    """Return the rotations of plans that lie in this order before `filler` rows; nothing if all take the model's."""
    rotary, distinct = model.contract.rotary, list(dict.fromkeys([plan.rotation for plan in plans]))
    if rotary is None or distinct == [None]:
        return {}
    known = [rotary.own if rotation is None else rotation for rotation in distinct]
    which = [distinct.index(plan.rotation) for plan in plans]
    return {
        "frequencies": np.array([rotation.frequencies for rotation in known], np.float32),
        "amplitude": np.array([rotation.amplitude for rotation in known], np.float32),
        "which": np.repeat([*which, 0], [*(plan.tokens.size for plan in plans), filler]),
    }


def is_whole(plan: Plan) -> bool:
    """Return True if the visible and the written slots together are 0, 1, …, each once, and no mask hides any."""
    if plan.stored is None or plan.keep is None or plan.visible is not None or (plan.keep < 0).any():
        return False
    used = np.concatenate((plan.stored, plan.keep))
    return bool(np.array_equal(np.bincount(used), np.ones(len(used), np.int64)))
