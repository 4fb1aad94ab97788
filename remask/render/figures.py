"""What a chapter is made of: rows of tokens, tables and the grid of a run, as plain values for any view to draw."""

from dataclasses import dataclass
from typing import NamedTuple

from ..trace import Trace
from .board import Cell


class Token(NamedTuple):
    """A token in a table."""

    text: str


class Share(NamedTuple):
    """A probability or confidence in a table: drawn as a bar with its number."""

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


@dataclass(frozen=True)
class Grid:
    """A whole run: a row a step, a column a position."""

    trace: Trace
    caption: str


Figure = Strip | Table | Grid


@dataclass(frozen=True)
class Chapter:
    """`formula` is one line; `code` names what does it in this code base; `figures` come after the words."""

    number: int
    title: str
    words: str
    formula: str
    code: tuple[str, ...]
    figures: tuple[Figure, ...]
