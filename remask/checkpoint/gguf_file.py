"""The header of a GGUF file: where its values and its tensors lie. A value is read only when it is asked for.

An array that nobody asks for costs one step, or one for each string. Facts are those of ggml's docs/gguf.md, version 2
and 3; each tensor begins where the one before it ends, as llama.cpp demands.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ..errors import CheckpointError
from .folder import clip

T = TypeVar("T")
Bytes = np.ndarray[Any, Any]  # of the mapped file

MAGIC, VERSIONS = b"GGUF", (2, 3)
STRING, ARRAY = 8, 9
SCALARS = {0: "u1", 1: "i1", 2: "<u2", 3: "<i2", 4: "<u4", 5: "<i4", 6: "<f4", 7: "?", 10: "<u8", 11: "<i8", 12: "<f8"}
PLAIN = {"F16": np.float16, "F32": np.float32, "F64": np.float64}  # kinds of tensors that are numbers as they lie
KEYS, TENSORS, NAME = 10_000, 1 << 17, 256  # the most keys, tensors, and bytes of one name
ELEMENTS = 1 << 20  # the most strings of an array, and the most numbers of one that is read
SIZES = 4  # of a tensor
LENGTH = struct.Struct("<Q").unpack_from


@dataclass(frozen=True)
class Value:
    """A value in the mapped file: `count` elements of `kind` from byte `start`; one that is no array has None."""

    data: Bytes
    start: int
    kind: int
    count: int | None

    def contents(self) -> Any:
        """A number, a string, or a list of either. Raises UnicodeDecodeError for a string that is not UTF-8."""
        if self.kind == STRING:
            texts = self._texts()
            return next(texts) if self.count is None else list(texts)
        if (self.count or 0) > ELEMENTS:
            raise CheckpointError(f"an array of {self.count:,} numbers is too long; the limit is {ELEMENTS:,}")
        dtype = np.dtype(SCALARS[self.kind])
        count = 1 if self.count is None else self.count
        numbers: list[Any] = np.frombuffer(self.data, dtype, count, self.start).tolist() if count else []
        return numbers[0] if self.count is None else numbers

    def _texts(self) -> Iterator[str]:
        data, at = self.data.data, self.start
        for _ in range(1 if self.count is None else self.count):
            start = at + 8
            at = start + LENGTH(data, at)[0]
            yield bytes(data[start:at]).decode()


class Tensor(NamedTuple):
    """A tensor of the file: its kind, its sizes with rows first, and its rows, in bytes unless the kind is plain."""

    kind: str
    shape: tuple[int, ...]
    data: Bytes


@dataclass(frozen=True)
class Header:
    """What a GGUF file holds, by name."""

    values: dict[str, Value]
    tensors: dict[str, Tensor]


def header(path: Path, library: Any) -> Header:
    """Look a file over; `library` is gguf, which knows the kinds of tensors.

    Raises CheckpointError for one that is cut, padded, too large or malformed.
    """
    try:
        data = np.memmap(path, mode="r")
        return _Reader(data).header(library)
    except (ValueError, LookupError, OverflowError, TypeError, MemoryError, OSError, struct.error) as error:
        raise CheckpointError(f"{path} is not a whole GGUF file ({clip(error, 200)}); download it again") from None


class _Reader:
    """Goes through the mapped bytes from the top. Raises ValueError for what is malformed."""

    def __init__(self, data: Bytes) -> None:
        self.data, self.at = data, 0

    def header(self, library: Any) -> Header:
        """Everything in the file's order."""
        if bytes(self.data[:4]) != MAGIC:
            raise ValueError("GGUF magic invalid")
        self.at = 4
        if (version := self.number(4)) not in VERSIONS:
            swapped = int.from_bytes(version.to_bytes(4, "little"), "big") in VERSIONS
            raise ValueError(
                "its bytes are in the order of another kind of machine" if swapped else f"version {version}"
            )
        tensors, keys = self.count("tensors", TENSORS, 24), self.count("keys", KEYS, 13)
        values = self.named("the key", keys, self.value)
        places = self.named("the tensor", tensors, self.place)
        return Header(values, self.tensors(places, _alignment(values), library))

    def tensors(
        self, places: dict[str, tuple[tuple[int, ...], int, int]], alignment: int, library: Any
    ) -> dict[str, Tensor]:
        """The tensors where they must lie: one behind the other, each aligned, to the end of the file."""
        base = end = -(-self.at // alignment) * alignment
        found: dict[str, Tensor] = {}
        for name, (shape, code, offset) in places.items():
            if base + offset != -(-end // alignment) * alignment:
                raise ValueError(f"{clip(name)} does not begin where the tensor before it ends")
            kind = library.GGMLQuantizationType(code)
            row = library.quant_shape_to_byte_shape(shape, kind)
            self.at = base + offset
            found[name] = _tensor(kind.name, shape, row, self.take(prod(row)))
            end = self.at
        if found and len(self.data) not in (end, -(-end // alignment) * alignment):
            raise ValueError(f"{len(self.data) - end} bytes follow the last tensor")
        return found

    def take(self, size: int) -> Bytes:
        """The next `size` bytes."""
        if self.at + size > len(self.data):
            raise ValueError(f"something of {size} bytes lies beyond its end")
        start, self.at = self.at, self.at + size
        return self.data[start : self.at]

    def number(self, size: int) -> int:
        """A whole number of `size` bytes."""
        return int.from_bytes(bytes(self.take(size)), "little")

    def count(self, what: str, most: int, least_bytes: int) -> int:
        """How many of something follow, of which each takes at least so many bytes."""
        if (count := self.number(8)) > min(most, len(self.data) // least_bytes):
            raise ValueError(f"{count:,} {what} are more than it can hold; the limit is {most:,}")
        return count

    def named(self, what: str, count: int, read: Callable[[str], T]) -> dict[str, T]:
        """`count` times a name, and what `read`, which gets the name, finds behind it."""
        found: dict[str, T] = {}
        for _ in range(count):
            if (length := self.number(8)) > NAME:
                raise ValueError(f"a name of {length:,} bytes; the limit is {NAME}")
            name = bytes(self.take(length)).decode()
            if name in found:
                raise ValueError(f"{what} {clip(name)} comes twice")
            found[name] = read(name)
        return found

    def value(self, name: str) -> Value:
        """A value of any kind; its contents are passed over."""
        if (kind := self.number(4)) != ARRAY:
            return self.elements(name, kind, None)
        kind, count = self.number(4), self.number(8)
        if kind == ARRAY:
            raise ValueError(f"{clip(name)} is an array of arrays, which no model has")
        return self.elements(name, kind, count)

    def elements(self, name: str, kind: int, count: int | None) -> Value:
        """`count` elements, or the one of a value that is no array."""
        start, many = self.at, 1 if count is None else count
        if kind != STRING:
            if kind not in SCALARS:
                raise ValueError(f"{clip(name)} is of the unknown kind {kind}")
            self.take(many * np.dtype(SCALARS[kind]).itemsize)
            return Value(self.data, start, kind, count)
        if many > ELEMENTS:
            raise ValueError(f"{clip(name)} has {many:,} strings; the limit is {ELEMENTS:,}")
        data, at = self.data.data, start
        for _ in range(many):
            at += 8 + LENGTH(data, at)[0]
        self.take(at - start)
        return Value(self.data, start, kind, count)

    def place(self, name: str) -> tuple[tuple[int, ...], int, int]:
        """Sizes with rows first, the kind's code, and the offset of a tensor."""
        if not 1 <= (sizes := self.number(4)) <= SIZES:
            raise ValueError(f"{clip(name)} has {sizes or 'no'} sizes, but a weight has 1 to {SIZES}")
        shape = tuple(self.number(8) for _ in range(sizes))[::-1]
        if not all(shape):
            raise ValueError(f"{clip(name)} has the sizes {list(shape)}")
        return shape, self.number(4), self.number(8)


def _alignment(values: dict[str, Value]) -> int:
    stated = values["general.alignment"].contents() if "general.alignment" in values else 32
    if type(stated) is not int or not 1 <= stated <= 1 << 20 or stated & (stated - 1):
        raise ValueError(f"general.alignment must be a power of two up to {1 << 20}, got {clip(stated)}")
    return stated


def _tensor(kind: str, shape: tuple[int, ...], row: tuple[int, ...], data: Bytes) -> Tensor:
    return Tensor(kind, shape, data.view(PLAIN[kind]).reshape(shape) if kind in PLAIN else data.reshape(row))
