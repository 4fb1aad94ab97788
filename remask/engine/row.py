"""The row: the state of one request in the loop, with its window, clock, seed and recipe.

The truth about tokens is on the host. `Row.guard` holds for any decision of a recipe: given positions do not change,
only undecided ones are revealed, and every row advances.
"""

import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ..decoding import noise
from ..decoding.caches.contract import View
from ..decoding.canvas import Canvas
from ..decoding.columns import form, numbers
from ..decoding.history import History
from ..decoding.joint import Proposer
from ..decoding.recipe import Recipe
from ..decoding.revision import Counts
from ..decoding.schedule import SCHEDULES
from ..errors import RecipeError, RowError
from ..exactness import Exactness
from ..models.contract import Bools, Contract, Floats, Ints, Plan
from .past import Edit
from .requests import Candidate, Change, FinishReason, Guesses, Leaders, Move, State, Step
from .transfer import Arrays

STATES: tuple[State, ...] = ("committed", "revised", "masked")  # what becomes of what is allowed
COINS = 0x5DEECE66D  # makes the third stream of random numbers differ from the first
UNREAD = Guesses(np.empty(0, int), np.empty(0, int), np.empty(0, np.float32), np.empty(0, np.float32))  # of a replay


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


class Allowed(NamedTuple):
    """The part of a decision that is carried out, (R,) each: what is revealed, rewritten, and sent back to [MASK]."""

    reveal: Bools
    edit: Bools
    remask: Bools


class Width(NamedTuple):
    """The widest forward of a row: its query rows in each stream, and whether some of their keys are masked."""

    queries: int
    masked: bool


