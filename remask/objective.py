"""The forward process of LLaDA and what is learned from it (arXiv 2502.09992, §2.2-2.3, App. A).

One function masks, one scores; training and Monte-Carlo likelihood share both. The number of masked tokens is drawn,
not the coin of each token: with l uniform on 1..L the mean over the masked tokens of a row is an unbiased estimate of
that row's negative ELBO per token (the weight L/l of eq. 6 cancels), with less variance than the coin.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .models.transformer import Transformer, dense
from .predictor import Packed


@dataclass(frozen=True)
class Noised:
    """Rows after the forward process: `tokens` (B, L), of which `masked` (B, L) were replaced by the mask token."""

    clean: Tensor
    tokens: Tensor
    masked: Tensor


def stratified_counts(lengths: Tensor, generator: torch.Generator) -> Tensor:
    """How many of `lengths` (B,) maskable tokens each row masks: 1..length, spread evenly over the batch.

    Each row alone is uniform on 1..length; the batch together covers the range (LLaDA, get_log_likelihood).
    """
    rows, device = len(lengths), lengths.device
    start = torch.rand((), generator=generator, device=device)
    share = (start + torch.arange(rows, device=device) / rows) % 1.0
    share = share[torch.randperm(rows, generator=generator, device=device)]
    return torch.minimum((share * lengths).long() + 1, lengths)


def add_noise(tokens: Tensor, maskable: Tensor, counts: Tensor, mask_id: int, generator: torch.Generator) -> Noised:
    """Mask exactly `counts` (B,) random positions of each row among its `maskable` (B, L) ones."""
    order = torch.rand(tokens.shape, generator=generator, device=tokens.device).masked_fill(~maskable, 2.0)
    rank = order.argsort(1).argsort(1)
    masked = (rank < counts[:, None]) & maskable
    return Noised(tokens, tokens.masked_fill(masked, mask_id), masked)


@dataclass(frozen=True)
class Losses:
    """Cross-entropy in nats of every masked token (M,), and the row (over all batches, in order) that it is in (M,)."""

    nats: Tensor
    row: Tensor


def cross_entropy(model: Transformer, batches: list[Noised]) -> Losses:
    """Score every masked token of `batches` in one forward; batches may differ in shape, and none is padded."""
    groups, tokens, positions, reads, targets, rows = [], [], [], [], [], []
    start = row = 0
    for batch in batches:
        count, length = batch.tokens.shape
        layout, places = dense(model.config, count, length, batch.tokens.device, start)
        r, c = batch.masked.nonzero(as_tuple=True)
        groups.append(layout)
        tokens.append(batch.tokens.flatten())
        positions.append(places)
        reads.append(start + r * length + (c - model.config.shift).clamp(min=0))
        targets.append(batch.clean[r, c])
        rows.append(row + r)
        start, row = start + count * length, row + count
    hidden = model(Packed(torch.cat(tokens), torch.cat(positions), groups, torch.cat(reads)))
    nats = F.cross_entropy(model.head(hidden).float(), torch.cat(targets), reduction="none")
    return Losses(nats, torch.cat(rows))
