"""The training loop: a generator of `Progress`; whoever consumes it prints, plots or counts."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from itertools import accumulate
from pathlib import Path
from random import Random

import torch
from torch import Tensor
from torch.nn import functional as F

from ..checkpoint.placement import native_bfloat16
from ..decoding.objective import Noised, add_noise, cross_entropy, stratified_counts
from ..errors import RemaskError
from ..models.config import ModelConfig
from ..models.contract import Group, Packed
from ..models.transformer import Transformer
from ..tasks import Task
from ..tasks.corpus import corpus_tasks
from ..text.tokenizer import Text
from .checkpoints import TrainingState
from .config import KNOWN, Optimisation, TrainConfig
from .data import Rows, draw, rows
from .feed import IGNORED, Batch, Shape, batches, tokenise
from .muon import Muon


@dataclass(frozen=True)
class Progress:
    """What happened since the last report. Losses are nats per masked token; `heldout` maps tasks to theirs."""

    step: int
    loss: float
    rate: float
    tokens_per_second: float
    seconds_left: float
    heldout: Mapping[str, float] | None = None


def train(
    config: TrainConfig, model: Transformer, text: Text, run: Path, *, corpus: Path | None = None, workers: int = 0
) -> Iterator[Progress]:
    """Train `model` in place, yielding progress; saves to `run/state` and takes up what it finds there.

    At the end the model holds the averaged weights. Interrupting it loses at most `save_every` steps, and going on
    gives the same run, step for step (but for one that ends by the clock). `corpus` is a folder of real text, and
    `workers` processes make batches of one shape ahead of time.
    """
    state = TrainingState(
        model, {k: v.clone() for k, v in model.state_dict().items()}, optimizers(model, config.optimisation)
    )
    fingerprint = asdict(replace(config, log_every=0, save_every=0, evaluate_every=0, compile=False))
    state.load(run, fingerprint)
    clock = Clock(config.optimisation, state.seconds, state.step)
    seen, saved = 0, state.step
    recent: list[Tensor] = []
    with learning(config, state, text, run, corpus, workers) as learn:
        share = clock.share(state.step)
        while share < 1:
            loss, tokens = learn()
            update(state, config.optimisation, rate_at(config.optimisation, state.step, share))
            state.step += 1
            recent.append(loss)
            seen += tokens
            share = clock.share(state.step)
            last = share == 1
            save = state.step % config.save_every == 0 or last
            evaluate = state.step % config.evaluate_every == 0 or last
            report = state.step % config.log_every == 0 or evaluate
            if save or report:
                mean = float(torch.stack(recent).mean())
                kept = f"{run / 'state'} still holds step {saved:,}" if saved else "nothing is saved yet"
                refuse_broken(state, mean, config.optimisation, kept)
            if report:
                yield Progress(
                    step=state.step,
                    loss=mean,
                    rate=rate_at(config.optimisation, state.step, share),
                    tokens_per_second=seen / clock.elapsed,
                    seconds_left=clock.left(state.step),
                    heldout=heldout_losses(state, config, text, corpus) if evaluate else None,
                )
                recent = []
            if save:
                state.seconds = clock.seconds
                state.save(run, fingerprint)
                saved = state.step
    model.load_state_dict(state.average)


class Clock:
    """How far a run is: by its steps, or by its minutes if those are over sooner."""

    def __init__(self, how: Optimisation, seconds: float, step: int) -> None:
        self.how, self.before, self.first = how, seconds, step
        self.began = time.perf_counter()

    @property
    def elapsed(self) -> float:
        """Seconds of this process."""
        return time.perf_counter() - self.began

    @property
    def seconds(self) -> float:
        """Seconds of the run, those before an interruption included."""
        return self.before + self.elapsed

    def share(self, step: int) -> float:
        """The part of the run that is over, 0 to 1."""
        timed = 0.0 if self.how.minutes is None else self.seconds / (60 * self.how.minutes)
        return min(1.0, max(step / self.how.steps, timed))

    def left(self, step: int) -> float:
        """Seconds to go, as the pace is so far."""
        by_steps = self.elapsed / max(1, step - self.first) * (self.how.steps - step)
        return by_steps if self.how.minutes is None else min(by_steps, max(0.0, 60 * self.how.minutes - self.seconds))


def refuse_broken(state: TrainingState, loss: float, how: Optimisation, kept: str) -> None:
    """Raise RemaskError if the loss or a weight is not finite: no later one is, and a good state must not be lost."""
    whole = torch.stack([weight.isfinite().all() for weight in state.model.parameters()]).all()
    if not (whole and math.isfinite(loss)):
        raise RemaskError(
            f"step {state.step:,}: the loss is {loss:.4g} and the weights are no longer finite; begin in another "
            f"folder with a learning_rate below {how.learning_rate:g} ({kept})"
        )


Learn = Callable[[], tuple[Tensor, int]]
"""Sets the gradients of the next batch; returns its loss and the tokens in it."""


@contextmanager
def learning(
    config: TrainConfig, state: TrainingState, text: Text, run: Path, corpus: Path | None, workers: int
) -> Iterator[Learn]:
    """What a step learns from: batches of one shape from the feed, or of a few tasks, in threads of their own."""
    if not config.data.rows:
        with thread_per_group(config.data.groups) as threads:
            tasks = KNOWN if corpus is None else KNOWN | corpus_tasks(corpus, "train")
            yield lambda: groups_of_tasks(state, config, text, tasks, threads)
        return
    tokens = tokenise(text, corpus, run) if corpus is not None and config.data.text else None
    feed = batches(text, config.data, config.seed, corpus, tokens, first=state.step, workers=workers)
    with feed as made, one_shape(config, state) as learn:
        yield lambda: learn(next(made))


@contextmanager
def one_shape(config: TrainConfig, state: TrainingState) -> Iterator[Callable[[Batch], tuple[Tensor, int]]]:
    """How a batch of the fixed shape is learned from; with `compile` as one graph."""
    model, shape = state.model, Shape.of(config.data.rows)
    assert isinstance(model, Transformer)
    device = next(model.parameters()).device
    starts = [0, *accumulate(rows * length for rows, length in shape.groups)]
    groups = [Group(start, *group) for start, group in zip(starts, shape.groups, strict=False)]
    places = [torch.arange(length).repeat(rows) for rows, length in shape.groups]
    positions = torch.cat(places).to(device)

    def loss(tokens: Tensor, reads: Tensor, targets: Tensor) -> Tensor:
        logits = model.logits(model.hidden(Packed(tokens, positions, groups, reads)))
        return F.cross_entropy(logits, targets, ignore_index=IGNORED)

    compiled = torch.compile(loss) if config.compile else loss

    def learn(batch: Batch) -> tuple[Tensor, int]:
        parts = [torch.from_numpy(part) for part in (batch.tokens, batch.reads, batch.targets)]
        if device.type == "cuda":
            parts = [part.pin_memory().to(device, non_blocking=True) for part in parts]
        with autocast(config.optimisation, device):
            found = compiled(*(part.long() for part in parts))
        found.backward()
        return found.detach(), shape.tokens

    yield learn


@contextmanager
def thread_per_group(groups: int) -> Iterator[Executor]:
    """Threads for `groups` groups of rows, which share out those that torch has: less waiting than within a product."""
    threads = torch.get_num_threads()
    workers = min(groups, threads)
    with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(threads // workers,)) as pool:
        try:
            yield pool
        finally:
            torch.set_num_threads(threads)


def groups_of_tasks(
    state: TrainingState, config: TrainConfig, text: Text, tasks: Mapping[str, Task], workers: Executor
) -> tuple[Tensor, int]:
    """Set the gradients of the next batch, a function of the seed and the step alone.

    Every masked token weighs the same: far faster to learn from than 1/t weights, and the same minimum.
    """
    model, how = state.model, config.optimisation
    assert isinstance(model, Transformer)
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(config.seed * 1_000_003 + state.step)
    batch = draw(text, config.data, "train", config.seed, state.step, how.tokens_per_step, tasks)
    noised = [noise(rows, model.config, how.edit_share, generator, device) for rows in batch]
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    count = sum(int(group.masked.sum()) for group in noised)

    def learn(groups: Sequence[Noised]) -> tuple[Tensor, Sequence[Tensor]]:
        with autocast(how, device):
            loss = losses(model, groups).sum() / count
        return loss.detach(), torch.autograd.grad(loss, weights)

    together = device.type != "cpu" or torch.get_num_threads() == 1
    found = list(workers.map(learn, [noised] if together else [[group] for group in noised]))
    for weight, *gradients in zip(weights, *(gradients for _, gradients in found), strict=True):
        weight.grad = torch.stack(gradients).sum(0)
    return torch.stack([loss for loss, _ in found]).sum(), sum(rows.tokens.numel() for rows in batch)


@torch.no_grad()
def update(state: TrainingState, how: Optimisation, rate: float) -> None:
    """Take one step along the gradients at the learning `rate`, and follow it with the average."""
    torch.nn.utils.clip_grad_norm_(state.model.parameters(), how.clip)
    for optimizer in state.optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    decay = min(how.ema, (1 + state.step) / (10 + state.step))
    weights = state.model.state_dict()
    torch._foreach_lerp_([state.average[name] for name in weights], list(weights.values()), 1 - decay)


def noise(rows: Rows, model: ModelConfig, edits: float, generator: torch.Generator, device: torch.device) -> Noised:
    """Mask the answer as LLaDA does; with `edits`, also replace that share of its visible tokens, to be rewritten.

    A causal model sees every token before the one that it predicts, so nothing is masked for it.
    """
    if model.causal:
        nothing_before = torch.arange(rows.tokens.shape[1]) == 0
        return Noised(rows.tokens, rows.tokens, rows.maskable & ~nothing_before).to(device)
    counts = stratified_counts(rows.maskable.sum(1), generator)
    noised = add_noise(rows.tokens, rows.maskable, counts, model.mask_id, generator)
    if edits:
        visible = rows.maskable & ~noised.masked
        wrong = visible & (torch.rand(visible.shape, generator=generator) < edits)
        other = rows.tokens.flatten()[torch.randint(rows.tokens.numel(), rows.tokens.shape, generator=generator)]
        noised = Noised(noised.clean, torch.where(wrong, other, noised.tokens), noised.masked | visible)
    return noised.to(device)


def losses(model: Transformer, noised: Sequence[Noised]) -> Tensor:
    """Cross-entropy (M,) of every token to learn. Nothing is masked for a causal model: one copy of them is enough."""
    config = model.config
    return cross_entropy(model, noised, config.shift, None if config.causal else config.block_size)


@torch.no_grad()
def heldout_losses(state: TrainingState, config: TrainConfig, text: Text, corpus: Path | None) -> dict[str, float]:
    """Nats per masked token on held-out examples, by task, under the averaged weights."""
    model = state.model
    assert isinstance(model, Transformer)
    device = next(model.parameters()).device
    mine = {k: v.clone() for k, v in model.state_dict().items()}
    model.load_state_dict(state.average)
    tasks = KNOWN if corpus is None else KNOWN | corpus_tasks(corpus, "valid")
    found = {}
    for name in config.data.tasks:
        batch = rows(
            text, replace(config.data, pool=1), tasks[name], "heldout", Random(f"{config.seed}:evaluate"), 4096
        )
        noised = noise(batch, model.config, 0.0, torch.Generator().manual_seed(config.seed), device)
        with autocast(config.optimisation, device):
            found[name] = float(losses(model, [noised]).mean())
    model.load_state_dict(mine)
    return found


def optimizers(model: Transformer, how: Optimisation) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the body, AdamW for embeddings, head and norms; or AdamW for all."""
    matrices = [w for name, w in model.named_parameters() if w.ndim == 2 and name.startswith("blocks.")]
    if how.matrix_optimizer == "adamw":
        matrices = []
    ids = set(map(id, matrices))
    rest = [w for w in model.parameters() if id(w) not in ids]
    adamw = torch.optim.AdamW(rest, lr=how.learning_rate, betas=(0.9, 0.98), weight_decay=how.weight_decay)
    muon = [Muon(matrices, lr=how.learning_rate, weight_decay=how.weight_decay)] if matrices else []
    return [adamw, *muon]


def rate_at(how: Optimisation, step: int, share: float) -> float:
    """Learning rate at `step`, with a `share` of the run over: linear warm-up, then flat and linear to zero (wsd), or
    half a cosine."""
    if step < how.warmup:
        return how.learning_rate * (step + 1) / how.warmup
    if how.schedule == "cosine":
        began = how.warmup / how.steps
        return how.learning_rate * 0.5 * (1 + math.cos(math.pi * (share - began) / max(1e-9, 1 - began)))
    return how.learning_rate * min(1.0, (1 - share) / max(1e-9, how.decay))


def autocast(how: Optimisation, device: torch.device) -> AbstractContextManager[object]:
    """bf16 where it is asked for, or where the device computes in it natively."""
    native = torch.cuda.is_bf16_supported() if device.type == "cuda" else native_bfloat16()
    if how.autocast == "bf16" or (how.autocast == "auto" and native):
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()
