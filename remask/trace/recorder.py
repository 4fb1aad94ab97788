"""Recording a run as it happens: what the header and the end of a trace say."""

from typing import IO

from ..engine.handle import Handle
from ..engine.requests import Step
from .format import Writer, runs


class Recorder:
    """Writes the steps of one handle to a file, line by line, so that an interrupted run leaves what it had."""

    def __init__(self, file: IO[str], handle: Handle, model: str) -> None:
        self.handle, row = handle, handle.row
        text = handle.engine.text
        self.writer = Writer(
            file,
            row.canvas.tokens,
            row.canvas.given.tolist(),
            lambda token: text.decode([token], special=True),
            mask_id=row.canvas.mask_id,
            model=model,
            seed=row.seed,
            planned=sum(len(quotas) for quotas in row.quotas),
            blocks=[[int(window[0]), int(window[-1])] for window in row.windows],
            exactness=str(row.exactness),
            recipe=row.recipe.tables(),
        )

    def step(self, step: Step) -> None:
        """Append one step."""
        self.writer.step(step)

    def end(self) -> None:
        """Append how the run ended, be it by itself or not."""
        done, canvas = self.handle.completion(), self.handle.row.canvas
        behind = [not given and at >= self.handle.row.end for at, given in enumerate(canvas.given)]
        self.writer.end(
            finish_reason=done.finish_reason,
            text=done.text
            if done.finish_reason != "cancelled"
            else self.handle.engine.text.decode(self.handle.answer()),
            tokens=len(done.tokens),
            forwards=done.forwards,
            seconds=round(done.seconds, 4),
            unused=runs(behind),
            **({"error": done.error} if done.error else {}),
        )
