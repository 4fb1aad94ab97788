"""One request on its way: what a caller holds, and all that anything outside the engine sees of its row."""

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from ..decoding.recipe import Recipe
from ..errors import RequestError
from ..exactness import Exactness
from ..models.contract import Ints, Predictor
from ..models.rotary import Extent
from ..text.holes import fill_holes, fills_after_spaces, hole_lengths
from ..text.settled import SettledText
from ..text.tokenizer import Text
from .fork import begin, replay, restore
from .memory import footprint
from .past import Edit, Past
from .requests import Block, Completion, Snapshot, Step
from .row import Row

REFRESHED = "refreshed at fork: an edit changed tokens whose keys and values were stored, so all are computed anew"


class Driver(Protocol):
    """Who advances the row of a handle: an engine."""

    model: Predictor
    text: Text | None
    name: str

    def step(self) -> None:
        """Take one step with all rows that are live."""

    def release(self) -> None:
        """Free what ended rows hold, if no step is under way."""


class Handle:
    """One request on its way. Iterating yields its steps as they happen; `result()` waits for the end.

    Steps are handed out once: what several readers need is passed on by the first of them, as `remask.record` does.
    Dropping a handle cancels nothing: `cancel` it, or leave a `with` block of it, which cancels what has not ended.
    """

    def __init__(self, engine: Driver, row: Row, past: Past) -> None:
        self.request = past.request
        self.submitted = time.perf_counter()
        self.steps: deque[Step] = deque()
        self._engine, self._row, self._past = engine, row, past
        self._stop = SettledAnswer(row, self.text, self.request.stop) if self.text and self.request.stop else None
        self._detail: str | None = None
        self._failure: Exception | None = None
        self._ended: float | None = None
        if past.log:
            self._see_stop()

    # --- the run ---

    def __iter__(self) -> Iterator[Step]:
        while True:
            done = self.done  # asked before the last look: another thread may end the row in between
            while self.steps:
                yield self.steps.popleft()
            if done:
                return
            self._engine.step()

    def pieces(self, steps: Iterable[Step] | None = None) -> Iterator[str]:
        """The answer's text as it settles from the left: appending all pieces gives the completion's text.

        `steps` are those of this handle, passed on by another reader (see `remask.record`); None takes them itself.
        Raises what `result` raises, after the text that had settled.
        """
        answer = SettledAnswer(self._row, self._text, self.request.stop)
        for _ in self if steps is None else steps:
            done = self.done  # asked before the answer, which another thread may complete in between
            if piece := answer.read(last=done):
                yield piece
        if piece := answer.read(last=True):
            yield piece
        self._raise()

    def result(self) -> Completion:
        """The completion, once the row has ended. Raises RowError if its logits broke, or what broke the step."""
        for _ in self:
            pass
        self._raise()
        return self.completion()

    def cancel(self, why: str | None = None) -> None:
        """End the row before its next step; what is committed stays readable, and what it held is freed."""
        if self._row.finish_reason is None:
            self._detail = why
            self._row.finish("cancelled")
            self._engine.release()

    def __enter__(self) -> "Handle":
        return self

    def __exit__(self, *problem: object) -> None:
        self.cancel()

    # --- what there is now ---

    @property
    def done(self) -> bool:
        """Whether the row has ended and was released; steps may still wait to be read, but none will come."""
        return self._ended is not None

    @property
    def forwards(self) -> int:
        """Forward passes so far."""
        return self._row.forwards

    @property
    def begun(self) -> bool:
        """Whether it took a step of its own; those of a fork's past are not."""
        return self._row.forwards > self._past.steps

    @property
    def text(self) -> Text | None:
        """The tokenizer that reads this answer; None where the engine has ids alone."""
        return self._engine.text

    @property
    def model(self) -> str:
        """The name of the model that answers."""
        return self._engine.name

    @property
    def recipe(self) -> Recipe:
        """The recipe as it fits this model and canvas: `auto` is resolved."""
        return self._row.recipe

    @property
    def exactness(self) -> Exactness:
        """The weaker claim of the recipe and the model's numbers."""
        return self._row.exactness

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks in order, with what the schedule foresees for each; a recipe may cut them anew on its way."""
        row = self._row
        return tuple(Block(tuple(w.tolist()), tuple(q)) for w, q in zip(row.windows, row.quotas, strict=True))

    @property
    def planned_steps(self) -> int:
        """Steps that the schedule foresees."""
        return sum(len(block.quotas) for block in self.blocks)

    @property
    def planned_bytes(self) -> int:
        """Bytes that the row takes at its widest step beside the model's weights, on its own."""
        return footprint([self._row], self._engine.model).peak

    def snapshot(self, step: int | None = None) -> Snapshot:
        """The canvas as it is now, or as it was after `step` steps. Raises RequestError if so many were not taken."""
        return snapshot(self._row if step is None else restore(self.past(step), self._row.contract))

    def origin(self) -> Snapshot:
        """The canvas before the first step and the first edit."""
        return snapshot(begin(self.request, self._row.contract, self._past.start))

    def past(self, step: int | None = None) -> Past:
        """The run up to now, or to the end of its first `step` steps: what `Engine.fork` goes on from.

        Those of the past of a fork count. Raises RequestError if there were fewer.
        """
        past = replace(self._past, log=tuple(self._row.log))
        return past if step is None else past.until(step)

    @property
    def parent(self) -> int | None:
        """The step after which a fork left its run; None if this is no fork."""
        return self._past.steps if self._past.log else None

    def before(self) -> Iterator[Step | Edit]:
        """The steps and edits of a fork's past, without guesses that were not kept; nothing for any other run."""
        return replay(begin(self.request, self._row.contract, self._past.start), self._past)

    def completion(self) -> Completion:
        """What there is now, as far as it has settled; final once `done`. Of a template, what is decided."""
        row, canvas, request = self._row, self._row.canvas, self.request
        rotary, error = row.contract.rotary, row.error or self._failure
        places, text, fills = self._answer() if request.template is None else self._filled(request.template)
        return Completion(
            text=text,
            tokens=tuple(canvas.tokens[places].tolist()),
            logprobs=tuple(canvas.logprob[places].tolist()),
            confidences=tuple(canvas.confidence[places].tolist()),
            fills=fills,
            finish_reason=row.finish_reason or "cancelled",
            prompt_tokens=int(canvas.given.sum()),
            forwards=row.forwards,
            seconds=(self._ended or time.perf_counter()) - row.began,
            exactness=row.exactness,
            model=self.model,
            seed=request.seed,
            recipe=row.recipe,
            rope=None if rotary is None else Extent.of(row.recipe.rope, rotary),
            dropped=request.dropped,
            warnings=(*request.recipe.rope.warnings(rotary, len(canvas)), *(REFRESHED,) * row.refreshed),
            error=str(error) if error else self._detail,
        )

    # --- between the engine and its handles ---

    def take(self, step: Step) -> None:
        """One more step of this row; where a stop string has settled, it was the last one."""
        self.steps.append(step)
        self._see_stop()

    def fail(self, error: Exception) -> None:
        """End the row with an error that is not its own logits': its caller raises it."""
        self._failure = error
        self._row.finish("error")

    def end(self) -> None:
        """The row was released."""
        self._ended = time.perf_counter()

    def _see_stop(self) -> None:
        """End the row if a stop string has settled."""
        if self._stop is not None:
            self._stop.read()
            if self._stop.ended:
                self._row.finish_reason = "stop"  # also where the same step filled the canvas

    @property
    def _text(self) -> Text:
        if self.text is None:
            raise RequestError("this engine has no tokenizer, so there is no text; read steps and tokens")
        return self.text

    def _answer(self) -> tuple[Ints, str, tuple[str, ...]]:
        """The positions of the settled answer, its text, and the text of each run of them."""
        row, places = self._row, decided(self._row, self._row.settled)
        if self.text is None:
            return places, "", ()
        answer = SettledAnswer(row, self.text, self.request.stop)
        text = answer.read(last=True)
        places = places[: answer.kept]
        return places, text, tuple(self.text.decode(row.canvas.tokens[run].tolist()) for run in consecutive(places))

    def _filled(self, template: str) -> tuple[Ints, str, tuple[str, ...]]:
        """The decided positions, the template with its holes filled, and the text in each of them."""
        canvas, text = self._row.canvas, self._text
        holes = np.split(np.flatnonzero(~canvas.given), np.cumsum(hole_lengths(template))[:-1])
        fills = tuple(text.decode(canvas.tokens[hole][canvas.committed[hole]].tolist()) for hole in holes)
        if self.request.spaces_in_holes:
            fills = fills_after_spaces(template, fills)
        return decided(self._row, len(canvas)), fill_holes(template, fills), fills

    def _raise(self) -> None:
        if error := self._row.error or self._failure:
            raise error


