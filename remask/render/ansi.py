"""A run in the terminal: the canvas as running text, the grid of steps and positions, one line of status."""

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
NARROW = 4  # columns for a number and its bar
GIVEN = Style(color="cyan")
DRAFT = Style(dim=True, italic=True)
FAINT = Style(dim=True)


def shade(confidence: float) -> Style:
    """Return the background colour of a confidence, with an ink that is legible on it."""
    back = colour(confidence)
    return Style(bgcolor=f"rgb({back.red},{back.green},{back.blue})", color=_rgb(back.ink), bold=True)


def flow(cells: Sequence[Cell], edges: Collection[int] = (), *, guesses: bool = True) -> Text:
    """Draw the canvas as running text: given tokens in cyan, guesses dim and italic, `░` where there is no guess yet.

    Tokens of the last step are bold on the colour of their confidence, with a bar of that height behind them. `edges`
    are positions at which a block begins. Without `guesses`, for output without styles, all undecided tokens are `░`.
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
    """Draw as much of the canvas as fits into `rows` lines, around the open window."""
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
    """The settings of a live view: a title, the number of steps planned, and the positions at which blocks begin."""

    title: str
    total: int
    edges: frozenset[int] = frozenset()


def live(board: Board, console: Console, look: Look, paused: float = 0.0) -> RenderableType:
    """Draw the live view of a run; `paused` are its seconds of pause, which do not count for the speed."""
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
    """Draw step n of m as a bar, and the figures so far."""
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
        Text(f"{forwards} forward{'s' * (forwards != 1)} · {left(board)}{pace}"),
    )
    return line


def left(board: Board) -> str:
    """What is not decided: positions that are still [MASK], and at the end those that the answer never needed."""
    never = sum(state == "unused" and board.born[at] < 0 for at, state in enumerate(board.state))
    return f"{never} never needed, the answer had ended" if never else f"{board.undecided} still [MASK]"


def legend() -> Text:
    """Draw the legend of the canvas."""
    text = Text(" just decided, by confidence ", style="")
    text.stylize(FAINT)
    for part in (0.05, 0.3, 0.55, 0.8, 1.0):
        text.append(bar(part), shade(part))
    text.append("  a guess", DRAFT)
    text.append("  " + UNREAD + " not guessed yet", FAINT)
    return text


def line(board: Board, total: int) -> str:
    """Return the canvas as one plain line, for logs."""
    step = board.last
    shown = "".join(
        glyph(cell.text) if cell.state in ("given", "committed", "revised", "unused") else UNREAD
        for cell in board.cells()
    )
    return f"step {step.index + 1 if step else 0}/{total} · {board.undecided} still [MASK] · {shown}"


def strip(cells: Sequence[Cell]) -> Text:
    """Draw positions side by side, with visible spaces, and `[MASK]` at an undecided position."""
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
    """Draw a row for each step and a column for each position: the step that decided the token, and its confidence.

    Columns without room for a number hold only a bar. Columns beyond `width` continue below.
    """
    positions = [at for at, state in enumerate(board.state) if state != "given"]
    rows: list[dict[int, float]] = []
    for step in steps:
        board.take(step)
        rows.append({change.position: change.confidence for change in step.changes if change.state != "masked"})
    room = max(10, width - len(str(len(steps))) - 2)
    size = min(8, room // max(1, len(positions)) - 1)
    size = size if size >= NARROW else 1
    count = room // (size + (size > 1))
    parts = [_part(board, rows, positions[first : first + count], size) for first in range(0, len(positions), count)]
    return Group(*(Padding(part, (0, 0, int(part is not parts[-1]), 0), expand=False) for part in parts))


def _part(board: Board, rows: Sequence[dict[int, float]], columns: Sequence[int], width: int) -> Text:
    text = Text(no_wrap=True, overflow="crop")
    label, gap = len(str(len(rows))) + 1, " " * (width > 1)
    last = {at: i for i, decided in enumerate(rows) for at in decided}
    text.append(" " * label + gap)
    if width > 1:
        names = (chip(board.piece(board.token[at])) for at in columns)
        text.append(gap.join(set_cell_size(_fit(name, width), width) for name in names), Style(bold=True))
    else:
        text.append("".join(f"{at:<10}" for at in columns[::10])[: len(columns)], FAINT)
    for i, decided in enumerate(rows):
        text.append("\n" + str(i + 1).rjust(label), FAINT)
        for at in columns:
            text.append(gap)
            if at in decided:
                shown = _share(decided[at]) if width > 1 else bar(decided[at])
                text.append(shown.center(width), shade(decided[at]))
            else:
                text.append("·".center(width) if i < last.get(at, len(rows)) else " " * width, FAINT)
    return text


def _share(confidence: float) -> str:
    return "  " if math.isnan(confidence) else f"{round(100 * max(0.0, confidence))}{bar(confidence)}"


def _fit(text: str, width: int) -> str:
    return text if cell_len(text) <= width else set_cell_size(text, width - 1) + "…"


def _rgb(ink: Colour) -> str:
    return f"rgb({ink.red},{ink.green},{ink.blue})"
