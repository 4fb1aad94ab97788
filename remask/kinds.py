"""Whether a value from outside is what an annotation says: for recipes, options and requests."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

KINDS: dict[Any, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "text", NoneType: "off"}


def fits(value: Any, hint: Any) -> bool:
    """Whether `value` is what the annotation says. A whole number is also a float; True is no number, text no list."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Literal:
        return isinstance(value, str)  # its owner checks which
    if origin in (tuple, Sequence):
        return isinstance(value, list | tuple) and all(fits(part, parts[0]) for part in value)
    if origin is Mapping:
        return isinstance(value, Mapping)
    if parts:
        return any(fits(value, part) for part in parts)
    if hint in KINDS:
        return type(value) is hint or (hint is float and type(value) is int)
    return is_dataclass(value)


def in_words(hint: Any) -> str:
    """The annotation in words, as in "a whole number or off"."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (tuple, Sequence):
        return f"a list, each {in_words(parts[0])}"
    if origin is Literal:
        return KINDS[str]
    if parts and origin is not Mapping:
        return " or ".join(dict.fromkeys(map(in_words, parts)))
    return KINDS.get(hint, "a table")


def typed(values: Any, error: type[Exception], *, but: tuple[str, ...] = ()) -> None:
    """Raise `error` unless each field of the dataclass `values`, `but` these, is what its annotation says."""
    hints = get_type_hints(type(values))
    for name in (f.name for f in fields(values) if f.name not in but):
        if not fits(value := getattr(values, name), hints[name]):
            words = in_words(hints[name]).removesuffix(" or off")
            raise error(f"{name} must be {words}, got {value!r:.80}")
