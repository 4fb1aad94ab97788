"""The published figures of LongLLaDA as data, and a run beside them."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from ...errors import UsageError
from ..records import Record
from .perplexity import Chunk, chunks_of
from .suite import RULER, ruler_columns
from .sweep import Tally, tallies

KINDS = ("niah", "ruler", "ppl")  # of which something was published


@dataclass(frozen=True)
class Comparison:
    """One published number and ours: `length` in units of the training length; `column` says which score."""

    length: float
    column: str
    published: float
    ours: float


def anchors() -> dict[str, Any]:
    """The published figures with their sources: `niah`, `ruler`, `ppl`, `longbench`."""
    text = (files("remask.evals.longcontext") / "anchors.json").read_text(encoding="utf-8")
    figures: dict[str, Any] = json.loads(text)
    return figures


def published_row(kind: str, model: str, scale: float) -> dict[str, Any]:
    """The published row of a model at λ = `scale`. Raises UsageError naming those there are."""
    rows: list[dict[str, Any]] = anchors()[kind]["rows"]
    for row in rows:
        if row["model"].lower() == model.lower() and row["lambda"] == scale:
            return row
    known = ", ".join(f"{row['model']} at {row['lambda']}" for row in rows)
    raise UsageError(f"there are no published {kind} figures of {model!r} at λ = {scale:g}; known: {known}")


def kind_of(path: Path) -> str:
    """What a record is of: niah, ruler or ppl. Raises UsageError for others, of which nothing was published."""
    return _kind(Record.read(path))


def _kind(record: Record) -> str:
    kind = str(record.about.get("kind"))
    if kind not in KINDS:
        raise UsageError(f"{record.path} records {kind}, of which nothing is published; known: {', '.join(KINDS)}")
    return kind


def _whole(record: Record, name: str) -> int:
    """A whole number in what a record is about. Raises UsageError if there is none."""
    if not isinstance(number := record.about.get(name), int) or number < 1:
        raise UsageError(f"{record.path} must say {name}, a whole number, and has {number!r}; name another file")
    return number


def comparisons(path: Path, model: str, scale: float) -> list[Comparison]:
    """A run beside the published figures of `model` at λ = `scale`, at the lengths that both have, in units of T."""
    record = Record.read(path)
    kind, trained = _kind(record), _whole(record, "trained")
    published, lengths = published_row(kind, model, scale), anchors()[kind]["lengths"]
    if kind == "ppl":
        ends = windows(chunks_of(record), _whole(record, "block"), [end * trained for end in lengths])
        ours = {"windowed": {end / trained: value for end, value in ends.items()}}
    else:
        columns = niah_columns if kind == "niah" else ruler_means
        ours = columns(list(tallies(record).values()), trained)
    pairs = list(_paired(published, lengths, ours))
    if not pairs:
        have = ", ".join(f"{length:g}" for column in ours.values() for length in column)
        raise UsageError(
            f"{path} has no length in common with the published {', '.join(f'{length:g}' for length in lengths)} × T; "
            f"it has {have or 'none that is complete'}"
        )
    return pairs


def _paired(
    published: Mapping[str, Any], lengths: Sequence[float], ours: Mapping[str, Mapping[float, float]]
) -> Iterator[Comparison]:
    for column, mine in ours.items():
        for length, theirs in zip(lengths, published.get(column, ()), strict=False):
            if theirs is not None and length in mine:
                yield Comparison(length, column, float(theirs), mine[length])


def niah_columns(tallies: Sequence[Tally], trained: int) -> dict[str, dict[float, float]]:
    """Mean `needlebench` by length, as the paper's figures have it."""
    by: dict[float, list[float]] = {}
    for tally in tallies:
        by.setdefault(tally.condition.length / trained, []).append(tally.mean("needlebench"))
    return {"scores": {length: sum(scores) / len(scores) for length, scores in by.items()}}


def ruler_means(tallies: Sequence[Tally], trained: int) -> dict[str, dict[float, float]]:
    """The columns of the paper's table by length, in percent; of complete groups of tasks only."""
    by: dict[float, dict[str, float]] = {}
    for tally in tallies:
        if tally.condition.task in RULER:
            shares = by.setdefault(tally.condition.length / trained, {})
            shares[tally.condition.task] = 100 * tally.mean("match")
    columns: dict[str, dict[float, float]] = {}
    for length, shares in by.items():
        for column, value in ruler_columns(shares).items():
            columns.setdefault(column, {})[length] = value
    return columns


def windows(chunks: Sequence[Chunk], size: int, ends: Sequence[float]) -> dict[float, float]:
    """Perplexity of the blocks of `size` tokens in the window that ends at each of `ends` and begins at the one before.

    A window is there only if the blocks reach its end.
    """
    perplexities = {}
    farthest = max((chunk.start + size for chunk in chunks), default=0)
    for begin, end in zip((0.0, *ends), ends, strict=False):
        inside = [chunk.full for chunk in chunks if begin <= chunk.start < end]
        if inside and farthest >= end:
            perplexities[end] = math.exp(sum(inside) / len(inside))
    return perplexities
