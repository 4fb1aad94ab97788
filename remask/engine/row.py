"""The row: the state of one request in the loop, with its window, clock, seed and recipe.

The truth about tokens is on the host. `Row.apply` is the guard: for any decision of a recipe, given positions do not
change, only undecided ones are revealed, and every row advances.
"""

import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..decoding import noise
from ..decoding.caches.contract import View
from ..decoding.canvas import Canvas, Growing
from ..decoding.columns import form, numbers
from ..decoding.history import History
from ..decoding.joint import Proposer
from ..decoding.recipe import Recipe
from ..decoding.revision import Counts
from ..decoding.schedule import SCHEDULES, share_steps
from ..errors import RecipeError, RowError
from ..exactness import Exactness
from ..models.contract import Bools, Contract, Floats, Ints, Plan
from .requests import Candidate, FinishReason, Guesses, State, Step

COINS = 0x5DEECE66D  # makes the third stream of random numbers differ from the first


@dataclass(frozen=True)
class Decision:
    """The decision of a recipe for one row's reads (R,): host arrays, before the guard.

    `inside` marks the reads that stay in the window, `healthy` those whose logits are sound. `leaders` and their
    probabilities `shares` (R, width) are the likeliest tokens, for the row's history; `drift` is the divergence of
    each distribution from the last step, in nats.
    """

    guess: Ints
    confidence: Floats
    logprob: Floats
    reveal: Bools
    edit: Bools
    remask: Bools
    inside: Bools
    healthy: Bools
    drift: Floats
    leaders: Ints
    shares: Floats
    candidates: dict[int, tuple[Candidate, ...]]


