"""Weights from safetensors files: looked at without being read, then copied tensor by tensor to where they belong."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..errors import CheckpointError, printable, quoted
from . import strict_json

HEADER_LIMIT = 10 << 20  # bytes
TENSORS, NAME = 1 << 17, 256  # the most tensors of a file, and characters of a name
MARKS = 8 * TENSORS  # the most of : [ { in a header; a tensor has seven
DTYPES = {"F64": torch.float64, "F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}
QUANTISED = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS")
DTYPES |= dict.fromkeys(QUANTISED, torch.bfloat16)  # of GGUF files, and what they become
PIECE = 1 << 18  # elements that are dequantised at once
CHUNK = 1 << 22  # elements that one exact check for NaN looks at


@dataclass(frozen=True)
class Stored:
    """A tensor on disk."""

    file: Path
    dtype: str
    shape: tuple[int, ...]

    def read(self, shard: Any, name: str) -> Iterator[Tensor]:
        """Its rows, as views of the mapped `shard`."""
        yield shard.get_tensor(name)


def headers(files: Iterable[Path], places: Mapping[str, Path]) -> dict[str, Stored]:
    """What the files hold, by tensor name; no weights are read.

    Raises CheckpointError for a broken file, a tensor that is in two of them, or one that is not where `places` says.
    """
    found: dict[str, Stored] = {}
    for file in files:
        for name, stored in _header(file).items():
            if name in found:
                raise CheckpointError(f"{name!r} is in two files, {found[name].file.name} and {file.name}; keep one")
            found[name] = stored
    for name, file in places.items():
        if name in found and found[name].file != file:
            raise CheckpointError(
                f"the index says that {name!r} is in {file.name}, but it is in {found[name].file.name}"
            )
    return found


def stored_dtype(stored: Mapping[str, Stored]) -> torch.dtype:
    """The dtype of most of the weights."""
    count = dict.fromkeys(DTYPES, 0)
    for entry in stored.values():
        if entry.dtype in count:
            count[entry.dtype] += prod(entry.shape)
    return DTYPES[max(count, key=count.__getitem__)]


def cover_names(expected: Collection[str], stored: Collection[str], unread: Collection[str] = ()) -> None:
    """Raise CheckpointError unless `stored` are the names `expected`, and perhaps some that end in one of `unread`.

    An ending is whole parts of a name, which dots divide.
    """
    if missing := [name for name in expected if name not in stored]:
        raise CheckpointError(f"the checkpoint lacks {listed(missing)}, which its config.json implies")
    endings = tuple(f".{ending}" for ending in unread)
    if more := [name for name in stored if name not in expected and not f".{name}".endswith(endings)]:
        raise CheckpointError(f"the checkpoint holds {listed(more)}, for which this model has no place")


def cover(expected: Mapping[str, tuple[int, ...]], stored: Mapping[str, Stored], unread: Collection[str] = ()) -> None:
    """Raise CheckpointError unless `stored` is `expected`: names (see `cover_names`), shapes, float dtypes."""
    cover_names(expected, stored, unread)
    for name, shape in expected.items():
        if stored[name].shape != shape:
            raise CheckpointError(
                f"{name!r} has shape {list(stored[name].shape)}; config.json implies {list(shape)} "
                f"({stored[name].file.name})"
            )
        if (dtype := stored[name].dtype) not in DTYPES:
            raise CheckpointError(f"{name!r} is stored as {dtype}; known are {', '.join(DTYPES)}: it may be quantised")


def fill(targets: Mapping[str, Tensor], stored: Mapping[str, Stored]) -> None:
    """Copy each stored tensor into the target of its name, in the target's dtype; each file is mapped once.

    Raises CheckpointError for a weight that is NaN or infinite, on disk or in the target's dtype.
    """
    done = dict.fromkeys(targets, 0)
    for name, rows in pieces(targets, stored):
        _copy(f"{stored[name].file}: {name!r}", rows, targets[name][done[name] : done[name] + len(rows)])
        done[name] += len(rows)


def pieces(names: Iterable[str], stored: Mapping[str, Stored]) -> Iterator[tuple[str, Tensor]]:
    """The rows of all `names`, tensor by tensor and each from the top, in pieces that are as large as need be."""
    files: dict[Path, list[str]] = {}
    for name in names:
        files.setdefault(stored[name].file, []).append(name)
    for file, mine in files.items():
        with _opened(file) if file.suffix == ".safetensors" else nullcontext() as shard:
            for name in mine:
                for rows in stored[name].read(shard, name):
                    yield name, rows


def paired(left: str, right: str, stored: Mapping[str, Stored]) -> Iterator[tuple[Tensor, Tensor]]:
    """Two tensors side by side, as views of their mapped files."""
    with _opened(stored[left].file) as one, _opened(stored[right].file) as other:
        yield from zip(stored[left].read(one, left), stored[right].read(other, right), strict=True)


def _copy(what: str, source: Tensor, target: Tensor) -> None:
    target.copy_(source)
    if _finite(target):
        return
    if _finite(source):
        dtype = str(target.dtype).removeprefix("torch.")
        raise CheckpointError(f"{what} holds values beyond the range of {dtype}; use bfloat16 or float32")
    raise CheckpointError(f"{what} holds NaN or infinity; the file is damaged, or its training diverged")


def _finite(weights: Tensor) -> bool:
    """A sum finds what is not finite; only when the sum itself overflows is every element looked at."""
    if weights.sum(dtype=torch.float32).isfinite():
        return True
    return all(bool(part.isfinite().all()) for part in weights.reshape(-1).split(CHUNK))


def _header(file: Path) -> dict[str, Stored]:
    _check_names(file, _header_text(file))
    with _opened(file) as shard:
        entries = {name: shard.get_slice(name) for name in shard.keys()}  # noqa: SIM118  # not a dict
        return {name: Stored(file, e.get_dtype(), tuple(e.get_shape())) for name, e in entries.items()}


def _header_text(file: Path) -> bytes:
    """The header, bounded by the file and by the limit before anyone allocates for it."""
    try:
        with file.open("rb") as opened:
            length, size = int.from_bytes(opened.read(8), "little"), file.stat().st_size
            if size < 8 or length > size - 8:
                raise CheckpointError(f"{file} is cut short: {size} bytes, but a header of {length}; download it again")
            if length > HEADER_LIMIT:
                raise CheckpointError(f"{file} states a header of {length} bytes; the limit is {HEADER_LIMIT}")
            return opened.read(length)
    except OSError as error:
        raise CheckpointError(f"{file} cannot be read: {error.strerror}") from None


def _check_names(file: Path, text: bytes) -> None:
    """Raise CheckpointError for more tensors or longer names than any model has, and for a key that comes twice.

    The library would take the last of two tensors of one name, and any number of them.
    """
    if (marks := sum(map(text.count, (b":", b"[", b"{")))) > MARKS:
        raise CheckpointError(f"{file} has a header of {marks:,} entries; the limit is {MARKS:,}")
    try:
        entries = strict_json.parse(text.decode())
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{file} is not a whole safetensors file ({printable(str(error))}); download it again"
        ) from None
    if isinstance(entries, dict):  # else the library says what it is
        if len(entries) > TENSORS:
            raise CheckpointError(f"{file} names {len(entries):,} tensors; the limit is {TENSORS:,}")
        if long := next((name for name in entries if len(name) > NAME), None):
            raise CheckpointError(
                f"{file}: {listed([long])} is a name of {len(long):,} characters; the limit is {NAME}"
            )


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """The file mapped into memory; its checks cover sizes, overlaps and gaps."""
    try:
        with safe_open(file, framework="pt", device="cpu") as shard:
            yield shard
    except (SafetensorError, OSError) as error:
        reason = printable(str(error))
        raise CheckpointError(f"{file} is not a whole safetensors file ({reason}); download it again") from None


def listed(names: Sequence[str]) -> str:
    """The first few of many names, and how many there are."""
    shown = ", ".join(quoted(name, 100) for name in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more ({len(names)} tensors)"
