"""Rows that decide together although the numbers in their recipes differ: those numbers as columns of tensors.

Rows take the same branches if their recipes have the same *form*: the same classes on the axes, with the same whole
numbers, names and flags, and the same floats that are 0 or None. What is left are floats; where they differ, a value of
an axis holds a column (B, 1) instead, and the code of a rule is the same for one number and for a column.
"""

from collections.abc import Hashable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, cast

from torch import Tensor

V = TypeVar("V")
Number = float | Tensor  # a number of a recipe: one for all rows, or a column (B, 1)


def form(value: Any) -> Hashable:
    """What two values must share so that their rows can decide together."""
    if isinstance(value, float):
        return "number" if value else 0.0
    if is_dataclass(value) and not isinstance(value, type):
        return type(value), tuple(form(getattr(value, f.name)) for f in fields(value))
    return value


def numbers(value: Any) -> list[float]:
    """The floats in a value, in the order of its fields; values of one form have equally many."""
    if isinstance(value, float):
        return [value]
    if is_dataclass(value) and not isinstance(value, type):
        return [number for f in fields(value) for number in numbers(getattr(value, f.name))]
    return []


def widen(value: V, columns: Iterator[Tensor | None]) -> V:
    """The same value with the next of `columns` (B, 1) in place of each of its floats; None leaves a float as it is."""
    if isinstance(value, float):
        column = next(columns)
        return value if column is None else cast(V, column)
    if not is_dataclass(value) or isinstance(value, type):
        return value
    return remade(value, {f.name: widen(getattr(value, f.name), columns) for f in fields(value)})


def cut(value: V, rows: slice | Tensor) -> V:
    """The same value for some of its rows: `rows` indexes its columns."""
    if isinstance(value, Tensor):
        return cast(V, value[rows])
    if not is_dataclass(value) or isinstance(value, type):
        return value
    return remade(value, {f.name: cut(getattr(value, f.name), rows) for f in fields(value)})


def remade(value: V, parts: dict[str, Any]) -> V:
    """The dataclass `value` with fields `parts`, unchecked, because a check knows no columns; itself if none is new."""
    if all(part is getattr(value, name) for name, part in parts.items()):
        return value
    made = object.__new__(type(value))
    for name, part in parts.items():
        object.__setattr__(made, name, part)
    return made


def like(value: Number, tensor: Tensor) -> Number:
    """A number that leaves the type of `tensor` as it is: columns are cast to it."""
    return value.to(tensor.dtype) if isinstance(value, Tensor) else value