class SettledAnswer:
    """The text of a row's settled answer, read on from where the last call ended."""

    def __init__(self, row: Row, text: Text, stop: Sequence[str]) -> None:
        self.row, self.settled = row, SettledText(text, stop)
        self.at = 0  # positions that were read

    @property
    def ended(self) -> bool:
        """Whether a stop string has settled."""
        return self.settled.ended

    @property
    def kept(self) -> int | None:
        """How many of the answer's ids its text has; None for all of them."""
        return self.settled.kept if self.settled.ended else None

    def read(self, *, last: bool = False) -> str:
        """The text that has settled since the last call; with `last`, all that was held back too."""
        end = max(self.at, min(self.row.settled, self.row.end))
        new, self.at = slice(self.at, end), end
        canvas = self.row.canvas
        return self.settled.read(canvas.tokens[new][canvas.committed[new]].tolist(), last=last)


def snapshot(row: Row) -> Snapshot:
    """The canvas of a row as it is now."""
    canvas = row.canvas
    return Snapshot(
        tokens=canvas.tokens.copy(),
        given=canvas.given.copy(),
        committed=canvas.committed.copy(),
        confidence=canvas.confidence.copy(),
        logprob=canvas.logprob.copy(),
        age=canvas.age.copy(),
        mask_id=canvas.mask_id,
        end=row.end,
        pinned=canvas.pinned.copy(),
    )


def decided(row: Row, until: int) -> Ints:
    """Positions that the model has decided, before `until` and the end of the answer."""
    return np.flatnonzero(row.canvas.committed[: min(until, row.end)])


def consecutive(places: Ints) -> list[Ints]:
    """Sorted `places` cut wherever one is missing; nothing for none."""
    return np.split(places, np.flatnonzero(np.diff(places) != 1) + 1) if len(places) else []
