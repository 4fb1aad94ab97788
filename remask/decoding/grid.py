"""What one step saw of a batch: the grid on which rules of selection, of revision and of block length decide."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Want = Literal["entropy", "likelihood", "uniform"]


@dataclass(frozen=True)
class Grid:
    """One row a request, one column a read, in canvas order: all (B, W) unless another shape is said.

    What costs something is None unless a rule of the recipe lists it in its `wants`.
    """

    valid: Tensor  # there is a read in this column
    position: Tensor  # its canvas position
    candidate: Tensor  # undecided and in the window: may leave [MASK] now
    committed: Tensor  # in the window and decided in an earlier step
    current: Tensor  # the token there now
    stored: Tensor  # confidence of the step that committed it, NaN elsewhere
    guess: Tensor
    confidence: Tensor
    quota: Tensor  # (B,) how many the schedule wants committed
    time: Tensor  # (B, 2) share of the window's steps that is left before and after this one
    previous: Tensor  # (B,) reveals of the last step in this window, -1 in its first
    entropy: Tensor | None = None  # of the whole distribution, in nats
    likelihood: Tensor | None = None  # probability of the current token
    uniform: Tensor | None = None  # random numbers in (0, 1), one stream for each row
    drift: Tensor | None = None  # (B, W, n) divergence of the last n steps from their predecessors, latest first

    def comparable(self, scores: Tensor | None = None) -> Tensor:
        """`scores` (default: confidence) with -inf for what is no candidate, and for candidates the lowest finite
        number in place of NaN and -inf."""
        scores = self.confidence if scores is None else scores
        lowest = torch.finfo(scores.dtype).min
        return scores.nan_to_num(nan=lowest).clamp(min=lowest).masked_fill(~self.candidate, -torch.inf)

    def ranked(self, scores: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The comparable scores from high to low, and their columns; ties go to the lower column."""
        ordered, index = self.comparable(scores).sort(dim=1, descending=True, stable=True)
        return ordered, index

    def rank(self, scores: Tensor | None = None) -> Tensor:
        """How many columns come before each one: 0 for the most confident candidate."""
        _, index = self.ranked(scores)
        places = torch.arange(index.shape[1], device=index.device).expand_as(index)
        return torch.empty_like(index).scatter_(1, index, places)

    def best(self, count: Tensor, scores: Tensor | None = None) -> Tensor:
        """The `count` (B,) candidates with the highest scores, or all where there are fewer."""
        return (self.rank(scores) < count[:, None]) & self.candidate

    def runs(self) -> Tensor:
        """The number, from 0, of the unbroken run of candidates to which each of them belongs."""
        follows = self.candidate[:, :-1] & (self.position[:, 1:] == self.position[:, :-1] + 1)
        begins = self.candidate.clone()
        begins[:, 1:] &= ~follows
        return (begins.cumsum(1) - 1).clamp(min=0)
