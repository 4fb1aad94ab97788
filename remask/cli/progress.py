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
    from rich.console import RenderableType

    from ..engine.engine import Engine
    from ..evals.bench import Stage

EVERY = 15.0  # seconds between two lines
APART = 1.0  # seconds between two measurements of the pace
Advance = Callable[[str], None]


class Pace:
    """How fast parts get done, by measurements that lie apart: many parts that end at one moment are one of them."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.first: tuple[float, float] | None = None
        self.last: tuple[float, float] | None = None

    def measure(self, done: float, now: float) -> None:
        """`done` parts at the time `now`, in seconds."""
        if self.first is None:
            self.first = now, done
        elif done > (self.last or self.first)[1] and now - (self.last or self.first)[0] >= APART:
            self.last = now, done

    @property
    def left(self) -> float | None:
        """Seconds to go, from the second measurement on."""
        if self.first is None or self.last is None:
            return None
        (began, some), (now, more) = self.first, self.last
        return (now - began) / (more - some) * max(0.0, self.total - more)

    def __str__(self) -> str:
        return "" if self.left is None else f"{clock(self.left)} left"


@contextmanager
def progress(what: str, total: int, done: int = 0, engine: "Engine | None" = None) -> Iterator[Advance]:
    """Yields what is called after each of `total - done` parts, with words to show beside the name.

    With an `engine`, parts that are under way count by the forwards that they have taken.
    """
    if is_terminal(sys.stderr):
        yield from _bar(what, total, done, engine)
        return
    last, pace, count = time.monotonic(), Pace(total), done

    def advance(words: str = "") -> None:
        nonlocal count, last
        count, now = count + 1, time.monotonic()
        pace.measure(count, now)
        if now - last >= EVERY and count < total:
            last = now
            parts = (f"{what} {words}".rstrip(), f"{count:,} of {total:,}", str(pace))
            say(" · ".join(filter(None, parts)), "")

    yield advance


def _bar(what: str, total: int, done: int, engine: "Engine | None") -> Iterator[Advance]:
    from rich.progress import BarColumn, Progress, TextColumn

    columns = [TextColumn(f"{{task.{text}}}") for text in ("description", "fields[count]", "fields[pace]")]
    pace, began, count = Pace(total), time.monotonic(), done

    class Bars(Progress):
        """A bar that moves with what is under way, whenever it is drawn."""

        def get_renderables(self) -> Iterable["RenderableType"]:
            for task in self.tasks:
                moved = min(float(total), max(task.completed, count + (engine.under_way if engine else 0.0)))
                if moved > done:
                    pace.measure(moved, time.monotonic())
                shown = str(pace) or f"{clock(time.monotonic() - began)} so far"
                self.update(task.id, completed=moved, count=f"{count:,}/{total:,}", pace=shown)
            return super().get_renderables()

    with Bars(columns[0], BarColumn(), *columns[1:], console=errors_to(sys.stderr), transient=True) as bars:
        task = bars.add_task(what, total=total, completed=done, count="", pace="")

        def advance(words: str = "") -> None:
            nonlocal count
            count += 1
            bars.update(task, description=f"{what} {words}".rstrip())

        yield advance


def carry_out(stages: "Iterable[Stage]", out: Path | None, engine: "Engine") -> bool:
    """Do the work behind progress bars; False if interrupted, having said how far it came and what `out` keeps."""
    where = ""
    try:
        for stage in stages:
            count = stage.done
            where = f" in {stage.name}, after {count} of {stage.total}"
            with progress(stage.name, stage.total, stage.done, engine) as advance:
                for count, _ in enumerate(stage.work, stage.done + 1):
                    where = f" in {stage.name}, after {count} of {stage.total}"
                    advance("")
    except KeyboardInterrupt:
        rest = f"{out} has what was measured, the same command goes on from it"
        say(f"interrupted{where}; {rest if out else 'nothing is kept without --out'}")
        return False
    return True


def clock(seconds: float) -> str:
    """`1:05:09`."""
    return str(timedelta(seconds=round(seconds)))
