"""The collection of a lesson's contents: one run of a model, with every number from the code that decodes."""

import io
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...decoding.noise import gumbel, keys
from ...decoding.process import Guidance, guide
from ...decoding.propose import draw, greedy
from ...engine.engine import Engine
from ...engine.handle import Handle
from ...engine.requests import Request, Snapshot, Step
from ...errors import RequestError
from ...llm import LLM
from ...models.contract import Contract, Ints, Packed, Predictor
from ...text.tokenizer import Text
from ...trace.board import Board, board_of
from ...trace.format import read
from ...trace.recorder import Recorder
from .contents import Block, Draw, Guide, Guided, Lesson, Likely, Noisy, Place, Setting

SHOWN = 5  # tokens in the tables of noise and guidance
EXAMPLE_TEMPERATURE, EXAMPLE_SCALE = 0.7, 1.0  # if the run itself uses none


@dataclass(frozen=True)
class Asked:
    """The run to explain: `step` from 1, `top` candidates a position, `options` as `LLM.generate` takes them."""

    prompt: str
    step: int
    top: int
    options: dict[str, Any]


class LogitTap:
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
        """Return the hidden rows (R, d) of `batch.reads`."""
        self.kept = []
        return self.model.hidden(batch)

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the logits (R, V), float32, and keep a copy, because the loop works in place."""
        logits = self.model.logits(hidden)
        self.kept.append(logits.clone())
        return logits

    def streams(self, count: int) -> list[Tensor]:
        """Return the kept logits (R, V) of each of `count` streams, on the host."""
        return [torch.cat(self.kept[i::count]).cpu() for i in range(count)]


@dataclass(frozen=True)
class Moment:
    """The step in focus: the canvas before it, its logits and guesses, and its changes."""

    canvas: Snapshot
    quota: int
    logits: Tensor  # (R, V), guided, forbidden tokens at -inf
    probabilities: Tensor  # (R, V), float64; forbidden tokens count in the sum
    keys: Tensor  # (R,)
    step: Step

    @property
    def reads(self) -> Ints:
        """The positions (R,) of the rows."""
        return self.step.seen.position


def gather(llm: LLM, asked: Asked) -> Lesson:
    """Decode `asked.prompt`, with one step in focus. Raises RequestError if the run has no such step."""
    request = llm.request(asked.prompt, candidates=asked.top, **asked.options)
    tap = LogitTap(llm.model)
    handle = Engine(tap, llm.text, name=llm.loaded.source, threads=llm.engine.threads).submit(request)
    file, board, clock = io.StringIO(), board_of(handle), Counter[int]()
    recorder, canvas = Recorder(file, handle), handle.snapshot()
    start = before = after = cells = tuple(board.cells())
    moment = None
    for step in handle:
        board.take(step)
        recorder.step(step)
        if step.index == asked.step - 1:
            quotas = handle.blocks[step.block].quotas
            moment = _moment(request, tap, canvas, step, quotas[min(clock[step.block], len(quotas) - 1)])
            before, after = cells, tuple(board.cells())
        clock[step.block] += 1
        canvas, cells = handle.snapshot(), tuple(board.cells())
    recorder.end()
    completion = handle.result()
    if moment is None:
        raise RequestError(f"the run has {completion.forwards} steps, there is no step {asked.step}; count from 1")
    return Lesson(
        setting=_setting(asked.prompt, handle, llm.model.contract),
        step=moment.step.index,
        quota=moment.quota,
        start=start,
        before=tuple(replace(cell, fresh=False) for cell in before),
        after=after,
        places=_places(moment, board, asked.top),
        draw=_draw(moment, board, request.recipe.process.temperature),
        guide=_guide(moment, board, request, llm),
        blocks=_blocks(handle, llm.text),
        trace=read(file.getvalue().splitlines()),
        text=completion.text,
    )


def _moment(request: Request, tap: LogitTap, canvas: Snapshot, step: Step, quota: int) -> Moment:
    scale = request.recipe.guidance.cfg_scale
    streams = tap.streams(2 if scale else 1)
    logits = guide(streams[0], streams[1], scale) if scale else streams[0]
    random = torch.from_numpy(keys(request.seed, step.index, step.seen.position).view(np.int64))
    guessable = _guessable(logits, tap.contract)
    return Moment(canvas, quota, guessable, logits.double().softmax(-1), random, step)


def _guessable(logits: Tensor, contract: Contract) -> Tensor:
    return logits.index_fill(-1, torch.tensor(contract.forbidden, dtype=torch.long), -torch.inf)


def _setting(prompt: str, handle: Handle, contract: Contract) -> Setting:
    sizes, recipe = [len(block.positions) for block in handle.blocks], handle.recipe
    return Setting(
        model=handle.model,
        prompt=prompt,
        vocabulary=contract.vocab_size,
        mask_id=contract.mask_id,
        gen_length=sum(sizes),
        block_length=max(sizes),
        temperature=recipe.process.temperature,
        cfg_scale=recipe.guidance.cfg_scale,
        confidence=recipe.confidence,
        seed=handle.request.seed,
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


def _guide(moment: Moment, board: Board, request: Request, llm: LLM) -> Guide:
    """Decode the same canvas under guidance, by one step of a request that starts from it."""
    scale = request.recipe.guidance.cfg_scale or EXAMPLE_SCALE
    recipe, tap = replace(request.recipe, guidance=Guidance(scale), steps=None), LogitTap(llm.model)
    twin = Engine(tap, threads=llm.engine.threads).submit(replace(request, recipe=recipe, stop=()), start=moment.canvas)
    reads = next(iter(twin)).seen.position
    order = torch.from_numpy(np.searchsorted(reads, moment.reads))
    with_prompt, without = (_guessable(part, tap.contract)[order] for part in tap.streams(2))
    guided = guide(with_prompt, without, scale)
    other = (greedy(with_prompt) != greedy(guided)).nonzero().flatten().tolist()
    before, after = with_prompt.double().softmax(-1), guided.double().softmax(-1)
    moved = (before - after).abs().sum(-1)
    at = max(other or range(len(order)), key=lambda i: float(moved[i]))
    chosen = {*with_prompt[at].topk(3).indices.tolist(), *guided[at].topk(3).indices.tolist()}
    columns = [part[at].tolist() for part in (with_prompt, without, guided, before, after)]
    tokens = tuple(
        Guided(board.piece(t), *(column[t] for column in columns)) for t in sorted(chosen, key=lambda t: -columns[2][t])
    )
    return Guide(scale, moment.step.guesses[at].position, tokens, len(other))


def _blocks(handle: Handle, text: Text) -> tuple[Block, ...]:
    tokens = handle.snapshot().tokens
    texts = [text.decode(tokens[list(block.positions)].tolist()) for block in handle.blocks]
    return tuple(
        Block(block.positions[0], block.positions[-1], block.quotas, words)
        for block, words in zip(handle.blocks, texts, strict=True)
    )
