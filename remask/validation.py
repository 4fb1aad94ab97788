"""Whether a value from outside is what an annotation says: for options, recipes, requests and training runs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from numbers import Integral, Real
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from .errors import quoted, unknown_name

HUGE = 10**80  # a whole number from outside has no more digits: Python refuses to write those beyond 4,300
WORDS: dict[Any, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "text", NoneType: "off"}


@dataclass(frozen=True)
class Range:
    """The bounds of a number, both included, as in `Annotated[int, Range(1)]`."""

    low: float
    high: float = math.inf

    def __str__(self) -> str:
        return f"be at least {self.low:,}" if self.high == math.inf else f"lie in {self.low:,}..{self.high:,}"


Count = Annotated[int, Range(0, 2**53)]
Seconds = Annotated[float, Range(0, 10**9)]


def check(name: str, value: Any, hint: Any, error: type[Exception], remedy: str = "") -> None:
    """Raise `error` unless `value` has the annotated type and lies in its `Range`, if it has one."""
    kind, *metadata = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    if not fits(value, kind):
        words = in_words(kind).removesuffix(" or off")
        raise error(f"{name} must be {words}, got {quoted(value)}{remedy}")
    for bounds in metadata:
        if isinstance(bounds, Range) and value is not None and not bounds.low <= value <= bounds.high:
            raise error(f"{name} must {bounds}, got {quoted(value)}{remedy}")


def check_fields(values: Any, error: type[Exception], *, but: tuple[str, ...] = ()) -> None:
    """Raise `error` unless each field of the dataclass `values`, `but` these, is what its annotation says."""
    hints = get_type_hints(type(values), include_extras=True)
    for f in fields(values):
        if f.name not in but:
            check(f.name, getattr(values, f.name), hints[f.name], error)


def check_table(
    values: Mapping[str, Any],
    hints: Mapping[str, Any],
    error: type[Exception],
    other_names: Mapping[str, str] | None = None,
) -> None:
    """Raise `error` unless each of `values` has a name and a type of `hints`; `other_names` are for `unknown_name`."""
    for name, value in values.items():
        if name not in hints:
            raise error(unknown_name("option", name, hints, other_names))
        check(name, value, hints[name], error)


def fits(value: Any, hint: Any) -> bool:
    """Whether `value` is what the annotation says. A whole number is also a float; True is no number, text no list."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Literal:
        return isinstance(value, str)  # its owner checks which
    if origin in (tuple, Sequence):
        return isinstance(value, list | tuple) and all(fits(part, parts[0]) for part in value)
    if origin is Mapping:
        return isinstance(value, Mapping) and all(isinstance(key, str) for key in value)
    if parts:
        return any(fits(value, part) for part in parts)
    if type(value) is int and hint in (int, float):
        return abs(value) < HUGE
    if hint in WORDS:
        return type(value) is hint
    return isinstance(value, hint)


def in_words(hint: Any) -> str:
    """The annotation in words, as in "a whole number or off"."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (tuple, Sequence):
        return f"a list, each {in_words(parts[0])}"
    if origin is Literal:
        return WORDS[str]
    if parts and origin is not Mapping:
        return " or ".join(dict.fromkeys(map(in_words, parts)))
    return WORDS.get(hint, "a table" if origin is Mapping else f"a {getattr(hint, '__name__', 'value')}")


def plain(value: Any) -> Any:
    """A number of another library as Python's own; anything else as it is."""
    if type(value).__module__ != "numpy":
        return value
    return int(value) if isinstance(value, Integral) else float(value) if isinstance(value, Real) else value
