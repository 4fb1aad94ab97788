"""A run in the terminal: the canvas as running text, the grid of steps and positions, one line on where it stands."""

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.style import Style
from rich.table import Table
from rich.text import Text

from ..engine.requests import Step
from ..trace.board import Board, Cell
from .glyph import chip, clean, glyph
from .ramp import Colour, bar, colour

UNREAD = "░"
EDGE = "┊"
NARROW = 4  # columns that a number and its bar need
GIVEN = Style(color="cyan")
DRAFT = Style(dim=True, italic=True)
FAINT = Style(dim=True)


def shade(confidence: float) -> Style:
    """Background of a confidence, with ink that can be read on it."""
    back = colour(confidence)
    return Style(bgcolor=f"rgb({back.red},{back.green},{back.blue})", color=_rgb(back.ink), bold=True)


def flow(cells: Sequence[Cell], edges: Collection[int] = (), *, guesses: bool = True) -> Text:
    """The canvas as running text: given in cyan, guesses dim and italic, `░` where nothing was read yet.

    What the last step decided is bold on the colour of its confidence, with a bar of that height behind it. `edges`
    are positions at which a block begins. Without `guesses`, all that is undecided is `░`: for output without styles.
    """
    text = Text(overflow="fold")
    for cell in cells:
        if cell.position in edges and text:
            text.append(EDGE, Style(color="cyan", dim=True))
        shown = _running(cell.text)
        if cell.state == "given":
            text.append(re.sub("\n+", "\n", shown), FAINT if shown.startswith("⟨") else GIVEN)
        elif cell.state == "masked" or (cell.state == "draft" and not guesses):
            text.append(UNREAD, Style(color="red", bold=True) if cell.fresh else FAINT)
        elif cell.state == "draft":
            text.append(glyph(cell.text), DRAFT)
        elif cell.state == "unused":
            text.append(glyph(cell.text), FAINT)
        elif cell.fresh:
            word = glyph(cell.text)
            lead = len(word) - len(word.lstrip(" "))
            text.append(word[:lead])
            text.append(word[lead:] + bar(cell.confidence), shade(cell.confidence))
            text.append("\n" * shown.endswith("\n"))
        else:
            text.append(shown, FAINT if shown.startswith("⟨") else "")
    return text


def _running(token: str) -> str:
    shown = glyph(token)
    return clean(token).replace("\t", "    ") if "\n" in token or "\t" in token else shown


