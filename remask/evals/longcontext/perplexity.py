"""Perplexity of long documents, block by block: with everything before a block, and with its last T tokens alone.

A block's nats per token are the negative ELBO of it given what stands before it (LLaDA, arXiv 2502.09992, eq. 6): the
number of masked tokens is uniform on 1..block, stratified over the maskings, and each masking has an antithetic twin.
LongLLaDA (arXiv 2506.14429) draws that number freely, from one document, and shows a cumulative mean, which hides where
a model fails; here each window stands for itself, with an interval over documents. Full context less the last T is
what the tokens beyond T are worth: perplexity alone is decided by what is near.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ...decoding.objective import Noised, add_noise, masked_logits, stratified_counts
from ...errors import RequestError, UsageError
from ...models.contract import Predictor
from ...models.rotary import NONE, Rope
from ..statistics import bootstrap
from . import record
from .haystack import Encode, Filler, stretch
from .positions import scaled


@dataclass(frozen=True)
class Sweep:
    """Which blocks are scored, and how: documents of `length` tokens in blocks of `block`, `samples` maskings each.

    `recent` is the context of the second score in tokens, the block included; `rope` scales positions.
    """

    length: int
    block: int = 64
    samples: int = 16
    documents: int = 5
    recent: int = 4096
    seed: int = 0
    rope: Rope = NONE

    def __post_init__(self) -> None:
        for name in ("length", "block", "samples", "documents", "recent"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.length < 2 * self.block:
            raise UsageError(
                f"a document of {self.length} tokens has no block of {self.block} after the first; raise the length"
            )
        if self.recent < self.block:
            raise UsageError(f"the last {self.recent} tokens cannot hold a block of {self.block}; lower the block")

    @property
    def starts(self) -> range:
        """Where blocks begin; the first one, which nothing precedes, is not scored."""
        return range(self.block, self.length - self.block + 1, self.block)


@dataclass(frozen=True)
class Chunk:
    """Nats per token of one block, with all that precedes it and with the last `recent` tokens only."""

    document: int
    start: int
    full: float
    recent: float


@torch.inference_mode()
def nats(model: Predictor, tokens: Sequence[int], block: int, grid: Sweep, seed: int) -> float:
    """Nats per token of the last `block` of `tokens` given the others. A causal model's are exact."""
    network, contract = scaled(model, grid.rope, len(tokens)), model.contract
    clean = torch.tensor([list(tokens)])
    maskable = torch.zeros_like(clean, dtype=torch.bool)
    maskable[:, -block:] = True
    if contract.causal:
        noised = Noised(clean, clean, maskable)
        return float(_means(masked_logits(network, [noised.to(model.device)], contract.shift), noised)[0])
    how = (contract.shift, contract.block_size)
    values = [
        _means(masked_logits(network, [noised.to(model.device)], *how), noised)
        for noised in maskings(clean, maskable, block, grid.samples, contract.mask_id, seed)
    ]
    return float(torch.cat(values).mean())


