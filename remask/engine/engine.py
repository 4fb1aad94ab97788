"""Requests in, steps and completions out: one batch, a bounded queue, and handles that anyone may iterate.

The engine owns no thread. Whoever waits for a handle drives the batch for all of them; a server drives it from one
thread of its own. Between two steps rows are admitted, cancelled and released.
"""

import os
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from threading import RLock

import torch

from ..errors import BusyError, RemaskError, RequestError
from ..models.contract import Predictor
from ..text.tokenizer import Text
from .batch import Batch
from .fork import begin, restore
from .handle import Handle
from .host import check_threads, thread_limit
from .memory import Footprint, footprint
from .past import Edit, Past
from .requests import Request, Snapshot, Step, check
from .row import Row
from .step import step

MOST_OVERTAKING = 16  # later requests that may enter before one that does not fit yet, so that it waits no longer


class Engine:
    """Runs requests on one model, many at a time. It works on ids; `text`, if given, is for who reads its handles.

    `max_rows` live at once, `max_waiting` queued; `memory` bounds the planned bytes of live rows (None: no bound). They
    enter in their order, but at most `MOST_OVERTAKING` that fit may pass one that does not fit yet.
    `name` is what completions call the model, `threads` of the CPU compute each step (None: as many as torch has now).
    Thread-safe: any thread may submit, iterate and cancel. Several engines may live in one process: a step limits only
    the thread that drives it, and restores it.

    A request outlives its handle: one that is dropped is decoded all the same by whoever drives next; `cancel` it, or
    hold it in a `with`. Nothing ends while nobody drives, a request whose deadline has passed neither; the next step
    finds it, as does a `submit` that meets a full queue. A process that was forked between two steps goes on with a
    copy of all of it; one that was forked during a step raises RemaskError, for nobody there can end that step.
    """

    def __init__(
        self,
        model: Predictor,
        text: Text | None = None,
        *,
        name: str = "",
        max_rows: int = 64,
        max_waiting: int = 1024,
        memory: int | None = None,
        threads: int | None = None,
    ) -> None:
        check_threads(threads)
        self.model, self.text, self.name = model, text, name
        self.max_rows, self.max_waiting, self.memory = max_rows, max_waiting, memory
        self.threads = torch.get_num_threads() if threads is None else threads
        self.batch = Batch(model)
        self.waiting: dict[Row, Handle] = {}  # in their order
        self.live: dict[Row, Handle] = {}
        self.lock = RLock()
        self.process = os.getpid()

    def submit(self, request: Request, *, start: Snapshot | None = None) -> Handle:
        """Queue a request; with `start`, from that canvas on, whose committed positions stay as they are.

        Raises RequestError or RecipeError if it cannot run here, BusyError if the queue is full.
        """
        check(request, self.model)
        row = begin(request, self.model.contract, start)
        return self._queue(row, Handle(self, row, Past(request, start)))

    def fork(self, past: Past, edit: Edit | None = None) -> Handle:
        """Queue a run that goes on from a moment of another one (see `Handle.past`), after an edit of its canvas.

        Without an edit it goes on as that one did, whatever the recipe: it draws the same noise, and keys and values
        that a cache stored are made again. Where an edit changes tokens whose keys were stored, all of them are
        computed anew, and the completion says so. Raises what `submit` raises, and RequestError for an edit that the
        canvas cannot take, or if the run has ended.
        """
        check(past.request, self.model)
        past = past if edit is None else past.edited(edit)
        row = restore(past, self.model.contract)
        handle = Handle(self, row, past)  # it knows whether a stop string has settled
        if row.finish_reason is not None:
            raise RequestError(
                f"the run has ended after {row.forwards} steps; fork an earlier one, or remask a position"
            )
        return self._queue(row, handle)

    def _queue(self, row: Row, handle: Handle) -> Handle:
        needed = footprint([row], self.model).peak
        if self.memory is not None and needed > self.memory:
            raise RequestError(
                f"this request needs {needed:,} bytes of keys and activations, the engine has {self.memory:,}; "
                "shorten the prompt or gen_length, or raise the limit"
            )
        self._adopt()
        with self.lock:
            if len(self.waiting) >= self.max_waiting:
                self._expire()
            if len(self.waiting) >= self.max_waiting:
                raise BusyError(f"{self.max_waiting} requests are waiting, which is the limit; try again later")
            self.waiting[row] = handle
        return handle

    def check(self, request: Request) -> None:
        """Refuse a request that cannot run on this model, without queuing it. Raises RequestError or RecipeError."""
        check(request, self.model)
        begin(request, self.model.contract)

    def footprint(self, request: Request, rows: int = 1) -> Footprint:
        """Bytes that `rows` rows like this request take at their widest step, side by side. Raises as `check` does."""
        check(request, self.model)
        return footprint([begin(request, self.model.contract)] * rows, self.model)

    @property
    def under_way(self) -> float:
        """Live requests, each counted by the share of its planned steps that it has taken; any thread may ask."""
        return sum(min(1.0, handle.forwards / handle.planned_steps) for handle in [*self.live.values()])

    def run(self, requests: Iterable[Request]) -> Generator[Handle, None, None]:
        """Run many side by side, feeding the queue as it empties, and yield each in its turn once it is done.

        Closing the iterator, or an error on the way, cancels what is still under way.
        """
        handles: list[Handle] = []
        try:
            for request in requests:
                while len(self.waiting) >= self.max_waiting:
                    self.step()
                handles.append(self.submit(request))
            for handle in handles:
                for _ in handle:
                    pass
                yield handle
        finally:
            for handle in handles:
                handle.cancel()

    def step(self) -> None:
        """Release ended rows, admit waiting ones, and take one step with all that are live."""
        self._adopt()
        with self.lock, thread_limit(self.threads):
            self._expire()
            self._admit()
            try:
                if self.live:
                    self._advance([*self.live])
            finally:
                self._release()

    def release(self) -> None:
        """Free what ended rows hold, unless a step is under way: that one does it at its end."""
        if self.lock.acquire(blocking=False):
            try:
                self._release()
            finally:
                self.lock.release()

    def _adopt(self) -> None:
        """In a process that was forked, take the engine over if it was at rest. Raises RemaskError if it was not."""
        if self.process == os.getpid():
            return
        if not self.lock.acquire(blocking=False):  # by a thread that this process does not have
            raise RemaskError(
                "this process was forked while another thread took a step, which nobody here can end; "
                "fork between two steps, or load the model in each process"
            )
        self.process = os.getpid()
        self.lock.release()

    def _hand_out(self, handle: Handle, made: Step) -> None:
        try:
            handle.take(made)
        except Exception as error:  # noqa: BLE001 - a text that cannot be read is its reader's alone
            handle.fail(error)

    def _advance(self, rows: Sequence[Row]) -> None:
        """Take one step with `rows`. A step that breaks (out of memory, say) is taken again in halves: no row has
        changed, and only one that cannot step alone ends with the error, which its own caller raises."""
        try:
            steps = step(self.batch, rows)
        except Exception as error:  # noqa: BLE001 - who drives may be a bystander
            if len(rows) == 1:
                self.live[rows[0]].fail(error)
                return
            half = len(rows) // 2
            self._advance(rows[:half])
            self._advance(rows[half:])
            return
        for row, made in steps:
            self._hand_out(self.live[row], made)

    def _admit(self) -> None:
        """Admit waiting rows in their order; one that fits may pass some that do not, none of them too often."""
        passed: list[Row] = []
        for row, handle in [*self.waiting.items()]:
            blocked = len(passed) > MOST_OVERTAKING or any(other.overtaken >= MOST_OVERTAKING for other in passed)
            if blocked or len(self.live) >= self.max_rows:
                return
            if not self._fits(row):
                passed.append(row)
                continue
            try:
                self._enter(row)
            except Exception as error:  # noqa: BLE001 - no room for its keys and values, say: its caller raises it
                handle.fail(error)
                self._release()
                continue
            for other in passed:
                other.overtaken += 1

    def _fits(self, row: Row, entries: Mapping[int, int] | None = None) -> bool:
        """Return True if the memory has room for a row beside those that live, and for the `entries` of slabs."""
        return self.memory is None or footprint([*self.live, row], self.model, entries).peak <= self.memory

    def _enter(self, row: Row) -> None:
        if not self._fits(row, self.batch.entries):
            self.batch.shrink()
        self.batch.admit(row)
        self.live[row] = self.waiting.pop(row)
        row.began = time.perf_counter() - row.elapsed

    def _expire(self) -> None:
        now = time.perf_counter()
        for handle in [*self.waiting.values(), *self.live.values()]:
            limit = handle.request.deadline
            if limit is not None and now - handle.submitted > limit:
                handle.cancel(f"the deadline of {limit:g} s passed")
        self._release()

    def _release(self) -> None:
        for row in [row for row in self.live if row.finish_reason]:
            self.batch.evict(row)
            self.live.pop(row).end()
        for row in [row for row in self.waiting if row.finish_reason]:
            self.waiting.pop(row).end()
