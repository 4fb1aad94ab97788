"""A slab: the keys and values of all live rows of like length, in one store.

Rows of like length are what attention computes side by side, so theirs lie side by side and are read in place. Rows of
another length have a slab of their own, so each takes what it needs, whatever its neighbours need.
"""

from typing import Any

import torch

from ..models.contract import Predictor
from .row import Row

STEPS_WITHOUT_USE = 16  # after so many with half of it free, a slab shrinks: a copy that pays if the next rows are late
GRAIN = 32  # slots: wider, and the padding costs more than the calls that it saves


def rounded(slots: int) -> int:
    """Return the slots that a row of so many has: a multiple of GRAIN, so that rows of like length share a slab."""
    return -(-slots // GRAIN) * GRAIN


def slab_length(row: Row) -> int:
    """Return the length of the slab in which a row's keys lie, 0 if it stores none."""
    return rounded(len(row.written))


class Slab:
    """A store of `entries`, each with `length` slots, for rows of that length when rounded; each row has one for a
    stream. Of what an earlier row left in an entry nothing is there when the next row gets it: what a mask hides must
    still be finite, because 0 times NaN is NaN."""

    def __init__(self, model: Predictor, length: int) -> None:
        self.model, self.length = model, length
        self.rows: list[Row] = []
        self.entries = 0
        self.store: Any = None
        self.unused = 0  # steps for which half has been free

    @property
    def used(self) -> list[int]:
        """The entries of rows, sorted."""
        return sorted(entry for row in self.rows for entry in row.entries)

    def admit(self, row: Row) -> None:
        """Give a row its entries, the lowest that are free, and make as many as are missing."""
        self._resize(max(self.entries, len(self.used) + row.streams))
        free = sorted({*range(self.entries)}.difference(self.used))
        row.entries = free[: row.streams]
        self.store.clear(row.entries)
        self.rows.append(row)

    def evict(self, row: Row) -> None:
        """Take a row's entries; others do not change."""
        self.rows.remove(row)
        row.entries = []

    def count(self) -> None:
        """Count a step; shrink after the last of many with half of the entries free."""
        self.unused = self.unused + 1 if 2 * len(self.used) <= self.entries else 0
        if self.unused >= STEPS_WITHOUT_USE:
            self.unused = 0  # also if there is no room to shrink: then the step is taken again without
            self.shrink()

    def shrink(self) -> None:
        """Give back what no row uses. An error on the way leaves a store that is larger, and right."""
        used = self.used
        if len(used) == self.entries:
            return
        self.store.move(used)
        place = {old: new for new, old in enumerate(used)}
        for row in self.rows:
            row.entries = [place[entry] for entry in row.entries]
        self._resize(len(used))

    def _resize(self, entries: int) -> None:
        """Keep the first `entries`, or add some."""
        if entries == self.entries:
            return
        self.entries = min(entries, self.entries)  # so many there are, should there be no room for the copy
        with torch.inference_mode(False):  # else its tensors could be written inside steps only
            if self.store is None:
                self.store = self.model.store(entries, self.length)
            else:
                self.store.resize(entries)
        self.entries = entries
