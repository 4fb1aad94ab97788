"""The contract of a cache policy: a pure function from the state of a row to the plan of its next forward."""

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from ...errors import RecipeError
from ...exactness import Exactness
from ...models.contract import Bools, Contract, Ints, Plan
from ..canvas import Canvas
from ..value import Value

Attention = Literal["any", "full", "block_causal"]


@dataclass(frozen=True)
class View:
    """The state of one row before a forward."""

    canvas: Canvas
    window: Ints  # positions that may be committed now
    reads: Ints  # positions whose logits the recipe needs
    clock: int  # steps already taken in this window
    streams: int  # 2 under guidance
    written: Ints  # (slots,) index of the row's forward that wrote each slot of its store, -1 for none
    forwards: int  # forwards that the row has made
    contract: Contract
    everything: Ints  # sorted positions that exist for the network now, by the canvas axis

    def tokens(self) -> Ints:
        """Return the tokens (S, L) of each stream."""
        tokens = self.canvas.tokens
        return tokens[None] if self.streams == 1 else np.stack((tokens, self.canvas.unconditional()))

    @property
    def sources(self) -> Ints:
        """The positions (R,) whose hidden rows predict the reads."""
        return self.contract.source(self.reads)

    @property
    def stale(self) -> Bools:
        """True for the slots (L,) that were never written, or whose token was decided after they were written."""
        return (self.written < 0) | (self.written <= self.canvas.age)

    def queries(self, positions: Ints) -> Plan:
        """Return the plan that computes `positions`, which are sorted and include the sources, and reads `reads`."""
        sources = np.searchsorted(positions, self.sources)
        return Plan(self.tokens()[:, positions], positions, self.reads, sources)

    def refresh(self) -> Plan:
        """Return the plan that computes everything and keeps all keys."""
        return replace(self.queries(self.everything), keep=self.everything)

    def beside_stored(self, positions: Ints) -> Plan:
        """Return the plan that computes and keeps `positions` and the sources, and reads all else from the store."""
        positions = np.union1d(positions, self.sources)
        return replace(self.queries(positions), stored=np.setdiff1d(self.everything, positions), keep=positions)


class Cache(Value):
    """A value of the cache axis. Slot i holds position i; keys are stored after their rotation."""

    attention: ClassVar[Attention] = "any"  # the attention for which the claim holds

    def fit(self, contract: Contract) -> "Cache":
        """Return the policy. Raises RecipeError if it is for another attention than the model's."""
        full = contract.block_size is None
        if self.attention not in ("any", "full" if full else "block_causal"):
            raise RecipeError(
                f"this cache is for {self.attention.replace('_', '-')} attention, and this model's is "
                f"{'full' if full else 'block-causal'}; use cache = none, "
                f"{'prefix, dual or delayed' if full else 'block_causal, which is exact'}"
            )
        return self

    def slots(self, length: int) -> int:
        """Return how many key/value slots a row of `length` positions needs in each stream; by default one for each
        position."""
        return length

    @abstractmethod
    def plan(self, view: View) -> Plan:
        """Return the plan of the row's next forward. The function is pure: the core records what was written."""


class Approximate(Cache):
    """The common part of the caches for full attention: stored keys become stale."""

    exactness: ClassVar[Exactness] = Exactness.APPROXIMATE
    attention: ClassVar[Attention] = "full"
