"""The forward process of LLaDA, its training loss and its likelihood (arXiv 2502.09992, §2.2-2.3, App. A).

One function masks and one scores; training and Monte-Carlo likelihood share both. What is drawn is the number of
masked tokens, not one coin for each token: with l uniform on 1..L the mean over the masked tokens of a row is an
unbiased estimate of that row's negative ELBO per token (the weight L/l of eq. 6 cancels), with less variance.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Protocol, TypedDict, get_type_hints

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import RequestError, quoted
from ..models.contract import Group, Packed, Predictor
from ..models.rotary import NONE, Rope, Rotation, Rotations
from ..validation import Range, check
from .process import guide

MOST_SAMPLES = 2**20


@dataclass(frozen=True)
class Noised:
    """Rows after the forward process: in `tokens` (B, L) the mask token replaces those of `clean` where `masked`."""

    clean: Tensor
    tokens: Tensor
    masked: Tensor

    def to(self, device: torch.device) -> "Noised":
        """Return the same rows on `device`."""
        return Noised(self.clean.to(device), self.tokens.to(device), self.masked.to(device))


def stratified_counts(lengths: Tensor, generator: torch.Generator) -> Tensor:
    """Draw how many of its `lengths` (B,) maskable tokens each row masks (B,): 1..length, spread evenly over the batch.

    Each row alone is uniform on 1..length; the batch as a whole covers the range (LLaDA, get_log_likelihood).
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


