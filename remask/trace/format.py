"""A run as a file: one JSON object a line, replayable without a model.

    {"format": "remask-trace", "version": 2, "tokens": […], "given": [[start, stop], …], "mask_id": …, …}
    {"step": 0, "block": 0, "window": [first, last], "changes": [[position, token, state, confidence, logprob], …], …}
    {"edit": 1, "set": [[position, token], …], "pin": […], "ban": [[position, […]], …], "remask": […], "changes": …}
    {"key": 32, "tokens": […]}                       every 32 steps, so that a reader can start anywhere
    {"end": {"finish_reason": "stop", "text": "…", "unused": [[start, stop]], …}}

Confidences are whole numbers 0…255; "pieces" in the header and in the steps give the text of each token once. The
trace of a fork begins with the steps and edits of its past, as many as the header's "parent" says. "move" in a step and
"request" in the header are what a fork needs (`remask.trace.past`). Files of version 1 have no forks, and cannot be
forked.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np

from ..engine.past import Edit
from ..engine.requests import Step
from ..errors import RequestError, quoted
from ..models.config import LARGEST
from ..models.contract import Ints
from .moves import edit_line, move_line

VERSION, READABLE = 2, (1, 2)
KEY_EVERY = 32
LOWEST = -1e4  # stands for the logarithm of 0, which JSON cannot say
LINE, FILE = 16 << 20, 512 << 20  # the most characters of a line, and of a trace


def level(confidence: float) -> int:
    """Confidence as one byte; scores at or below 0 (negative entropies) by their exponential."""
    share = confidence if confidence > 0 else np.exp(max(confidence, -50.0))
    return round(255 * min(1.0, max(0.0, float(share) if share == share else 0.0)))


def _log(logprob: float) -> float:
    return round(logprob, 4) if logprob > LOWEST else LOWEST  # also for NaN


def runs(bitmap: Sequence[bool]) -> list[list[int]]:
    """[start, stop) of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], np.asarray(bitmap, np.int8), [0]))))
    return [[int(a), int(b)] for a, b in edges.reshape(-1, 2)]


