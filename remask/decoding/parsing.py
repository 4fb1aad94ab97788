"""Recipes as text: tables of names and numbers to values, and back; TOML and settings to tables.

Every error is a RecipeError that names the axis, the parameter and what would fit.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any, get_type_hints

from ..errors import RecipeError, did_you_mean, printable, quoted
from ..validation import check, fits, in_words
from . import axes

LARGEST = 2**31 - 1  # of whole numbers in a recipe


def read_toml(text: str, what: str) -> dict[str, Any]:
    """The tables of a TOML text. Raises RecipeError, which calls the text `what`."""
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"{what} is not TOML: {printable(str(error))}") from None


def settings(texts: Sequence[str]) -> dict[str, Any]:
    """`["cache=dual", "select.threshold=0.8"]` for `Recipe.change`: TOML values, where a bare word is text."""
    check("settings", texts, Sequence[str], RecipeError, "; write axis=value, as in cache=none")
    values: dict[str, Any] = {}
    for text in texts:
        path, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not re.fullmatch(r"\w+(\.\w+)?", path):
            raise RecipeError(f"{quoted(text)} is not a setting; write axis=value or axis.key=value, as in cache=none")
        if path in values:
            raise RecipeError(
                f"{path} is set twice, to {quoted(values[path])} and to {printable(value)}; leave one out"
            )
        bare = re.fullmatch(r"[A-Za-z_][\w.:-]*", value) and value not in ("true", "false")
        values[path] = value if bare else _toml_value(path, value)
    return values


def _toml_value(path: str, value: str) -> Any:
    tables = read_toml(f"value = {value}", f"the value of {printable(f'{path}={value}')}")
    if len(tables) != 1:
        raise RecipeError(f"the value of {path} must be one TOML value, got {quoted(value)}")
    return tables["value"]


def choose(axis: str, value: Any) -> Any:
    """An axis value from `"name"` or `{by = "name", parameter = …}`; `by` may be left out where there is one choice."""
    table = {"by": value} if isinstance(value, str) else value
    if not isinstance(table, Mapping):
        raise RecipeError(f"{axis} must be a name or a table, got {quoted(value)}")
    rest = dict(table)
    by = rest.pop("by", next(iter(axes.AXES[axis])) if len(axes.AXES[axis]) == 1 else None)
    if by is None:
        raise RecipeError(f"{axis} needs 'by', one of {', '.join(axes.names(axis))}")
    if not isinstance(by, str):
        raise RecipeError(f"{axis}.by must be text, got {quoted(by)}")
    kind = axes.value_class(axis, by)
    has = axes.parameters(kind)
    for name in rest:
        if name not in has:
            elsewhere = [other for other, known in axes.AXES[axis].items() if name in axes.parameters(known)]
            raise RecipeError(
                f"{axis}: {by} has no value {quoted(name)}"
                + (f" (it has {', '.join(has)})" if has else "")
                + (f"; what has it: {', '.join(elsewhere)}" if elsewhere else did_you_mean(name, has))
            )
    return build(axis, kind, rest)


def build(axis: str, kind: type[Any], values: Mapping[str, Any]) -> Any:
    """An instance of the dataclass `kind` from plain `values`, each checked against its annotation; "off" is None."""
    hints = get_type_hints(kind)
    plain = {name: plain_value(f"{axis}.{name}", value, hints[name]) for name, value in values.items()}
    for f in fields(kind):
        if f.init and f.default is f.default_factory is MISSING and f.name not in values:
            raise RecipeError(f"{axis}: {f.name!r} is missing")
    return kind(**plain)


def plain_value(name: str, value: Any, hint: Any) -> Any:
    """`value` for a parameter that is annotated so; a list becomes a tuple, "off" None."""
    if isinstance(value, str) and value == "off" and fits(None, hint):
        return None
    if not fits(value, hint):
        raise RecipeError(f"{name} must be {in_words(hint)}, got {quoted(value)}")
    parts = value if isinstance(value, list | tuple) else [value]
    if any(type(part) is int and abs(part) > LARGEST for part in parts):
        raise RecipeError(f"{name} must lie in ±{LARGEST:,}, got {quoted(value)}")
    return tuple(value) if isinstance(value, list) else value


def stated(axis: str, value: Any) -> dict[str, Any]:
    """The table of an axis value; None is `off`, and left out where it is the default."""
    table: dict[str, Any] = {"by": axes.name_of(axis, value)}
    for f in fields(value):
        now = getattr(value, f.name)
        if f.init and not (now is None and f.default is None):
            table[f.name] = "off" if now is None else list(now) if isinstance(now, tuple) else now
    return table
