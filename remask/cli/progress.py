"""How far long work has come: a bar with its remaining time on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from .screen import errors_to, is_terminal, say

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

    def advance(said: str = "") -> None:
        nonlocal count, last
        count, now = count + 1, time.monotonic()
        if now - last >= EVERY and count < total:
            last = now
            left = clock((now - began) / (count - done) * (total - count))
            say(f"{what} {said}".rstrip() + f" · {count:,} of {total:,} · {left} left", "")

    yield advance


def _bar(what: str, total: int, done: int) -> Iterator[Advance]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors_to(sys.stderr), transient=True) as bars:
        task = bars.add_task(what, total=total, completed=done)
        yield lambda said: bars.update(task, advance=1, description=f"{what} {said}".rstrip())


def clock(seconds: float) -> str:
    """`1:05:09`."""
    return str(timedelta(seconds=round(seconds)))
