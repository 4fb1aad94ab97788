"""Requests in, steps and completions out: one batch, a bounded queue, and handles that anyone may iterate.

The engine owns no thread. Whoever waits for a handle drives the batch for all of them; a server drives it from one
thread of its own. Between two steps rows are admitted, cancelled and let go.
"""

import time
from collections import deque
from collections.abc import Generator, Iterable
from threading import RLock

import torch

from ..decoding.canvas import Canvas
from ..errors import BusyError, RequestError
from ..models.contract import Predictor
from ..text.tokenizer import Text
from .batch import Batch
from .handle import Handle
from .host import check_threads, thread_limit
from .memory import footprint
from .requests import Request, check
from .row import Row
from .step import step


class Engine:
    """Runs requests on one model, many at a time.

    `max_rows` live at once, `max_waiting` queued; `memory` bounds the planned bytes of live rows (None: no bound).
    `threads` of the CPU compute each step (None: as many as torch has now). Thread-safe: any thread may submit, iterate
    and cancel. Several engines may live in one process: a step limits only the thread that drives it, and restores it.
    """

    def __init__(
        self,
        model: Predictor,
        text: Text,
        *,
        max_rows: int = 64,
        max_waiting: int = 1024,
        memory: int | None = None,
        threads: int | None = None,
    ) -> None:
        check_threads(threads)
        self.model, self.text = model, text
        self.max_rows, self.max_waiting, self.memory = max_rows, max_waiting, memory
        self.threads = torch.get_num_threads() if threads is None else threads
        self.batch = Batch(model)
        self.waiting: deque[Handle] = deque()
        self.live: dict[int, Handle] = {}
        self.lock = RLock()

    def submit(self, request: Request) -> Handle:
        """Queue a request. Raises RequestError or RecipeError if it cannot run here, BusyError if the queue is full."""
        row = self.row(request)
        if self.memory is not None and (needed := footprint([row], self.model).peak) > self.memory:
            raise RequestError(
                f"this request needs {needed:,} bytes of keys and activations, the engine has {self.memory:,}; "
                "shorten the prompt or gen_length, or raise the limit"
            )
        with self.lock:
            if len(self.waiting) >= self.max_waiting:
                raise BusyError(f"{self.max_waiting} requests are waiting, which is the limit; try again later")
            handle = Handle(self, request, row)
            self.waiting.append(handle)
        return handle

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
            self.cancel(*handles)

    def cancel(self, *handles: Handle) -> None:
        """Cancel these, unless they have ended, and free what they hold."""
        for handle in handles:
            handle.cancel()
        with self.lock:
            self._release()

    def row(self, request: Request) -> Row:
        """The row that `request` will be. Raises RequestError or RecipeError if it cannot run on this model."""
        check(request, self.model)
        return Row(
            Canvas.template(request.tokens, self.model.contract.mask_id),
            request.recipe.spelled(lambda mark: self.text.encode(mark)),
            self.model.contract,
            seed=request.seed,
            stop_ids=request.stop_ids,
            candidates=request.candidates,
        )

    def step(self) -> None:
        """Let go of ended rows, admit waiting ones, and take one step with all that are live."""
        with self.lock, thread_limit(self.threads):
            self._expire()
            self._admit()
            if not self.batch.rows:
                return
            try:
                for row, made in step(self.batch):
                    handle = self.live[id(row)]
                    handle.steps.append(made)
                    if handle.request.stop and handle.settled.reached(handle.answer()):
                        row.finish_reason = "stop"  # also where the same step filled the canvas
            except Exception as error:  # noqa: BLE001 - each of its rows raises it; who drives may be a bystander
                self._fail(error)
            finally:
                self._release()

    def _fail(self, error: Exception) -> None:
        """The step itself broke (out of memory, say): every live row ends with that error, and the queue goes on."""
        for handle in self.live.values():
            if handle.row.finish_reason is None:
                handle.failure = error
                handle.row.finish("error")

    def _admit(self) -> None:
        while self.waiting and len(self.live) < self.max_rows:
            handle = self.waiting[0]
            together = [*(other.row for other in self.live.values()), handle.row]
            if self.memory is not None and footprint(together, self.model, self.batch.shape).peak > self.memory:
                return  # first come, first served: a large request is not overtaken for ever
            try:
                self.batch.admit(handle.row)
            except Exception as error:  # noqa: BLE001 - no room for its keys and values, say: its caller raises it
                handle.failure = error
                handle.row.finish("error")
                self._release()
                continue
            self.waiting.popleft()
            handle.row.began = time.perf_counter()
            self.live[id(handle.row)] = handle

    def _expire(self) -> None:
        now = time.perf_counter()
        for handle in [*self.waiting, *self.live.values()]:
            limit = handle.request.deadline
            if limit is not None and now - handle.submitted > limit:
                handle.cancel(f"the deadline of {limit:g} s passed")
        self._release()

    def _release(self) -> None:
        for handle in [handle for handle in (*self.waiting, *self.live.values()) if handle.row.finish_reason]:
            if id(handle.row) in self.live:
                self.batch.evict(handle.row)
                del self.live[id(handle.row)]
            else:
                self.waiting.remove(handle)
            handle.ended = time.perf_counter()
