"""The reverse process of a masked diffusion model, once for every recipe.

Predict every [MASK] at once, keep what is trusted most, leave or put back [MASK] elsewhere, until none is left
(LLaDA, arXiv 2502.09992, Algorithms 4 and 5). One `step` advances every live row of a batch; a method is a value on
an axis of the row's recipe, never a loop of its own.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..decoding.confidence import entropy, score
from ..decoding.grid import Grid
from ..decoding.history import Memory, divergence
from ..decoding.prior import Flat
from ..decoding.process import Process, guide, keep_top_k, keep_top_p, suppress, tempered
from ..decoding.propose import draw, greedy
from ..decoding.recipe import Recipe
from ..decoding.selection import select
from ..models.contract import Ints, Plan, Predictor
from .batch import Batch, lay
from .requests import Candidate, Step
from .row import Decision, Row, alike, among

LOGITS_AT_ONCE = 2**25  # numbers of one logits tensor, 128 MiB in float32; more reads are taken in turns


def denoise(model: Predictor, rows: Sequence[Row]) -> Iterator[tuple[Row, Step]]:
    """Run `rows` to their ends in one batch, yielding each row's steps as they happen."""
    batch = Batch(model)
    for row in rows:
        batch.admit(row)
    while batch.rows:
        yield from step(batch)
        for row in [row for row in batch.rows if row.finish_reason]:
            batch.evict(row)


@torch.inference_mode()
def step(batch: Batch) -> list[tuple[Row, Step]]:
    """Advance every live row once. Rows whose logits break are finished with an error and yield no step."""
    model, rows = batch.model, batch.rows
    plans = [row.plan() for row in rows]  # what each row computes, keeps and reads
    laid = lay(batch, plans)
    groups = alike(rows)
    wanted = [laid.where[i][s] for group in groups for s in range(rows[group[0]].streams) for i in group]
    hidden = model.hidden(laid.read(np.concatenate(wanted), model.device))
    done: list[tuple[Row, Step]] = []
    start = 0
    for group in groups:
        members, mine = [rows[i] for i in group], [plans[i] for i in group]
        streams, reads = members[0].streams, sum(len(plan.reads) for plan in mine)
        shares = hidden[start : start + streams * reads].view(streams, reads, hidden.shape[-1])
        start += streams * reads
        decisions = decide(model, shares, members, mine)
        for row, plan, decision in zip(members, mine, decisions, strict=True):
            if (made := row.apply(plan, decision)) is not None:
                done.append((row, made))
    return done


class Known(NamedTuple):
    """What the host knows of R reads."""

    keys: Tensor  # of the draw's random numbers
    uniform: Tensor  # scores of random remasking
    current: Tensor  # tokens there now
    tokens: Tensor  # (R, steps, width) likeliest tokens of earlier steps
    shares: Tensor  # … and their probabilities

    @property
    def memory(self) -> Memory | None:
        """The record of earlier steps, if the recipe keeps one."""
        return Memory(self.tokens, self.shares) if self.tokens.shape[1] else None


class Looked(NamedTuple):
    """What the logits said of R positions; (R, 0) where nobody asked."""

    guess: Tensor
    confidence: Tensor
    logprob: Tensor
    healthy: Tensor
    entropy: Tensor  # (R, 1)
    likelihood: Tensor  # (R, 1) probability of the current token
    drift: Tensor  # (R, 1)
    leaders: Tensor  # (R, width) likeliest tokens before the history's own gain
    shares: Tensor
    top: Tensor  # (R, k) most likely tokens, k = 0 unless asked for
    top_probability: Tensor


