"""The revision of committed tokens: those that go back to [MASK], and those that are rewritten.

A reviser names the positions that it reads beside the candidates (`reads`), may add query rows of its own (`widen`),
and then decides what changes (`revise`). The core ignores a change to a given position, and makes sure that every row
advances.

LLaDA and Dream are not trained on the logits of a visible token: there the model nearly copies the token. So a rule
that judges committed tokens uses the confidence of the step that committed them (RCR, ReMDM), hides the token from
its own position (WINO), or needs a model that is trained to edit.
"""

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor

from ..errors import RecipeError, bounded
from ..exactness import Exactness
from ..models.contract import Contract, Ints, Plan
from .canvas import Canvas
from .grid import Grid, Want
from .selection import Bernoulli, Selector
from .value import Value


@dataclass(frozen=True)
class Revision:
    """The changes of a step, all (B, W): candidates to reveal, committed positions to rewrite with the guess, and
    committed positions to send back to [MASK]."""

    reveal: Tensor
    edit: Tensor
    remask: Tensor


class Counts(NamedTuple):
    """The changes of the last step, and `extra`, the steps in this window that began without a [MASK]."""

    reveals: int
    edits: int
    remasks: int
    extra: int


class Reviser(Value):
    """A value of the revision axis. By default a rule reads what the window has committed, and stops with the window's
    last [MASK]."""

    exactness: ClassVar[Exactness] = Exactness.OTHER_ORDER
    wants: ClassVar[tuple[Want, ...]] = ()  # the fields of the grid that the rule needs beside the confidence
    active: ClassVar[bool] = True  # False if the rule never changes a committed position
    replaces: ClassVar[Selector | None] = None  # the selector that the rule does the work of, and that goes with it

    @property
    def edits(self) -> bool:
        """True if the rule uses the logits of visible tokens: only a model that is trained to edit fits it."""
        return False

    def fit(self, contract: Contract) -> "Reviser":
        """Return the rule. Raises RecipeError if it edits, and the model is not trained to."""
        if self.edits and not contract.editable:
            raise RecipeError(
                "this model was not trained to rewrite what it sees, so its edits mean nothing; "
                'use revise = { by = "edit", remask = true }, which needs no training, or "never"'
            )
        return self

    def reads(self, canvas: Canvas, window: Ints) -> Ints:
        """Return the committed positions that the rule reads, besides the undecided ones of `window`; by default those
        of the window that it may revise."""
        return window[canvas.revisable[window]]

    def widen(self, plan: Plan, canvas: Canvas, window: Ints) -> Plan:
        """Return the plan, with query rows of the rule's own (such as shadow rows) after the plan's rows. Under a right
        shift `plan.sources` holds the row to the left of each read. By default the plan stays."""
        return plan

    @abstractmethod
    def revise(self, grid: Grid, chosen: Tensor) -> Revision:
        """Decide what to reveal, rewrite and send back; `chosen` (B, W) is the choice of the selector."""

    def again(self, changed: Counts) -> bool:
        """Return True if a window without [MASK] takes one more step; by default it does not."""
        return False


@dataclass(frozen=True)
class Never(Reviser):
    """No revision: a committed token stays."""

    exactness: ClassVar[Exactness] = Exactness.EXACT
    active: ClassVar[bool] = False

    def reads(self, canvas: Canvas, window: Ints) -> Ints:
        return window[:0]

    def revise(self, grid: Grid, chosen: Tensor) -> Revision:
        """Reveal only."""
        nothing = torch.zeros_like(chosen)
        return Revision(chosen, nothing, nothing)


@dataclass(frozen=True)
class Edit(Reviser):
    """Rewrite a committed token if the model now guesses another one with more than `threshold`; with `remask`, send it
    back to [MASK] instead (LLaDA2.1, arXiv 2602.08676, T2T; arXiv 2604.18738, T2M). A full window goes on until
    nothing changes, for at most `patience` steps. Without `remask`, the model must be trained to edit."""

    threshold: float = 0.9
    remask: bool = False
    patience: int = 16

    def __post_init__(self) -> None:
        bounded("revise.threshold", self.threshold, 0, 1, 'LLaDA2.1 uses 0.5 to 0.9, and "never" is no editing')
        if self.patience < 0:
            raise RecipeError(f"revise.patience must be at least 0, got {self.patience}; LLaDA2.1 uses 16")

    @property
    def edits(self) -> bool:
        """True without `remask`: T2T needs a model that is trained to edit, T2M does not."""
        return not self.remask

    def revise(self, grid: Grid, chosen: Tensor) -> Revision:
        """Reveal and rewrite in the same step."""
        wrong = grid.committed & (grid.guess != grid.current) & (grid.confidence > self.threshold)
        nothing = torch.zeros_like(wrong)
        return Revision(chosen, nothing, wrong) if self.remask else Revision(chosen, wrong, nothing)

    def again(self, changed: Counts) -> bool:
        """Return True while the last step changed something; the step that revealed the last [MASK] counts."""
        return changed.reveals + changed.edits > 0 and changed.extra < self.patience


