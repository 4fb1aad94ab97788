"""What is said to the engine and by it: a request, the steps of its run, and the completion. All of it is frozen."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from math import isfinite
from typing import Any, Literal, NamedTuple

import numpy as np

from ..decoding.joint import Proposer
from ..decoding.recipe import Recipe
from ..errors import RequestError, quoted
from ..exactness import Exactness
from ..models.contract import Bools, Floats, Ints, Predictor
from ..models.rotary import Extent
from ..validation import check_fields
from .context import within

FinishReason = Literal["stop", "length", "cancelled", "error"]
State = Literal["masked", "draft", "committed", "revised", "given", "unused"]


@dataclass(frozen=True)
class Request:
    """What is asked for. `tokens` (L,) are the canvas: ids, and None where the model decides.

    `stop_ids` end the answer before them, `stop` before the text; `deadline` is seconds from submission; `candidates`
    asks for that many of the likeliest tokens at every position read. The completion's text is the answer, or the
    `template` with its holes filled, to which with `spaces_in_holes` a space before them belongs; `dropped` tokens were
    left out of the prompt to make it fit. A `proposer` guesses windows as a whole, for what its tokens must be
    together. The answer ends before `limit` (None: where the canvas ends); what lies behind is decided for the network
    alone. Equal seeds give equal answers in any batch.
    """

    tokens: tuple[int | None, ...]
    recipe: Recipe = Recipe()
    seed: int = 0
    stop_ids: tuple[int, ...] = ()
    stop: tuple[str, ...] = ()
    deadline: float | None = None
    candidates: int = 0
    template: str | None = None
    spaces_in_holes: bool = False
    dropped: int = 0
    proposer: Proposer | None = None
    limit: int | None = None


class Change(NamedTuple):
    """One position that a step changed. `confidence` as the recipe scored it, `logprob` natural log."""

    position: int
    token: int
    state: State
    confidence: float
    logprob: float


class Candidate(NamedTuple):
    """One of the most likely tokens at a position, before noise."""

    token: int
    probability: float


@dataclass(frozen=True, eq=False)
class Guesses:
    """The proposal at every position that was read, kept or not: arrays (R,)."""

    position: Ints
    token: Ints
    confidence: Floats
    logprob: Floats

    def changes(self, where: Bools, state: State, mask_id: int) -> list["Change"]:
        """The chosen ones as changes to `state`; what goes back to [MASK] holds the mask."""
        columns = (self.position, self.token, self.confidence, self.logprob)
        rows = zip(*[column[where].tolist() for column in columns], strict=True)
        return [
            Change(position, mask_id if state == "masked" else token, state, confidence, logprob)
            for position, token, confidence, logprob in rows
        ]


class Leaders(NamedTuple):
    """What a step adds to the record of a row's history, for R reads."""

    position: Ints  # (R,)
    token: Ints  # (R, width) the likeliest
    share: Floats  # (R, width) their probabilities
    drift: Floats  # (R,) the divergence from the step before, in nats


@dataclass(frozen=True, eq=False)
class Move:
    """What one forward did to its row: a row that carries out the same moves again is the same row, without a model.

    Positions before `horizon` exist for the network. `inside` (n,) is what was left of the window, where the step cut
    it; `leaders` are None where the recipe has no history. `seconds` is wall time since the row began.
    """

    changes: tuple[Change, ...]
    horizon: int
    seconds: float = 0.0
    inside: Ints | None = None
    leaders: Leaders | None = None


@dataclass(frozen=True)
class Step:
    """One forward of one row and what it changed: the only thing that a consumer ever sees.

    `window` holds the positions that could be committed, `candidates` the most likely tokens at each position read, if
    asked for. `seconds` is wall time since the row began, `settled` the number of leading positions that can no longer
    change. `move` is what a replay needs; None where a file does not have it.
    """

    index: int
    block: int
    blocks: int
    window: tuple[int, ...]
    changes: tuple[Change, ...]
    seen: Guesses = field(compare=False, repr=False)
    undecided: int
    settled: int
    forwards: int
    seconds: float
    candidates: Mapping[int, tuple[Candidate, ...]] = field(default_factory=dict)
    move: Move | None = field(default=None, compare=False, repr=False)

    @property
    def guesses(self) -> tuple[Change, ...]:
        """The proposal at every position that was read, also the ones not kept."""
        return tuple(self.seen.changes(np.ones(len(self.seen.position), bool), "draft", -1))


