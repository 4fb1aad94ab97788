"""The terminal: who is one, and how wide; all that the program says goes out here.

What the program says may hold a stranger's text: a model's output, a name, a licence, a message. On a terminal that
text is `visible`, so that none of it has an effect; elsewhere it passes as it is.
"""

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

JOINERS = "\u200c\u200d"  # in words of Persian and Hindi, and in emoji
WIDEST = 100  # columns of a page of text
TABLE = 120  # columns of a table of figures


def visible(text: str) -> str:
    """Return `text` with controls and direction marks as pictures; what joins letters stays, as do line breaks."""
    from ..render.glyph import clean

    return text if text.isascii() and text.isprintable() else "".join(c if c in JOINERS else clean(c) for c in text)


def tell(text: str, end: str = "\n", stream: TextIO | None = None) -> None:
    """Text on stdout, or on another stream, at once."""
    stream = stream or sys.stdout
    stream.write((visible(text) if is_terminal(stream) else text) + end)
    stream.flush()


def console(stream: TextIO, *, soft_wrap: bool = False) -> "Console":
    """A console on `stream` that reads no markup, and colours nothing by itself; NO_COLOR and FORCE_COLOR hold."""
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

    class Visible(Console):
        """A console whose texts are `visible`; its own colours and moves of the cursor are not texts."""

        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> "Iterable[Segment]":
            for text, style, control in super().render(renderable, options):
                yield Segment(text if control else visible(text), style, control)

    kind = Visible if is_terminal(stream) else Console
    return kind(file=stream, highlight=False, markup=False, emoji=False, soft_wrap=soft_wrap)


def errors_to(stream: TextIO) -> "Console":
    """A console on `stream` that does not wrap."""
    return console(stream, soft_wrap=True)


def page(stream: TextIO | None = None, widest: int = WIDEST) -> "Console":
    """A console for a page of text: as wide as the terminal, but no wider than is good to read."""
    paper = console(stream or sys.stdout)
    asked = os.environ.get("COLUMNS", "")
    width = paper.width if is_terminal(paper.file) or asked.isdigit() else widest
    paper.width = min(width, widest)
    return paper


def is_terminal(stream: object) -> bool:
    """Whether somebody is looking at `stream`."""
    try:
        return bool(stream.isatty())  # type: ignore[attr-defined]
    except (AttributeError, ValueError):
        return False


def watcher() -> TextIO | None:
    """Where a live view can be drawn: stderr if it is a terminal, else stdout if that is one, else nowhere."""
    return next((stream for stream in (sys.stderr, sys.stdout) if is_terminal(stream)), None)


def tell_json(value: object) -> None:
    """One JSON value on a line of stdout; escaped where stdout is not UTF-8."""
    import json

    tell(json.dumps(value, ensure_ascii=not is_unicode(sys.stdout), allow_nan=False))


def is_unicode(stream: TextIO) -> bool:
    """Whether `stream` can say every character."""
    return (stream.encoding or "").lower().replace("-", "") == "utf8"


def say(line: str, style: str = "dim") -> None:
    """One line on stderr, for the user's eyes."""
    from rich.text import Text

    errors_to(sys.stderr).print(Text(line, style=style))


def note(text: str, style: str = "dim") -> None:
    """Words on stderr for the user's eyes; where a terminal ends, the line breaks between two of them."""
    from rich.text import Text

    console(sys.stderr, soft_wrap=not is_terminal(sys.stderr)).print(Text(text, style=style))


def label(name: str, width: int) -> "Text":
    """The name in front of a value, dim."""
    from rich.text import Text

    return Text(f"{name:<{width}}", style="dim")


def size(number: int) -> str:
    """Bytes as a person reads them."""
    value, units = float(number), ["B", "kB", "MB", "GB", "TB"]
    while value >= 1000 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.0f} {units[0]}" if value >= 10 or units[0] == "B" else f"{value:.1f} {units[0]}"
