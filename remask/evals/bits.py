"""Bits per byte of real text: what a model knows of a language, whatever its tokens are.

A text is cut into windows. For a masked model a window's nats are a bound, the negative ELBO with stratified masks
(LLaDA, arXiv 2502.09992, eq. 6); for a causal one they are exact, by the chain rule.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log

import torch
from torch.nn import functional as F

from ..decoding.objective import Noised, add_noise, masked_logits, stratified_counts
from ..llm import LLM
from .statistics import bootstrap


@dataclass(frozen=True)
class Bits:
    """Nats and bytes of each window."""

    nats: Sequence[float]
    size: Sequence[int]

    @property
    def per_byte(self) -> float:
        """Bits per byte of all windows together."""
        return sum(self.nats) / log(2) / max(1, sum(self.size))

    @property
    def interval(self) -> tuple[float, float]:
        """95 % bootstrap interval over windows."""
        return bootstrap([n / log(2) / b for n, b in zip(self.nats, self.size, strict=True) if b])


def windows(llm: LLM, texts: Sequence[str], length: int) -> list[list[int]]:
    """The tokens of each text in windows of `length`; a last one below 16 tokens is left out."""
    cut = []
    for text in texts:
        ids = llm.text.encode(text)
        cut += [part for at in range(0, len(ids), length) if len(part := ids[at : at + length]) >= 16]
    return cut


@torch.inference_mode()
def bits(llm: LLM, texts: Sequence[str], *, length: int = 256, samples: int = 16, seed: int = 0) -> Iterator[Bits]:
    """Yield the nats and bytes of one window after the other, each from `samples` maskings (one for a causal model)."""
    contract, device = llm.model.contract, llm.model.device
    generator = torch.Generator().manual_seed(seed)
    for ids in windows(llm, texts, length):
        rows = 1 if contract.causal else samples
        clean = torch.tensor(ids).repeat(rows, 1)
        if contract.causal:
            masked = (torch.arange(len(ids)) > 0).expand(1, -1)
            noised, counts = Noised(clean, clean, masked).to(device), None
        else:
            counts = stratified_counts(torch.full((rows,), len(ids)), generator)
            noised = add_noise(clean, torch.ones_like(clean, dtype=torch.bool), counts, contract.mask_id, generator)
            noised = noised.to(device)
        block = None if contract.causal else contract.block_size
        logits = masked_logits(llm.model, [noised], contract.shift, block)
        nats = F.cross_entropy(logits, noised.clean[noised.masked], reduction="none")
        if counts is None:
            total = float(nats.sum()) * len(ids) / (len(ids) - 1)  # the first token has nothing before it: as the rest
        else:
            row = noised.masked.nonzero(as_tuple=True)[0]
            sums = torch.zeros(rows, device=nats.device).index_add_(0, row, nats)
            total = float((sums * len(ids) / counts.to(nats.device)).mean())
        yield Bits([total], [len(llm.text.decode(ids).encode())])


def together(parts: Sequence[Bits]) -> Bits:
    """All windows as one figure."""
    return Bits([n for part in parts for n in part.nats], [b for part in parts for b in part.size])
