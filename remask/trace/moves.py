"""What the lines of a trace say of moves, edits and requests, exactly: a fork decides by these numbers.

Floating-point numbers are whole numbers here, the bits of a float32: none is rounded, and JSON has no word for those
that are not finite.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..engine.past import Edit, whole
from ..engine.requests import Change, Leaders, Move, Request, State
from ..models.contract import Floats, Ints

DECIDED: dict[str, State] = {"committed": "committed", "revised": "revised", "masked": "masked"}


def request_line(request: Request) -> dict[str, Any]:
    """What a header says of a request beside its canvas, recipe and seed."""
    return {
        "stop_ids": list(request.stop_ids),
        "stop": list(request.stop),
        "candidates": request.candidates,
        "template": request.template,
        "dropped": request.dropped,
        "proposer": request.proposer is not None,
    }


def move_line(move: Move) -> dict[str, Any]:
    """What the line of a step says of its move beside the changes."""
    line: dict[str, Any] = {
        "scores": [[_bits(change.confidence), _bits(change.logprob)] for change in move.changes],
        "horizon": move.horizon,
    }
    if move.inside is not None:
        line["inside"] = move.inside.tolist()
    if move.leaders is not None:
        position, token, share, drift = move.leaders
        line["leaders"] = [position.tolist(), token.tolist(), _bits(share), _bits(drift)]
    return line


def edit_line(edit: Edit) -> dict[str, Any]:
    """What the line of an edit says."""
    return {
        "set": [[at, token] for at, token in edit.set.items()],
        "pin": list(edit.pin),
        "ban": [[at, list(tokens)] for at, tokens in edit.ban.items()],
        "remask": list(edit.remask),
    }


def edit_of(line: Mapping[str, Any]) -> Edit:
    """The edit that a line says."""
    sets, bans = (dict(line[name]) for name in ("set", "ban"))
    return Edit(set=sets, pin=line["pin"], ban=bans, remask=line["remask"])


def move_of(line: Mapping[str, Any]) -> Move:
    move = line["move"]
    scores, changes = move["scores"], line["changes"]
    own = changes[len(changes) - len(scores) :]  # before them stand those of an edit
    return Move(
        changes=tuple(_change(change, score) for change, score in zip(own, scores, strict=True)),
        horizon=whole("horizon", move["horizon"]),
        seconds=float(line["t_ms"]) / 1000,
        inside=_ints(move["inside"]) if "inside" in move else None,
        leaders=_leaders(*move["leaders"]) if "leaders" in move else None,
    )


def _change(change: Sequence[Any], score: Sequence[Any]) -> Change:
    confidence, logprob = _floats(score).tolist()
    return Change(whole("a position", change[0]), whole("a token", change[1]), DECIDED[change[2]], confidence, logprob)


def _leaders(position: Any, token: Any, share: Any, drift: Any) -> Leaders:
    leaders = Leaders(_ints(position), _ints(token), _floats(share), _floats(drift))
    count = len(leaders.position)
    if leaders.token.shape != leaders.share.shape or not count == len(leaders.token) == len(leaders.drift):
        raise ValueError("leaders of unlike length")
    shape = (count, -1) if count else (0, 1)
    return leaders._replace(token=leaders.token.reshape(shape), share=leaders.share.reshape(shape))


def _bits(numbers: float | Floats) -> Any:
    """The bits of float32 numbers as whole numbers, in lists as the numbers are."""
    return np.asarray(numbers, np.float32).view(np.int32).tolist()


def _floats(bits: Any) -> Floats:
    return np.array(_ints(bits).tolist(), np.int32).view(np.float32)  # OverflowError beyond 32 bits


def _ints(values: Any) -> Ints:
    array = np.array(values)
    if array.size and array.dtype != np.int64:
        raise ValueError("not whole numbers")
    return array.astype(np.int64)
