"""Who looks on while a run goes: a live canvas on a terminal, a line a step in a log, the settled text, or nobody."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from ..trace.board import Board
from .screen import is_terminal, watcher

if TYPE_CHECKING:
    from ..engine.handle import Handle
    from ..engine.requests import Step
    from ..render.ansi import Look

FRAMES = 24  # a second, at most


class Onlooker(Protocol):
    """Sees every step of one run."""

    def step(self, step: "Step") -> None:
        """One more step was taken."""

    def end(self) -> None:
        """There are no more."""


class Stream:
    """Writes the text as it settles from the left, append-only."""

    def __init__(self, handle: "Handle") -> None:
        self.handle = handle

    def step(self, step: "Step") -> None:
        """Write what has settled since the last step."""
        self._write(self.handle.settled.feed(self.handle.answer(), last=self.handle.done))

    def end(self) -> None:
        """Write the rest, and a line break."""
        self._write(self.handle.settled.feed(self.handle.answer(), last=True) + "\n")

    def _write(self, piece: str) -> None:
        if piece:
            sys.stdout.write(piece)
            sys.stdout.flush()


class Log:
    """A line a step on stderr, where no cursor can be moved."""

    def __init__(self, board: Board, total: int) -> None:
        self.board, self.total = board, total

    def step(self, step: "Step") -> None:
        """Write one line."""
        from ..render.ansi import line

        self.board.take(step)
        print(line(self.board, self.total), file=sys.stderr)

    def end(self) -> None:
        """Nothing more."""


class Live:
    """The canvas, redrawn in place; `pace` seconds are spent on each step, if given."""

    def __init__(self, board: Board, look: "Look", pace: float) -> None:
        from rich.console import Console
        from rich.live import Live as Region

        self.board, self.look, self.pace = board, look, pace
        self.console = Console(file=watcher() or sys.stderr, highlight=False)
        self.region = Region(console=self.console, auto_refresh=False, transient=True)
        self.paused, self.drawn = 0.0, 0.0

    def __enter__(self) -> "Live":
        self.region.start()
        self._draw()
        return self

    def __exit__(self, *problem: object) -> None:
        self.region.stop()  # the cursor comes back, whatever happened

    def step(self, step: "Step") -> None:
        """Redraw, if the last picture has stood long enough to be seen."""
        self.board.take(step)
        if self.pace or time.monotonic() - self.drawn > 1 / FRAMES:
            self._draw()
        if self.pace:
            time.sleep(self.pace)
            self.paused += self.pace

    def end(self) -> None:
        """Draw the last picture."""
        self._draw()

    def _draw(self) -> None:
        from ..render.ansi import live

        self.region.update(live(self.board, self.console, self.look, self.paused), refresh=True)
        self.drawn = time.monotonic()


def board_of(handle: "Handle") -> Board:
    """The canvas of a run that has not begun."""
    canvas, text = handle.row.canvas, handle.engine.text
    return Board(canvas.tokens.tolist(), canvas.given.tolist(), lambda token: text.decode([token], special=True))


def planned(handle: "Handle") -> int:
    """Steps that the schedule foresees."""
    return sum(len(quotas) for quotas in handle.row.quotas)


def wanted(watch: bool | None, quiet: bool) -> bool:
    """Whether to draw: as asked for, else where somebody is looking."""
    return watch if watch is not None else not quiet and watcher() is not None


@contextmanager
def view(handle: "Handle", title: str, pace: float = 0.0) -> Iterator[Live | Log]:
    """A live canvas where there is a terminal, else a line a step."""
    if not is_terminal(watcher()):
        yield Log(board_of(handle), planned(handle))
        return
    from ..render.ansi import Look

    edges = frozenset(int(window[0]) for window in handle.row.windows[1:])
    with Live(board_of(handle), Look(title, planned(handle), edges), pace) as live:
        yield live
