"""The canvas of one run as its steps go by: what stands at every position, and since when."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..engine.handle import Handle
from ..engine.past import Edit
from ..engine.requests import Candidate, Change, Guesses, State, Step
from ..errors import RequestError, quoted
from .format import Trace


@dataclass(frozen=True)
class Cell:
    """One position. `text` and `confidence` are those of the token, or of the guess where it is a draft.

    `born` is the step that decided it (-1: none did), `fresh` says that the last step changed it, `here` that it lies
    in that step's window.
    """

    position: int
    text: str
    state: State
    confidence: float = math.nan
    born: int = -1
    fresh: bool = False
    here: bool = False


class Board:
    """Takes steps in order; `cells()` is the canvas after the last one. `piece` gives the text of a token."""

    def __init__(self, tokens: Sequence[int], given: Sequence[bool], piece: Callable[[int], str]) -> None:
        self.piece = piece
        self.token = [int(token) for token in tokens]
        self.state: list[State] = ["given" if given_here else "masked" for given_here in given]
        self.confidence = [math.nan] * len(self.token)
        self.born = [-1] * len(self.token)
        self.drafts: dict[int, Change] = {}
        self.fresh: set[int] = set()
        self.window: set[int] = set()
        self.last: Step | None = None

    def take(self, step: Step) -> None:
        """Carry out one step."""
        self.change(step.changes, step.index)
        self.fresh = {change.position for change in step.changes}
        self.drafts = {guess.position: guess for guess in step.guesses if self.state[guess.position] == "masked"}
        self.window = set(step.window)
        self.last = step

    def change(self, changes: Sequence[Change], index: int) -> None:
        """Carry out the changes of a step, or of an edit behind it."""
        for change in changes:
            at = change.position
            masked = change.state == "masked"
            self.token[at], self.state[at] = change.token, change.state
            self.confidence[at] = math.nan if masked else change.confidence
            self.born[at] = -1 if masked else index

    def finish(self, unused: Sequence[Sequence[int]] = ()) -> None:
        """The end of the run: positions in `unused` ([start, stop) each) are not part of the answer."""
        for start, stop in unused:
            for at in range(max(0, start), min(stop, len(self.state))):
                if self.state[at] != "given":
                    self.state[at] = "unused"

    @property
    def undecided(self) -> int:
        """Positions that are still [MASK]."""
        return self.state.count("masked")

    def cells(self) -> list[Cell]:
        """One cell a position."""
        return [self.cell(at) for at in range(len(self.token))]

    def cell(self, at: int) -> Cell:
        """What stands at one position."""
        fresh, here = at in self.fresh, at in self.window
        if self.state[at] == "masked" and (guess := self.drafts.get(at)):
            return Cell(at, self.piece(guess.token), "draft", guess.confidence, -1, fresh, here)
        return Cell(at, self.piece(self.token[at]), self.state[at], self.confidence[at], self.born[at], fresh, here)


def board_of(handle: Handle) -> Board:
    """The canvas of a run before its first step; that of a fork has its past. Raises RequestError if its engine has no
    tokenizer."""
    if handle.text is None:
        raise RequestError("a board shows the text of tokens, and this engine has no tokenizer; give it one")
    canvas = handle.origin()
    made = Board(canvas.tokens.tolist(), canvas.given.tolist(), handle.text.piece)
    for event in handle.before():
        if isinstance(event, Edit):
            made.change(event.changes(made.token, canvas.mask_id), made.last.index if made.last else 0)
        else:
            made.take(event)
    return made


def board(trace: Trace) -> Board:
    """The canvas before the first step of a recorded run."""
    tokens = trace.header["tokens"]
    given = [False] * len(tokens)
    for start, stop in _runs(trace, trace.header.get("given", [])):
        given[start:stop] = [True] * len(given[start:stop])
    return Board(tokens, given, lambda token: piece(trace, token))


def checked(trace: Trace) -> Trace:
    """The same trace, once every record has been looked at. Raises RequestError for the first that is malformed."""
    edges(trace)
    unused(trace)
    list(steps(trace))
    return trace


def piece(trace: Trace, token: int) -> str:
    """The text of a token of a recorded run; its id where the file lacks it."""
    return trace.pieces.get(token, f"⟨{token}⟩")


def unused(trace: Trace) -> list[tuple[int, int]]:
    """The runs of positions behind the end of the answer."""
    if not isinstance(trace.end, dict | None):
        raise RequestError("the end of the trace is malformed; was the file edited?")
    return _runs(trace, (trace.end or {}).get("unused", []))


def edges(trace: Trace) -> frozenset[int]:
    """Positions at which a block begins, but for the first."""
    return frozenset(first for first, _ in _runs(trace, trace.header.get("blocks", []))[1:])


def steps(trace: Trace) -> Iterator[Step]:
    """A recorded run as the steps it was. Raises RequestError for a record that lacks what a step has."""
    left = board(trace)
    blocks = len(_runs(trace, trace.header.get("blocks", [])))
    for line in trace.steps:
        try:
            step = _step(line, blocks, len(left.token))
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError):
            name = quoted(line.get("step"))
            raise RequestError(f"step {name} of the trace is malformed; was the file edited?") from None
        left.take(step)
        settled = left.state.index("masked") if left.undecided else len(left.token)
        yield replace(step, undecided=left.undecided, settled=settled)


def _step(line: Mapping[str, Any], blocks: int, length: int) -> Step:
    window = line["window"]
    changes = tuple(Change(int(p), int(t), _state(s), int(c) / 255, float(ln)) for p, t, s, c, ln in line["changes"])
    guesses = [(int(p), int(t), int(c) / 255) for p, t, c in line.get("guesses", [])]
    top = {int(p): tuple(Candidate(int(t), float(q)) for t, q in row) for p, row in line.get("top", {}).items()}
    if any(not 0 <= place < length for place in (*(place for place, _, _ in guesses), *top)):
        raise ValueError("a position outside the canvas")
    if not 0 <= int(line["block"]) < max(1, blocks, length):
        raise ValueError("a block outside the canvas")
    return Step(
        index=int(line["step"]),
        block=int(line["block"]),
        blocks=max(blocks, int(line["block"]) + 1),
        window=tuple(range(max(0, int(window[0])), min(length, int(window[1]) + 1))) if window else (),
        changes=changes,
        seen=_seen(guesses),
        undecided=-1,
        settled=-1,
        forwards=int(line["forwards"]),
        seconds=float(line["t_ms"]) / 1000,
        candidates=top,
    )


def _seen(guesses: Sequence[tuple[int, int, float]]) -> Guesses:
    places, tokens, confidences = zip(*guesses, strict=True) if guesses else ((), (), ())
    return Guesses(
        np.array(places, np.int64),
        np.array(tokens, np.int64),
        np.array(confidences, np.float32),
        np.full(len(places), np.nan, np.float32),  # a file keeps this number for what was decided, not for guesses
    )


def frames(trace: Trace) -> Iterator[dict[str, Any]]:
    """Every canvas of a recorded run: the number of steps before it, its tokens, its text with [MASK] where undecided,
    and the confidence of what the last step decided, by position."""
    canvas = board(trace)
    yield _frame(canvas, 0)
    for number, step in enumerate(steps(trace), 1):
        canvas.take(step)
        yield _frame(canvas, number, step.changes)


def _frame(canvas: Board, number: int, changes: Sequence[Change] = ()) -> dict[str, Any]:
    text = "".join("[MASK]" if c.state in ("masked", "draft") else c.text for c in canvas.cells())
    decided = {str(c.position): round(c.confidence, 3) for c in changes if c.state != "masked"}
    return {"step": number, "tokens": list(canvas.token), "text": text, "decided": decided}


def text_of(trace: Trace) -> str:
    """The answer as recorded; of an interrupted run, the last canvas."""
    text = (trace.end or {}).get("text")
    if isinstance(text, str):
        return text
    *_, last = frames(trace)
    return str(last["text"])


_STATES: tuple[State, ...] = ("masked", "draft", "committed", "revised", "given", "unused")


def _state(name: Any) -> State:
    return _STATES[_STATES.index(name)]


def _runs(trace: Trace, value: Any) -> list[tuple[int, int]]:
    """Pairs of positions from left to right; each lies on the canvas."""
    try:
        pairs = [(int(start), int(stop)) for start, stop in value]
    except (TypeError, ValueError, OverflowError):
        pairs = [(-1, -1)]
    edges = [edge for pair in pairs for edge in pair]
    if edges != sorted(edges) or (edges and not 0 <= edges[0] <= edges[-1] <= len(trace.header["tokens"])):
        raise RequestError("the trace has a malformed list of positions; was the file edited?")
    return pairs
