"""The parts of a chapter: rows of tokens, tables and the grid of a run, as plain values that any view can draw."""

from dataclasses import dataclass
from typing import NamedTuple

from ..trace.board import Cell
from ..trace.format import Trace


class Token(NamedTuple):
    """A token in a table."""

    text: str


class Share(NamedTuple):
    """A probability or confidence in a table, drawn as a bar with its number."""

    value: float


class Likelihood(NamedTuple):
    """A token in a table with its logit and its probability."""

    text: str
    logit: float
    probability: float


Entry = str | Token | Share | Likelihood


@dataclass(frozen=True)
class Strip:
    """A row of positions."""

    cells: tuple[Cell, ...]
    caption: str


@dataclass(frozen=True)
class Table:
    """Columns of text and numbers. A line is drawn below the first `cut` rows; the rows in `strong` stand out."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Entry, ...], ...]
    caption: str = ""
    cut: int | None = None
    strong: frozenset[int] = frozenset()

    @property
    def numeric(self) -> list[bool]:
        """True for the columns that hold only numbers, and so are aligned to the right."""
        return [all(_number(row[i]) for row in self.rows) for i in range(len(self.columns))]


@dataclass(frozen=True)
class Film:
    """The grid of a whole run: a row for each step, a column for each position."""

    trace: Trace
    caption: str


Figure = Strip | Table | Film


@dataclass(frozen=True)
class Chapter:
    """One chapter. `formula` is one line; `code` names the objects of this package that do it; `figures` come last."""

    number: int
    title: str
    words: str
    formula: str
    code: tuple[str, ...]
    figures: tuple[Figure, ...]


def _number(value: Entry) -> bool:
    return isinstance(value, str) and bool(value) and all(character in "0123456789.,−+%" for character in value)
