"""The terminal: who is one, and how wide; what the program says beside its text."""

import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console

WIDEST = 100  # columns of a page of text
TABLE = 120  # columns of a table of figures


def errors_to(stream: TextIO) -> "Console":
    """A console on `stream` that neither wraps nor colours what it is not asked to; NO_COLOR and FORCE_COLOR hold."""
    from rich.console import Console

    return Console(file=stream, highlight=False, soft_wrap=True)


def page(stream: TextIO | None = None, widest: int = WIDEST) -> "Console":
    """A console for a page of text: as wide as the terminal, but no wider than is good to read."""
    from rich.console import Console

    console = Console(file=stream or sys.stdout, highlight=False)
    asked = os.environ.get("COLUMNS", "")
    width = console.width if is_terminal(console.file) or asked.isdigit() else widest
    console.width = min(width, widest)
    return console


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

    print(json.dumps(value, ensure_ascii=not is_unicode(sys.stdout), allow_nan=False), flush=True)


def is_unicode(stream: TextIO) -> bool:
    """Whether `stream` can say every character."""
    return (stream.encoding or "").lower().replace("-", "") == "utf8"


def say(line: str, style: str = "dim") -> None:
    """One line on stderr, for the user's eyes."""
    from rich.text import Text

    errors_to(sys.stderr).print(Text(line, style=style))


def size(number: int) -> str:
    """Bytes as a person reads them."""
    value, units = float(number), ["B", "kB", "MB", "GB", "TB"]
    while value >= 1000 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.0f} {units[0]}" if value >= 10 or units[0] == "B" else f"{value:.1f} {units[0]}"
