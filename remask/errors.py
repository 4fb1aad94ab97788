"""Everything that Remask raises on purpose.

RemaskError
├── UsageError            what was asked for cannot be done as asked (exit code 2 on the command line)
│   ├── RecipeError       a recipe value is unknown, out of range, or does not fit the model
│   ├── RequestError      a prompt, template, length or seed is unusable
│   └── CheckpointError   a model folder, file, field or tensor is missing, broken or unsupported
├── BusyError             the engine's queue is full: try again later
└── RowError              one row's numbers broke (NaN, +inf, nothing to choose from); its neighbours go on

Every message quotes the value, the bound and the remedy, in one line.
"""

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from reprlib import Repr

LONGEST = 80  # characters of a quoted value


class RemaskError(Exception):
    """Base of everything that Remask raises on purpose."""


class UsageError(RemaskError, ValueError):
    """What was asked for cannot be done as asked; the message says what would."""


class RecipeError(UsageError):
    """A recipe value is unknown, out of range, contradictory, or does not fit the model."""


class RequestError(UsageError):
    """A prompt, template, length, seed or stop condition is unusable."""


class CheckpointError(UsageError):
    """A model folder, file, configuration field or tensor is missing, broken or unsupported."""


class BusyError(RemaskError):
    """The engine's queue is full; nothing was accepted."""


class RowError(RemaskError):
    """One row's logits broke at `step`, `position`; the other rows of the batch are not affected."""

    def __init__(self, message: str, *, step: int, position: int) -> None:
        super().__init__(message)
        self.step = step
        self.position = position


def bounded(what: str, value: object, low: float, high: float, hint: str) -> None:
    """Refuse a value of a recipe that does not lie in [low, high]. Raises RecipeError."""
    if not (isinstance(value, int | float) and low <= value <= high):
        raise RecipeError(f"{what} must lie in [{low:g}, {high:g}], got {quoted(value)}; {hint}")


def quoted(value: object, longest: int = LONGEST) -> str:
    """`value` as Python writes it, in one printable line of at most `longest` characters, whatever its `repr` does."""
    try:
        text = _SHORT.repr(value)
    except Exception:  # noqa: BLE001 - it is a stranger's code, and this is the message of another error
        text = f"<{type(value).__name__}>"
    return printable(text, longest)


def printable(text: str, longest: int = 200) -> str:
    """`text` in one line without control characters; the middle of what is longer than `longest` is left out."""
    if len(text) > longest:
        half = (longest - 1) // 2
        text = f"{text[:half]}…{text[-half:]}"
    return "".join(c if c.isprintable() else " " if c == "\n" else repr(c)[1:-1] for c in text)[:longest]


def unknown_name(what: str, name: object, known: Collection[str], other_names: Mapping[str, str] | None = None) -> str:
    """The message for a `name` that is none of `known`, with the nearest of them.

    `other_names` are what other programs call one of them; its value is the remedy.
    """
    return f"unknown {what} {quoted(name)}; known: {', '.join(sorted(known))}{did_you_mean(name, known, other_names)}"


def did_you_mean(name: object, known: Collection[str], other_names: Mapping[str, str] | None = None) -> str:
    """`; did you mean 'x'?` where one of `known` is like `name`, else nothing."""
    if not isinstance(name, str):
        return ""
    if other_names and name in other_names:
        return f"; did you mean {other_names[name]}?"
    match = get_close_matches(name[:LONGEST], known, n=1)
    return f"; did you mean {match[0]!r}?" if match else ""


_SHORT = Repr()
_SHORT.maxlevel, _SHORT.maxlist, _SHORT.maxtuple, _SHORT.maxdict = 3, 20, 20, 20
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = LONGEST
