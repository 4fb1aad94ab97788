"""A run on the command line: watched, recorded and streamed while it goes, shown at the end."""

from contextlib import ExitStack
from dataclasses import dataclass
from math import exp
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from ..errors import UsageError
from .options import at_least, output
from .screen import note, say, tell, tell_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..engine.handle import Handle
    from ..engine.requests import Completion, Step
    from ..llm import LLM

UNSURE = 0.5  # of an answer whose tokens had a lower probability on average, the user is warned


@dataclass(frozen=True)
class Output:
    """What the user gets to see."""

    watch: Annotated[
        bool | None, output("Show the canvas as it fills; on a terminal unless refused.", "--watch/--no-watch")
    ] = None
    pace: Annotated[float | None, output("Spend so long on each step, to follow by eye.", metavar="SECONDS")] = None
    as_json: Annotated[bool, output("One JSON object an answer.", "--json")] = False
    trace: Annotated[Path | None, output("Record every step, for `remask trace view`.", metavar="FILE")] = None
    overwrite: Annotated[bool, output("Let --trace replace an older file.", "--overwrite")] = False
    quiet: Annotated[bool, output("The text and nothing else.", "--quiet", "-q")] = False

    def options(self) -> dict[str, Any]:
        """What must be asked of the engine for it: a trace also keeps the likeliest tokens of every position read."""
        if self.trace is None:
            return {}
        from ..trace.recorder import CANDIDATES

        return {"candidates": CANDIDATES}

    def check(self) -> None:
        """Refuse what contradicts itself, and a trace in the place of an older file."""
        at_least("pace", self.pace, 0)
        if self.quiet and self.watch:
            raise UsageError("--quiet and --watch contradict each other; leave one out")
        if self.pace and (self.watch is False or self.quiet):
            raise UsageError("--pace is for watching; leave out --no-watch and --quiet")
        if self.overwrite and self.trace is None:
            raise UsageError("--overwrite is for --trace; leave it out, or give --trace FILE")
        if self.trace is not None and not self.overwrite and self.trace.is_file() and self.trace.stat().st_size:
            raise UsageError(f"{str(self.trace)!r} is there already; give --trace another name, or --overwrite")

    def introduced(self, llm: "LLM") -> "LLM":
        """`llm`; what it is, is said first where somebody reads along."""
        if not self.quiet and not self.as_json:
            from .examples import introduce

            introduce(llm)
        return llm


def follow(handle: "Handle", output: Output, *, streams: bool = True) -> tuple["Completion", float, bool]:
    """Carry a run through. Gives the completion, the seconds spent on looking, and whether its text is out already.

    `streams` says whether text may go out before the end, where nobody watches. ^C ends the run and says how far it
    came, with what had settled on stdout, the last canvas left to be read, and the trace so far closed.
    """
    from ..trace.recorder import record
    from .watch import view, wanted

    watching = wanted(output.watch, output.quiet)
    streams = streams and not watching and not output.as_json
    steps: Iterable[Step] = handle
    paused = 0.0
    try:
        with ExitStack() as stack:
            if output.trace is not None:
                steps = stack.enter_context(record(handle, output.trace))
            if watching:
                viewer = stack.enter_context(view(handle, output.pace or 0.0))
                steps = viewer.watch(steps)
            try:
                carry(handle, steps, streams)
            except KeyboardInterrupt:
                handle.cancel("interrupted")
                raise
            paused = viewer.paused if watching else 0.0
    except KeyboardInterrupt:
        stopped(handle, output, streams)
        raise
    return handle.result(), paused, streams


def stopped(handle: "Handle", output: Output, shown: bool) -> None:
    """What there is of a run that was stopped: its text or JSON, unless the text is `shown` already."""
    if output.as_json:
        tell_json(handle.completion().as_dict())
    elif not shown and (settled := handle.completion().text):
        tell(settled)
    if not output.quiet:
        say(f"stopped after {handle.forwards} of {handle.planned_steps} steps")
    if output.trace is not None:
        say(f"interrupted; the trace so far is in {output.trace}")


def carry(handle: "Handle", steps: "Iterable[Step]", streams: bool) -> None:
    """Take all steps; where the text `streams`, write what has settled after each, and a line break at the end."""
    if not streams:
        for _ in steps:
            pass
        return
    try:
        for piece in handle.pieces(steps):
            tell(piece, end="")
    finally:
        tell("")


def show(done: "Completion", output: Output, paused: float = 0.0, *, shown: bool = False) -> None:
    """Print the text or its JSON, unless the text is `shown` already; the figures go to stderr."""
    if output.as_json:
        tell_json(done.as_dict())
    elif not shown:
        tell(done.text)
    for warning in done.warnings:
        note(f"warning: {warning}")
    if not output.quiet:
        for doubt in doubts(done):
            note(doubt, "yellow")
        note(figures(done, paused))


def doubts(done: "Completion") -> list[str]:
    """What speaks against an answer: it is empty, or its tokens were improbable when the model chose them."""
    from .examples import FRAMES

    if not done.text.strip() and done.finish_reason != "cancelled":
        more = ", or `remask examples`" if done.model in FRAMES else ""
        return [f"the answer is empty: the model ended it at once; try other words{more}"]
    mean = sum(exp(logprob) for logprob in done.logprobs) / max(1, len(done.logprobs))
    return [f"the model is unsure ({100 * mean:.0f} %)"] if done.logprobs and mean < UNSURE else []


def figures(done: "Completion", paused: float = 0.0) -> str:
    """What a run cost, in one line; `paused` are seconds that the viewer spent looking."""
    seconds, tokens = max(done.seconds - paused, 1e-9), len(done.tokens)
    scaled = () if done.rope is None or done.rope.rope == "none" else (f"{done.rope.rope} reaches {done.rope.reach:,}",)
    cut = (f"{done.dropped:,} prompt tokens left out",) if done.dropped else ()
    return " · ".join(
        (
            f"{tokens} token{'s' * (tokens != 1)}",
            f"{done.forwards} forward{'s' * (done.forwards != 1)}",
            f"{seconds:.2f} s",
            f"{tokens / seconds:.1f} tokens/s",
            f"decoding: {done.exactness}",
            *scaled,
            *cut,
            done.finish_reason,
        )
    )
