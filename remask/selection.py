"""Who leaves [MASK] now. Each rule says how many of the most confident candidates go; one kernel picks them.

A new rule is one class here, one line in `SELECTORS` and one test: it sees each row's confidences sorted from high to
low and returns a count.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from .errors import RecipeError
from .exactness import Exactness


class Selector(Protocol):
    """How many candidates leave [MASK]."""

    @property
    def exactness(self) -> Exactness:
        """What this rule claims."""

    def count(self, ordered: Tensor, quota: Tensor) -> Tensor:
        """How many leave in each row (B,), given confidences `ordered` (B, W), high to low, -inf where there is no
        candidate, and the schedule's `quota` (B,)."""


@dataclass(frozen=True)
class TopK:
    """As many as the schedule says: LLaDA (arXiv 2502.09992, Alg. 5)."""

    exactness = Exactness.EXACT

    def count(self, ordered: Tensor, quota: Tensor) -> Tensor:
        """The quota."""
        return quota


@dataclass(frozen=True)
class Threshold:
    """All whose confidence reaches `threshold`, or exceeds it if `strict` (Fast-dLLM, arXiv 2505.22618, §3.3)."""

    threshold: float = 0.9
    strict: bool = False
    exactness = Exactness.OTHER_ORDER

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise RecipeError(f"select.threshold must lie in [0, 1], got {self.threshold}; Fast-dLLM uses 0.9")

    def count(self, ordered: Tensor, quota: Tensor) -> Tensor:
        """The number above the threshold."""
        return (ordered > self.threshold if self.strict else ordered >= self.threshold).sum(1)


SELECTORS: dict[str, type[TopK] | type[Threshold]] = {"top_k": TopK, "threshold": Threshold}


def select(rule: Selector, confidence: Tensor, candidates: Tensor, quota: Tensor) -> Tensor:
    """Who leaves [MASK] (B, W): the most confident candidates, as many as `rule` counts and at least one a row.

    Ties go to the lower column. A row without candidates selects nothing; a NaN confidence ranks last.
    """
    ranked = confidence.nan_to_num(nan=-torch.inf).clamp(min=torch.finfo(confidence.dtype).min)
    ordered, index = ranked.masked_fill(~candidates, -torch.inf).sort(dim=1, descending=True, stable=True)
    available = candidates.sum(1)
    count = torch.minimum(rule.count(ordered, quota).clamp(min=1), available)
    taken = torch.arange(ordered.shape[1], device=ordered.device) < count[:, None]
    return torch.zeros_like(candidates).scatter_(1, index, taken)
