"""The published figures of LongLLaDA as data, and a run beside them."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from ...errors import UsageError
from . import record
from .grid import Record, Result
from .perplexity import Chunk
from .suite import RULER, ruler_columns


@dataclass(frozen=True)
class Beside:
    """One published number and ours: `length` in units of the training length; `column` says which score."""

    length: float
    column: str
    published: float
    ours: float


def anchors() -> dict[str, Any]:
    """The published figures with their sources: `niah`, `ruler`, `ppl`, `longbench`."""
    text = (files("remask.evals.longcontext") / "anchors.json").read_text(encoding="utf-8")
    said: dict[str, Any] = json.loads(text)
    return said


def row(kind: str, model: str, scale: float) -> dict[str, Any]:
    """The published row of a model at λ = `scale`. Raises UsageError naming those there are."""
    rows: list[dict[str, Any]] = anchors()[kind]["rows"]
    for found in rows:
        if found["model"].lower() == model.lower() and found["lambda"] == scale:
            return found
    known = ", ".join(f"{found['model']} at {found['lambda']}" for found in rows)
    raise UsageError(f"there are no published {kind} figures of {model!r} at λ = {scale:g}; known: {known}")


def kind_of(path: Path) -> str:
    """What a record is of: niah, ruler or ppl. Raises UsageError for others, of which nothing was published."""
    kind = str(_about(path).get("kind"))
    if kind not in ("niah", "ruler", "ppl"):
        raise UsageError(f"{path} records {kind}, of which nothing is published; known: niah, ruler, ppl")
    return kind


def _about(path: Path) -> dict[str, Any]:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))["about"]
    except OSError as error:
        raise UsageError(f"cannot read {str(path)!r}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise UsageError(f"{path} is not a record of a long-context run; name the cells.json of one") from None
    if not isinstance(said, dict) or not isinstance(said.get("trained"), int):
        raise UsageError(f"{path} does not say what length its model was trained on")
    return said


def compare(path: Path, model: str, scale: float) -> list[Beside]:
    """A run beside the published figures of `model` at λ = `scale`, at the lengths that both have, in units of T."""
    kind = kind_of(path)
    published, trained = row(kind, model, scale), int(_about(path)["trained"])
    lengths: list[float] = anchors()[kind]["lengths"]
    if kind == "ppl":
        said = record.read(path, "blocks")
        blocks = [Chunk(**block) for block in said["blocks"]]
        ours = {"windowed": windows(blocks, int(said["about"]["block"]), [end * trained for end in lengths])}
        ours = {column: {end / trained: value for end, value in by.items()} for column, by in ours.items()}
    else:
        columns = niah_columns if kind == "niah" else ruler_means
        ours = columns(list(Record.read(path).results.values()), trained)
    found = list(_paired(published, lengths, ours))
    if not found:
        have = ", ".join(f"{length:g}" for column in ours.values() for length in column)
        raise UsageError(
            f"{path} has no length in common with the published {', '.join(f'{length:g}' for length in lengths)} × T; "
            f"it has {have or 'none that is complete'}"
        )
    return found


def _paired(
    published: Mapping[str, Any], lengths: Sequence[float], ours: Mapping[str, Mapping[float, float]]
) -> Iterator[Beside]:
    for column, mine in ours.items():
        for length, theirs in zip(lengths, published.get(column, ()), strict=False):
            if theirs is not None and length in mine:
                yield Beside(length, column, float(theirs), mine[length])


def niah_columns(results: Sequence[Result], trained: int) -> dict[str, dict[float, float]]:
    """Mean `needlebench` by length, as the paper's figures have it."""
    by: dict[float, list[float]] = {}
    for result in results:
        by.setdefault(result.cell.length / trained, []).append(result.mean("needlebench"))
    return {"scores": {length: sum(scores) / len(scores) for length, scores in by.items()}}


def ruler_means(results: Sequence[Result], trained: int) -> dict[str, dict[float, float]]:
    """The columns of the paper's table by length, in percent; of complete groups of tasks only."""
    by: dict[float, dict[str, float]] = {}
    for result in results:
        if result.cell.task in RULER:
            by.setdefault(result.cell.length / trained, {})[result.cell.task] = 100 * result.mean("match")
    found: dict[str, dict[float, float]] = {}
    for length, shares in by.items():
        for column, value in ruler_columns(shares).items():
            found.setdefault(column, {})[length] = value
    return found


def windows(blocks: Sequence[Chunk], size: int, ends: Sequence[float]) -> dict[float, float]:
    """Perplexity of the blocks of `size` tokens in the window that ends at each of `ends` and begins at the one before.

    A window is there only if the blocks reach its end.
    """
    found = {}
    farthest = max((block.start + size for block in blocks), default=0)
    for begin, end in zip((0.0, *ends), ends, strict=False):
        inside = [block.full for block in blocks if begin <= block.start < end]
        if inside and farthest >= end:
            found[end] = math.exp(sum(inside) / len(inside))
    return found
