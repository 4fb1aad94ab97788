"""The selection rules: the candidates that leave [MASK] in this step.

A new rule is one class here, one line in `SELECTORS` and one test. It sees the grid of a step (`Grid`) and marks the
candidates that leave. Most rules decide how many of the most confident candidates leave: they sort once and cumulate.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ..errors import RecipeError, bounded, unknown_name
from ..exactness import Exactness
from .grid import Grid, Want
from .value import Value

ROUNDING = 1e-9  # without it, 10 · (1 - 0.9) is less than 1


class Selector(Value):
    """A value of the selection axis. By default a rule sees nothing but the confidence."""

    exactness: ClassVar[Exactness] = Exactness.OTHER_ORDER
    wants: ClassVar[tuple[Want, ...]] = ()  # the fields of the grid that the rule needs beside it

    @property
    def memory(self) -> tuple[int, int]:
        """Number of steps in the record, and of tokens in each step; by default none."""
        return 0, 0

    @abstractmethod
    def choose(self, grid: Grid) -> Tensor:
        """Mark the positions that leave [MASK] (B, W). The core makes sure that only candidates leave, and at least one
        of each row."""


def select(rule: Selector, grid: Grid) -> Tensor:
    """Mark the candidates that leave [MASK] (B, W): those that `rule` chooses, else the most confident of the row."""
    chosen = rule.choose(grid) & grid.candidate
    first = torch.zeros_like(chosen).scatter_(1, grid.comparable().argmax(1, keepdim=True), 1)
    return torch.where(chosen.any(1, keepdim=True), chosen, first & grid.candidate)


@dataclass(frozen=True)
class TopK(Selector):
    """The most confident candidates, as many as the schedule wants: LLaDA (arXiv 2502.09992, Alg. 5)."""

    exactness: ClassVar[Exactness] = Exactness.EXACT

    def choose(self, grid: Grid) -> Tensor:
        return grid.best(grid.quota)


@dataclass(frozen=True)
class Threshold(Selector):
    """All candidates whose confidence reaches `threshold`, or exceeds it if `strict` (Fast-dLLM, arXiv 2505.22618,
    §3.3)."""

    threshold: float = 0.9
    strict: bool = False

    def __post_init__(self) -> None:
        bounded("select.threshold", self.threshold, 0, 1, "Fast-dLLM uses 0.9")

    def choose(self, grid: Grid) -> Tensor:
        return grid.confidence > self.threshold if self.strict else grid.confidence >= self.threshold


@dataclass(frozen=True)
class Dynamic(Selector):
    """All candidates above `threshold` if they fill the schedule's quota, else the most confident ones up to the quota
    (SDAR, arXiv 2510.06303, low_confidence_dynamic; LLaDA2.0, arXiv 2512.15745)."""

    threshold: float = 0.85

    def __post_init__(self) -> None:
        bounded("select.threshold", self.threshold, 0, 1, "SDAR uses 0.85, LLaDA2.0 0.95")

    def choose(self, grid: Grid) -> Tensor:
        above = (grid.confidence > self.threshold) & grid.candidate
        return torch.where((above.sum(1) >= grid.quota)[:, None], above, grid.best(grid.quota))


@dataclass(frozen=True)
class Factor(Selector):
    """The n most confident, n the largest with (n + 1) · (1 - c_n) < `factor`, c_n the n-th highest confidence
    (Fast-dLLM, arXiv 2505.22618, Thm. 1).

    That is the `rule` "paper". The released loop also commits the first token that fails, if that is the last
    candidate of the block, however unsure it is: "released" repeats this, for published figures.
    """

    factor: float = 1.0
    rule: Literal["paper", "released"] = "paper"

    def __post_init__(self) -> None:
        bounded("select.factor", self.factor, 0, 1e6, "Fast-dLLM uses 1")
        if self.rule not in ("paper", "released"):
            raise RecipeError(unknown_name("select.rule", self.rule, ("paper", "released")))

    def choose(self, grid: Grid) -> Tensor:
        """Count the n that pass: the condition is monotone in n, so the count is the largest such n."""
        ordered, _ = grid.ranked()
        n = torch.arange(1, ordered.shape[1] + 1, device=ordered.device)
        count = ((n + 1) * (1 - ordered.double()) < self.factor - ROUNDING).sum(1)
        if self.rule == "released":
            count = count.clamp(min=1)
            count += count + 1 == grid.candidate.sum(1)
        return grid.best(count)


@dataclass(frozen=True)
class Frechet(Selector):
    """The n most confident, n the largest with Σ_{j≤n} c_j - (n - 1) - (1 - c_n) > `margin`: by the Fréchet bound their
    joint probability is above that of any other guess (Fast-dLLM++, arXiv 2606.02955). Equal confidences give the
    factor rule."""

    margin: float = 0.02

    def __post_init__(self) -> None:
        bounded("select.margin", self.margin, -1, 1, "Fast-dLLM++ uses 0.02")

    def choose(self, grid: Grid) -> Tensor:
        """Count the n that pass: the condition is monotone in n."""
        ordered, _ = grid.ranked()
        sure = ordered.double()
        n = torch.arange(1, sure.shape[1] + 1, device=sure.device)
        return grid.best((sure.cumsum(1) - (n - 1) - (1 - sure) > self.margin + ROUNDING).sum(1))


@dataclass(frozen=True)
class EntropyBound(Selector):
    """The most confident, as many as keep Σ H - max H ≤ `gamma` nats, a bound on the loss of independent draws
    (EB-Sampler, arXiv 2505.24857, §3). The order is by the recipe's confidence; in the paper it is by entropy."""

    gamma: float = 0.1
    wants: ClassVar[tuple[Want, ...]] = ("entropy",)

    def __post_init__(self) -> None:
        bounded("select.gamma", self.gamma, 0, 1e6, "EB-Sampler uses 0.001 to 1")

    def choose(self, grid: Grid) -> Tensor:
        """Count the n that pass: the condition is monotone in n, since no entropy is negative."""
        assert grid.entropy is not None
        _, index = grid.ranked()
        spread = grid.entropy.masked_fill(~grid.candidate, torch.inf).gather(1, index).double()
        lost = spread.cumsum(1) - spread.cummax(1).values
        return grid.best((lost <= self.gamma).sum(1))


