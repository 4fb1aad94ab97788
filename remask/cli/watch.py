"""Watching a run as it goes: a live canvas on a terminal, a line a step in a log."""

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..trace.board import Board, board_of
from .screen import console, is_terminal, tell, watcher

if TYPE_CHECKING:
    from ..engine.handle import Handle
    from ..engine.requests import Step
    from ..render.ansi import Look

FRAMES = 24  # a second, at most


class Log:
    """A line a step on stderr, where no cursor can be moved."""

    paused = 0.0

    def __init__(self, board: Board, total: int) -> None:
        self.board, self.total = board, total

    def watch(self, steps: Iterable["Step"]) -> Iterator["Step"]:
        """Pass the steps on, and write a line for each."""
        from ..render.ansi import line

        for step in steps:
            self.board.take(step)
            tell(line(self.board, self.total), stream=sys.stderr)
            yield step


class Live:
    """The canvas, redrawn in place; `pace` seconds are spent on each step, if given."""

    def __init__(self, board: Board, look: "Look", pace: float) -> None:
        from rich.live import Live as Region

        self.board, self.look, self.pace = board, look, pace
        self.console = console(watcher() or sys.stderr)
        self.region = Region(console=self.console, auto_refresh=False, transient=True)
        self.paused, self.drawn = 0.0, 0.0

    def __enter__(self) -> "Live":
        self.region.start()
        self._draw()
        return self

    def __exit__(self, *problem: object) -> None:
        self.region.transient = problem[0] is not KeyboardInterrupt  # what was stopped is left to be read
        try:
            self._draw()  # the last picture
        finally:
            self.region.stop()  # the cursor comes back, whatever happened

    def watch(self, steps: Iterable["Step"]) -> Iterator["Step"]:
        """Pass the steps on, and redraw after each if the last picture has stood long enough to be seen."""
        for step in steps:
            self.board.take(step)
            if self.pace or time.monotonic() - self.drawn > 1 / FRAMES:
                self._draw()
            if self.pace:
                time.sleep(self.pace)
                self.paused += self.pace
            yield step

    def _draw(self) -> None:
        from ..render.ansi import live

        self.region.update(live(self.board, self.console, self.look, self.paused), refresh=True)
        self.drawn = time.monotonic()


def wanted(watch: bool | None, quiet: bool) -> bool:
    """Whether to draw: as asked for, else where somebody is looking."""
    return watch if watch is not None else not quiet and watcher() is not None


@contextmanager
def view(handle: "Handle", pace: float = 0.0) -> Iterator[Live | Log]:
    """A live canvas where there is a terminal, else a line a step."""
    if not is_terminal(watcher()):
        yield Log(board_of(handle), handle.planned_steps)
        return
    from ..render.ansi import Look

    edges = frozenset(block.positions[0] for block in handle.blocks[1:])
    with Live(board_of(handle), Look(handle.model, handle.planned_steps, edges), pace) as live:
        yield live
