"""The contents of a lesson: every number that the chapters show, as plain values."""

from dataclasses import dataclass
from typing import NamedTuple

from ...trace.board import Cell
from ...trace.format import Trace


class Likely(NamedTuple):
    """One of the likeliest tokens at a position."""

    text: str
    logit: float
    probability: float


@dataclass(frozen=True)
class Place:
    """One position of the step in focus. `likely` is sorted, best first; `index` is the token id of the guess."""

    position: int
    likely: tuple[Likely, ...]
    guess: str
    index: int
    probability: float
    confidence: float
    kept: bool


class Noisy(NamedTuple):
    """The logit z of a token, its Gumbel noise g, and z + T·g."""

    text: str
    logit: float
    noise: float
    total: float


@dataclass(frozen=True)
class Draw:
    """The effect of noise at `temperature` on the tokens of one `position`, and the number of guesses it changes."""

    temperature: float
    position: int
    tokens: tuple[Noisy, ...]
    changed: int


class Guided(NamedTuple):
    """The logit of a token with the prompt, without it, and guided; its probability before and after."""

    text: str
    conditional: float
    unconditional: float
    guided: float
    before: float
    after: float


@dataclass(frozen=True)
class Guide:
    """The effect of guidance at `cfg_scale` on the tokens of one `position`, and the number of guesses it changes."""

    cfg_scale: float
    position: int
    tokens: tuple[Guided, ...]
    changed: int


@dataclass(frozen=True)
class Block:
    """One block: its first and last position, the number of tokens that each of its steps commits, and its text."""

    first: int
    last: int
    quotas: tuple[int, ...]
    text: str


@dataclass(frozen=True)
class Setting:
    """The settings of the run."""

    model: str
    prompt: str
    vocabulary: int
    mask_id: int
    gen_length: int
    block_length: int
    temperature: float
    cfg_scale: float
    confidence: str
    seed: int


@dataclass(frozen=True)
class Lesson:
    """One step (`step`, from 0) in full, and the run around it."""

    setting: Setting
    step: int
    quota: int
    start: tuple[Cell, ...]  # the canvas before the first step
    before: tuple[Cell, ...]  # … before the step in focus
    after: tuple[Cell, ...]
    places: tuple[Place, ...]
    draw: Draw
    guide: Guide
    blocks: tuple[Block, ...]
    trace: Trace
    text: str
