"""What a cache policy is: a pure function from where a row stands to what its next forward computes."""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Protocol

import numpy as np

from ...exactness import Exactness
from ...models.contract import Bools, Contract, Ints, Plan
from ..canvas import Canvas

Attention = Literal["any", "full", "block_causal"]


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
    everything: Ints  # positions that exist for the network now, sorted: all that the canvas axis shows

    def tokens(self) -> Ints:
        """(S, L) tokens of each stream."""
        rows = [self.canvas.tokens, self.canvas.unconditional()]
        return np.stack(rows[: self.streams])

    @property
    def sources(self) -> Ints:
        """The positions whose hidden rows hold the reads."""
        return self.contract.source(self.reads)

    @property
    def stale(self) -> Bools:
        """Slots (L,) whose token was decided after they were written, or that never were."""
        return (self.written < 0) | (self.written <= self.canvas.age)

    def queries(self, positions: Ints) -> Plan:
        """The plan that computes `positions` (sorted) and reads what the recipe wants; they must hold its sources."""
        sources = np.searchsorted(positions, self.sources)
        return Plan(self.tokens()[:, positions], positions, self.reads, sources)

    def refresh(self) -> Plan:
        """Everything, all keys kept."""
        return replace(self.queries(self.everything), keep=self.everything)

    def beside_stored(self, positions: Ints) -> Plan:
        """`positions` and the sources computed and kept, everything else taken from the store."""
        positions = np.union1d(positions, self.sources)
        return replace(self.queries(positions), stored=np.setdiff1d(self.everything, positions), keep=positions)


class Cache(Protocol):
    """One cache policy. A slot stands for the position of the same number; keys are stored rotated."""

    @property
    def exactness(self) -> Exactness:
        """What this policy claims."""

    @property
    def attention(self) -> Attention:
        """The attention for which its claim holds."""

    def slots(self, length: int) -> int:
        """Slots of key/value store that a row of `length` positions needs in each stream."""

    def plan(self, view: View) -> Plan:
        """The row's next forward. Pure: the core records what was written."""


class Approximate:
    """What the caches for full attention share: every position has a slot, and stored ones grow stale."""

    exactness: ClassVar[Exactness] = Exactness.APPROXIMATE
    attention: ClassVar[Attention] = "full"

    def slots(self, length: int) -> int:
        """One a position."""
        return length
