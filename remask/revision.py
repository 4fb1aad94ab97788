"""Who goes back to [MASK], or is rewritten, among what the model itself committed.

A reviser asks for the positions that it wants to see beside the candidates (`reads`), may add query rows of its own
(`widen`), and then says what changes (`revise`). The core drops whatever would touch a given position, and keeps
every row moving.
"""

from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from .canvas import Canvas, Ints
from .exactness import Exactness
from .predictor import Plan


@dataclass(frozen=True)
class Seen:
    """What a reviser decides on, all (B, W): one column a read, `valid` where there is one."""

    valid: Tensor
    committed: Tensor  # decided in an earlier step
    current: Tensor  # the token there now
    stored: Tensor  # confidence of the step that committed it
    guess: Tensor
    confidence: Tensor
    revealed: Tensor  # leaves [MASK] in this step


@dataclass(frozen=True)
class Revision:
    """Committed positions to rewrite with the guess, and to send back to [MASK]; both (B, W)."""

    edit: Tensor
    remask: Tensor


class Reviser(Protocol):
    """One rule of revision."""

    @property
    def exactness(self) -> Exactness:
        """What this rule claims."""

    @property
    def active(self) -> bool:
        """False if it can never change a committed position."""

    def reads(self, canvas: Canvas, window: Ints) -> Ints:
        """Committed positions whose logits it wants, besides the undecided of `window`."""

    def widen(self, plan: Plan, canvas: Canvas, window: Ints) -> Plan:
        """The plan with query rows of its own added, such as shadow rows."""

    def revise(self, seen: Seen) -> Revision:
        """What to rewrite and what to send back."""

    def again(self, edits: int, remasks: int) -> bool:
        """Whether a window without [MASK] takes one more step, given what the last one changed."""


@dataclass(frozen=True)
class Never:
    """What is committed stays."""

    exactness = Exactness.EXACT
    active: bool = field(default=False, init=False, repr=False)

    def reads(self, canvas: Canvas, window: Ints) -> Ints:
        """None."""
        return window[:0]

    def widen(self, plan: Plan, canvas: Canvas, window: Ints) -> Plan:
        """The plan as it is."""
        return plan

    def revise(self, seen: Seen) -> Revision:
        """Nothing."""
        nothing = torch.zeros_like(seen.valid)
        return Revision(nothing, nothing)

    def again(self, edits: int, remasks: int) -> bool:
        """No."""
        return False


REVISERS: dict[str, type[Never]] = {"never": Never}