@dataclass(frozen=True)
class Segment(Selector):
    """All candidates above `threshold`, and the most confident of each unbroken run of [MASK] if it is above `low`
    (dInfer's hierarchical decoding, arXiv 2510.08666, §4.2)."""

    threshold: float = 0.8
    low: float = 0.4

    def __post_init__(self) -> None:
        bounded("select.threshold", self.threshold, 0, 1, "dInfer uses 0.8 to 0.9")
        bounded("select.low", self.low, 0, 1, "dInfer uses 0.4")

    def choose(self, grid: Grid) -> Tensor:
        """Take the lowest rank of each run as its leader."""
        rank, run = grid.rank(), grid.runs()
        lead = torch.full_like(rank, rank.shape[1]).scatter_reduce(1, run, rank, "amin").gather(1, run)
        return (grid.confidence > self.threshold) | ((rank == lead) & (grid.confidence > self.low))


@dataclass(frozen=True)
class Neighbour(Selector):
    """All candidates that reach `threshold` (anchors), and all that reach `low` within `reach` positions of an anchor
    (LocalLeap, arXiv 2510.07081)."""

    threshold: float = 0.9
    low: float = 0.75
    reach: int = 4

    def __post_init__(self) -> None:
        bounded("select.threshold", self.threshold, 0, 1, "LocalLeap uses 0.9")
        bounded("select.low", self.low, 0, 1, "LocalLeap uses about 0.75")
        bounded("select.reach", self.reach, 0, 1e6, "LocalLeap uses about 4")

    def choose(self, grid: Grid) -> Tensor:
        anchor = (grid.confidence >= self.threshold) & grid.candidate
        apart = (grid.position[:, :, None] - grid.position[:, None]).abs()
        near = ((apart <= self.reach) & anchor[:, None]).any(2)
        return anchor | (near & (grid.confidence >= self.low))


