"""What a fork goes on from: the past of a run, as its request and the log of its moves, and the edits made to it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import RequestError, quoted
from .requests import Change, Move, Request, Snapshot


@dataclass(frozen=True)
class Edit:
    """What a user changes in a canvas before the run goes on. Positions count from 0, the prompt's included.

    set     put a token at a position: it counts as committed, and no rule revises it
    pin     protect committed positions from revision
    ban     never guess these tokens at a position; they leave the normaliser too
    remask  send committed positions back to [MASK], pinned ones too

    Raises RequestError for what is no position or token, and for a position that two of them want to change.
    """

    set: Mapping[int, int] = field(default_factory=dict)
    pin: Sequence[int] = ()
    ban: Mapping[int, Sequence[int]] = field(default_factory=dict)
    remask: Sequence[int] = ()

    def __post_init__(self) -> None:
        check_tables(set=self.set, ban=self.ban)
        bans = {at: [tokens] if isinstance(tokens, int) else tokens for at, tokens in self.ban.items()}
        values = {"set": {whole("set", at): whole("set", token) for at, token in self.set.items()}}
        normal: dict[str, Any] = {name: _numbers(name, getattr(self, name)) for name in ("pin", "remask")}
        normal |= values | {"ban": {whole("ban", at): _numbers("ban", tokens) for at, tokens in bans.items()}}
        for name, value in normal.items():
            object.__setattr__(self, name, value)
        for one, other in (("set", "pin"), ("set", "remask"), ("pin", "remask")):
            if both := sorted({*normal[one]} & {*normal[other]}):
                raise RequestError(f"position {both[0]} is in {one} and in {other}; leave out one of them")

    def __bool__(self) -> bool:
        return bool(self.set or self.pin or self.ban or self.remask)

    @property
    def positions(self) -> list[int]:
        """All positions that it names, in order."""
        return sorted({*self.set, *self.pin, *self.ban, *self.remask})

    @property
    def tokens(self) -> list[int]:
        """All tokens that it names, in order."""
        return sorted({*self.set.values(), *(token for tokens in self.ban.values() for token in tokens)})

    def changes(self, tokens: Sequence[int], mask_id: int) -> tuple[Change, ...]:
        """What a view of the canvas `tokens` (L,) shows of it: what is set or pinned is the user's from now on."""
        own = {at: int(tokens[at]) for at in self.pin} | dict(self.set)
        changes = [Change(at, token, "given", 1.0, 0.0) for at, token in own.items()]
        return tuple(sorted(changes + [Change(at, mask_id, "masked", 0.0, 0.0) for at in self.remask]))


@dataclass(frozen=True, eq=False)
class Past:
    """A run up to one moment: its request, the canvas that it started from if it had one, and all that happened since.

    It holds no tensors and no keys; `remask.engine.fork.restore` makes the row of it again.
    """

    request: Request
    start: Snapshot | None = None
    log: tuple[Move | Edit, ...] = ()

    @property
    def steps(self) -> int:
        """The number of its steps."""
        return sum(isinstance(event, Move) for event in self.log)

    def until(self, step: int) -> "Past":
        """The past up to and including its first `step` steps, and the edits made then. Raises RequestError."""
        if not 0 <= whole("step", step) <= self.steps:
            raise RequestError(f"step must lie in 0..{self.steps}, which were taken so far, got {step}")
        taken, kept = 0, []
        for event in self.log:
            taken += isinstance(event, Move)
            if taken > step:
                break
            kept.append(event)
        return replace(self, log=tuple(kept))

    def edited(self, edit: Edit) -> "Past":
        """The past with an edit at its end."""
        return replace(self, log=(*self.log, edit)) if edit else self


def check_tables(**values: Any) -> None:
    """Raise RequestError unless each of `values` is a table by position."""
    for name, value in values.items():
        if not isinstance(value, Mapping):
            raise RequestError(f"{name} takes a table by position, as {{12: 5}}, got {quoted(value)}")


def whole(name: str, value: Any) -> int:
    """A whole number from outside, from 0. Raises RequestError for anything else."""
    if type(value) is not int or value < 0:
        raise RequestError(f"{name} takes whole numbers from 0, got {quoted(value)}")
    return value


def _numbers(name: str, values: Iterable[Any]) -> tuple[int, ...]:
    if isinstance(values, str | Mapping) or not isinstance(values, Iterable):
        raise RequestError(f"{name} takes a list of whole numbers, got {quoted(values)}")
    return tuple(sorted({whole(name, value) for value in values}))