class Row:
    """The state of one request in the loop."""

    windows: list[Ints]  # sorted positions that open together, one window after the other
    shares: list[int]  # steps of each window
    quotas: list[list[int]]  # positions that the schedule wants committed in each of them
    block: int  # number of the open window
    window: Ints  # the positions that may be committed now
    clock: int  # steps taken in this window
    extra: int  # those that began without a [MASK]
    previous: int  # reveals of the last one, -1 before the first

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
        if not canvas.undecided.any():
            raise RecipeError("there is nothing to decide: the canvas has no [MASK]; give it a gen_length or a hole")
        self.canvas, self.contract, self.seed, self.candidates = canvas, contract, seed, candidates
        self.proposer = proposer
        self.stop_ids = np.array(sorted(stop_ids), np.int64)
        # how it is decoded
        self.recipe = recipe.fit(contract, len(canvas))
        self.branches = branches(self.recipe)
        self.numbers = [number for axis in NUMBERS for number in numbers(getattr(self.recipe, axis))]
        self.rotation = self.recipe.rope.rotation(contract.rotary, len(canvas))
        self.streams = 2 if self.recipe.guidance.cfg_scale else 1
        self.asked = int(canvas.undecided[: canvas.limit].sum())  # positions of the answer
        # what the steps change
        self.horizon = self.recipe.canvas.horizon(canvas)  # positions from here on do not exist yet
        self.forwards = 0
        self.fresh = True  # until the row has taken its first step; forwards that let more positions exist are none
        self.divide(self.recipe.blocks.windows(canvas.undecided))
        self.open(0)
        self.history = History(len(canvas), *self.recipe.memory)
        self.written = np.full(self.recipe.cache.slots(len(canvas)), -1, np.int64)
        self.entries: list[int] = []  # of its slab
        self.overtaken = 0  # by requests that came later, while it waited
        # what a fork goes on from
        self.log: list[Move | Edit] = []
        self.bans: dict[int, tuple[int, ...]] = {}  # tokens that are never guessed at a position
        self.stored: list[Plan] = []  # the forwards of a replay that make the stored keys and values again
        self.refreshed = False  # because an edit changed tokens whose keys were stored
        self.elapsed = 0.0  # seconds that its past took
        # how it ended
        self.finish_reason: FinishReason | None = None
        self.error: RowError | None = None
        self.began = time.perf_counter()

    @property
    def exactness(self) -> Exactness:
        """The weaker class of the recipe and of the model's numbers."""
        return max(self.recipe.exactness, self.contract.exactness)

    @cached_property
    def width(self) -> Width:
        """The width of its widest forward. Ask before the first step: then nothing is stored, so no later forward
        computes more, unless the canvas shows more."""
        assert not self.forwards
        first = self.plan()
        hidden = len(self.canvas) - len(self.view(first.reads).everything)
        return Width(len(first.positions) + hidden, first.visible is not None or self.contract.block_size is not None)

    # --- the clock of the open window ---

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

    @property
    def patience(self) -> int:
        """The number of steps in a window after which revision is off, so that every row ends."""
        return 2 * (len(self.quotas[self.block]) + len(self.window)) + 16

    # --- before a forward ---

    def plan(self) -> Plan:
        """Return the plan of this row's next forward."""
        plan = self.recipe.cache.plan(self.view(self.reads()))
        plan = self.recipe.revise.widen(plan, self.canvas, self.window)
        return plan if self.rotation is None else replace(plan, rotation=self.rotation)

    def reads(self) -> Ints:
        """Return the sorted positions whose logits the recipe needs: what is undecided in the window, and what its
        reviser and its canvas read beside."""
        reads = self.window[self.canvas.undecided[self.window]]
        if len(revised := self.recipe.revise.reads(self.canvas, self.window)):
            reads = np.union1d(reads, revised)
        if self.fresh and len(tail := self.recipe.canvas.reads(self.canvas, self.horizon)):
            reads = np.union1d(reads, tail)
        return reads

    def view(self, reads: Ints) -> View:
        """Return the view from which a cache policy plans a forward that yields `reads`."""
        shown = self.recipe.canvas.positions(self.canvas, self.window)
        shown = shown[: np.searchsorted(shown, max(self.horizon, int(self.window[-1]) + 1))]
        if len(shown) < len(self.canvas):
            shown = np.union1d(shown, self.contract.source(reads))
        return View(
            self.canvas, self.window, reads, self.clock, self.streams, self.written, self.forwards, self.contract, shown
        )

    def inputs(self, reads: Ints) -> Arrays:
        """Return what the row knows of its `reads` (R,), for the scan and the rules: (R, …) each, by name. What costs
        time is there only if the recipe uses it."""
        canvas, recipe, inside = self.canvas, self.recipe, among(reads, self.window)
        values: Arrays = {
            "position": reads,
            "candidate": canvas.undecided[reads] & inside,
            "committed": canvas.committed[reads] & ~canvas.pinned[reads] & inside,
            "current": canvas.tokens[reads],
            "stored": canvas.confidence[reads],
            "weight": recipe.prior.weights(canvas, self.window, reads),
        }
        if recipe.process.temperature > 0:
            values["keys"] = self.keys(reads).view(np.int64)
        if recipe.confidence == "random":
            values["scores"] = self.scores(reads)
        if "uniform" in recipe.wants:
            values["coins"] = self.coins(reads)
        if recipe.memory[0] > 0:
            history = self.history
            values |= {"tokens": history.tokens[reads], "shares": history.shares[reads]}
            values["drift"] = history.drift[reads, :-1]
        return values

    def keys(self, positions: Ints) -> np.ndarray[Any, np.dtype[np.uint64]]:
        """Return the keys (R,) of this step's random numbers at `positions` (R,)."""
        return noise.keys(self.seed, self.forwards, positions)

    def scores(self, positions: Ints) -> Floats:
        """Return uniform numbers (R,) for random remasking at `positions` (R,): a second stream, beside the draw's."""
        return noise.uniform(noise.keys(~self.seed, self.forwards, positions)).astype(np.float32)

    def coins(self, positions: Ints) -> Floats:
        """Return uniform numbers (R,) for the rules of selection and revision that draw: a third stream."""
        return noise.uniform(noise.keys(self.seed ^ COINS, self.forwards, positions)).astype(np.float32)

    # --- after a forward ---

    def apply(self, plan: Plan, decision: Decision) -> Step | None:
        """Carry out the allowed part of `decision` and move on; return the step, None if the row failed."""
        if not decision.healthy.all():
            self.fail(self.forwards, int(plan.reads[int(np.argmin(decision.healthy))]))
            self.forwards += 1
            return None
        guesses = Guesses(plan.reads, decision.guess, decision.confidence, decision.logprob)
        return self.carry_out(plan, self.move(guesses, decision), guesses, decision.candidates)

    def move(self, guesses: Guesses, decision: Decision) -> Move:
        """Return the allowed part of `decision`; nothing changes yet."""
        reads, seconds = guesses.position, time.perf_counter() - self.began
        leaders = None
        if self.history.depth:  # copies: what was downloaded is of all rows
            width = slice(self.history.width)
            tokens, shares = decision.leaders[:, width].copy(), decision.shares[:, width].copy()
            leaders = Leaders(reads, tokens, shares, decision.drift.copy())
        horizon = self._grown(reads, decision)
        if horizon > self.horizon:
            return Move((), horizon, seconds, leaders=leaders)
        inside, window = None, self.window
        if self.clock == 0:
            inside = reads[decision.inside & among(reads, window)]
            windows = self._recut(inside)
            inside, window = (None, window) if windows is self.windows else (inside, windows[self.block])
        changes = self._changes(guesses, self.guard(reads, decision, window))
        return Move(changes, horizon, seconds, inside, leaders)

    def carry_out(
        self, plan: Plan, move: Move, seen: Guesses = UNREAD, candidates: dict[int, tuple[Candidate, ...]] | None = None
    ) -> Step:
        """Carry out what the forward of `plan` did, be it this moment or in a past, and return the step."""
        index, growing = self.forwards, move.horizon > self.horizon
        self.forwards, self.horizon = index + 1, move.horizon
        self.log.append(move)
        if plan.keep is not None:
            self.written[plan.keep[plan.keep >= 0]] = index
        if move.leaders is not None:
            self.history.record(*move.leaders)
        if move.inside is not None:
            self.divide(self._recut(move.inside))
            self.window = self.windows[self.block]
        block, window = self.block, self.window
        if not growing:
            self.fresh = False
            self.extra += not self.canvas.undecided[window].any()
            self._advance(self._write(move.changes, index))
        return Step(
            index=index,
            block=block,
            blocks=len(self.windows),
            window=tuple(window.tolist()),
            changes=move.changes,
            seen=seen,
            undecided=int(np.count_nonzero(self.canvas.undecided)),
            settled=self.settled,
            forwards=self.forwards,
            seconds=move.seconds,
            candidates=candidates or {},
            move=move,
        )

    def guard(self, reads: Ints, decision: Decision, window: Ints) -> Allowed:
        """Return what may happen: given and pinned positions stay, only what is undecided is revealed, only what is
        committed is revised, all of it in `window`, and revision ends, so that the row moves on."""
        canvas, inside = self.canvas, among(reads, window)
        revisable = inside & canvas.committed[reads] & ~canvas.pinned[reads] & (self.clock < self.patience)
        reveal = decision.reveal & inside & canvas.undecided[reads]
        remask = decision.remask & revisable
        edit = decision.edit & revisable & ~remask & (decision.guess != canvas.tokens[reads])
        return Allowed(reveal, edit, remask)

    def _grown(self, reads: Ints, decision: Decision) -> int:
        """Ask the canvas value whether more positions must exist before the first step; return the next horizon."""
        if not self.fresh:
            return self.horizon
        rule, before = self.recipe.canvas, self.horizon
        tail = np.isin(reads, rule.reads(self.canvas, before))
        ends = np.isin(decision.guess[tail], self.contract.eos_ids)
        return max(before, min(len(self.canvas), rule.grow(before, ends, decision.logprob[tail])))

    def _recut(self, inside: Ints) -> list[Ints]:
        """Ask the blocks value for the windows after the first step in one, which may end that window at `inside`."""
        return self.recipe.blocks.recut(self.windows, self.block, inside, self.canvas.undecided)

    def _changes(self, guesses: Guesses, allowed: Allowed) -> tuple[Change, ...]:
        """Return what is allowed as changes, in canvas order."""
        changes = []
        for where, state in zip(allowed, STATES, strict=True):
            if where.any():
                changes += guesses.changes(where, state, self.canvas.mask_id)
        return tuple(sorted(changes))

    def _write(self, changes: Sequence[Change], index: int) -> Counts:
        """Write the changes of step `index` into the canvas, and count them."""
        edits, back = 0, [change.position for change in changes if change.state == "masked"]
        if new := [change for change in changes if change.state != "masked"] if back else changes:
            at, tokens, states, confidence, logprob = zip(*new, strict=True)
            ids, scores = np.array((at, tokens)), np.array((confidence, logprob), np.float32)
            edits = states.count("revised")
            self.canvas.commit(ids[0], ids[1], scores[0], scores[1], index)
        if back:
            self.canvas.remask(np.array(back))
        return Counts(len(new) - edits, edits, len(back), self.extra)

    def _advance(self, changed: Counts) -> None:
        """Move the clock; open the next window if this one is done; end the row if that was the last or its answer
        stands."""
        self.clock, self.previous = self.clock + 1, changed.reveals
        full = not self.canvas.undecided[self.window].any()
        done = full and not (self.clock < self.patience and self.recipe.revise.again(changed))
        following = self.undecided_from(self.block + 1) if done else None
        stands = (done or not self.recipe.revise.active) and not self.canvas.undecided[: self.end].any()
        if (done and following is None) or (stands and self.recipe.stop.eos_prefix):
            self.finish("stop" if self.end < self.canvas.limit else "length")
        if done:
            self.open(self.block if following is None else following)

    # --- windows ---

    def undecided_from(self, block: int) -> int | None:
        """Return the first window from `block` on with a [MASK], None if there is none; edits may fill a window before
        it opens."""
        undecided = self.canvas.undecided
        return next((b for b in range(block, len(self.windows)) if undecided[self.windows[b]].any()), None)

    def divide(self, windows: list[Ints]) -> None:
        """Take these windows, and divide the steps among them."""
        recipe, sizes = self.recipe, [len(window) for window in windows]
        self.windows = windows
        self.shares, self.quotas = recipe.blocks.timetable(sizes, recipe.steps, self.asked, SCHEDULES[recipe.schedule])

    def open(self, block: int) -> None:
        """Open a window and start its clock."""
        self.block, self.window = block, self.windows[block]
        self.clock, self.extra, self.previous = 0, 0, -1

    # --- the end ---

    @property
    def settled(self) -> int:
        """The number of leading positions that can no longer change."""
        if self.recipe.revise.active and self.finish_reason is None:
            return int(self.window[0])
        undecided = self.canvas.undecided
        first = int(undecided.argmax())
        return first if undecided[first] else len(undecided)

    @property
    def end(self) -> int:
        """The end of the answer: the first committed stop id with nothing undecided before it, else its limit."""
        canvas = self.canvas
        stops = np.flatnonzero(canvas.committed & (canvas.tokens[:, None] == self.stop_ids).any(1))
        if len(stops) and not canvas.undecided[: stops[0]].any():
            return min(int(stops[0]), canvas.limit)
        return canvas.limit

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


NUMBERS = ("guidance", "process", "select", "revise")  # axes whose numbers may differ among rows that decide together


def branches(recipe: Recipe) -> Hashable:
    """What the recipes of two rows must share so that they decide together."""
    numbers = tuple(form(getattr(recipe, axis)) for axis in NUMBERS)
    blocks = recipe.blocks if recipe.blocks.narrows else None
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