def decide(model: Predictor, hidden: Tensor, rows: Sequence[Row], plans: Sequence[Plan]) -> list[Decision]:
    """What the recipe of `rows` does with their hidden reads (S, ΣR, d)."""
    recipe, candidates = rows[0].recipe, rows[0].candidates
    at_once = max(1, LOGITS_AT_ONCE // model.contract.vocab_size)
    known = recall(recipe, rows, plans, model.device)
    if hidden.shape[1] <= at_once:
        looked = look(model, hidden, recipe, known, candidates)
    else:
        shares = zip(hidden.split(at_once, 1), *(part.split(at_once) for part in known), strict=True)
        parts = [look(model, h, recipe, Known(*k), candidates) for h, *k in shares]
        looked = Looked(*map(torch.cat, zip(*parts, strict=True)))
    changed = choose(looked, recipe, rows, plans, model.device)
    return unpack(looked, changed, plans)


def recall(recipe: Recipe, rows: Sequence[Row], plans: Sequence[Plan], device: torch.device) -> Known:
    """What the rows know of their reads, end to end on the device; what the recipe does not use stays 0."""
    pairs, reads = list(zip(rows, plans, strict=True)), sum(len(plan.reads) for plan in plans)

    def gather(needed: bool, of: Callable[[Row, Ints], np.ndarray], otherwise: Tensor) -> Tensor:
        if not needed:
            return otherwise
        return torch.from_numpy(np.concatenate([of(row, plan.reads) for row, plan in pairs])).to(device)

    zeros, remembers = torch.zeros(reads, dtype=torch.long, device=device), recipe.memory[0] > 0
    nothing = zeros.new_empty(reads, 0, 0)
    return Known(
        keys=gather(recipe.process.temperature > 0, lambda row, at: row.keys(at).view(np.int64), zeros),
        uniform=gather(recipe.confidence == "random", lambda row, at: row.scores(at), zeros),
        current=gather("likelihood" in recipe.wants, lambda row, at: row.canvas.tokens[at], zeros),
        tokens=gather(remembers, lambda row, at: row.history.tokens[at], nothing),
        shares=gather(remembers, lambda row, at: row.history.shares[at], nothing),
    )


def look(model: Predictor, hidden: Tensor, recipe: Recipe, known: Known, top: int) -> Looked:
    """Logits of R reads, guided and processed; a guess for each, and how sure we are of it."""
    contract, process = model.contract, recipe.process
    logits = model.logits(hidden[0])  # (R, V)
    if len(hidden) == 2:
        logits = guide(logits, model.logits(hidden[1]), recipe.guidance.cfg_scale)

    ids = partial(columns, device=logits.device)
    nothing = logits.new_empty(len(logits), 0)  # a view would keep these logits to the end
    leaders = likeliest(logits, recipe.memory[1])
    drift = divergence(logits, known.memory)[:, None] if known.memory is not None else nothing
    logits = recipe.history.enhance(logits, known.memory)
    logits = suppress(logits, ids(process.suppress + contract.eos_ids * process.logits_eos_inf))
    scores = tempered(keep(logits, process), process.temperature) if process.scores == "processed" else None
    forbidden = ids(contract.forbidden)
    hidden_columns = logits[:, forbidden]
    token_logits = logits.index_fill_(1, forbidden, -torch.inf)  # never guessed …
    best = greedy(token_logits)
    guess = best if not process.temperature else draw(keep(token_logits, process), process.temperature, known.keys)
    highest = token_logits.gather(1, best[:, None])[:, 0]
    healthy = highest.isfinite()
    logits.index_copy_(1, forbidden, hidden_columns)  # … but still in the normaliser
    if len(forbidden):
        above = hidden_columns.max(1)
        healthy &= above.values < torch.inf
        best = torch.where(above.values > highest, forbidden[above.indices], best)

    endings, as_theirs = ids(contract.eos_ids + contract.eot_ids), process.compat == "llada"
    last = torch.isin(guess, endings) if process.confidence_eos_eot_inf and not as_theirs else None
    if process.confidence_eos_eot_inf and as_theirs:
        logits = suppress(logits, endings if process.temperature == 0 else ids(contract.eot_ids))
        best = greedy(logits)
    scored = score(logits if scores is None else scores, guess, best, recipe.confidence, known.uniform)
    wants = recipe.wants
    return Looked(
        guess,
        scored.confidence if last is None else scored.confidence.masked_fill(last, -torch.inf),
        scored.logprob,
        healthy,
        entropy(logits)[:, None] if "entropy" in wants else nothing,
        logits.softmax(1).gather(1, known.current[:, None]) if "likelihood" in wants else nothing,
        drift,
        *leaders,
        *likeliest(logits, top),
    )


def keep(logits: Tensor, process: Process) -> Tensor:
    """The logits that pass the recipe's filters."""
    if process.top_k is not None:
        logits = keep_top_k(logits, process.top_k)
    return logits if process.top_p is None else keep_top_p(logits, process.top_p, process.temperature)


def likeliest(logits: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` most likely tokens (R, count) and their probabilities."""
    if not count:
        nothing = logits.new_empty(len(logits), 0)
        return nothing.long(), nothing
    best = logits.topk(min(count, logits.shape[1]), 1).indices
    return best, logits.softmax(1).gather(1, best)


@lru_cache(maxsize=256)
def columns(ids: tuple[int, ...], device: torch.device) -> Tensor:
    """Token ids as a tensor on the device, sorted and made once."""
    return torch.tensor(sorted(set(ids)), dtype=torch.long, device=device)


def choose(looked: Looked, recipe: Recipe, rows: Sequence[Row], plans: Sequence[Plan], device: torch.device) -> Tensor:
    """Reveal, edit, remask and what stays in the window (4, ΣR), decided on a grid with one row a request."""
    seen = grid(looked, recipe, rows, plans, device)
    if not seen.valid.shape[1]:
        return torch.zeros(4, 0, device=device)  # rows that read nothing in this step
    inside = rows[0].blocks.narrow(seen, rows[0].contract.block_size)
    seen = replace(seen, candidate=seen.candidate & inside)
    revision = recipe.revise.revise(seen, select(recipe.select, seen))
    changes = (revision.reveal & seen.candidate, revision.edit & seen.committed, revision.remask & seen.committed)
    told = torch.stack((*changes, inside))
    return told.flatten(1) if seen.valid.numel() == len(looked.guess) else told[:, seen.valid]


def grid(looked: Looked, recipe: Recipe, rows: Sequence[Row], plans: Sequence[Plan], device: torch.device) -> Grid:
    """What was looked at, one row a request, as wide as the longest needs."""
    pairs = list(zip(rows, plans, strict=True))
    counts = np.array([len(plan.reads) for plan in plans])
    width = np.arange(counts.max())
    valid = width < counts[:, None]  # (B, W)
    flat = np.where(valid, (counts.cumsum() - counts)[:, None] + width, 0)
    where = None if valid.all() else torch.from_numpy(flat).to(device)
    real = torch.from_numpy(valid).to(device)

    def shaped(part: Tensor) -> Tensor:
        return part.unflatten(0, valid.shape) if where is None else part[where]

    def spread(of: Callable[[Row, Ints], np.ndarray]) -> Tensor:
        return shaped(torch.from_numpy(np.concatenate([of(row, plan.reads) for row, plan in pairs])).to(device))

    def asked(part: Tensor) -> Tensor | None:
        return shaped(part).squeeze(-1) if part.shape[1] else None

    inside = spread(lambda row, at: among(at, row.window)) & real
    confidence = shaped(looked.confidence)
    if recipe.prior != Flat():
        confidence = confidence * spread(lambda row, at: recipe.prior.weights(row.canvas, row.window, at))
    drift = None
    if looked.drift.shape[1]:
        earlier = spread(lambda row, at: row.history.drift[at, :-1])
        drift = torch.cat((shaped(looked.drift), earlier), 2)
    return Grid(
        valid=real,
        position=spread(lambda row, at: at),
        candidate=spread(lambda row, at: row.canvas.undecided[at]) & inside,
        committed=spread(lambda row, at: row.canvas.committed[at]) & inside,
        current=spread(lambda row, at: row.canvas.tokens[at]),
        stored=spread(lambda row, at: row.canvas.confidence[at]),
        guess=shaped(looked.guess),
        confidence=confidence,
        quota=torch.tensor([row.quota for row in rows], device=device),
        time=torch.tensor([row.time for row in rows], device=device),
        previous=torch.tensor([row.previous for row in rows], device=device),
        entropy=asked(looked.entropy),
        likelihood=asked(looked.likelihood),
        uniform=spread(lambda row, at: row.coins(at)) if "uniform" in recipe.wants else None,
        drift=drift,
    )


def unpack(looked: Looked, changed: Tensor, plans: Sequence[Plan]) -> list[Decision]:
    """What was decided, on the host, as one `Decision` a row."""
    told = looked._asdict() | dict(zip(("reveal", "edit", "remask", "inside"), changed, strict=True))
    told["drift"] = looked.drift[:, 0] if looked.drift.shape[1] else torch.zeros_like(looked.confidence)
    wanted = [told[name] for name in HOST]
    parts = [part.numpy() for part in wanted] if changed.device.type == "cpu" else fetched(wanted)
    whole = {name: part.astype(HOST[name], copy=False) for name, part in zip(HOST, parts, strict=True)}
    decisions, start = [], 0
    for plan in plans:
        stop = start + len(plan.reads)
        decisions.append(_decision({name: part[start:stop] for name, part in whole.items()}, plan.reads))
        start = stop
    return decisions


def fetched(parts: Sequence[Tensor]) -> list[np.ndarray]:
    """Tables (R,) or (R, n) of a device on the host, by one copy, each number as float64."""
    tables = [part if part.ndim == 2 else part[:, None] for part in parts]
    host = torch.cat([table.double() for table in tables], 1).cpu().numpy()
    columns = np.split(host, np.cumsum([table.shape[1] for table in tables])[:-1], 1)
    return [column.reshape(part.shape) for part, column in zip(parts, columns, strict=True)]


HOST: dict[str, type[Any]] = {  # what a `Decision` is made of
    **dict.fromkeys(("guess", "leaders", "top"), np.int64),
    **dict.fromkeys(("confidence", "logprob", "drift", "shares"), np.float32),
    **dict.fromkeys(("healthy", "reveal", "edit", "remask", "inside"), bool),
    "top_probability": np.float64,
}


def _decision(part: dict[str, np.ndarray], reads: Ints) -> Decision:
    tops, chances = part.pop("top"), part.pop("top_probability")
    candidates = {
        int(position): tuple(Candidate(int(t), float(p)) for t, p in zip(top, chance, strict=True))
        for position, top, chance in (zip(reads, tops, chances, strict=True) if tops.size else ())
    }
    return Decision(**part, candidates=candidates)
