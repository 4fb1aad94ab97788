"""Recording a run as it happens: what the header and the end of a trace say."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO

from ..engine.handle import Handle
from ..engine.past import Edit
from ..engine.requests import Completion, Step
from ..errors import RequestError
from ..files import writing
from ..text.tokenizer import Text
from .format import Writer, runs
from .moves import request_line

CANDIDATES = 4  # likeliest tokens of each position and step that a trace keeps, unless the request asks for others


def record(handle: Handle, path: str | Path) -> "Recording":
    """Record the steps of `handle` in a trace file while they pass through.

        for step in remask.record(handle, "run.jsonl"): ...           # the steps, each written before it is passed on
        done = remask.record(handle, "run.jsonl").result()            # nothing but the completion
        for piece in handle.pieces(remask.record(handle, path)): ...  # the text as it settles

    Lines are written as they happen, so an interrupted run leaves what it had; leaving early cancels nothing. The file
    of a fork begins with the steps of its past, so that it can be looked at and forked like any other. Raises
    UsageError if the file cannot be written, RequestError if the handle has no tokenizer or has begun already.
    """
    reader(handle)
    if handle.begun:
        raise RequestError("the run has begun, and a trace holds all of its steps; record it before the first one")
    with writing(Path(path)), ExitStack() as stack:
        file = stack.enter_context(Path(path).open("w", encoding="utf-8", buffering=1))
        recording = Recording(handle, file, Path(path))
        stack.pop_all()  # the recording closes it
        return recording


class Recording(Iterator[Step]):
    """The steps of a handle, written to a file as they pass; the file is closed with the last one, or by `close`."""

    def __init__(self, handle: Handle, file: IO[str], path: Path) -> None:
        self.handle, self.file, self.path = handle, file, path
        self.recorder = Recorder(file, handle)
        self.steps = iter(handle)

    def __next__(self) -> Step:
        try:
            step = next(self.steps)
        except BaseException:  # the end, an interrupt, a step that broke: the file says how far it came
            self.close()
            raise
        with writing(self.path):
            self.recorder.step(step)
        return step

    def result(self) -> Completion:
        """Wait for the end, as `Handle.result` does."""
        for _ in self:
            pass
        return self.handle.result()

    def close(self) -> None:
        """Write how the run ended, or how far it has come, and close the file."""
        if not self.file.closed:
            with writing(self.path), self.file:
                self.recorder.end()

    def __enter__(self) -> "Recording":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class Recorder:
    """Writes the steps of one handle to an open text file, line by line."""

    def __init__(self, file: IO[str], handle: Handle) -> None:
        self.handle, self.text = handle, reader(handle)
        canvas, blocks = handle.origin(), handle.blocks
        parent = {} if handle.parent is None else {"parent": {"step": handle.parent}}
        self.writer = Writer(
            file,
            canvas.tokens,
            canvas.given.tolist(),
            self.text.piece,
            mask_id=canvas.mask_id,
            model=handle.model,
            seed=handle.request.seed,
            planned=handle.planned_steps,
            blocks=[[block.positions[0], block.positions[-1]] for block in blocks],
            exactness=str(handle.exactness),
            recipe=handle.recipe.tables(),
            request=request_line(handle.request),
            **parent,
        )
        steps = 0
        for event in handle.before():
            if isinstance(event, Edit):
                self.writer.edit(steps, event)
            else:
                self.writer.step(event)
                steps += 1

    def step(self, step: Step) -> None:
        """Append one step."""
        self.writer.step(step)

    def end(self) -> None:
        """Append how the run ended, be it by itself or not."""
        done, canvas = self.handle.completion(), self.handle.snapshot()
        unused = [not given and at >= canvas.end for at, given in enumerate(canvas.given)]
        self.writer.end(
            finish_reason=done.finish_reason,
            text=self.text.decode(done.tokens) if done.finish_reason == "cancelled" else done.text,
            tokens=len(done.tokens),
            forwards=done.forwards,
            seconds=round(done.seconds, 4),
            unused=runs(unused),
            **({"error": done.error} if done.error else {}),
        )


def reader(handle: Handle) -> Text:
    """The tokenizer of a handle. Raises RequestError where there is none."""
    if handle.text is None:
        raise RequestError("a trace holds the text of tokens, and this engine has no tokenizer; give it one")
    return handle.text
