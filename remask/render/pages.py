"""Chapters on the terminal."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.style import Style
from rich.table import Table as Columns
from rich.text import Text

from ..trace.board import board, steps
from .ansi import FAINT, grid, shade, strip
from .figures import Chapter, Entry, Figure, Film, Likelihood, Share, Strip, Table, Token
from .glyph import chip
from .ramp import percent

INDENT = 4
MEASURE = 84  # columns of a paragraph
BAR = 12


def pages(told: Sequence[Chapter], width: int) -> Iterator[RenderableType]:
    """One renderable a chapter."""
    for chapter in told:
        yield page(chapter, width)


def page(chapter: Chapter, width: int) -> RenderableType:
    """A chapter: its title on a rule, the words, the formula, who does it, and the figures."""
    title = Text.assemble((f" {chapter.number:>2} ", Style(reverse=True, bold=True)), (f" {chapter.title} ", "bold"))
    code = Text("in this code base: " + ", ".join(chapter.code), style=FAINT)
    drawn = [Padding(figure(one, width - INDENT), (1, 0, 0, 0), expand=False) for one in chapter.figures]
    words = Padding(Text(chapter.words), (0, max(0, width - INDENT - MEASURE), 0, 0), expand=False)
    body = Group(words, Text(""), Text(chapter.formula, style="bold cyan"), code, *drawn)
    return Group(Rule(title, align="left", style=FAINT), Padding(body, (1, 0, 2, INDENT), expand=False))


def figure(one: Figure, width: int) -> RenderableType:
    """A figure, with its caption below."""
    if isinstance(one, Strip):
        return Group(Text(one.caption, style=FAINT), strip(one.cells))
    if isinstance(one, Film):
        return Group(grid(board(one.trace), list(steps(one.trace)), width), Text("\n" + one.caption, style=FAINT))
    return Group(table(one), *([Text(one.caption, style=FAINT)] if one.caption else []))


def table(one: Table) -> RenderableType:
    """Columns without lines, but for the cut."""
    columns = Columns(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=FAINT, show_edge=False)
    for name, right in zip(one.columns, one.numeric, strict=True):
        columns.add_column(Text(name), justify="right" if right else "left", no_wrap=True)
    for i, row in enumerate(one.rows):
        if i and i == one.cut:
            columns.add_row(*(Text("─" * max(4, len(name)), style=FAINT) for name in one.columns))
        columns.add_row(*(entry(value) for value in row), style="bold" if i in one.strong else "")
    return columns


def entry(value: Entry) -> Text:
    """One cell of a table."""
    if isinstance(value, Token):
        return Text(chip(value.text))
    if isinstance(value, Share):
        full = round(value.value * BAR) if value.value == value.value else 0
        style = Style(color=shade(value.value).bgcolor)
        return Text.assemble(("█" * full, style), ("·" * (BAR - full), FAINT), f" {percent(value.value):>4}")
    if isinstance(value, Likelihood):
        return Text.assemble(
            chip(value.text), (f" {value.logit:.1f} ".replace("-", "−"), FAINT), percent(value.probability)
        )
    return Text(value)
