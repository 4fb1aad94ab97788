"""One request on its way: what a caller holds, and all that anything outside the engine sees of a row."""

import time
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..models.rotary import Extent
from ..text.settled import Settled
from .requests import Completion, Request, Step
from .row import Row

if TYPE_CHECKING:
    from .engine import Engine


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
            self.engine.step()

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