class Network(Protocol):
    """A map from packed tokens to logits: a transformer in training, or any predictor."""

    def hidden(self, batch: Packed) -> Tensor:
        """Return the hidden rows (R, d) of `batch.reads`."""

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the logits (R, V), float32, of hidden rows (R, d)."""


def masked_logits(
    network: Network,
    batches: Sequence[Noised],
    shift: int = 0,
    block_size: int | None = None,
    rotation: Rotation | None = None,
) -> Tensor:
    """Return the logits (M, V) of every masked token of `batches`, in order, from one forward.

    The batches may differ in shape; none is padded. `shift` is 1 if the hidden row at i-1 predicts position i.
    `rotation` holds for all rows; None is the model's own. A model with a `block_size` decodes each block after
    finished ones. So the clean tokens follow the noised ones, and a noised block sees itself and the clean blocks
    before it (BD3LM, arXiv 2503.09573, §3.2). The estimate stays unbiased: in every block each number of masks is
    equally likely.
    """
    groups, tokens, positions, reads = [], [], [], []
    start = 0
    for batch in batches:
        count, length = batch.tokens.shape
        row, column = batch.masked.nonzero(as_tuple=True)
        place = torch.arange(length, device=batch.tokens.device)
        source = (column - shift).clamp(min=0)
        sequence, visible = batch.tokens, None
        if block_size is not None:
            sequence, visible = torch.cat((batch.tokens, batch.clean), 1), after_clean_blocks(place // block_size)
            source = source + length * (source // block_size < column // block_size)
            place = place.repeat(2)
        queries = sequence.shape[1]
        groups.append(Group(start, count, queries, visible))
        tokens.append(sequence.flatten())
        positions.append(place.repeat(count))
        reads.append(start + row * queries + source)
        start += count * queries
    words = torch.cat(tokens)
    rotations = None if rotation is None else Rotations.of([rotation], torch.zeros_like(words))
    packed = Packed(words, torch.cat(positions), groups, torch.cat(reads), rotations)
    return network.logits(network.hidden(packed))


def after_clean_blocks(block: Tensor) -> Tensor:
    """Return the attention mask (1, 2L, 2L) of noised and then clean tokens, from the `block` (L,) of each position."""
    same, earlier = block[:, None] == block, block[:, None] > block
    return torch.cat((torch.cat((same, earlier), 1), torch.cat((torch.zeros_like(same), same | earlier), 1)))[None]


def cross_entropy(network: Network, batches: Sequence[Noised], shift: int = 0, block_size: int | None = None) -> Tensor:
    """Return the cross-entropy (M,), in nats, of every masked token of `batches`, in order."""
    targets = torch.cat([batch.clean[batch.masked] for batch in batches])
    return F.cross_entropy(masked_logits(network, batches, shift, block_size), targets, reduction="none")


@dataclass(frozen=True)
class Likelihood:
    """An estimate of ln p(answer | prompt), in nats, with its standard error over `samples` maskings."""

    log_likelihood: float
    standard_error: float
    samples: int
    tokens: int


class Scoring(TypedDict, total=False):
    """The options of `log_likelihood`."""

    samples: int
    batch: int
    cfg_scale: Annotated[float, Range(0, 100)]
    seed: Annotated[int, Range(0, 2**63 - 1)]
    rope: str | Rope


@torch.inference_mode()
def log_likelihood(
    model: Predictor, prompt: Sequence[int], answer: Sequence[int], *, samples: int = 128, batch: int = 16,
    cfg_scale: float = 0.0, seed: int = 0, rope: str | Rope = NONE,
) -> Likelihood:  # fmt: skip
    """Estimate a lower bound of ln p(answer | prompt) by Monte Carlo (LLaDA, eq. 14, App. B.5; get_log_likelihood.py).

    Each sample masks l tokens of the answer, l stratified over 1..L within a batch, and scores them with weight L/l.
    With `cfg_scale` above 0 the guided distribution is scored; `rope` scales positions. Raises RequestError for an
    empty answer, an answer beyond the context, or no samples.
    """
    if not answer:
        raise RequestError("the answer to score is empty, got []; give at least one token")
    hints = get_type_hints(Scoring, include_extras=True)
    for name, value in {"samples": samples, "batch": batch, "cfg_scale": cfg_scale, "seed": seed}.items():
        check(name, value, hints[name], RequestError)
    if samples < 1 or batch < 1:
        raise RequestError(f"samples and batch must be at least 1, got {samples} and {batch}")
    if max(samples, batch) > MOST_SAMPLES:
        raise RequestError(f"samples and batch must be at most {MOST_SAMPLES:,}, got {quoted(max(samples, batch))}")
    contract, rope, total = model.contract, Rope.of(rope), len(prompt) + len(answer)
    if total > (bound := rope.context(contract.rotary, contract.max_positions)):
        raise RequestError(
            f"prompt and answer have {total} tokens, the context is {bound}; shorten them, or scale rope"
        )
    rotation = rope.rotation(contract.rotary, total)
    generator = torch.Generator().manual_seed(seed)
    sizes = [min(batch, samples - first) for first in range(0, samples, batch)]
    values = torch.cat([_estimate(model, prompt, answer, size, cfg_scale, generator, rotation) for size in sizes])
    if values.isnan().any():
        raise RequestError("the logits of the answer hold NaN; check the weights and the dtype")
    error = float(values.std() / len(values) ** 0.5) if len(values) > 1 else float("nan")
    return Likelihood(float(values.mean()), error, len(values), len(answer))


def _estimate(
    model: Predictor, prompt: Sequence[int], answer: Sequence[int], rows: int, cfg_scale: float,
    generator: torch.Generator, rotation: Rotation | None,
) -> Tensor:  # fmt: skip
    clean = torch.tensor([*prompt, *answer]).repeat(rows, 1)
    maskable = (torch.arange(clean.shape[1]) >= len(prompt)).repeat(rows, 1)
    counts = stratified_counts(maskable.sum(1), generator)
    noised = add_noise(clean, maskable, counts, model.contract.mask_id, generator).to(model.device)
    how = (model.contract.shift, model.contract.block_size, rotation)
    logits = masked_logits(model, [noised], *how)
    if cfg_scale:
        blank = noised.tokens.masked_fill(~maskable.to(model.device), model.contract.mask_id)
        unconditional = masked_logits(model, [replace(noised, tokens=blank)], *how)
        logits = guide(logits, unconditional, cfg_scale)
    nats = F.cross_entropy(logits, noised.clean[noised.masked], reduction="none")
    row = noised.masked.nonzero(as_tuple=True)[0]
    total = torch.zeros(rows, device=nats.device).index_add_(0, row, nats)
    return -(total * len(answer) / counts.to(nats.device)).cpu()