def window(board: Board, console: Console, rows: int, edges: Collection[int] = ()) -> Text:
    """As much of the canvas as fits into `rows` lines, around the positions that are being decided."""
    cells = board.cells()
    width = max(10, console.width - 4)
    lines = flow(cells, edges, guesses=console.is_terminal).wrap(console, width)
    if len(lines) <= rows:
        return Text("\n").join(lines)
    here = min(board.window, default=0)
    at = len(flow(cells[: here + 1], edges).wrap(console, width)) - 1
    first = max(0, min(at - rows // 3, len(lines) - rows))
    return Text("\n").join(lines[first : first + rows])


@dataclass(frozen=True)
class Look:
    """How a run is shown: a title, the steps it was planned to take, and the positions at which blocks begin."""

    title: str
    total: int
    edges: frozenset[int] = frozenset()


def live(board: Board, console: Console, look: Look, paused: float = 0.0) -> RenderableType:
    """The live view of a run; `paused` seconds of it were spent on looking."""
    rows = max(3, console.height - 6)
    step = board.last
    where = f" block {step.block + 1} of {step.blocks} " if step and step.blocks > 1 else ""
    panel = Panel(
        window(board, console, rows, look.edges),
        title=f" {look.title} ",
        title_align="left",
        subtitle=where,
        subtitle_align="right",
        border_style=FAINT,
    )
    return Group(panel, status(board, look.total, paused), legend())


def status(board: Board, total: int, paused: float = 0.0) -> RenderableType:
    """Step n of m as a bar, and the figures so far."""
    step = board.last
    done = step.index + 1 if step else 0
    decided = sum(state in ("committed", "revised") for state in board.state)
    seconds = step.seconds - paused if step else 0.0
    pace = f" · {decided / seconds:.1f} tokens/s" if seconds > 0 else ""
    forwards = step.forwards if step else 0
    line = Table.grid(padding=(0, 1))
    line.add_row(
        Text(f" step {done}/{max(total, done)}"),
        ProgressBar(total=max(total, done, 1), completed=done, width=24, complete_style="cyan", finished_style="cyan"),
        Text(f"{forwards} forward{'s' * (forwards != 1)} · {board.undecided} still [MASK]{pace}"),
    )
    return line


def legend() -> Text:
    """How to read the canvas."""
    text = Text(" just decided, by confidence ", style="")
    text.stylize(FAINT)
    for part in (0.05, 0.3, 0.55, 0.8, 1.0):
        text.append(bar(part), shade(part))
    text.append("  a guess", DRAFT)
    text.append("  " + UNREAD + " not guessed yet", FAINT)
    return text


def line(board: Board, total: int) -> str:
    """The canvas in one plain line, for logs."""
    step = board.last
    shown = "".join(
        glyph(cell.text) if cell.state in ("given", "committed", "revised", "unused") else UNREAD
        for cell in board.cells()
    )
    return f"step {step.index + 1 if step else 0}/{total} · {board.undecided} still [MASK] · {shown}"


def strip(cells: Sequence[Cell]) -> Text:
    """Positions side by side, spaces made visible: `[MASK]` where a position is undecided."""
    text = Text(overflow="fold")
    for i, cell in enumerate(cells):
        if i:
            text.append(" ")
        if cell.state in ("masked", "draft"):
            text.append("[MASK]", FAINT)
        elif cell.state == "given":
            text.append(chip(cell.text), GIVEN)
        elif cell.fresh:
            text.append(chip(cell.text) + bar(cell.confidence), shade(cell.confidence))
        else:
            text.append(chip(cell.text), Style(underline=True))
    return text


def grid(board: Board, steps: Sequence[Step], width: int) -> RenderableType:
    """A row a step, a column a position: where each token was decided, and how sure it was.

    Columns that have no room for a number hold a bar alone; what is wider than `width` goes on below.
    """
    asked = [at for at, state in enumerate(board.state) if state != "given"]
    rows: list[dict[int, float]] = []
    for step in steps:
        board.take(step)
        rows.append({change.position: change.confidence for change in step.changes if change.state != "masked"})
    room = max(10, width - len(str(len(steps))) - 2)
    wide = min(8, room // max(1, len(asked)) - 1)
    wide = wide if wide >= NARROW else 1
    across = room // (wide + (wide > 1))
    parts = [_part(board, rows, asked[first : first + across], wide) for first in range(0, len(asked), across)]
    return Group(*(Padding(part, (0, 0, int(part is not parts[-1]), 0), expand=False) for part in parts))


def _part(board: Board, rows: Sequence[dict[int, float]], columns: Sequence[int], wide: int) -> Text:
    text = Text(no_wrap=True, overflow="crop")
    label, gap = len(str(len(rows))) + 1, " " * (wide > 1)
    last = {at: i for i, decided in enumerate(rows) for at in decided}
    text.append(" " * label + gap)
    if wide > 1:
        names = (chip(board.piece(board.token[at])) for at in columns)
        text.append(gap.join(set_cell_size(_fit(name, wide), wide) for name in names), Style(bold=True))
    else:
        text.append("".join(f"{at:<10}" for at in columns[::10])[: len(columns)], FAINT)
    for i, decided in enumerate(rows):
        text.append("\n" + str(i + 1).rjust(label), FAINT)
        for at in columns:
            text.append(gap)
            if at in decided:
                shown = _share(decided[at]) if wide > 1 else bar(decided[at])
                text.append(shown.center(wide), shade(decided[at]))
            else:
                text.append("·".center(wide) if i < last.get(at, len(rows)) else " " * wide, FAINT)
    return text


def _share(confidence: float) -> str:
    return "  " if math.isnan(confidence) else f"{min(99, round(100 * max(0.0, confidence)))}{bar(confidence)}"


def _fit(text: str, wide: int) -> str:
    return text if cell_len(text) <= wide else set_cell_size(text, wide - 1) + "…"


def _rgb(ink: Colour) -> str:
    return f"rgb({ink.red},{ink.green},{ink.blue})"
