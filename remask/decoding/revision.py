"""Who goes back to [MASK], or is rewritten, among what the model itself committed.

A reviser asks for the positions that it wants to see beside the candidates (`reads`), may add query rows of its own
(`widen`), and then says what changes (`revise`). The core drops whatever would touch a given position, and keeps every
row moving.

Logits of a visible token are not trained in LLaDA or Dream: what the model says there is near a copy. Rules that judge
committed tokens therefore use the confidence they were committed with (RCR, ReMDM), leave the token out of its own
sight (WINO), or need a model that was trained to edit.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal, NamedTuple, Protocol, get_args

import numpy as np
import torch
from torch import Tensor

from ..errors import RecipeError, bounded
from ..exactness import Exactness
from ..models.contract import Ints, Plan
from .canvas import Canvas
from .grid import Grid, Want


@dataclass(frozen=True)
class Revision:
    """What a step does, all (B, W): candidates that leave [MASK], committed positions to rewrite with the guess, and
    committed ones to send back."""

    reveal: Tensor
    edit: Tensor
    remask: Tensor


class Counts(NamedTuple):
    """How much the last step changed, and how many steps the window has had that began without a [MASK]."""

    reveals: int
    edits: int
    remasks: int
    extra: int


class Reviser(Protocol):
    """One rule of revision."""

    @property
    def exactness(self) -> Exactness:
        """What this rule claims."""

    @property
    def wants(self) -> tuple[Want, ...]:
        """What it needs to see beside the confidence."""

    @property
    def active(self) -> bool:
        """False if it can never change a committed position."""

    @property
    def edits(self) -> bool:
        """Whether it trusts what the model says of a visible token: for models that were trained so."""

    def reads(self, canvas: Canvas, window: Ints) -> Ints:
        """Committed positions whose logits it wants, besides the undecided of `window`."""

    def widen(self, plan: Plan, canvas: Canvas, window: Ints) -> Plan:
        """The plan with query rows of its own added, such as shadow rows. Under a right shift `plan.sources` holds the
        row to the left of each read."""

    def revise(self, grid: Grid, chosen: Tensor) -> Revision:
        """What to reveal (the selector's choice is `chosen`), rewrite and send back."""

    def again(self, changed: Counts) -> bool:
        """Whether a window without [MASK] takes one more step."""


class _Rule:
    """What most rules share: they look at what the window has committed, and at nothing beyond its last [MASK]."""

    exactness: ClassVar[Exactness] = Exactness.OTHER_ORDER
    wants: ClassVar[tuple[Want, ...]] = ()
    active: ClassVar[bool] = True

    @property
    def edits(self) -> bool:
        """No."""
        return False

    def reads(self, canvas: Canvas, window: Ints) -> Ints:
        """The committed positions of the window."""
        return window[canvas.committed[window]]

    def widen(self, plan: Plan, canvas: Canvas, window: Ints) -> Plan:
        """The plan as it is."""
        return plan

    def again(self, changed: Counts) -> bool:
        """No."""
        return False


@dataclass(frozen=True)
class Never(_Rule):
    """What is committed stays."""

    exactness: ClassVar[Exactness] = Exactness.EXACT
    active: ClassVar[bool] = False

    def reads(self, canvas: Canvas, window: Ints) -> Ints:
        """None."""
        return window[:0]

    def revise(self, grid: Grid, chosen: Tensor) -> Revision:
        """Only reveals."""
        nothing = torch.zeros_like(chosen)
        return Revision(chosen, nothing, nothing)


@dataclass(frozen=True)
class Edit(_Rule):
    """Rewrites a committed token that the model would now guess otherwise with more than `threshold`; with `remask`
    sends it back to [MASK] instead (LLaDA2.1, arXiv 2602.08676, T2T; arXiv 2604.18738, T2M). A full window goes on
    until nothing changes, for at most `patience` steps. For models that were trained to edit, unless `remask`."""

    threshold: float = 0.9
    remask: bool = False
    patience: int = 16

    def __post_init__(self) -> None:
        bounded("revise.threshold", self.threshold, 0, 1, 'LLaDA2.1 uses 0.5 to 0.9, and "never" is no editing')
        if self.patience < 0:
            raise RecipeError(f"revise.patience must be at least 0, got {self.patience}; LLaDA2.1 uses 16")

    @property
    def edits(self) -> bool:
        """T2T needs a model that was trained so; T2M does not."""
        return not self.remask

    def revise(self, grid: Grid, chosen: Tensor) -> Revision:
        """Both in one step: reveals and rewrites."""
        wrong = grid.committed & (grid.guess != grid.current) & (grid.confidence > self.threshold)
        nothing = torch.zeros_like(wrong)
        return Revision(chosen, nothing, wrong) if self.remask else Revision(chosen, wrong, nothing)

    def again(self, changed: Counts) -> bool:
        """As long as the last step changed something, the one that revealed the last [MASK] included."""
        return changed.reveals + changed.edits > 0 and changed.extra < self.patience


@dataclass(frozen=True)
class RCR(_Rule):
    """Running confidence remasking (MDPO, arXiv 2508.13148): after step i the window keeps the Σ_{j≤i} n_j
    positions that were or would be committed with the highest confidence; whatever else was committed goes back to
    [MASK]."""

    def revise(self, grid: Grid, chosen: Tensor) -> Revision:
        """One ranking of stored and new confidences."""
        running = replace(
            grid,
            candidate=grid.candidate | grid.committed,
            confidence=torch.where(grid.committed, grid.stored, grid.confidence),
        )
        kept = running.best(grid.committed.sum(1) + grid.quota)
        return Revision(kept & grid.candidate, torch.zeros_like(kept), grid.committed & ~kept)


@dataclass(frozen=True)
class ReMDM(_Rule):
    """Ancestral sampling that remasks (ReMDM, arXiv 2503.00307, §4): with α = 1 - t, a committed token goes back with
    probability σ, a [MASK] leaves with (α_s - (1 - σ)·α_t) / (1 - α_t), so that the marginals stay those of the model.

    σ_max = min(1, (1 - α_s) / α_t), and by `schedule`
    cap      σ = min(eta, σ_max)
    rescale  σ = eta · σ_max
    conf     σ = σ_max · softmax(-c) over the committed, c their stored confidence; 0 for a [MASK]
    It replaces the selector, and costs steps rather than saving them.
    """

    eta: float = 0.1
    schedule: Literal["cap", "rescale", "conf"] = "rescale"
    wants: ClassVar[tuple[Want, ...]] = ("uniform",)

    def __post_init__(self) -> None:
        bounded("revise.eta", self.eta, 0, 1, "ReMDM uses 0.008 to 0.1")
        if self.schedule not in (known := get_args(type(self).__annotations__["schedule"])):
            raise RecipeError(f"revise.schedule must be one of {', '.join(known)}, got {self.schedule!r}")

    def revise(self, grid: Grid, chosen: Tensor) -> Revision:
        """One coin a position; the last step takes all."""
        assert grid.uniform is not None
        t, s = grid.time.double().unbind(1)
        most = (s / (1 - t).clamp(min=1e-12)).clamp(max=1)
        sigma = {"cap": most.clamp(max=self.eta), "rescale": self.eta * most, "conf": 0 * most}[self.schedule]
        leave = torch.where(s > 0, ((1 - s) - (1 - sigma) * (1 - t)) / t.clamp(min=1e-12), 1.0)
        back = sigma[:, None]
        if self.schedule == "conf":
            back = most[:, None] * grid.stored.double().neg().masked_fill(~grid.committed, -torch.inf).softmax(1)
        remask = grid.committed & (grid.uniform < back)
        return Revision(grid.candidate & (grid.uniform < leave[:, None]), torch.zeros_like(remask), remask)


@dataclass(frozen=True)
class WINO(_Rule):
    """Wide in, narrow out (arXiv 2507.18578): at most min(max(0.7·m, 5), 20) of m masks leave a step, and a
    committed token whose probability is below `threshold` where it cannot see itself goes back, fewer than the last
    step revealed.

    Shadow rows ask: one [MASK] for each position of the window, which sees all other shadows and everything but the
    position that it stands for, and which no other row sees.
    """

    threshold: float = 0.9
    wants: ClassVar[tuple[Want, ...]] = ("likelihood",)

    def __post_init__(self) -> None:
        bounded("revise.threshold", self.threshold, 0, 1, "WINO uses 0.9")

    def widen(self, plan: Plan, canvas: Canvas, window: Ints) -> Plan:
        """Shadow rows after the plan's own: of a [MASK], or under a right shift of the token to its left."""
        stored = np.empty(0, np.int64) if plan.stored is None else plan.stored
        keys, count = np.concatenate((stored, plan.positions)), len(plan.reads)
        places = plan.positions[plan.sources]
        own = places == plan.reads
        visible = np.ones((len(plan.positions), len(keys)), bool) if plan.visible is None else plan.visible
        hidden = np.zeros((len(visible), count), bool)
        others = own | (places != plan.reads[:, None])  # a shadow that is a real token shows it
        rows = len(plan.positions) + np.arange(count)
        return replace(
            plan,
            tokens=np.concatenate((plan.tokens, np.where(own, canvas.mask_id, plan.tokens[:, plan.sources])), 1),
            positions=np.concatenate((plan.positions, places)),
            sources=np.where(canvas.committed[plan.reads], rows, plan.sources),
            keep=None if plan.keep is None else np.concatenate((plan.keep, np.full(count, -1))),
            visible=np.block([[visible, hidden], [keys != plan.reads[:, None], others]]),
        )

    def revise(self, grid: Grid, chosen: Tensor) -> Revision:
        """Reveals capped, and the least likely sent back if more than one leaves."""
        assert grid.likelihood is not None
        masks = grid.candidate.sum(1)
        reveal = chosen & grid.best((masks * 7 // 10).clamp(min=5, max=20))
        doubted = replace(grid, candidate=grid.committed & (grid.likelihood < self.threshold))
        budget = torch.where(grid.previous < 0, 30, grid.previous) - 1
        budget = budget.masked_fill(reveal.sum(1) <= 1, 0)
        return Revision(reveal, torch.zeros_like(reveal), doubted.best(budget, -grid.likelihood))


REVISERS: dict[str, type[Reviser]] = {"never": Never, "edit": Edit, "rcr": RCR, "remdm": ReMDM, "wino": WINO}
