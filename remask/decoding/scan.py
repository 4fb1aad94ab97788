"""The scan of the logits: guidance, processing and all reductions over the vocabulary, which exists only here.

Every result belongs to one position, and none is (R, V), so positions are taken a few at a time. What needs the whole
window is settled afterwards (`remask.decoding.settle`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from ..models.contract import Contract
from ..models.tiles import tiles
from .classes import ClassTables, ReadClasses
from .columns import cut
from .confidence import entropy, score
from .history import Memory, divergence
from .process import Process, ban, guide, ids, keep_top_k, keep_top_p, suppress, tempered
from .propose import draw, greedy, perturbed
from .recipe import Recipe

LOGITS_AT_ONCE = 2**25  # numbers that the head makes at a time: 128 MiB; its matrix is read once for each time
REDUCED_AT_ONCE = 2**22  # of them, what a CPU reduces at a time: 16 MiB, so that no pass over them faults them in
FILTERED = 60.0  # nats that a token loses to top-k or top-p where a window is proposed jointly


@dataclass(frozen=True)
class Reads:
    """What a scan needs to know of R positions beside their hidden rows; None where the recipe does not use it."""

    keys: Tensor | None = None  # (R,) int64, of the random numbers of the draw
    uniform: Tensor | None = None  # (R,) in (0, 1), the scores of random remasking
    current: Tensor | None = None  # (R,) the token there now
    memory: Memory | None = None  # (R, steps, width) the record of earlier steps
    classes: ReadClasses | None = None  # of the tokens, where a row proposes its window jointly
    banned: Tensor | None = None  # (R, n) tokens that are never guessed there, -1 for none

    def cut(self, rows: slice) -> "Reads":
        """The same for some of the positions."""
        flat = (self.keys, self.uniform, self.current, self.banned)
        keys, uniform, current, banned = (None if x is None else x[rows] for x in flat)
        memory = None if self.memory is None else Memory(*(x[rows] for x in self.memory))
        classes = None if self.classes is None else self.classes.cut(rows)
        return Reads(keys, uniform, current, memory, classes, banned)


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
    tables: ClassTables | None = None  # (R, C) of the token classes


def scan(
    head: Callable[[Tensor], Tensor], hidden: Tensor, reads: Reads, recipe: Recipe, contract: Contract, top: int = 0
) -> Seen:
    """Scan the logits of `hidden` (S, R, d), S = 2 under guidance; `head` gives logits (R, V), float32, of (R, d).

    The numbers of `recipe` are floats, or columns (R, 1) where rows differ in them. `top` candidates are returned.
    """
    count, at_once = hidden.shape[1], max(1, LOGITS_AT_ONCE // contract.vocab_size)
    if count > at_once:
        turns = [(hidden[:, rows], reads.cut(rows), cut(recipe, rows)) for rows in tiles(count, at_once)]
        return join([scan(head, *turn, contract, top) for turn in turns])
    return look([head(stream) for stream in hidden], reads, recipe, contract, top)


def look(streams: Sequence[Tensor], reads: Reads, recipe: Recipe, contract: Contract, top: int) -> Seen:
    """Guide and reduce the logits (R, V) of each stream, a few positions at a time."""
    count, at_once = len(streams[0]), max(1, reduced_at_once(streams[0].device) // contract.vocab_size)
    if count > at_once:
        turns = [([x[rows] for x in streams], reads.cut(rows), cut(recipe, rows)) for rows in tiles(count, at_once)]
        return join([look(*turn, contract, top) for turn in turns])
    if len(streams) == 1:
        return reduce(streams[0], reads, recipe, contract, top)
    return reduce(guide(streams[0], streams[1], recipe.guidance.cfg_scale), reads, recipe, contract, top)


def reduced_at_once(device: torch.device) -> int:
    """Return how many numbers are reduced at a time: on another device than a CPU as many as the head makes, because
    there each of many small kernels costs as much as a large one."""
    return REDUCED_AT_ONCE if device.type == "cpu" else LOGITS_AT_ONCE


def reduce(logits: Tensor, reads: Reads, recipe: Recipe, contract: Contract, top: int) -> Seen:
    """Reduce the logits (R, V), after guidance, to what they say; they may be overwritten."""
    process = recipe.process
    leaders, shares = likeliest(logits, recipe.memory[1])
    drift = None if reads.memory is None else divergence(logits, reads.memory)
    logits = recipe.history.enhance(logits, reads.memory)
    logits = suppress(logits, ids(process.suppress + contract.eos_ids * process.logits_eos_inf, logits.device))
    logits = ban(logits, reads.banned)
    scores = tempered(keep(logits, process), process.temperature) if process.scores == "processed" else None

    forbidden = ids(contract.forbidden, logits.device)
    normaliser = logits[:, forbidden]
    logits.index_fill_(1, forbidden, -torch.inf)  # never guessed …
    best = greedy(logits)
    guess, drawn = proposal(logits, best, process, reads)
    highest = logits.gather(1, best[:, None])[:, 0]
    healthy = highest.isfinite()
    logits.index_copy_(1, forbidden, normaliser)  # … but still in the normaliser
    if len(forbidden):
        above = normaliser.max(1)
        healthy &= above.values < torch.inf
        best = torch.where(above.values > highest, forbidden[above.indices], best)
    if process.confidence_eos_eot_inf and process.compat == "llada":
        eos_ids = contract.eos_ids if reads.keys is None else ()
        logits = suppress(logits, ids(eos_ids + contract.eot_ids, logits.device))
        best = greedy(logits)
    scores = logits if scores is None else scores
    scored = score(scores, guess, best, recipe.confidence, reads.uniform)
    return Seen(
        guess,
        endings_last(scored.confidence, guess, process, contract),
        scored.logprob,
        healthy,
        entropy(logits) if "entropy" in recipe.wants else None,
        logits.softmax(1).gather(1, reads.current[:, None])[:, 0] if reads.current is not None else None,
        drift,
        leaders,
        shares,
        *likeliest(logits, top),
        None if drawn is None or reads.classes is None else drawn.tables(scores, reads.classes),
    )


@dataclass(frozen=True)
class Drawn:
    """What the draw made of each class of tokens: the first half of `ClassTables`."""

    best: Tensor
    token: Tensor
    weight: Tensor | None

    def tables(self, scores: Tensor, classes: ReadClasses) -> ClassTables:
        """Return all tables; `scores` (R, V) are the logits by which the recipe scores a guess."""
        mass = classes.mass(scores)
        total = mass.logsumexp(1, keepdim=True)
        logprob, share = scores.gather(1, self.token) - total, mass - total
        return ClassTables(self.best, self.token, logprob, share, share if self.weight is None else self.weight)


def proposal(logits: Tensor, best: Tensor, process: Process, reads: Reads) -> tuple[Tensor, Drawn | None]:
    """Return the guess (R,), with `best` (R,) the greedy one, and what the same draw made of the classes of tokens."""
    classes = reads.classes
    if reads.keys is None:
        return best, None if classes is None else Drawn(*classes.best(logits), None)
    kept, temperature = keep(logits, process), process.temperature
    if classes is None:
        return draw(kept, temperature, reads.keys), None
    kept = classes.soften(kept, logits, FILTERED * temperature)
    draws = perturbed(kept, temperature, reads.keys)
    pieces = [(noisy.argmax(-1), *classes.cut(rows).best(noisy)) for rows, noisy in draws]
    guess, largest, token = (torch.cat(piece) for piece in zip(*pieces, strict=True))
    return guess, Drawn(largest, token, classes.mass(tempered(kept, temperature)))


def endings_last(confidence: Tensor, guess: Tensor, process: Process, contract: Contract) -> Tensor:
    """Return the confidence (R,), -inf where the guess ends a text or a turn and the recipe commits those last."""
    if not process.confidence_eos_eot_inf or process.compat == "llada":
        return confidence
    return confidence.masked_fill(torch.isin(guess, ids(contract.eos_ids + contract.eot_ids, guess.device)), -torch.inf)


def join(parts: Sequence[Any]) -> Any:
    """The scans of several chunks as one."""
    first = parts[0]
    if len(parts) == 1 or first is None:
        return first
    if isinstance(first, Tensor):
        return torch.cat(list(parts))
    return type(first)(*(join([getattr(part, f.name) for part in parts]) for f in fields(first)))


def keep(logits: Tensor, process: Process) -> Tensor:
    """Return the logits that pass the filters of the recipe, in its order; the others are -inf."""
    for name in ("top_k", "top_p") if process.filters == "top_k_first" else ("top_p", "top_k"):
        if name == "top_k" and process.top_k is not None:
            logits = keep_top_k(logits, process.top_k)
        if name == "top_p" and process.top_p is not None:
            logits = keep_top_p(logits, process.top_p, process.temperature)
    return logits


def likeliest(logits: Tensor, count: int) -> tuple[Tensor | None, Tensor | None]:
    """Return the `count` likeliest tokens (R, count) and their probabilities; None for none."""
    if not count:
        return None, None
    best = logits.topk(min(count, logits.shape[1]), 1).indices
    return best, logits.softmax(1).gather(1, best)
