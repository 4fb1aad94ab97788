"""Runs a model once and keeps what the chapters show: every number is of this run, through the code that decodes."""

import copy
import io
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...decoding.canvas import Canvas
from ...decoding.noise import gumbel
from ...decoding.process import guide
from ...decoding.propose import draw, greedy
from ...decoding.recipe import Guidance
from ...engine.batch import Batch
from ...engine.engine import Engine
from ...engine.handle import Handle
from ...engine.host import thread_limit
from ...engine.requests import Step
from ...engine.row import Row
from ...engine.step import step as advance
from ...errors import RequestError
from ...llm import LLM
from ...models.contract import Packed, Predictor
from ...trace.board import Board
from ...trace.format import read
from ...trace.recorder import Recorder
from .contents import Block, Draw, Guide, Guided, Lesson, Likely, Noisy, Place, Setting

SHOWN = 5  # tokens in the tables of noise and guidance
EXAMPLE_TEMPERATURE, EXAMPLE_SCALE = 0.7, 1.0  # where the run itself uses none


@dataclass(frozen=True)
class Asked:
    """What to explain: `step` from 1, `top` candidates a position, `options` as `LLM.generate` takes them."""

    prompt: str
    step: int
    top: int
    options: dict[str, Any]


class Watched:
    """A predictor that keeps the logits of its last forward."""

    def __init__(self, model: Predictor) -> None:
        self.model, self.contract, self.device = model, model.contract, model.device
        self.store, self.bytes_per_slot, self.activation_bytes = (
            model.store,
            model.bytes_per_slot,
            model.activation_bytes,
        )
        self.kept: list[Tensor] = []

    def hidden(self, batch: Packed) -> Tensor:
        """Those of the model."""
        self.kept = []
        return self.model.hidden(batch)

    def logits(self, hidden: Tensor) -> Tensor:
        """Those of the model; a copy is kept, because the loop works in place."""
        logits = self.model.logits(hidden)
        self.kept.append(logits.clone())
        return logits

    def streams(self, count: int) -> list[Tensor]:
        """The kept logits (R, V) of each of `count` streams."""
        return [torch.cat(self.kept[i::count]) for i in range(count)]


@dataclass(frozen=True)
class Moment:
    """The step under the glass: the canvas before it, what it read and said, and what it did."""

    canvas: Canvas
    quota: int
    logits: Tensor  # (R, V), guided, forbidden tokens at -inf
    probabilities: Tensor  # (R, V), float64; forbidden tokens count in the sum
    keys: Tensor  # (R,)
    step: Step


def gather(llm: LLM, asked: Asked) -> Lesson:
    """Decode `asked.prompt` and look closely at one step. Raises RequestError if the run has no such step."""
    with thread_limit(llm.engine.threads):
        return _lesson(llm, asked)


def _lesson(llm: LLM, asked: Asked) -> Lesson:
    request = llm.request(asked.prompt, candidates=asked.top, **asked.options)
    watched, record = Watched(llm.model), io.StringIO()
    handle = Engine(watched, llm.text).submit(request)
    recorder = Recorder(record, handle, llm.loaded.source)
    board = _board(handle)
    start = before = after = tuple(board.cells())
    moment = None
    while not handle.done:
        now, cells = _before(handle), tuple(board.cells())
        handle.engine.step()
        for step in (handle.steps.popleft() for _ in list(handle.steps)):
            board.take(step)
            recorder.step(step)
            if step.index == asked.step - 1:
                moment = _moment(handle, watched, now, step)
                before, after = cells, tuple(board.cells())
    handle.result()
    recorder.end()
    if moment is None:
        raise RequestError(f"the run has {handle.row.forwards} steps, there is no step {asked.step}; count from 1")
    return Lesson(
        setting=_setting(llm, asked, handle),
        step=moment.step.index,
        quota=moment.quota,
        start=start,
        before=tuple(replace(cell, fresh=False) for cell in before),
        after=after,
        places=_places(moment, board, asked.top),
        draw=_draw(moment, board, handle.row.recipe.process.temperature),
        guide=_guide(moment, board, handle.row, llm.model),
        blocks=_blocks(handle),
        trace=read(io.StringIO(record.getvalue())),
        text=handle.completion().text,
    )


def _board(handle: Handle) -> Board:
    canvas, text = handle.row.canvas, handle.engine.text
    return Board(canvas.tokens.tolist(), canvas.given.tolist(), lambda token: text.decode([token], special=True))


@dataclass(frozen=True)
class Before:
    """A row's state that a step will change."""

    canvas: Canvas
    quota: int
    keys: Tensor


def _before(handle: Handle) -> Before:
    row = handle.row
    keys = torch.from_numpy(row.keys(row.plan().reads).view("int64"))
    return Before(copy.deepcopy(row.canvas), row.quota, keys)


