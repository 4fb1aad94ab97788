"""Progress of long work: a bar with its remaining time on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from .screen import errors_to, is_terminal, say

if TYPE_CHECKING:
    from ..evals.bench import Stage

EVERY = 15.0  # seconds between two lines
Advance = Callable[[str], None]


@contextmanager
def progress(what: str, total: int, done: int = 0) -> Iterator[Advance]:
    """Yields what is called after each of `total - done` parts, with words to show beside the name."""
    if is_terminal(sys.stderr):
        yield from _bar(what, total, done)
        return
    began = last = time.monotonic()
    count = done

    def advance(words: str = "") -> None:
        nonlocal count, last
        count, now = count + 1, time.monotonic()
        if now - last >= EVERY and count < total:
            last = now
            left = clock((now - began) / (count - done) * (total - count))
            say(f"{what} {words}".rstrip() + f" · {count:,} of {total:,} · {left} left", "")

    yield advance


def _bar(what: str, total: int, done: int) -> Iterator[Advance]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors_to(sys.stderr), transient=True) as bars:
        task = bars.add_task(what, total=total, completed=done)
        yield lambda words: bars.update(task, advance=1, description=f"{what} {words}".rstrip())


def carry_out(stages: "Iterable[Stage]", out: Path | None) -> bool:
    """Do the work behind progress bars; False if it was interrupted, having said what `out` keeps of it."""
    try:
        for stage in stages:
            with progress(stage.name, stage.total, stage.done) as advance:
                for _ in stage.work:
                    advance("")
    except KeyboardInterrupt:
        rest = f"{out} has what was measured, the same command goes on from it"
        say(f"interrupted; {rest if out else 'nothing is kept without --out'}")
        return False
    return True


def clock(seconds: float) -> str:
    """`1:05:09`."""
    return str(timedelta(seconds=round(seconds)))
