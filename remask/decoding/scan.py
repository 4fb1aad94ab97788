"""The scan of the logits: guidance, processing and all reductions over the vocabulary, which exists only here.

A scan may take any chunk of the positions read: every result belongs to one position, and none is (R, V). What needs
the whole window is settled afterwards (`remask.decoding.settle`).
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from ..models.contract import Contract
from .confidence import entropy, score
from .history import Memory, divergence
from .process import Process, guide, keep_top_k, keep_top_p, suppress, tempered
from .propose import draw, greedy
from .recipe import Recipe


@dataclass(frozen=True)
class Reads:
    """What a scan needs to know of R positions beside their hidden rows; None where the recipe does not use it."""

    keys: Tensor | None = None  # (R,) int64, of the random numbers of the draw
    uniform: Tensor | None = None  # (R,) in (0, 1), the scores of random remasking
    current: Tensor | None = None  # (R,) the token there now
    memory: Memory | None = None  # (R, steps, width) the record of earlier steps

    def cut(self, rows: slice) -> "Reads":
        """The same for some of the positions."""
        keys, uniform, current = (None if x is None else x[rows] for x in (self.keys, self.uniform, self.current))
        memory = None if self.memory is None else Memory(*(x[rows] for x in self.memory))
        return Reads(keys, uniform, current, memory)


@dataclass(frozen=True)
class Seen:
    """What the logits say of R positions; None where the recipe does not ask."""

    guess: Tensor  # (R,) the proposed token
    confidence: Tensor  # (R,) float32
    logprob: Tensor  # (R,) ln p(guess), float32
    healthy: Tensor  # (R,) False where the logits hold NaN, +inf or nothing to choose from
    entropy: Tensor | None = None  # (R,) of the whole distribution, in nats
    likelihood: Tensor | None = None  # (R,) probability of the current token
    drift: Tensor | None = None  # (R,) divergence from the last step, in nats
    leaders: Tensor | None = None  # (R, width) likeliest tokens, before the history's own gain
    shares: Tensor | None = None  # (R, width) their probabilities
    top: Tensor | None = None  # (R, k) likeliest tokens, for who asked for candidates
    chances: Tensor | None = None  # (R, k) their probabilities


def scan(
    head: Callable[[Tensor], Tensor], hidden: Tensor, reads: Reads, recipe: Recipe, contract: Contract, top: int = 0
) -> Seen:
    """Scan the logits of `hidden` (S, R, d), S = 2 under guidance; `head` gives logits (R, V), float32, of (R, d).

    The numbers of `recipe` are floats, or columns (R, 1) where rows differ in them. `top` candidates are returned.
    """
    process, wants = recipe.process, recipe.wants
    logits = head(hidden[0])
    if len(hidden) == 2:
        logits = guide(logits, head(hidden[1]), recipe.guidance.cfg_scale)
    leaders, shares = likeliest(logits, recipe.memory[1])
    drift = None if reads.memory is None else divergence(logits, reads.memory)
    logits = recipe.history.enhance(logits, reads.memory)
    logits = suppress(logits, ids(process.suppress + contract.eos_ids * process.logits_eos_inf, logits.device))
    scores = tempered(keep(logits, process), process.temperature) if process.scores == "processed" else None

    forbidden = ids(contract.forbidden, logits.device)
    normaliser = logits[:, forbidden]
    logits.index_fill_(1, forbidden, -torch.inf)  # never guessed …
    best = greedy(logits)
    guess = best if reads.keys is None else draw(keep(logits, process), process.temperature, reads.keys)
    highest = logits.gather(1, best[:, None])[:, 0]
    healthy = highest.isfinite()
    logits.index_copy_(1, forbidden, normaliser)  # … but still in the normaliser
    if len(forbidden):
        above = normaliser.max(1)
        healthy &= above.values < torch.inf
        best = torch.where(above.values > highest, forbidden[above.indices], best)

    endings = ids(contract.eos_ids + contract.eot_ids, logits.device)
    last = process.confidence_eos_eot_inf
    if last and process.compat == "llada":
        logits = suppress(logits, endings if reads.keys is None else ids(contract.eot_ids, logits.device))
        best = greedy(logits)
    scored = score(logits if scores is None else scores, guess, best, recipe.confidence, reads.uniform)
    confidence = scored.confidence
    if last and process.compat != "llada":
        confidence = confidence.masked_fill(torch.isin(guess, endings), -torch.inf)
    return Seen(
        guess,
        confidence,
        scored.logprob,
        healthy,
        entropy(logits) if "entropy" in wants else None,
        logits.softmax(1).gather(1, reads.current[:, None])[:, 0] if reads.current is not None else None,
        drift,
        leaders,
        shares,
        *likeliest(logits, top),
    )


def join(parts: list[Seen]) -> Seen:
    """The scans of several chunks as one."""
    if len(parts) == 1:
        return parts[0]
    values: dict[str, Any] = {}
    for f in fields(Seen):
        chunks = [getattr(part, f.name) for part in parts]
        values[f.name] = None if chunks[0] is None else torch.cat(chunks)
    return Seen(**values)


def keep(logits: Tensor, process: Process) -> Tensor:
    """Return the logits that pass the filters of the recipe; the others are -inf."""
    if process.top_k is not None:
        logits = keep_top_k(logits, process.top_k)
    return logits if process.top_p is None else keep_top_p(logits, process.top_p, process.temperature)


def likeliest(logits: Tensor, count: int) -> tuple[Tensor | None, Tensor | None]:
    """Return the `count` likeliest tokens (R, count) and their probabilities; None for none."""
    if not count:
        return None, None
    best = logits.topk(min(count, logits.shape[1]), 1).indices
    return best, logits.softmax(1).gather(1, best)


@lru_cache(maxsize=256)
def ids(tokens: tuple[int, ...], device: torch.device) -> Tensor:
    """Return token ids as a tensor on the device, sorted and made once."""
    return torch.tensor(sorted(set(tokens)), dtype=torch.long, device=device)
