"""Perplexity of long documents, block by block: with everything before a block, and with its last T tokens alone.

A block's nats per token are the negative ELBO of it given what stands before it (LLaDA, arXiv 2502.09992, eq. 6): the
number of masked tokens is uniform on 1..block, stratified over the maskings, and each masking has an antithetic twin.
LongLLaDA (arXiv 2506.14429) draws that number freely, from one document, and shows a cumulative mean, which hides where
a model fails; here each window stands for itself, with an interval over documents. Full context less the last T is
what the tokens beyond T are worth: perplexity alone is decided by what is near.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Annotated, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ...decoding.objective import Noised, add_noise, masked_logits, stratified_counts
from ...engine.host import thread_limit
from ...errors import RequestError, UsageError
from ...llm import LLM
from ...models.contract import Predictor
from ...models.rotary import NONE, Rope
from ...text.tokenizer import Text
from ...validation import Count, Range
from ..records import Record, subject
from ..statistics import bootstrap
from .conditions import trained_length
from .figures import curves
from .haystack import Encode, Filler, stretch
from .positions import scaled
from .suite import prose

Nats = Annotated[float, Range(-1, 700)]  # whose exponential is a number


@dataclass(frozen=True)
class Estimator:
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

    document: Count
    start: Count
    full: Nats
    recent: Nats


@torch.inference_mode()
def nats(model: Predictor, tokens: Sequence[int], block: int, estimator: Estimator, seed: int) -> float:
    """Nats per token of the last `block` of `tokens` given the others. A causal model's are exact."""
    network, contract = scaled(model, estimator.rope, len(tokens)), model.contract
    clean = torch.tensor([list(tokens)])
    maskable = torch.zeros_like(clean, dtype=torch.bool)
    maskable[:, -block:] = True
    if contract.causal:
        noised = Noised(clean, clean, maskable)
        return float(_means(masked_logits(network, [noised.to(model.device)], contract.shift), noised)[0])
    how = (contract.shift, contract.block_size)
    values = [
        _means(masked_logits(network, [noised.to(model.device)], *how), noised)
        for noised in maskings(clean, maskable, block, estimator.samples, contract.mask_id, seed)
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


def chunk(model: Predictor, document: int, tokens: Sequence[int], start: int, estimator: Estimator) -> Chunk:
    """The block that begins at `start` of one document of `estimator.length` tokens, scored."""
    stop = start + estimator.block
    seed = Random(f"{estimator.seed}:{document}:{start}").getrandbits(48)
    full = nats(model, tokens[:stop], estimator.block, estimator, seed)
    near = tokens[max(0, stop - estimator.recent) : stop]
    recent = full if len(near) == stop else nats(model, near, estimator.block, estimator, seed)
    return Chunk(document, start, round(full, 6), round(recent, 6))


def resume(llm: LLM, documents: Sequence[Sequence[int]], estimator: Estimator, record: Record) -> Iterator[Chunk]:
    """The scored blocks of all documents that `record` lacks, in order; each is on record when it comes."""
    done = {(one.document, one.start) for one in chunks_of(record)}
    for document, tokens in enumerate(documents):
        for start in (start for start in estimator.starts if (document, start) not in done):
            with thread_limit(llm.engine.threads):
                scored = chunk(llm.model, document, tokens, start, estimator)
            record.add(asdict(scored))
            yield scored


def chunks_of(record: Record) -> list[Chunk]:
    """The blocks on record. Raises UsageError, with the number of the line, for one that is not whole."""
    return [record.value(Chunk, line, line) for line in record.lines]


def documents(text: Text, estimator: Estimator, texts: Sequence[str] | None = None) -> list[list[int]]:
    """The documents in tokens: of the `texts` if there are any, else generated in words that the tokenizer knows."""
    if texts is not None:
        return text_documents(text.encode, texts, estimator)
    return filler_documents(text.encode, prose(text), estimator)


def filler_documents(encode: Encode, filler: Filler, estimator: Estimator) -> list[list[int]]:
    """Documents of sentences of a filler, cut to `estimator.length` tokens."""
    return [
        stretch(filler(Random(f"{estimator.seed}:{i}")), encode, estimator.length)[: estimator.length]
        for i in range(estimator.documents)
    ]


def text_documents(encode: Encode, texts: Sequence[str], estimator: Estimator) -> list[list[int]]:
    """The first documents that are long enough. Raises RequestError if there are too few."""
    long = [tokens for tokens in map(encode, texts) if len(tokens) >= estimator.length]
    if len(long) < estimator.documents:
        raise RequestError(
            f"{len(long)} of {len(texts)} documents have {estimator.length} tokens, {estimator.documents} are needed; "
            "lower the length or the number of documents"
        )
    return [tokens[: estimator.length] for tokens in long[: estimator.documents]]


@dataclass(frozen=True)
class Perplexity:
    """Perplexities at one block: windowed, with its interval over documents; cumulative; and what is gained by all
    the context beyond the last `recent` tokens, in nats per token (above 0: the far context helps)."""

    start: int
    windowed: float
    low: float
    high: float
    cumulative: float
    gained: float


def by_position(chunks: Iterable[Chunk]) -> list[Perplexity]:
    """The perplexity at each block position, over the documents that are done."""
    at: dict[int, list[Chunk]] = {}
    for one in chunks:
        at.setdefault(one.start, []).append(one)
    positions, running = [], []
    for start in sorted(at):
        full = [one.full for one in at[start]]
        mean = sum(full) / len(full)
        running.append(mean)
        low, high = bootstrap(full)
        gained = sum(one.recent - one.full for one in at[start]) / len(full)
        cumulative = math.exp(sum(running) / len(running))
        numbers = (math.exp(mean), math.exp(low), math.exp(high), cumulative, gained)
        positions.append(Perplexity(start, *(round(number, 6) for number in numbers)))
    return positions


def about(llm: LLM, estimator: Estimator, data: str | None = None) -> dict[str, Any]:
    """What a record of perplexities is about; `data` names the documents, whose number may grow."""
    return {
        "kind": "ppl",
        **subject(llm),
        "trained": trained_length(llm),
        "data": data,
        **{name: value for name, value in asdict(estimator).items() if name not in ("rope", "documents")},
        "rope": str(estimator.rope),
    }


def plot(perplexities: Sequence[Perplexity], folder: Path, *, model: str, block: int, trained: int) -> None:
    """Draw windowed and cumulative perplexity by position into `folder`, as perplexity.png and perplexity.svg."""
    middles = [one.start + block / 2 for one in perplexities]
    lines = {
        "windowed": (middles, [one.windowed for one in perplexities]),
        "cumulative": (middles, [one.cumulative for one in perplexities]),
    }
    bands = {"windowed": [(one.low, one.high) for one in perplexities]}
    title = f"perplexity · {Path(model).name}"
    curves(lines, folder / "perplexity", title, ylabel="perplexity", bands=bands, trained=trained)