@dataclass(frozen=True)
class Sequential(Selector):
    """The schedule's quota from left to right (SDAR's `sequential`; a quota of 1 is autoregressive order)."""

    def choose(self, grid: Grid) -> Tensor:
        return grid.candidate & (grid.candidate.cumsum(1) <= grid.quota[:, None])


@dataclass(frozen=True)
class GumbelTopK(Selector):
    """The schedule's quota drawn without replacement from softmax(confidence / `temperature`): Dream's `alg_temp`
    (arXiv 2508.15487). Gumbel noise and top-k are the same draw (Kool et al., arXiv 1903.06059)."""

    temperature: float = 0.1
    wants: ClassVar[tuple[Want, ...]] = ("uniform",)

    def __post_init__(self) -> None:
        bounded("select.temperature", self.temperature, 1e-9, 1e9, "use top_k for no noise at all")

    def choose(self, grid: Grid) -> Tensor:
        """Rank the confidences after Gumbel noise."""
        assert grid.uniform is not None
        noise = -(-grid.uniform.double().log()).log()
        return grid.best(grid.quota, grid.confidence.double() / self.temperature + noise)


@dataclass(frozen=True)
class Bernoulli(Selector):
    """Each candidate independently, with the probability (t - s) / t, where t and s are the times before and after this
    step: ancestral sampling of a linear schedule (MDLM, arXiv 2406.07524, §3.2.3; Dream's `origin`).

    Time runs from 1 to `eps` over the window's steps: to 0 in MDLM, to 0.001 in Dream, which leaves more for the last
    step, in which all leave.
    """

    eps: float = 0.0
    wants: ClassVar[tuple[Want, ...]] = ("uniform",)

    def __post_init__(self) -> None:
        bounded("select.eps", self.eps, 0, 0.5, "Dream uses 0.001")

    def choose(self, grid: Grid) -> Tensor:
        """Toss one coin for each candidate; the last step takes all."""
        assert grid.uniform is not None
        before, after = grid.time.split(1, 1)
        times = [share + self.eps * (1 - share) for share in (before, after)]
        return grid.uniform < torch.where(after > 0, 1 - times[1] / times[0], 1.0)


@dataclass(frozen=True)
class Stable(Selector):
    """All candidates above `threshold` whose distribution moved by less than `divergence` nats in each of the last
    `steps` steps; if there are none, the most confident ones up to the schedule's quota (KLASS, arXiv 2511.05664,
    Alg. 1).

    The divergence KL(now ‖ before) is over the `width` likeliest tokens of the step before and all others as one
    token: a lower bound of the full divergence, without a (W, V) tensor.
    """

    threshold: float = 0.6
    divergence: float = 0.015
    steps: int = 2
    width: int = 8

    def __post_init__(self) -> None:
        bounded("select.threshold", self.threshold, 0, 1, "KLASS uses 0.6 to 0.9")
        bounded("select.divergence", self.divergence, 0, 1e6, "KLASS uses 0.001 to 0.015")
        bounded("select.steps", self.steps, 1, 64, "KLASS uses 2")
        bounded("select.width", self.width, 1, 256, "8 hold nearly all of a peaked distribution")

    @property
    def memory(self) -> tuple[int, int]:
        """The likeliest tokens of each compared step."""
        return self.steps, self.width

    def choose(self, grid: Grid) -> Tensor:
        assert grid.drift is not None
        calm = (grid.drift[..., : self.steps] < self.divergence).all(2)
        ready = calm & (grid.confidence > self.threshold) & grid.candidate
        return torch.where(ready.any(1, keepdim=True), ready, grid.best(grid.quota))


SELECTORS: dict[str, type[Selector]] = {
    "top_k": TopK,
    "threshold": Threshold,
    "dynamic": Dynamic,
    "factor": Factor,
    "frechet": Frechet,
    "entropy_bound": EntropyBound,
    "segment": Segment,
    "neighbour": Neighbour,
    "sequential": Sequential,
    "gumbel_top_k": GumbelTopK,
    "bernoulli": Bernoulli,
    "stable": Stable,
}