class Writer:
    """Writes a run line by line as it happens, so an interrupted run leaves what it had."""

    def __init__(self, file: IO[str], tokens: Ints, given: Sequence[bool], piece: Callable[[int], str], **about: Any):
        self.file, self.piece, self.known = file, piece, set[int]()
        self.tokens = np.array(tokens)
        self.header = {"format": "remask-trace", "version": VERSION, **about}
        self._write(self.header | {"tokens": self.tokens.tolist(), "given": runs(given)} | self._pieces(tokens))

    def step(self, step: Step) -> None:
        """Append one step, and a key frame when it is time for one."""
        for change in step.changes:
            self.tokens[change.position] = change.token
        rows = [[c.position, c.token, c.state, level(c.confidence), _log(c.logprob)] for c in step.changes]
        line: dict[str, Any] = {
            "step": step.index,
            "block": step.block,
            "window": [step.window[0], step.window[-1]] if step.window else [],
            "changes": rows,
            "guesses": [[g.position, g.token, level(g.confidence)] for g in step.guesses],
            "forwards": step.forwards,
            "t_ms": round(1000 * step.seconds, 3),
        }
        if step.candidates:
            line["top"] = {
                str(p): [[c.token, round(c.probability, 5)] for c in tops] for p, tops in step.candidates.items()
            }
        seen = [g.token for g in step.guesses] + [c.token for tops in step.candidates.values() for c in tops]
        if step.move is not None:
            line["move"] = move_line(step.move)
        self._write(line | self._pieces([c.token for c in step.changes] + seen))
        if (step.index + 1) % KEY_EVERY == 0:
            self._write({"key": step.index + 1, "tokens": self.tokens.tolist()})

    def edit(self, at: int, edit: Edit) -> None:
        """Append an edit that was made after `at` steps."""
        changes = edit.changes(self.tokens.tolist(), self.header["mask_id"])
        for change in changes:
            self.tokens[change.position] = change.token
        rows = [[c.position, c.token, c.state, level(c.confidence), _log(c.logprob)] for c in changes]
        line = {"edit": at, **edit_line(edit), "changes": rows}
        self._write(line | self._pieces([change.token for change in changes]))

    def end(self, **about: Any) -> None:
        """Append how the run ended."""
        self._write({"end": about})
        self.file.flush()

    def _pieces(self, tokens: Iterable[int]) -> dict[str, Any]:
        fresh = sorted({int(t) for t in tokens} - self.known)
        self.known.update(fresh)
        return {"pieces": {str(t): self.piece(t) for t in fresh}} if fresh else {}

    def _write(self, value: Any) -> None:
        self.file.write(json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n")


@dataclass
class Trace:
    """A run read back; `remask.trace.board` replays it.

    `edits` are the lines of edits, each with the number of steps before it; a view shows their changes as the first
    ones of the step that follows, and so they stand there too.
    """

    header: dict[str, Any]
    steps: list[dict[str, Any]]
    end: dict[str, Any] | None  # None: the run was interrupted
    pieces: dict[int, str]
    edits: list[tuple[int, dict[str, Any]]] = field(default_factory=list)

    @property
    def mask_id(self) -> int:
        """The id that undecided positions hold."""
        return int(self.header["mask_id"])

    def final(self) -> Ints:
        """The tokens (L,) at the end."""
        tokens = np.array(self.header["tokens"], np.int64)
        for step in self.steps:
            for position, token, *_ in step["changes"]:
                tokens[position] = token
        return tokens


def read(lines: Iterable[str | bytes]) -> Trace:
    """Read a trace. Raises RequestError with the line number if it is not one; a cut last line is left out.

    Where a line may be cut within a character, give bytes.
    """
    header: dict[str, Any] | None = None
    steps: list[dict[str, Any]] = []
    edits: list[tuple[int, dict[str, Any]]] = []
    end, pieces, edited = None, dict[int, str](), list[Any]()
    numbered = enumerate(_bounded(lines), 1)
    for number, line in numbered:
        try:
            text = line if isinstance(line, str) else line.decode()
            value = json.loads(text, parse_float=_finite, parse_constant=_finite)
            pieces |= {int(k): str(v) for k, v in value.get("pieces", {}).items()}
        except OverflowError:
            raise RequestError(f"line {number} holds a number that is not finite; was the file edited?") from None
        except (ValueError, AttributeError, RecursionError):
            if header is not None and next(numbered, None) is None:
                break  # the run was killed while it wrote this line
            raise RequestError(f"line {number} is not a trace record; was the file cut or edited?") from None
        if header is None:
            header = _header(value)
        elif "step" in value:
            step = _checked(value, number, len(header["tokens"]))
            steps.append(step | {"changes": [*edited, *step["changes"]]})
            edited = []
        elif "edit" in value:
            edits.append((len(steps), _checked(value, number, len(header["tokens"]))))
            edited += value["changes"]
        elif "end" in value:
            end = value["end"]
    if header is None:
        raise RequestError("the trace is empty")
    return Trace(header, steps, end, pieces, edits)


def _bounded(lines: Iterable[str | bytes]) -> Iterator[str | bytes]:
    """The lines of a file, none of them read beyond the limits, or of any other source."""
    read = getattr(lines, "readline", None)
    total = 0
    for number, line in enumerate(iter(lambda: read(LINE + 1) or None, None) if read else lines, 1):
        total += len(line)
        if len(line) > LINE:
            raise RequestError(f"line {number} has more than {LINE:,} characters; this is no trace, or not of one run")
        if total > FILE:
            raise RequestError(f"the trace has more than {FILE:,} characters; look at a shorter run")
        yield line


def _finite(text: str) -> float:
    """A number of JSON. Raises OverflowError for NaN, infinity, and what Python would read as infinity."""
    if not math.isfinite(value := float(text)):
        raise OverflowError(text)
    return value


def is_token(value: Any) -> bool:
    """Whether a value from a file can be a token."""
    return type(value) is int and 0 <= value <= LARGEST


def _header(value: dict[str, Any]) -> dict[str, Any]:
    if value.get("format") != "remask-trace":
        raise RequestError("line 1 is not the header of a remask trace")
    if value.get("version") not in READABLE:
        raise RequestError(f"the trace has version {quoted(value.get('version'))}, this program reads {READABLE}")
    tokens = value.get("tokens")
    if not isinstance(tokens, list) or not all(map(is_token, tokens)) or not is_token(value.get("mask_id")):
        raise RequestError(f"line 1 lacks the tokens of the canvas, or one is no whole number from 0 to {LARGEST}")
    return value


def _checked(step: dict[str, Any], number: int, length: int) -> dict[str, Any]:
    try:
        good = all(type(c[0]) is int and 0 <= c[0] < length and is_token(c[1]) and len(c) == 5 for c in step["changes"])
    except (KeyError, TypeError, ValueError, IndexError):
        good = False
    if not good:
        raise RequestError(f"line {number} changes a position outside the canvas of {length}, or is malformed")
    return step