def _moment(handle: Handle, watched: Watched, before: Before, step: Step) -> Moment:
    row = handle.row
    streams = [part.cpu() for part in watched.streams(row.streams)]
    logits = guide(streams[0], streams[1], row.recipe.guidance.cfg_scale) if row.streams == 2 else streams[0]
    probabilities = logits.double().softmax(-1)
    return Moment(before.canvas, before.quota, _guessable(logits, row), probabilities, before.keys, step)


def _guessable(logits: Tensor, row: Row) -> Tensor:
    return logits.index_fill(-1, torch.tensor(row.contract.forbidden, dtype=torch.long), -torch.inf)


def _setting(llm: LLM, asked: Asked, handle: Handle) -> Setting:
    row, recipe = handle.row, handle.row.recipe
    return Setting(
        model=llm.loaded.source,
        prompt=asked.prompt,
        vocabulary=row.contract.vocab_size,
        mask_id=row.contract.mask_id,
        gen_length=sum(len(window) for window in row.windows),
        block_length=max(len(window) for window in row.windows),
        temperature=recipe.process.temperature,
        cfg_scale=recipe.guidance.cfg_scale,
        confidence=recipe.confidence,
        seed=row.seed,
    )


def _places(moment: Moment, board: Board, top: int) -> tuple[Place, ...]:
    kept = {change.position for change in moment.step.changes}
    values, tokens = (part[:, :top] for part in moment.logits.sort(dim=1, descending=True, stable=True))
    places = []
    for i, guess in enumerate(moment.step.guesses):
        likely = tuple(
            Likely(board.piece(token), logit, float(moment.probabilities[i, token]))
            for token, logit in zip(tokens[i].tolist(), values[i].tolist(), strict=True)
        )
        probability = float(moment.probabilities[i, guess.token])
        named = board.piece(guess.token)
        places.append(
            Place(guess.position, likely, named, guess.token, probability, guess.confidence, guess.position in kept)
        )
    return tuple(places)


def _draw(moment: Moment, board: Board, temperature: float) -> Draw:
    temperature = temperature or EXAMPLE_TEMPERATURE
    plain, drawn = greedy(moment.logits), draw(moment.logits, temperature, moment.keys)
    other = (plain != drawn).nonzero().flatten().tolist()
    sure = moment.probabilities.gather(1, plain[:, None]).flatten()
    at = max(other, key=lambda i: float(sure[i])) if other else int(sure.argmin())
    noise = gumbel(moment.keys[at : at + 1], moment.logits.shape[1])[0]
    logits = moment.logits[at].double()
    chosen = {*logits.topk(SHOWN).indices.tolist(), int(drawn[at])}
    tokens = [
        Noisy(board.piece(t), float(logits[t]), float(noise[t]), float(logits[t] + temperature * noise[t]))
        for t in sorted(chosen, key=lambda t: -float(logits[t]))
    ]
    return Draw(temperature, moment.step.guesses[at].position, tuple(tokens), len(other))


def _guide(moment: Moment, board: Board, row: Row, model: Predictor) -> Guide:
    scale = row.recipe.guidance.cfg_scale or EXAMPLE_SCALE
    recipe = replace(row.recipe, guidance=Guidance(scale), steps=None)
    twin = Row(copy.deepcopy(moment.canvas), recipe, row.contract, seed=row.seed)
    watched = Watched(model)
    batch = Batch(watched)
    batch.admit(twin)
    reads = twin.plan().reads
    advance(batch)
    mine = torch.from_numpy(np.searchsorted(reads, [guess.position for guess in moment.step.guesses]))
    with_prompt, without = (_guessable(part.cpu(), row)[mine] for part in watched.streams(2))
    guided = guide(with_prompt, without, scale)
    other = (greedy(with_prompt) != greedy(guided)).nonzero().flatten().tolist()
    before, after = with_prompt.double().softmax(-1), guided.double().softmax(-1)
    moved = (before - after).abs().sum(-1)
    at = max(other or range(len(mine)), key=lambda i: float(moved[i]))
    chosen = {*with_prompt[at].topk(3).indices.tolist(), *guided[at].topk(3).indices.tolist()}
    columns = [part[at].tolist() for part in (with_prompt, without, guided, before, after)]
    tokens = tuple(
        Guided(board.piece(t), *(column[t] for column in columns)) for t in sorted(chosen, key=lambda t: -columns[2][t])
    )
    return Guide(scale, moment.step.guesses[at].position, tokens, len(other))


def _blocks(handle: Handle) -> tuple[Block, ...]:
    row, text = handle.row, handle.engine.text
    return tuple(
        Block(int(window[0]), int(window[-1]), tuple(quotas), text.decode(row.canvas.tokens[window].tolist()))
        for window, quotas in zip(row.windows, row.quotas, strict=True)
    )
