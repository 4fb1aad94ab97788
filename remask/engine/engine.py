"""Requests in, steps and completions out: one batch, a bounded queue, and handles that anyone may iterate.

The engine owns no thread. Whoever waits for a handle drives the batch for all of them; a server drives it from one
thread of its own. Between two steps rows are admitted, cancelled and let go.
"""

import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from threading import RLock

from ..decoding.canvas import Canvas
from ..decoding.recipe import Recipe
from ..errors import BusyError, RequestError
from ..exactness import Exactness
from ..kinds import typed
from ..models.contract import Predictor
from ..models.rotary import Extent
from ..text.tokenizer import Settled, Text
from ..trace.format import Step
from .batch import Batch
from .context import within
from .memory import footprint
from .row import FinishReason, Row
from .step import step


@dataclass(frozen=True)
class Request:
    """What is asked for. `tokens` (L,) are the canvas: ids, and None where the model decides.

    `stop_ids` end the answer before them, `stop` before the text; `deadline` is seconds from submission; `candidates`
    asks for that many of the likeliest tokens at every position read. The completion's text is the answer, or with
    `document` the whole canvas; `dropped` tokens were left out of the prompt to make it fit. Equal seeds give equal
    answers in any batch.
    """

    tokens: tuple[int | None, ...]
    recipe: Recipe = Recipe()
    seed: int = 0
    stop_ids: tuple[int, ...] = ()
    stop: tuple[str, ...] = ()
    deadline: float | None = None
    candidates: int = 0
    document: bool = False
    dropped: int = 0


@dataclass(frozen=True)
class Completion:
    """What came out. `tokens` are the ids decided before the end, with the natural-log probability and confidence that
    each had when it was committed; `fills` is the text of each run of them (one, unless it was a template).

    `rope` says how far positions reach (None where a model has no rotary ones), `dropped` how many prompt tokens were
    left out of the middle; `warnings` what to know beside.
    """

    text: str
    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    confidences: tuple[float, ...]
    fills: tuple[str, ...]
    finish_reason: FinishReason
    prompt_tokens: int
    forwards: int
    seconds: float
    exactness: Exactness
    rope: Extent | None = None
    dropped: int = 0
    warnings: tuple[str, ...] = ()
    error: str | None = None

    @property
    def tokens_per_second(self) -> float:
        """Tokens of the answer per second of decoding."""
        return len(self.tokens) / self.seconds if self.seconds else 0.0


class Handle:
    """One request on its way. Iterating yields its steps as they happen; `result()` waits for the end."""

    def __init__(self, engine: "Engine", request: Request, row: Row) -> None:
        self.engine, self.request, self.row = engine, request, row
        self.submitted = time.perf_counter()
        self.settled = Settled(engine.text, request.stop)
        self.steps: deque[Step] = deque()
        self.detail: str | None = None
        self.failure: Exception | None = None
        self.ended: float | None = None

    @property
    def done(self) -> bool:
        """Whether the row has ended and was let go; steps may still wait to be read, but none will come."""
        return self.ended is not None

    def __iter__(self) -> Iterator[Step]:
        while True:
            done = self.done  # asked before the last look: another thread may end the row in between
            while self.steps:
                yield self.steps.popleft()
            if done:
                return
            self.engine.advance()

    def cancel(self, why: str | None = None) -> None:
        """End the row at the next step; what is committed stays readable."""
        if self.row.finish_reason is None:
            self.detail = why
            self.row.finish("cancelled")

    def pieces(self) -> Iterator[str]:
        """The answer's text as it settles from the left: appending all pieces gives the completion's text.

        Raises what `result` raises, after the text that had settled.
        """
        for _ in self:
            done = self.done  # asked before the answer, which another thread may complete in between
            if piece := self.settled.feed(self.answer(), last=done):
                yield piece
        if piece := self.settled.feed(self.answer(), last=True):
            yield piece
        self._raise()

    def result(self) -> Completion:
        """The completion, once the row has ended. Raises RowError if its logits broke, or what broke the step."""
        for _ in self:
            pass
        self._raise()
        return self.completion()

    def answer(self) -> list[int]:
        """Ids of the settled answer: decided positions with nothing undecided and no stop id before them."""
        return [int(self.row.canvas.tokens[i]) for i in self._decided(self.row.settled)]

    def completion(self) -> Completion:
        """What there is now, as far as it has settled; final once `done`. A template's text is the whole canvas."""
        row, canvas, text = self.row, self.row.canvas, self.engine.text
        rotary = row.contract.rotary
        template = self.request.document
        places = self._decided(len(canvas) if template else row.settled)
        runs: list[list[int]] = []
        for i, place in enumerate(places):
            if i and place == places[i - 1] + 1:
                runs[-1].append(place)
            else:
                runs.append([place])
        whole = [int(canvas.tokens[i]) for i in places]
        shown = text.decode(canvas.tokens.tolist() if template else whole)
        return Completion(
            text=self.settled.cut(shown),
            tokens=tuple(whole),
            logprobs=tuple(float(canvas.logprob[i]) for i in places),
            confidences=tuple(float(canvas.confidence[i]) for i in places),
            fills=tuple(text.decode([int(canvas.tokens[i]) for i in run]) for run in runs),
            finish_reason=row.finish_reason or "cancelled",
            prompt_tokens=int(canvas.given.sum()),
            forwards=row.forwards,
            seconds=(self.ended or time.perf_counter()) - row.began,
            exactness=row.exactness,
            rope=None if rotary is None else Extent.of(row.recipe.rope, rotary),
            dropped=self.request.dropped,
            warnings=self.request.recipe.rope.warnings(rotary, len(canvas)),
            error=str(row.error or self.failure) if row.error or self.failure else self.detail,
        )

    def _raise(self) -> None:
        if broken := self.row.error or self.failure:
            raise broken

    def _decided(self, until: int) -> list[int]:
        canvas = self.row.canvas
        end = min(until, self.row.end)
        return [i for i in range(end) if canvas.committed[i]]


