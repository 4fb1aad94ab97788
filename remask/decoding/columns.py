"""Rows that decide together although the numbers in their recipes differ: those numbers as columns of tensors.

Rows take the same branches if their recipes have the same *form*: the same classes on the axes, with the same whole
numbers, names and flags, and the same floats that are 0 or None. What is left are floats; where they differ, a value of
an axis holds a column (B, 1) instead, and the code of a rule is the same for one number and for a column.
"""

from collections.abc import Hashable, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import torch
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


def columns(values: Sequence[V], device: torch.device) -> V:
    """One value that stands for `values` of one form: the first if all are equal, else one that holds columns (B, 1),
    float64, where their numbers differ."""
    first = values[0]
    if all(value is first or value == first for value in values):
        return first
    joint = object.__new__(type(first))
    for f in fields(first):  # type: ignore[arg-type]
        parts = [getattr(value, f.name) for value in values]
        if all(part == parts[0] for part in parts):
            column: Any = parts[0]
        elif is_dataclass(parts[0]):
            column = columns(parts, device)
        else:
            column = torch.tensor(parts, dtype=torch.float64, device=device)[:, None]
        object.__setattr__(joint, f.name, column)
    return joint


def cut(value: V, rows: slice) -> V:
    """The same value for some of its rows: its columns are cut."""
    if not is_dataclass(value) or isinstance(value, type):
        return value
    parts = {f.name: getattr(value, f.name) for f in fields(value)}
    if not any(isinstance(part, Tensor) or is_dataclass(part) for part in parts.values()):
        return value
    made = object.__new__(type(value))
    for name, part in parts.items():
        object.__setattr__(made, name, part[rows] if isinstance(part, Tensor) else cut(part, rows))
    return made


def like(value: Number, tensor: Tensor) -> Number:
    """A number that leaves the type of `tensor` as it is: columns are cast to it."""
    return value.to(tensor.dtype) if isinstance(value, Tensor) else value
