"""The grid of a step: what the rules of selection, of revision and of block length decide on."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Want = Literal["entropy", "likelihood", "uniform"]


@dataclass(frozen=True)
class Grid:
    """One row for each request, one column for each read, in canvas order. Tensors are (B, W) unless stated.

    A field that costs time is None unless a rule of the recipe lists it in its `wants`.
    """

    valid: Tensor  # True where the column holds a read
    position: Tensor  # canvas position of the read
    candidate: Tensor  # undecided and in the window: it may leave [MASK] now
    committed: Tensor  # in the window and decided in an earlier step
    current: Tensor  # the token there now
    stored: Tensor  # confidence of the step that committed the position, NaN elsewhere
    guess: Tensor
    confidence: Tensor
    quota: Tensor  # (B,) number of positions that the schedule wants committed
    time: Tensor  # (B, 2) share of the window's steps that is left before and after this step
    previous: Tensor  # (B,) reveals of the last step in this window, -1 in the first step
    entropy: Tensor | None = None  # of the whole distribution, in nats
    likelihood: Tensor | None = None  # probability of the current token
    uniform: Tensor | None = None  # random numbers in (0, 1), one stream for each row
    drift: Tensor | None = None  # (B, W, n) divergence of the last n steps from their predecessors, latest first

    def comparable(self, scores: Tensor | None = None) -> Tensor:
        """Return `scores` (B, W; default: confidence) with -inf where there is no candidate, and for candidates the
        lowest finite number in place of NaN and -inf."""
        scores = self.confidence if scores is None else scores
        lowest = torch.finfo(scores.dtype).min
        return scores.nan_to_num(nan=lowest).clamp(min=lowest).masked_fill(~self.candidate, -torch.inf)

    def ranked(self, scores: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the comparable scores (B, W) from high to low, and their columns; ties go to the lower column."""
        ordered, index = self.comparable(scores).sort(dim=1, descending=True, stable=True)
        return ordered, index

    def rank(self, scores: Tensor | None = None) -> Tensor:
        """Return the rank (B, W) of each column: 0 for the most confident candidate."""
        _, index = self.ranked(scores)
        places = torch.arange(index.shape[1], device=index.device).expand_as(index)
        return torch.empty_like(index).scatter_(1, index, places)

    def best(self, count: Tensor, scores: Tensor | None = None) -> Tensor:
        """Mark the `count` (B,) candidates with the highest scores (B, W), or all where there are fewer."""
        return (self.rank(scores) < count[:, None]) & self.candidate

    def runs(self) -> Tensor:
        """Return for each candidate the number (B, W), from 0, of its unbroken run of candidates."""
        follows = self.candidate[:, :-1] & (self.position[:, 1:] == self.position[:, :-1] + 1)
        begins = self.candidate.clone()
        begins[:, 1:] &= ~follows
        return (begins.cumsum(1) - 1).clamp(min=0)