class Engine:
    """Runs requests on one model, many at a time.

    `max_rows` live at once, `max_waiting` queued; `memory` bounds the planned bytes of live rows (None: no bound).
    Thread-safe: any thread may submit, iterate and cancel.
    """

    def __init__(
        self, model: Predictor, text: Text, *, max_rows: int = 64, max_waiting: int = 1024, memory: int | None = None
    ) -> None:
        self.model, self.text = model, text
        self.max_rows, self.max_waiting, self.memory = max_rows, max_waiting, memory
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

    def in_turn(self, requests: Iterable[Request]) -> Generator[Handle, None, None]:
        """Run many side by side, feeding the queue as it empties, and yield each in its turn once it is done.

        Closing the iterator, or an error on the way, cancels what is still under way.
        """
        handles: list[Handle] = []
        try:
            for request in requests:
                while len(self.waiting) >= self.max_waiting:
                    self.advance()
                handles.append(self.submit(request))
            for handle in handles:
                for _ in handle:
                    pass
                yield handle
        finally:
            self.let_go(*handles)

    def let_go(self, *handles: Handle) -> None:
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

    def advance(self) -> None:
        """Let go of ended rows, admit waiting ones, and take one step with all that are live."""
        with self.lock:
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


def check(request: Request, model: Predictor) -> None:
    """Refuse what cannot run on `model`, quoting the value, the bound and the remedy."""
    typed(request, RequestError, but=("tokens",))
    contract = model.contract
    length, holes = len(request.tokens), request.tokens.count(None)
    if not holes:
        raise RequestError("there is nothing to decide: the request has no [MASK]; give gen_length or holes")
    within(length, holes, contract, request.recipe.rope)
    for what, ids in (("token", request.tokens), ("stop", request.stop_ids)):
        if outside := [i for i in ids if i is not None and not 0 <= i < contract.vocab_size]:
            raise RequestError(f"{what} id {outside[0]} is outside the vocabulary of {contract.vocab_size}")
    if request.deadline is not None and not request.deadline > 0:
        raise RequestError(f"deadline must be more than 0 seconds, got {request.deadline}")
    if not 0 <= request.candidates <= 100:
        raise RequestError(f"candidates must lie in 0..100, got {request.candidates}")
    if request.stop and request.document:
        raise RequestError("stop strings end an answer, and a template is filled as a whole; leave them out")
    if any(not stop for stop in request.stop):
        raise RequestError("a stop string is empty; leave it out")


def samples(request: Request, n: int) -> list[Request]:
    """`n` requests that differ in their seed alone; the first keeps the seed it has."""
    if n < 1:
        raise RequestError(f"n must be at least 1, got {n}")
    return [replace(request, seed=request.seed + i) for i in range(n)]
