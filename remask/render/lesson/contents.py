"""What one run teaches: every number that the chapters show, gathered from a model and plain from here on."""

from dataclasses import dataclass
from typing import NamedTuple

from ...trace.board import Cell
from ...trace.format import Trace


class Likely(NamedTuple):
    """A token that the model finds likely at a position."""

    text: str
    logit: float
    probability: float


@dataclass(frozen=True)
class Place:
    """One position of the step under the glass. `likely` is sorted, best first; `index` is the guess's token id."""

    position: int
    likely: tuple[Likely, ...]
    guess: str
    index: int
    probability: float
    confidence: float
    kept: bool


class Noisy(NamedTuple):
    """A token's logit z, its Gumbel noise g, and z + T·g."""

    text: str
    logit: float
    noise: float
    total: float


@dataclass(frozen=True)
class Draw:
    """What noise at `temperature` does: to the tokens of one `position`, and to how many guesses of the step."""

    temperature: float
    position: int
    tokens: tuple[Noisy, ...]
    changed: int


class Guided(NamedTuple):
    """A token's logit with the prompt, without it, and guided; and its probability before and after."""

    text: str
    conditional: float
    unconditional: float
    guided: float
    before: float
    after: float


@dataclass(frozen=True)
class Guide:
    """What guidance at `cfg_scale` does: to the tokens of one `position`, and to how many guesses of the step."""

    cfg_scale: float
    position: int
    tokens: tuple[Guided, ...]
    changed: int


@dataclass(frozen=True)
class Block:
    """One block: its positions, the steps it was given, how many tokens each of them commits, and its text."""

    first: int
    last: int
    quotas: tuple[int, ...]
    text: str


@dataclass(frozen=True)
class Setting:
    """How the run was asked for."""

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
    before: tuple[Cell, ...]  # … before the step under the glass
    after: tuple[Cell, ...]
    places: tuple[Place, ...]
    draw: Draw
    guide: Guide
    blocks: tuple[Block, ...]
    trace: Trace
    text: str