class Row:
    """The state of one request in the loop."""

    def __init__(
        self,
        canvas: Canvas,
        recipe: Recipe,
        contract: Contract,
        *,
        seed: int = 0,
        stop_ids: Sequence[int] = (),
        candidates: int = 0,
        proposer: Proposer | None = None,
    ) -> None:
        self.canvas, self.contract, self.seed, self.candidates = canvas, contract, seed, candidates
        self.proposer = proposer
        self.recipe = recipe.fit(contract, len(canvas))
        self.rotation = self.recipe.rope.rotation(contract.rotary, len(canvas))
        if not canvas.undecided.any():
            raise RecipeError("there is nothing to decide: the canvas has no [MASK]; give it a gen_length or a hole")
        assert not isinstance(self.recipe.blocks, str)
        self.blocks = self.recipe.blocks
        self.stop_ids = np.array(sorted(stop_ids), np.int64)
        self.windows = self.blocks.windows(canvas.undecided)
        self.steps = self.recipe.steps or int(canvas.undecided.sum())
        self._share_steps()
        self.branches = branches(self.recipe)
        self.numbers = [number for axis in NUMBERS for number in numbers(getattr(self.recipe, axis))]
        self.streams = 2 if self.recipe.guidance.cfg_scale else 1
        self.written = np.full(self.recipe.cache.slots(len(canvas)), -1, np.int64)
        self.history = History(len(canvas), *self.recipe.memory)
        self.growing = self.recipe.canvas if isinstance(self.recipe.canvas, Growing) else None
        self.horizon = len(canvas)  # positions from here on do not exist yet
        if self.growing is not None:
            self.horizon = int(np.flatnonzero(canvas.undecided)[: self.growing.first][-1]) + 1
        self.entries: list[int] = []
        self.block = self.clock = self.forwards = self.extra = 0
        self.previous = -1  # reveals of the last step in this window
        self.finish_reason: FinishReason | None = None
        self.error: RowError | None = None
        self.began = time.perf_counter()
        first = self.plan()  # nothing is stored yet, so no later forward computes more, unless the canvas shows more
        self.widest = len(first.positions) + len(canvas) - len(self.view(first.reads).everything)
        self.masked = first.visible is not None or contract.block_size is not None

    @property
    def exactness(self) -> Exactness:
        """The weaker class of the recipe and of the model's numbers."""
        return max(self.recipe.exactness, self.contract.exactness)

    @property
    def window(self) -> Ints:
        """The positions that may be committed now."""
        return self.windows[self.block]

    @property
    def quota(self) -> int:
        """The number of positions that the schedule wants committed in this step; 1 after its last step."""
        quotas = self.quotas[self.block]
        return quotas[self.clock] if self.clock < len(quotas) else 1

    @property
    def time(self) -> tuple[float, float]:
        """The shares of this window's steps that are left before and after the next step."""
        steps = self.shares[self.block]
        return max(0.0, 1 - self.clock / steps), max(0.0, 1 - (self.clock + 1) / steps)

    def plan(self) -> Plan:
        """Return the plan of this row's next forward."""
        undecided = self.window[self.canvas.undecided[self.window]]
        extra = self.recipe.revise.reads(self.canvas, self.window)
        reads = np.union1d(undecided, extra) if len(extra) else undecided
        if self.growing is not None:
            reads = np.union1d(reads, self.tail)
        plan = self.recipe.revise.widen(self.recipe.cache.plan(self.view(reads)), self.canvas, self.window)
        return replace(plan, rotation=self.rotation)

    def view(self, reads: Ints) -> View:
        """Return the view from which a cache policy plans a forward that yields `reads`."""
        shown = self.recipe.canvas.positions(self.canvas, self.window)
        shown = shown[shown < max(self.horizon, int(self.window[-1]) + 1)]
        if len(shown) < len(self.canvas):
            shown = np.union1d(shown, self.contract.source(reads))
        return View(
            self.canvas, self.window, reads, self.clock, self.streams, self.written, self.forwards, self.contract, shown
        )

    def keys(self, positions: Ints) -> np.ndarray[Any, np.dtype[np.uint64]]:
        """Return the keys (R,) of this step's random numbers at `positions` (R,)."""
        return noise.keys(self.seed, self.forwards, positions)

    def scores(self, positions: Ints) -> Floats:
        """Return uniform numbers (R,) for random remasking at `positions` (R,): a second stream, beside the draw's."""
        return noise.uniform(noise.keys(~self.seed, self.forwards, positions)).astype(np.float32)

    def coins(self, positions: Ints) -> Floats:
        """Return uniform numbers (R,) for the rules of selection and revision that draw: a third stream."""
        return noise.uniform(noise.keys(self.seed ^ COINS, self.forwards, positions)).astype(np.float32)

    def apply(self, plan: Plan, decision: Decision) -> Step | None:
        """Carry out the allowed part of `decision`, and advance the clock; return the step, None if the row failed."""
        canvas, reads = self.canvas, plan.reads
        if plan.keep is not None:
            self.written[plan.keep[plan.keep >= 0]] = self.forwards
        index, self.forwards = self.forwards, self.forwards + 1
        if not decision.healthy.all():
            self.fail(index, int(reads[int(np.argmin(decision.healthy))]))
            return None
        self.history.record(reads, decision.leaders, decision.shares, decision.drift)
        grew = self._grow(reads, decision)
        if self.blocks.recut and self.clock == 0 and not grew:
            self._narrow(reads[decision.inside & among(reads, self.window)])
        inside = among(reads, self.window)
        began_open = bool(canvas.undecided[self.window].any())
        reveal = decision.reveal & canvas.undecided[reads] & inside & (not grew)
        revisable = canvas.committed[reads] & inside & (self.clock < self.patience)
        remask = decision.remask & revisable
        edit = decision.edit & revisable & ~remask & (decision.guess != canvas.tokens[reads])
        guesses = Guesses(reads, decision.guess, decision.confidence, decision.logprob)
        kinds: tuple[tuple[Bools, State], ...] = ((reveal, "committed"), (edit, "revised"), (remask, "masked"))
        changes = [change for where, state in kinds for change in guesses.changes(where, state, canvas.mask_id)]
        self._write(reads, reveal | edit, remask, decision, index)
        window, block = self.window, self.block
        self.extra += not began_open
        if not grew:
            self._advance(Counts(int(reveal.sum()), int(edit.sum()), int(remask.sum()), self.extra))
        return Step(
            index=index,
            block=block,
            blocks=len(self.windows),
            window=tuple(window.tolist()),
            changes=tuple(sorted(changes)),
            seen=guesses,
            undecided=int(canvas.undecided.sum()),
            settled=self.settled,
            forwards=self.forwards,
            seconds=time.perf_counter() - self.began,
            candidates=decision.candidates,
        )

    @property
    def patience(self) -> int:
        """The number of steps in a window after which revision is off, so that every row ends."""
        return 2 * (len(self.quotas[self.block]) + len(self.window)) + 16

    @property
    def settled(self) -> int:
        """The number of leading positions that can no longer change."""
        if self.recipe.revise.active and self.finish_reason is None:
            return int(self.window[0])
        undecided = np.flatnonzero(self.canvas.undecided)
        return int(undecided[0]) if len(undecided) else len(self.canvas)

    @property
    def end(self) -> int:
        """The end of the answer: the first committed stop id with nothing undecided before it, else the length."""
        canvas = self.canvas
        stops = np.flatnonzero(canvas.committed & (canvas.tokens[:, None] == self.stop_ids).any(1))
        if len(stops) and not canvas.undecided[: stops[0]].any():
            return int(stops[0])
        return len(canvas)

    def finish(self, reason: FinishReason) -> None:
        """End the row; the first reason stays."""
        self.finish_reason = self.finish_reason or reason

    def fail(self, step: int, position: int) -> None:
        """End the row because its logits are NaN, +inf or all -inf at `position`."""
        self.error = RowError(
            f"the logits at step {step}, position {position} are NaN, +inf or all -inf; "
            "check the weights, the dtype and what the recipe suppresses",
            step=step,
            position=position,
        )
        self.finish("error")

    def _write(self, reads: Ints, decided: Bools, remask: Bools, decision: Decision, index: int) -> None:
        canvas, at, back = self.canvas, reads[decided], reads[remask]
        canvas.tokens[at] = decision.guess[decided]
        canvas.confidence[at] = decision.confidence[decided]
        canvas.logprob[at] = decision.logprob[decided]
        canvas.age[at] = index
        canvas.committed[at] = True
        canvas.tokens[back] = canvas.mask_id
        canvas.confidence[back] = canvas.logprob[back] = np.nan
        canvas.age[back] = -1
        canvas.committed[back] = False

    @property
    def tail(self) -> Ints:
        """The last undecided positions that exist: their guesses decide whether the canvas is long enough."""
        assert self.growing is not None
        undecided = np.flatnonzero(self.canvas.undecided)
        return undecided[undecided < self.horizon][-self.growing.tail :]

    def _grow(self, reads: Ints, decision: Decision) -> bool:
        """Let more positions exist if the tail does not foresee the end, else stop growing. A forward that grows
        commits nothing."""
        if self.growing is None:
            return False
        tail = among(reads, self.tail)
        eos = np.isin(decision.guess[tail], self.contract.eos_ids)
        if self.growing.foresees(eos, np.exp(decision.logprob[tail])) or self.horizon == len(self.canvas):
            self.growing = None
            return False
        self.horizon = min(len(self.canvas), self.horizon + self.growing.step)
        return True

    def _advance(self, changed: Counts) -> None:
        self.clock, self.previous = self.clock + 1, changed.reveals
        full = not self.canvas.undecided[self.window].any()
        if full and not (self.clock < self.patience and self.recipe.revise.again(changed)):
            self.block, self.clock, self.extra, self.previous = self.block + 1, 0, 0, -1
        stopping = self.recipe.stop.eos_prefix and (not self.recipe.revise.active or self.clock == 0)
        if stopping and self.end < len(self.canvas):
            self.finish("stop")
        elif self.block == len(self.windows):
            self.finish("stop" if self.end < len(self.canvas) else "length")
        self.block = min(self.block, len(self.windows) - 1)

    def _share_steps(self) -> None:
        """Divide the steps among the windows; windows that are cut later get at least one step each."""
        sizes = [len(window) for window in self.windows]
        steps = max(self.steps, len(sizes)) if self.blocks.recut else self.steps
        self.shares = share_steps(sizes, steps)
        self.quotas = [SCHEDULES[self.recipe.schedule](n, s) for n, s in zip(sizes, self.shares, strict=True)]

    def _narrow(self, inside: Ints) -> None:
        """Cut the open window to the reads `inside`, cut the rest again, and divide the steps in proportion."""
        done, rest = self.windows[: self.block], self.canvas.undecided.copy()
        rest[inside] = False
        following = self.blocks.windows(rest) if rest.any() else []
        self.windows = [*done, inside, *following]
        self._share_steps()


NUMBERS = ("guidance", "process", "select", "revise")  # axes whose numbers may differ among rows that decide together


def branches(recipe: Recipe) -> Hashable:
    """What the recipes of two rows must share so that they decide together."""
    numbers = tuple(form(getattr(recipe, axis)) for axis in NUMBERS)
    blocks = recipe.blocks if getattr(recipe.blocks, "narrows", False) else None
    return numbers, recipe.history, recipe.confidence, blocks


def together(rows: Sequence[Row]) -> list[list[Row]]:
    """Put rows that decide together into one list each, in the order of their first rows."""
    members: dict[Hashable, list[Row]] = {}
    for row in rows:
        members.setdefault(row.branches, []).append(row)
    return list(members.values())


def among(positions: Ints, window: Ints) -> Bools:
    """Mark those of `positions` (n,) that are in the sorted, non-empty `window`."""
    nearest = np.minimum(np.searchsorted(window, positions), len(window) - 1)
    matches: Bools = window[nearest] == positions
    return matches
