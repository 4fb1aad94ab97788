"""The chapters of a lesson on the terminal."""

from collections.abc import Iterator, Sequence

from rich.console import Console, Group, RenderableType
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
BARS = (12, 6, 3, 0)  # cells of a share's bar, the longest that has room
WIDE = 1000  # columns, in which every table has room


def pages(chapters: Sequence[Chapter], width: int) -> Iterator[RenderableType]:
    """Yield one renderable for each chapter."""
    for chapter in chapters:
        yield page(chapter, width)


def page(chapter: Chapter, width: int) -> RenderableType:
    """Draw a chapter: its title on a rule, the words, the formula, the names in the code, and the figures."""
    title = Text.assemble((f" {chapter.number:>2} ", Style(reverse=True, bold=True)), (f" {chapter.title} ", "bold"))
    code = Text("in this code base: " + ", ".join(chapter.code), style=FAINT)
    drawn = [Padding(figure(content, width - INDENT), (1, 0, 0, 0), expand=False) for content in chapter.figures]
    words = Padding(Text(chapter.words), (0, max(0, width - INDENT - MEASURE), 0, 0), expand=False)
    body = Group(words, Text(""), Text(chapter.formula, style="bold cyan"), code, *drawn)
    return Group(Rule(title, align="left", style=FAINT), Padding(body, (1, 0, 2, INDENT), expand=False))


def figure(content: Figure, width: int) -> RenderableType:
    """Draw a figure with its caption."""
    if isinstance(content, Strip):
        return Group(Text(content.caption, style=FAINT), strip(content.cells))
    if isinstance(content, Film):
        return Group(
            grid(board(content.trace), list(steps(content.trace)), width), Text("\n" + content.caption, style=FAINT)
        )
    return Group(fitting(content, width), *([Text(content.caption, style=FAINT)] if content.caption else []))


def fitting(content: Table, width: int) -> RenderableType:
    """Draw columns whose bars are as long as there is room for; where the figures alone are too wide, they wrap."""
    for bar in BARS:
        drawn = table(content, bar)
        if Console(width=WIDE).measure(drawn).maximum <= width:
            return drawn
    return table(content, 0, wraps=True)


def table(content: Table, bar: int, *, wraps: bool = False) -> Columns:
    """Draw columns without lines, except the cut; the bar of a share has `bar` cells."""
    columns = Columns(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=FAINT, show_edge=False)
    for name, right in zip(content.columns, content.numeric, strict=True):
        columns.add_column(Text(name), justify="right" if right else "left", no_wrap=not wraps, overflow="fold")
    for i, row in enumerate(content.rows):
        if i and i == content.cut:
            columns.add_row(*(Text("─" * max(4, len(name)), style=FAINT) for name in content.columns))
        columns.add_row(*(entry(value, bar) for value in row), style="bold" if i in content.strong else "")
    return columns


def entry(value: Entry, bar: int) -> Text:
    """Draw the content of a table cell; a share has a bar of `bar` cells before its number."""
    if isinstance(value, Token):
        return Text(chip(value.text))
    if isinstance(value, Share):
        full = round(value.value * bar) if value.value == value.value else 0
        style = Style(color=shade(value.value).bgcolor)
        return Text.assemble(("█" * full, style), ("·" * (bar - full), FAINT), f" {percent(value.value):>4}"[not bar :])
    if isinstance(value, Likelihood):
        return Text.assemble(
            chip(value.text), (f" {value.logit:.1f} ".replace("-", "−"), FAINT), percent(value.probability)
        )
    return Text(value)