@dataclass(frozen=True)
class RCR(Reviser):
    """Running confidence remasking (MDPO, arXiv 2508.13148): after step i the window keeps the Σ_{j≤i} n_j
    positions that were, or would now be, committed with the highest confidence; all other committed positions go back
    to [MASK]."""

    def revise(self, grid: Grid, chosen: Tensor) -> Revision:
        """Rank stored and new confidences together."""
        running = replace(
            grid,
            candidate=grid.candidate | grid.committed,
            confidence=torch.where(grid.committed, grid.stored, grid.confidence),
        )
        keep = running.best(grid.committed.sum(1) + grid.quota)
        return Revision(keep & grid.candidate, torch.zeros_like(keep), grid.committed & ~keep)


@dataclass(frozen=True)
class ReMDM(Reviser):
    """Ancestral sampling that remasks (ReMDM, arXiv 2503.00307, §4): with α = 1 - t, a committed token goes back with
    probability σ, a [MASK] leaves with (α_s - (1 - σ)·α_t) / (1 - α_t), so that the marginals stay those of the model.

    σ_max = min(1, (1 - α_s) / α_t), and by `schedule`
    cap      σ = min(eta, σ_max)
    rescale  σ = eta · σ_max
    conf     σ = σ_max · softmax(-c) over the committed, c their stored confidence; 0 for a [MASK]
    It replaces the selector. It takes more steps, not fewer.
    """

    eta: float = 0.1
    schedule: Literal["cap", "rescale", "conf"] = "rescale"
    wants: ClassVar[tuple[Want, ...]] = ("uniform",)
    replaces: ClassVar[Selector | None] = Bernoulli()

    def __post_init__(self) -> None:
        bounded("revise.eta", self.eta, 0, 1, "ReMDM uses 0.008 to 0.1")
        if self.schedule not in (schedules := get_args(type(self).__annotations__["schedule"])):
            raise RecipeError(f"revise.schedule must be one of {', '.join(schedules)}, got {self.schedule!r}")

    def revise(self, grid: Grid, chosen: Tensor) -> Revision:
        """Toss one coin for each position; the last step reveals every candidate."""
        assert grid.uniform is not None
        t, s = grid.time.double().split(1, 1)  # (B, 1)
        most = (s / (1 - t).clamp(min=1e-12)).clamp(max=1)
        sigma = {"cap": most.clamp(max=self.eta), "rescale": self.eta * most, "conf": 0 * most}[self.schedule]
        leave = torch.where(s > 0, ((1 - s) - (1 - sigma) * (1 - t)) / t.clamp(min=1e-12), 1.0)
        back = sigma
        if self.schedule == "conf":
            back = most * grid.stored.double().neg().masked_fill(~grid.committed, -torch.inf).softmax(1)
        remask = grid.committed & (grid.uniform < back)
        return Revision(grid.candidate & (grid.uniform < leave), torch.zeros_like(remask), remask)


@dataclass(frozen=True)
class WINO(Reviser):
    """Wide in, narrow out (arXiv 2507.18578): in a step at most min(max(0.7·m, 5), 20) of m masks leave, and a
    committed token goes back if its probability, seen from a row that does not see the token, is below `threshold`.
    Fewer tokens go back than the last step revealed.

    That row is a shadow row: one [MASK] for each position of the window. It sees all other shadow rows and every
    position but its own; no other row sees it.
    """

    threshold: float = 0.9
    wants: ClassVar[tuple[Want, ...]] = ("likelihood",)

    def __post_init__(self) -> None:
        bounded("revise.threshold", self.threshold, 0, 1, "WINO uses 0.9")

    def widen(self, plan: Plan, canvas: Canvas, window: Ints) -> Plan:
        """Add the shadow rows: each holds a [MASK], or under a right shift the token to the left of the position."""
        stored = np.empty(0, np.int64) if plan.stored is None else plan.stored
        keys, count = np.concatenate((stored, plan.positions)), len(plan.reads)
        targets = plan.positions[plan.sources]
        own = targets == plan.reads
        visible = np.ones((len(plan.positions), len(keys)), bool) if plan.visible is None else plan.visible
        hidden = np.zeros((len(visible), count), bool)
        others = own | (targets != plan.reads[:, None])  # a shadow row of a real token would show that token
        rows = len(plan.positions) + np.arange(count)
        return replace(
            plan,
            tokens=np.concatenate((plan.tokens, np.where(own, canvas.mask_id, plan.tokens[:, plan.sources])), 1),
            positions=np.concatenate((plan.positions, targets)),
            sources=np.where(canvas.committed[plan.reads], rows, plan.sources),
            keep=None if plan.keep is None else np.concatenate((plan.keep, np.full(count, -1))),
            visible=np.block([[visible, hidden], [keys != plan.reads[:, None], others]]),
        )

    def revise(self, grid: Grid, chosen: Tensor) -> Revision:
        """Limit the reveals; if there is more than one, send the least likely committed tokens back."""
        assert grid.likelihood is not None
        masks = grid.candidate.sum(1)
        reveal = chosen & grid.best((masks * 7 // 10).clamp(min=5, max=20))
        doubted = replace(grid, candidate=grid.committed & (grid.likelihood < self.threshold))
        budget = torch.where(grid.previous < 0, 30, grid.previous) - 1
        budget = budget.masked_fill(reveal.sum(1) <= 1, 0)
        return Revision(reveal, torch.zeros_like(reveal), doubted.best(budget, -grid.likelihood))


REVISERS: dict[str, type[Reviser]] = {"never": Never, "edit": Edit, "rcr": RCR, "remdm": ReMDM, "wino": WINO}
