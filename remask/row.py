"""One request on its way through the loop: its window, clock, seed and recipe.

The host holds the truth about tokens. `Row.apply` is the guard: whatever a recipe asks for, given positions stay, only
undecided ones are revealed, and every row moves on.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from . import noise
from .caches.contract import View
from .canvas import Bools, Canvas, Floats, Ints
from .errors import RowError
from .predictor import Contract, Plan
from .recipe import Recipe
from .schedule import SCHEDULES, share_steps
from .trace import Candidate, Guesses, State, Step

FinishReason = Literal["stop", "length", "cancelled", "error"]


@dataclass(frozen=True)
class Decision:
    """What a recipe decided for one row's reads (R,): host arrays, before the guard."""

    guess: Ints
    confidence: Floats
    logprob: Floats
    reveal: Bools
    edit: Bools
    remask: Bools
    healthy: Bools
    candidates: dict[int, tuple[Candidate, ...]]


class Row:
    """One request on its way through the loop."""

    def __init__(
        self,
        canvas: Canvas,
        recipe: Recipe,
        contract: Contract,
        *,
        seed: int = 0,
        stop_ids: Sequence[int] = (),
        candidates: int = 0,
    ) -> None:
        self.canvas, self.contract, self.seed, self.candidates = canvas, contract, seed, candidates
        self.recipe = recipe.fit(contract)
        assert not isinstance(self.recipe.blocks, str)
        self.stop_ids = np.array(sorted(stop_ids), np.int64)
        self.windows = self.recipe.blocks.windows(canvas.undecided)
        sizes = [len(window) for window in self.windows]
        steps = share_steps(sizes, self.recipe.steps or sum(sizes))
        self.quotas = [SCHEDULES[self.recipe.schedule](n, s) for n, s in zip(sizes, steps, strict=True)]
        self.family = repr((self.recipe, candidates))  # rows of one family decide in one go
        self.streams = 2 if self.recipe.guidance.cfg_scale else 1
        self.written = np.full(self.recipe.cache.slots(len(canvas)), -1, np.int64)
        self.entries: list[int] = []
        self.block = self.clock = self.forwards = 0
        self.finish_reason: FinishReason | None = None
        self.error: RowError | None = None
        self.began = time.perf_counter()

    @property
    def window(self) -> Ints:
        """Positions that may be committed now."""
        return self.windows[self.block]

    @property
    def quota(self) -> int:
        """How many the schedule wants committed in this step; one at a time once it has run out."""
        quotas = self.quotas[self.block]
        return quotas[self.clock] if self.clock < len(quotas) else 1

    def plan(self) -> Plan:
        """This row's next forward."""
        open_positions = self.window[self.canvas.undecided[self.window]]
        extra = self.recipe.revise.reads(self.canvas, self.window)
        reads = np.union1d(open_positions, extra) if len(extra) else open_positions
        view = View(
            self.canvas, self.window, reads, self.clock, self.streams, self.written, self.forwards, self.contract
        )
        return self.recipe.revise.widen(self.recipe.cache.plan(view), self.canvas, self.window)

    def keys(self, positions: Ints) -> np.ndarray[Any, np.dtype[np.uint64]]:
        """The keys of this step's random numbers at `positions`."""
        return noise.keys(self.seed, self.forwards, positions)

    def scores(self, positions: Ints) -> Floats:
        """Uniform numbers for random remasking at `positions`; a stream of its own beside the draw's."""
        return noise.uniform(noise.keys(~self.seed, self.forwards, positions)).astype(np.float32)

    def apply(self, plan: Plan, decision: Decision) -> Step | None:
        """Carry out what is allowed of `decision`, advance the clock, and say what changed; None if the row failed."""
        canvas, reads = self.canvas, plan.reads
        if plan.keep is not None:
            self.written[plan.keep[plan.keep >= 0]] = self.forwards
        index, self.forwards = self.forwards, self.forwards + 1
        if not decision.healthy.all():
            self.fail(index, int(reads[int(np.argmin(decision.healthy))]))
            return None
        inside = among(reads, self.window)
        reveal = decision.reveal & canvas.undecided[reads] & inside
        revisable = canvas.committed[reads] & inside & (self.clock < self.patience)
        remask = decision.remask & revisable
        edit = decision.edit & revisable & ~remask & (decision.guess != canvas.tokens[reads])
        seen = Guesses(reads, decision.guess, decision.confidence, decision.logprob)
        kinds: tuple[tuple[Bools, State], ...] = ((reveal, "committed"), (edit, "revised"), (remask, "masked"))
        changes = [change for where, state in kinds for change in seen.changes(where, state, canvas.mask_id)]
        self._write(reads, reveal | edit, remask, decision, index)
        window, block = self.window, self.block
        self._advance(int(edit.sum()), int(remask.sum()))
        return Step(
            index=index,
            block=block,
            blocks=len(self.windows),
            window=tuple(window.tolist()),
            changes=tuple(sorted(changes)),
            seen=seen,
            undecided=int(canvas.undecided.sum()),
            settled=self.settled,
            forwards=self.forwards,
            seconds=time.perf_counter() - self.began,
            candidates=decision.candidates,
        )

    @property
    def patience(self) -> int:
        """Steps in a window after which revision is off, so that every row ends."""
        return 2 * (len(self.quotas[self.block]) + len(self.window))

    @property
    def settled(self) -> int:
        """Leading positions that can no longer change."""
        if self.recipe.revise.active and self.finish_reason is None:
            return int(self.window[0])
        undecided = np.flatnonzero(self.canvas.undecided)
        return int(undecided[0]) if len(undecided) else len(self.canvas)

    @property
    def end(self) -> int:
        """Where the answer ends: the first committed stop id with nothing undecided before it, else the length."""
        canvas = self.canvas
        stops = np.flatnonzero(canvas.committed & (canvas.tokens[:, None] == self.stop_ids).any(1))
        if len(stops) and not canvas.undecided[: stops[0]].any():
            return int(stops[0])
        return len(canvas)

    def finish(self, reason: FinishReason) -> None:
        """End the row; the first reason holds."""
        self.finish_reason = self.finish_reason or reason

    def fail(self, step: int, position: int) -> None:
        """End the row because its logits broke."""
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

    def _advance(self, edits: int, remasks: int) -> None:
        self.clock += 1
        patient = self.clock < self.patience and self.recipe.revise.again(edits, remasks)
        if not self.canvas.undecided[self.window].any() and not patient:
            self.block, self.clock = self.block + 1, 0
        stopping = self.recipe.stop.eos_prefix and (not self.recipe.revise.active or self.clock == 0)
        if stopping and self.end < len(self.canvas):
            self.finish("stop")
        elif self.block == len(self.windows):
            self.finish("stop" if self.end < len(self.canvas) else "length")
        self.block = min(self.block, len(self.windows) - 1)


def among(positions: Ints, window: Ints) -> Bools:
    """Which of `positions` are in the sorted, non-empty `window`."""
    nearest = np.minimum(np.searchsorted(window, positions), len(window) - 1)
    found: Bools = window[nearest] == positions
    return found
