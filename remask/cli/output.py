"""What becomes of a run: watched, recorded and streamed while it goes, told at the end."""

import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from ..errors import UsageError
from ..files import writing
from .options import at_least, output
from .screen import say, tell_json

if TYPE_CHECKING:
    from ..engine.handle import Handle
    from ..engine.requests import Completion
    from .watch import Onlooker


CANDIDATES = 4  # tokens that a trace keeps of each position in each step


@dataclass(frozen=True)
class Output:
    """What the user gets to see."""

    watch: Annotated[
        bool | None, output("Show the canvas as it fills; on a terminal unless refused.", "--watch/--no-watch")
    ] = None
    pace: Annotated[float | None, output("Spend so long on each step, to follow by eye.", metavar="SECONDS")] = None
    as_json: Annotated[bool, output("One JSON object an answer.", "--json")] = False
    trace: Annotated[Path | None, output("Record every step, for `remask trace view`.", metavar="FILE")] = None
    quiet: Annotated[bool, output("The text and nothing else.", "--quiet", "-q")] = False

    def options(self) -> dict[str, Any]:
        """What must be asked of the engine for it: a trace also keeps the likeliest tokens of every position read."""
        return {"candidates": CANDIDATES} if self.trace else {}

    def check(self) -> None:
        """Refuse what contradicts itself."""
        at_least("pace", self.pace, 0)
        if self.quiet and self.watch:
            raise UsageError("--quiet and --watch contradict each other; leave one out")
        if self.pace and (self.watch is False or self.quiet):
            raise UsageError("--pace is for watching; leave out --no-watch and --quiet")


@dataclass(frozen=True)
class Run:
    """One run under way: its handle, the name of its model, and what to show."""

    handle: "Handle"
    model: str
    output: Output
    streams: bool = True  # whether text may go out before the end, where nobody watches


def follow(run: Run) -> tuple["Completion", float, bool]:
    """Carry a run through. Gives the completion, the seconds spent on looking, and whether its text is out already.

    ^C ends it, with the trace so far closed and the terminal as it was.
    """
    from .watch import Live, wanted

    watching = wanted(run.output.watch, run.output.quiet)
    streams = run.streams and not watching and not run.output.as_json
    try:
        with ExitStack() as stack:
            onlookers = _onlookers(stack, run, watching, streams)
            try:
                for step in run.handle:
                    for onlooker in onlookers:
                        onlooker.step(step)
            except KeyboardInterrupt:
                run.handle.cancel("interrupted")
                run.handle.engine.step()  # lets go of the row
                raise
            finally:
                for onlooker in onlookers:
                    onlooker.end()
    except KeyboardInterrupt:
        if run.output.trace is not None:
            say(f"interrupted; the trace so far is in {run.output.trace}")
        raise
    paused = sum(onlooker.paused for onlooker in onlookers if isinstance(onlooker, Live))
    return run.handle.result(), paused, streams


def _onlookers(stack: ExitStack, run: Run, watching: bool, streams: bool) -> "list[Onlooker]":
    from .watch import Stream, view

    onlookers: list[Onlooker] = []
    if run.output.trace is not None:
        from ..trace.recorder import Recorder

        with writing(run.output.trace):  # line by line, not whole at the end: an interrupted run leaves what it had
            file = stack.enter_context(run.output.trace.open("w", encoding="utf-8", buffering=1))
        onlookers.append(Recorder(file, run.handle, run.model))
    if watching:
        onlookers.append(stack.enter_context(view(run.handle, run.model, run.output.pace or 0.0)))
    elif streams:
        onlookers.append(Stream(run.handle))
    return onlookers


def tell(run: Run, done: "Completion", paused: float = 0.0, *, said: bool = False) -> None:
    """The text or its JSON on stdout, unless it was `said` already; the figures on stderr."""
    from .describe import completion, figures

    if run.output.as_json:
        row = run.handle.row
        tell_json(completion(done, run.model, row.recipe, row.seed))
    elif not said:
        print(done.text)
    sys.stdout.flush()
    for warning in done.warnings:
        say(f"warning: {warning}")
    if not run.output.quiet:
        say(figures(done, paused))
