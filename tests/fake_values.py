"""Caches and revisers for tests only: each takes one freedom that `Plan` and `Reviser` promise, and no more."""

from dataclasses import dataclass, replace

import numpy as np
import torch

from remask.caches.contract import View
from remask.canvas import Canvas, Ints
from remask.exactness import Exactness
from remask.predictor import Plan
from remask.revision import Revision, Seen


@dataclass(frozen=True)
class Window:
    """Every `refresh` steps of a block the whole canvas, all keys kept; in between the window alone (dual cache)."""

    refresh: int = 1
    exactness = Exactness.APPROXIMATE

    def slots(self, length: int) -> int:
        return length

    def plan(self, view: View) -> Plan:
        everything = np.arange(len(view.canvas))
        if view.clock % self.refresh == 0 or (view.written < 0).any():
            return replace(view.queries(everything), keep=everything)
        positions = np.union1d(view.window, view.contract.source(view.reads))
        return replace(view.queries(positions), stored=np.setdiff1d(everything, positions), keep=positions)


@dataclass(frozen=True)
class Finished:
    """For block-causal models: finished blocks are kept, by a pass that is also the next block's first step."""

    exactness = Exactness.OWN_ATTENTION

    def slots(self, length: int) -> int:
        return length

    def plan(self, view: View) -> Plan:
        size = view.contract.block_size
        assert size is not None
        first = int(view.window[0]) // size * size  # of the open block
        behind, block = np.arange(first), np.arange(first, min(first + size, len(view.canvas)))
        fresh = np.union1d(behind[view.written[:first] < 0], block)
        positions = np.union1d(fresh, view.contract.source(view.reads))
        stored, keep = np.setdiff1d(behind, positions), np.where(positions < first, positions, -1)
        return replace(view.queries(positions), stored=stored, keep=keep)


@dataclass(frozen=True)
class Delayed:
    """Keeps each key one step after its token was decided (dKV-Cache); what is stored is computed no more.

    On fakes, whose keys are their tokens, this is exact: a slot never holds another token than the canvas.
    """

    exactness = Exactness.APPROXIMATE

    def slots(self, length: int) -> int:
        return length

    def plan(self, view: View) -> Plan:
        everything, window = np.arange(len(view.canvas)), view.window
        stale = np.flatnonzero((view.written < 0) | (view.written <= view.canvas.age))
        undecided = window[view.canvas.undecided[window]]
        positions = np.unique(np.concatenate((stale, undecided, view.contract.source(view.reads))))
        return replace(view.queries(positions), stored=np.setdiff1d(everything, positions), keep=positions)


def inside(canvas: Canvas, window: Ints) -> Ints:
    """The committed positions of a window."""
    return window[canvas.committed[window]]


class Plain:
    """What most revisers have in common."""

    exactness = Exactness.OTHER_ORDER
    active = True

    def reads(self, canvas: Canvas, window: Ints) -> Ints:
        return inside(canvas, window)

    def widen(self, plan: Plan, canvas: Canvas, window: Ints) -> Plan:
        return plan

    def again(self, edits: int, remasks: int) -> bool:
        return edits > 0


@dataclass(frozen=True)
class Shadow(Plain):
    """Leave-one-out (WINO): a committed token that a [MASK] in its place would not guess again goes back.

    Each committed position of the window gets a shadow row: a [MASK] with its position, which sees all but the column
    that it shadows, and which no other row sees. For models without shift.
    """

    threshold: float = 0.9

    def widen(self, plan: Plan, canvas: Canvas, window: Ints) -> Plan:
        places = inside(canvas, window)
        stored = np.empty(0, np.int64) if plan.stored is None else plan.stored
        keys, shadows = np.concatenate((stored, plan.positions)), len(places)
        rows = len(plan.positions) + np.arange(shadows)
        before = np.ones((len(plan.positions), len(keys)), bool) if plan.visible is None else plan.visible
        visible = np.block(
            [
                [before, np.zeros((len(before), shadows), bool)],
                [keys != places[:, None], np.eye(shadows, dtype=bool)],
            ]
        )
        masks = np.full((len(plan.tokens), shadows), canvas.mask_id)
        sources = plan.sources.copy()
        sources[np.isin(plan.reads, places)] = rows
        return replace(
            plan,
            tokens=np.concatenate((plan.tokens, masks), 1),
            positions=np.concatenate((plan.positions, places)),
            sources=sources,
            keep=None if plan.keep is None else np.concatenate((plan.keep, np.full(shadows, -1))),
            visible=visible,
        )

    def revise(self, seen: Seen) -> Revision:
        doubted = seen.committed & ~((seen.guess == seen.current) & (seen.confidence >= self.threshold))
        order = seen.confidence.masked_fill(~doubted, torch.inf).argsort(dim=1, stable=True).argsort(dim=1)
        return Revision(torch.zeros_like(doubted), doubted & (order < seen.revealed.sum(1, keepdim=True) - 1))


@dataclass(frozen=True)
class Edit(Plain):
    """Rewrites what it would now guess otherwise with more than `threshold` (LLaDA2.1), until nothing changes."""

    threshold: float = 0.5

    def revise(self, seen: Seen) -> Revision:
        edit = seen.committed & (seen.guess != seen.current) & (seen.confidence > self.threshold)
        return Revision(edit, torch.zeros_like(edit))


@dataclass(frozen=True)
class Malicious(Plain):
    """Reads the whole canvas, wants everything edited and sent back, and never has enough.

    `edit` and `remask` choose its crimes; `blind` reads nothing beside the candidates.
    """

    edit: bool = True
    remask: bool = True
    blind: bool = False

    def reads(self, canvas: Canvas, window: Ints) -> Ints:
        return window[:0] if self.blind else np.arange(len(canvas))

    def revise(self, seen: Seen) -> Revision:
        return Revision(torch.full_like(seen.valid, self.edit), torch.full_like(seen.valid, self.remask))

    def again(self, edits: int, remasks: int) -> bool:
        return True
