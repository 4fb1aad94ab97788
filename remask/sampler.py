"""The reverse process of a masked diffusion model, once for every recipe.

Predict every [MASK] at once, keep what is trusted most, leave or put back [MASK] elsewhere, until none is left
(LLaDA, arXiv 2502.09992, Algorithms 4 and 5). One `step` advances every live row of a batch; a method is a value on
an axis of the row's recipe, never a loop of its own.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .batch import Batch, lay
from .canvas import Ints
from .confidence import score
from .predictor import Plan, Predictor
from .process import guide, keep_top_k, keep_top_p, suppress
from .propose import draw
from .recipe import Recipe
from .revision import Seen
from .row import Decision, Row, among
from .selection import select
from .trace import Candidate, Step

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
    families = group_by_recipe(rows)
    wanted = [laid.where[i][s] for family in families for s in range(rows[family[0]].streams) for i in family]
    hidden = model.hidden(laid.read(np.concatenate(wanted), model.device))
    done: list[tuple[Row, Step]] = []
    start = 0
    for family in families:
        members, mine = [rows[i] for i in family], [plans[i] for i in family]
        streams, reads = members[0].streams, sum(len(plan.reads) for plan in mine)
        shares = hidden[start : start + streams * reads].view(streams, reads, hidden.shape[-1])
        start += streams * reads
        decisions = decide(model, shares, members, mine)
        for row, plan, decision in zip(members, mine, decisions, strict=True):
            if (made := row.apply(plan, decision)) is not None:
                done.append((row, made))
    return done


def group_by_recipe(rows: Sequence[Row]) -> list[list[int]]:
    """Indices of rows that decide alike, so that a batch of one recipe decides in one go."""
    families: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        families.setdefault(row.family, []).append(i)
    return list(families.values())


class Looked(NamedTuple):
    """What the logits said of R positions."""

    guess: Tensor
    confidence: Tensor
    logprob: Tensor
    healthy: Tensor
    top: Tensor  # (R, k) most likely tokens, k = 0 unless asked for
    top_probability: Tensor


def decide(model: Predictor, hidden: Tensor, rows: Sequence[Row], plans: Sequence[Plan]) -> list[Decision]:
    """What the recipe of `rows` does with their hidden reads (S, ΣR, d)."""
    recipe, contract, device = rows[0].recipe, model.contract, model.device
    reads = sum(len(plan.reads) for plan in plans)
    keys, uniform = np.zeros(reads, np.uint64), np.zeros(reads, np.float32)
    if recipe.process.temperature:
        keys = np.concatenate([row.keys(plan.reads) for row, plan in zip(rows, plans, strict=True)])
    if recipe.confidence == "random":
        uniform = np.concatenate([row.scores(plan.reads) for row, plan in zip(rows, plans, strict=True)])
    at_once = max(1, LOGITS_AT_ONCE // contract.vocab_size)
    parts = [
        look(model, h, recipe, k, u, rows[0].candidates)
        for h, k, u in zip(
            hidden.split(at_once, 1),
            torch.from_numpy(keys.view(np.int64)).to(device).split(at_once),
            torch.from_numpy(uniform).to(device).split(at_once),
            strict=True,
        )
    ]
    looked = Looked(*map(torch.cat, zip(*parts, strict=True)))
    changed = choose(looked, recipe, rows, plans, device)
    return unpack(looked, changed, plans)


def look(model: Predictor, hidden: Tensor, recipe: Recipe, keys: Tensor, uniform: Tensor, top: int) -> Looked:
    """Logits of R reads, guided and processed; a guess for each, and how sure we are of it."""
    contract, process = model.contract, recipe.process
    logits = model.logits(hidden[0])  # (R, V)
    if len(hidden) == 2:
        logits = guide(logits, model.logits(hidden[1]), recipe.guidance.cfg_scale)

    def ids(*groups: Sequence[int]) -> Tensor:
        return columns(tuple(sorted(set().union(*groups))), logits.device)

    logits = suppress(logits, ids(process.suppress, contract.eos_ids if process.logits_eos_inf else ()))
    forbidden = ids(contract.forbidden)
    hidden_columns = logits[:, forbidden]
    token_logits = logits.index_fill_(1, forbidden, -torch.inf)  # never guessed …
    healthy = token_logits.amax(1).isfinite()
    if process.top_k is not None:
        token_logits = keep_top_k(token_logits, process.top_k)
    if process.top_p is not None:
        token_logits = keep_top_p(token_logits, process.top_p)
    guess = draw(token_logits, process.temperature, keys)
    logits.index_copy_(1, forbidden, hidden_columns)  # … but still in the normaliser
    healthy &= hidden_columns.amax(1).lt(torch.inf) if len(forbidden) else True

    endings = ids(contract.eos_ids, contract.eot_ids)
    last = torch.isin(guess, endings) if process.confidence_eos_eot_inf else torch.zeros_like(healthy)
    if process.confidence_eos_eot_inf and process.compat == "llada":
        logits = suppress(logits, endings if process.temperature == 0 else ids(contract.eot_ids))
        last = torch.zeros_like(healthy)
    scored = score(logits, guess, recipe.confidence, uniform)
    best = logits.topk(min(top, contract.vocab_size), 1) if top else logits[:, :0].topk(0, 1)
    share = logits.softmax(1).gather(1, best.indices) if top else best.values
    return Looked(guess, scored.confidence.masked_fill(last, -torch.inf), scored.logprob, healthy, best.indices, share)


@lru_cache(maxsize=256)
def columns(ids: tuple[int, ...], device: torch.device) -> Tensor:
    """Token ids as a tensor on the device, made once."""
    return torch.tensor(ids, dtype=torch.long, device=device)


def choose(looked: Looked, recipe: Recipe, rows: Sequence[Row], plans: Sequence[Plan], device: torch.device) -> Tensor:
    """Reveal, edit and remask (3, ΣR), decided row by row on a grid of the longest row's width."""
    counts = np.array([len(plan.reads) for plan in plans])
    columns = np.arange(counts.max())
    valid = columns < counts[:, None]  # (B, W)
    flat = np.where(valid, (counts.cumsum() - counts)[:, None] + columns, 0)

    def spread(arrays: list[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.concatenate(arrays)[flat]).to(device)

    where, real = torch.from_numpy(flat).to(device), torch.from_numpy(valid).to(device)
    canvases = [(row.canvas, plan.reads) for row, plan in zip(rows, plans, strict=True)]
    inside = spread([among(plan.reads, row.window) for row, plan in zip(rows, plans, strict=True)]) & real
    undecided = spread([canvas.undecided[reads] for canvas, reads in canvases]) & inside
    committed = spread([canvas.committed[reads] for canvas, reads in canvases]) & inside
    quota = torch.tensor([row.quota for row in rows], device=device)
    confidence, guess = looked.confidence[where], looked.guess[where]
    revealed = select(recipe.select, confidence, undecided, quota)
    seen = Seen(
        valid=real,
        committed=committed,
        current=spread([canvas.tokens[reads] for canvas, reads in canvases]),
        stored=spread([canvas.confidence[reads] for canvas, reads in canvases]),
        guess=guess,
        confidence=confidence,
        revealed=revealed,
    )
    revision = recipe.revise.revise(seen)
    return torch.stack((revealed, revision.edit & committed, revision.remask & committed))[:, real]


def unpack(looked: Looked, changed: Tensor, plans: Sequence[Plan]) -> list[Decision]:
    """One copy from device to host, then one `Decision` a row."""
    columns = torch.cat(
        (
            looked.guess[None].double(),
            looked.confidence[None].double(),
            looked.logprob[None].double(),
            looked.healthy[None].double(),
            changed.double(),
            looked.top.T.double(),
            looked.top_probability.T.double(),
        )
    )
    host = columns.cpu().numpy()
    cuts = np.cumsum([len(plan.reads) for plan in plans])[:-1]
    return [_decision(part, plan.reads) for part, plan in zip(np.split(host, cuts, 1), plans, strict=True)]


def _decision(part: np.ndarray, reads: Ints) -> Decision:
    guess, confidence, logprob, healthy, reveal, edit, remask = part[:7]
    tops, shares = np.split(part[7:], 2)
    candidates = {
        int(position): tuple(Candidate(int(t), float(p)) for t, p in zip(tops[:, i], shares[:, i], strict=True))
        for i, position in enumerate(reads)
        if len(tops)
    }
    return Decision(
        guess=guess.astype(np.int64),
        confidence=confidence.astype(np.float32),
        logprob=logprob.astype(np.float32),
        reveal=reveal.astype(bool),
        edit=edit.astype(bool),
        remask=remask.astype(bool),
        healthy=healthy.astype(bool),
        candidates=candidates,
    )