class Block(NamedTuple):
    """Positions that open together, and how many of them each of its steps is to commit."""

    positions: tuple[int, ...]
    quotas: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Snapshot:
    """One row's canvas at one moment: copies (L,) that no step changes.

    A position is `given` (the user's), `committed` (decided by the model) or undecided, where `tokens` hold the mask.
    `confidence` and natural-log probability `logprob` are those of the step that decided a position, `age` is its
    index; elsewhere NaN and -1. No rule may revise what is `pinned`. The answer ends before position `end`.
    """

    tokens: Ints
    given: Bools
    committed: Bools
    confidence: Floats
    logprob: Floats
    age: Ints
    mask_id: int
    end: int
    pinned: Bools

    @property
    def undecided(self) -> Bools:
        """Positions that are still [MASK] (L,)."""
        return ~(self.given | self.committed)


@dataclass(frozen=True)
class Completion:
    """What came out. `tokens` are the ids of the answer's text, with the natural-log probability and confidence that
    each had when it was committed; `fills` is the text of each run of them (one, unless it was a template).

    `rope` says how far positions reach (None where a model has no rotary ones), `dropped` how many prompt tokens were
    left out of the middle; `warnings` what to know beside.
    """

    text: str
    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    confidences: tuple[float, ...]
    fills: tuple[str, ...]
    finish_reason: FinishReason
    prompt_tokens: int
    forwards: int
    seconds: float
    exactness: Exactness
    model: str
    seed: int
    recipe: Recipe
    rope: Extent | None = None
    dropped: int = 0
    warnings: tuple[str, ...] = ()
    error: str | None = None

    @property
    def tokens_per_second(self) -> float:
        """Tokens of the answer per second of decoding."""
        return len(self.tokens) / self.seconds if self.seconds else 0.0

    def as_dict(self) -> dict[str, Any]:
        """The completion as plain JSON values; a number that JSON cannot hold is None."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        values |= {"exactness": str(self.exactness), "recipe": self.recipe.tables(), "seconds": round(self.seconds, 6)}
        values["rope"] = None if self.rope is None else asdict(self.rope)
        for name in ("logprobs", "confidences"):
            values[name] = [value if isfinite(value) else None for value in values[name]]
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def check(request: Request, model: Predictor) -> None:
    """Refuse what cannot run on `model`, quoting the value, the bound and the remedy."""
    check_fields(request, RequestError, but=("tokens",))
    contract = model.contract
    length, holes = len(request.tokens), request.tokens.count(None)
    if not holes:
        raise RequestError("there is nothing to decide: the request has no [MASK]; give gen_length or holes")
    within(length, holes, contract, request.recipe.rope)
    for what, ids in (("token", request.tokens), ("stop", request.stop_ids)):
        if outside := [i for i in ids if i is not None and not 0 <= i < contract.vocab_size]:
            raise RequestError(f"{what} id {outside[0]} is outside the vocabulary of {contract.vocab_size}")
    if request.proposer is not None and (rows := len(request.proposer.classes.of)) != contract.vocab_size:
        raise RequestError(f"the proposer's classes divide {rows} tokens, and the vocabulary has {contract.vocab_size}")
    if request.deadline is not None and not request.deadline > 0:
        raise RequestError(f"deadline must be more than 0 seconds, got {request.deadline}")
    if not 0 <= request.candidates <= 100:
        raise RequestError(f"candidates must lie in 0..100, got {request.candidates}")
    if request.limit is not None and not (0 < request.limit <= length and None in request.tokens[: request.limit]):
        raise RequestError(f"limit must have a [MASK] before it on a canvas of {length}, got {request.limit}")
    if request.stop and request.template is not None:
        raise RequestError(
            f"stop strings end an answer, got {quoted(request.stop)}; leave them out, a template is filled as a whole"
        )
    if any(not stop for stop in request.stop):
        raise RequestError("a stop string is empty; leave it out")


def samples(request: Request, n: int) -> list[Request]:
    """`n` requests that differ in their seed alone; the first keeps the seed it has."""
    if n < 1:
        raise RequestError(f"n must be at least 1, got {n}")
    return [replace(request, seed=request.seed + i) for i in range(n)]
