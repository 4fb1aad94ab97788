"""The batch: the live rows, their store of keys and values, and the packing of their plans into one forward.

The device holds keys and values; all other state of a row is in `remask.engine.row`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from ..errors import RecipeError
from ..models.contract import Group, Ints, Packed, Plan, Predictor
from ..models.rotary import Rotation, Rotations
from .row import Row

MIN_QUERIES = 8  # float GEMMs are not row-invariant below this many rows


class Batch:
    """The live rows and the key/value store that they share. Rows enter and leave between steps."""

    def __init__(self, model: Predictor) -> None:
        self.model = model
        self.rows: list[Row] = []
        self.store: Any = None
        self.shape = (0, 0)  # entries and slots of the store
        self.free: list[int] = []

    def admit(self, row: Row) -> None:
        """Admit a row; it takes part from the next step on."""
        if slots := len(row.written):
            self._reserve(row.streams, slots)
            row.entries, self.free = self.free[: row.streams], self.free[row.streams :]
        self.rows.append(row)

    def evict(self, row: Row) -> None:
        """Remove a row and free its entries; other rows do not change. Without any row left, free the store."""
        self.rows.remove(row)
        self.free = sorted([*self.free, *row.entries])  # the lowest are used first, so that rows are adjacent
        row.entries = []
        if len(self.free) == self.shape[0]:
            self.store, self.shape, self.free = None, (0, 0), []

    def _reserve(self, entries: int, slots: int) -> None:
        count, length = self.shape
        if len(self.free) >= entries and slots <= length:
            return
        grown = count + max(0, entries - len(self.free)), max(slots, length)
        if self.store is None:
            self.store = self.model.store(*grown)
        else:
            self.store.grow(*grown)
        self.free += range(count, grown[0])
        self.shape = grown


@dataclass(frozen=True)
class Laid:
    """Plans end to end: `groups` of equal shape, and in `where` for each plan the packed rows (S, R) of its reads."""

    groups: list[Group]
    tokens: Ints  # (N,)
    positions: Ints  # (N,)
    rotations: list[Rotation]  # the distinct ones; none if every row has the model's own
    which: Ints  # (N,) index of each packed row's rotation
    where: list[Ints]

    def read(self, rows: Ints, device: torch.device) -> Packed:
        """Return the forward that yields the packed `rows` (R,), on `device`."""
        tokens, positions, reads = (torch.from_numpy(array).to(device) for array in (self.tokens, self.positions, rows))
        if not self.rotations:
            return Packed(tokens, positions, self.groups, reads)
        which = torch.from_numpy(self.which).to(device)
        return Packed(tokens, positions, self.groups, reads, Rotations.of(self.rotations, which))


def lay(batch: Batch, plans: Sequence[Plan], rows: Sequence[Row] | None = None) -> Laid:
    """Put all plans end to end. Plans of equal shape become one group, so attention computes them side by side."""
    rows = batch.rows if rows is None else rows
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for i, plan in enumerate(plans):
        by_shape.setdefault((*plan.shape, plan.stored is None), []).append(i)
    order = [(i, s) for members in by_shape.values() for i in members for s in range(len(plans[i].tokens))]
    lengths = np.array([len(plans[i].positions) for i, _ in order])
    starts = np.concatenate(([0], lengths.cumsum()))
    groups, first = [], 0
    for members in by_shape.values():
        count = sum(len(plans[i].tokens) for i in members)
        groups.append(group(batch, rows, plans, order[first : first + count], int(starts[first])))
        first += count
    where = [np.empty(0, np.int64)] * len(plans)
    for k, (i, s) in enumerate(order):
        if s == 0:
            where[i] = starts[k : k + len(plans[i].tokens), None] + plans[i].sources
    tokens = [plans[i].tokens[s] for i, s in order]
    positions = [plans[i].positions for i, _ in order]
    rotations = list(dict.fromkeys(plan.rotation for plan in plans))
    which = np.repeat([rotations.index(plans[i].rotation) for i, _ in order], lengths)
    if (total := int(starts[-1])) < MIN_QUERIES:  # rows without a reader make the matrices tall enough
        filler = np.zeros(MIN_QUERIES - total, np.int64)
        groups.append(Group(total, 1, len(filler)))
        tokens, positions, which = [*tokens, filler], [*positions, filler], np.append(which, filler)
    return Laid(groups, np.concatenate(tokens), np.concatenate(positions), distinct(batch, rotations), which, where)


def distinct(batch: Batch, rotations: Sequence[Rotation | None]) -> list[Rotation]:
    """Return `rotations` with the model's own in place of None; an empty list if all are None."""
    rotary = batch.model.contract.rotary
    if rotary is None or all(rotation is None for rotation in rotations):
        return []
    return [rotary.own if rotation is None else rotation for rotation in rotations]


def group(
    batch: Batch, rows: Sequence[Row], plans: Sequence[Plan], sequences: list[tuple[int, int]], start: int
) -> Group:
    """Return the group of `sequences` (plan, stream), all of one shape, from packed row `start` on."""
    device = batch.model.device

    def stack(arrays: Sequence[Any]) -> torch.Tensor | None:
        return None if arrays[0] is None else torch.from_numpy(np.stack(arrays)).to(device)

    members = [plans[i] for i, _ in sequences]
    visible = stack([plan.visible for plan in members])
    shape = Group(start, len(sequences), len(members[0].positions), visible)
    if members[0].stored is None and members[0].keep is None:
        return shape
    if batch.store is None:
        raise RecipeError("a cache planned to use stored keys and values, but its `slots` asked for no store")
    numbers = [rows[i].entries[s] for i, s in sequences]
    entries = torch.tensor(numbers, device=device)
    adjacent = numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    run = slice(numbers[0], numbers[-1] + 1) if adjacent else entries
    return replace(
        shape,
        store=batch.store,
        entries=entries,
        slots=stack([plan.stored for plan in members]),
        keep=stack([plan.keep for plan in members]),
        whole=run if all(map(is_whole, members)) else None,
    )


def is_whole(plan: Plan) -> bool:
    """Return True if the visible and the written slots together are 0, 1, …, each once, and no mask hides any."""
    if plan.stored is None or plan.keep is None or plan.visible is not None or (plan.keep < 0).any():
        return False
    used = np.concatenate((plan.stored, plan.keep))
    return bool(np.array_equal(np.bincount(used), np.ones(len(used), np.int64)))
