"""What a cache policy is: a pure function from where a row stands to what its next forward computes."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..canvas import Canvas, Ints
from ..exactness import Exactness
from ..predictor import Contract, Plan


@dataclass(frozen=True)
class View:
    """Where one row stands before a forward."""

    canvas: Canvas
    window: Ints  # positions that may be committed now
    reads: Ints  # positions whose logits the recipe wants
    clock: int  # steps already taken in this window
    streams: int  # 2 under guidance
    written: Ints  # (slots,) the row's forward that wrote each slot of its store, -1 never
    forwards: int  # forwards that the row has had
    contract: Contract

    def tokens(self) -> Ints:
        """(S, L) tokens of each stream."""
        rows = [self.canvas.tokens, self.canvas.unconditional()]
        return np.stack(rows[: self.streams])

    def queries(self, positions: Ints) -> Plan:
        """The plan that computes `positions` (sorted) and reads what the recipe wants; they must hold its sources."""
        sources = np.searchsorted(positions, self.contract.source(self.reads))
        return Plan(self.tokens()[:, positions], positions, self.reads, sources)


class Cache(Protocol):
    """One cache policy."""

    @property
    def exactness(self) -> Exactness:
        """What this policy claims."""

    def slots(self, length: int) -> int:
        """Slots of key/value store that a row of `length` positions needs in each stream."""

    def plan(self, view: View) -> Plan:
        """The row's next forward. Pure: the core records what was written."""