def maskings(
    clean: Tensor, maskable: Tensor, block: int, samples: int, mask_id: int, seed: int, at_once: int = 8
) -> Iterator[Noised]:
    """At least `samples` maskings of one row (1, L), at most `at_once` together.

    Each masks k of the block's positions, k uniform on 1..block and stratified; its twin masks the others and one more.
    """
    generator = torch.Generator().manual_seed(seed)
    pairs = -(-samples // 2)
    counts = stratified_counts(torch.full((pairs,), block), generator)
    for first in range(0, pairs, max(1, at_once // 2)):
        some = counts[first : first + max(1, at_once // 2)]
        rows, room = clean.repeat(len(some), 1), maskable.repeat(len(some), 1)
        noised = add_noise(rows, room, some, mask_id, generator)
        spare = room & ~noised.masked  # block - k of them; the twin takes one more, at random
        twin = add_noise(rows, noised.masked, torch.ones_like(some), mask_id, generator).masked | spare
        masked = torch.cat((noised.masked, twin))
        both = rows.repeat(2, 1)
        yield Noised(both, both.masked_fill(masked, mask_id), masked)


def _means(logits: Tensor, noised: Noised) -> Tensor:
    """Mean cross-entropy over the masked tokens of each row (B,)."""
    losses = F.cross_entropy(logits, noised.clean[noised.masked].to(logits.device), reduction="none").cpu().double()
    row = noised.masked.nonzero(as_tuple=True)[0]
    total = torch.zeros(len(noised.clean), dtype=torch.float64).index_add_(0, row, losses)
    return total / noised.masked.sum(1)


def blocks(model: Predictor, document: int, tokens: Sequence[int], grid: Sweep) -> Iterator[Chunk]:
    """The scored blocks of one document of `grid.length` tokens, in order."""
    for start in grid.starts:
        stop = start + grid.block
        seed = Random(f"{grid.seed}:{document}:{start}").getrandbits(48)
        full = nats(model, tokens[:stop], grid.block, grid, seed)
        near = tokens[max(0, stop - grid.recent) : stop]
        recent = full if len(near) == stop else nats(model, near, grid.block, grid, seed)
        yield Chunk(document, start, round(full, 6), round(recent, 6))


def generated(encode: Encode, filler: Filler, grid: Sweep) -> list[list[int]]:
    """Documents of sentences of a filler, cut to `grid.length` tokens."""
    return [
        stretch(filler(Random(f"{grid.seed}:{i}")), encode, grid.length)[: grid.length] for i in range(grid.documents)
    ]


def given(encode: Encode, texts: Sequence[str], grid: Sweep) -> list[list[int]]:
    """The first documents that are long enough. Raises RequestError if there are too few."""
    long = [tokens for tokens in map(encode, texts) if len(tokens) >= grid.length]
    if len(long) < grid.documents:
        raise RequestError(
            f"{len(long)} of {len(texts)} documents have {grid.length} tokens, {grid.documents} are needed; lower the "
            "length or the number of documents"
        )
    return [tokens[: grid.length] for tokens in long[: grid.documents]]


@dataclass(frozen=True)
class Point:
    """Perplexities at one block: windowed, with its interval over documents; cumulative; and what is gained by all
    the context beyond the last `recent` tokens, in nats per token (above 0: the far context helps)."""

    start: int
    windowed: float
    low: float
    high: float
    cumulative: float
    gained: float


def summarise(found: Sequence[Chunk]) -> list[Point]:
    """One point a block position, over the documents that are done."""
    at: dict[int, list[Chunk]] = {}
    for block in found:
        at.setdefault(block.start, []).append(block)
    points, running = [], []
    for start in sorted(at):
        full = [block.full for block in at[start]]
        mean = sum(full) / len(full)
        running.append(mean)
        low, high = bootstrap(full)
        gained = sum(block.recent - block.full for block in at[start]) / len(full)
        cumulative = math.exp(sum(running) / len(running))
        numbers = (math.exp(mean), math.exp(low), math.exp(high), cumulative, gained)
        points.append(Point(start, *(round(number, 6) for number in numbers)))
    return points


@dataclass
class PerplexityRecord:
    """Blocks, document by document, on disk if there is a path."""

    path: Path | None
    about: dict[str, Any]
    blocks: list[Chunk] = field(default_factory=list)

    @classmethod
    def open(cls, path: Path | None, about: dict[str, Any]) -> "PerplexityRecord":
        """Take up `path` if it holds the same settings, else begin it. Raises UsageError if it holds others."""
        try:
            found = [Chunk(**block) for block in record.resumed(path, about, "blocks")]
        except TypeError as error:
            raise UsageError(f"{path} holds a block that is not whole ({error}); name another file") from None
        return cls(path, about, found)

    @property
    def done(self) -> int:
        """Documents that are complete."""
        return 1 + max((block.document for block in self.blocks), default=-1)

    def add(self, found: Sequence[Chunk]) -> None:
        """Keep the blocks of one document."""
        self.blocks += found
        points = [asdict(point) for point in summarise(self.blocks)]
        record.write(self.path, self.about, points=points, blocks=list(map(asdict, self.blocks)))
