"""A training run as a folder: configuration, tokenizer, state, metrics, curves, and the checkpoint that comes out.

OUT/config.json       what was asked for           OUT/metrics.jsonl   one line a report
OUT/tokenizer.json                                 OUT/curves.png      loss by task
OUT/state/            to go on from                OUT/checkpoint/     a checkpoint, from the averaged weights
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from .. import checkpoint
from ..engine.host import keep_freed_memory
from ..errors import UsageError, printable
from ..files import locked, make_folder, replacing, write
from ..models.transformer import Transformer
from ..tasks import HAYSTACKS, haystack
from ..tasks.corpus import CORPUS
from ..text.tokenizer import Text
from ..validation import check, check_fields
from . import tokenizer as bpe
from .config import TrainConfig
from .curves import draw_curves
from .induction import wire
from .loop import Progress, train

SAMPLER = {"steps": 64, "gen_length": 64, "block_length": 32, "temperature": 0.0, "cfg_scale": 0.0}


def execute(
    config: TrainConfig, out: Path, device: torch.device, *, corpus: Path | None = None, workers: int = 0
) -> Iterator[Progress]:
    """Run or resume `config` in the folder `out`, yielding progress; at the end `out/checkpoint` can be loaded.

    `corpus` is the folder of real text that some tasks need, and `workers` processes make batches of one shape.
    """
    make_folder(out)
    if device.type == "cpu":
        keep_freed_memory()
    torch.set_flush_denormal(True)  # small gradients become denormal after some hundred steps: three times slower
    try:  # before anything computes, because threads take the setting over when they begin
        with alone(out):
            model, text = prepare(config, out, corpus)
            model.to(device)
            history = read_metrics(out)
            for progress in train(config, model, text, out, corpus=corpus, workers=workers):
                history = [line for line in history if line["step"] < progress.step] + [asdict(progress)]
                write_metrics(out, history)
                if progress.heldout is not None:
                    draw_curves(history, out / "curves.png")
                yield progress
            save(model, text, out)
    finally:
        torch.set_flush_denormal(False)


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """Keep a second training out of the folder: it would take what this one is writing for a leftover.

    Raises UsageError if there is one already.
    """
    with locked(out / ".lock") as free:
        if not free:
            raise UsageError(f"another training is writing into {str(out)!r}; wait for it, or use another folder")
        yield


def prepare(config: TrainConfig, out: Path, corpus: Path | None) -> tuple[Transformer, Text]:
    """The model to train and its tokenizer: fresh from the seed, or the weights and tokenizer of `config.init`.

    Raises UsageError if the configuration has tasks or text of a corpus, and there is none.
    """
    if corpus is None and (config.data.text or set(CORPUS) & set(config.data.tasks)):
        raise UsageError(f"{config.name} learns from real text; give its folder as data (see docs/training.md)")
    if config.init is not None:
        loaded = checkpoint.load(config.init, device="cpu", dtype="float32")
        return warm_start(loaded.predictor.model, config, loaded.text), loaded.text
    path = out / "tokenizer.json"
    if not path.exists():
        own_words = any(name in HAYSTACKS for name in config.data.tasks)
        made = bpe.build_words(haystack.WORDS) if own_words else bpe.build(config.model.vocab_size, config.data, corpus)
        with replacing(path) as fresh:
            made.save(str(fresh))
    text = bpe.read(path, config.model.vocab_size)
    generator = torch.Generator().manual_seed(config.seed)
    model = described(config, text).initialise(generator)
    return wire(model, generator) if config.induction else model, text


def described(config: TrainConfig, text: Text) -> Transformer:
    """The transformer that `config` describes, its weights not yet set."""
    editable = config.optimisation.edit_share > 0
    return Transformer(
        config.model.model(mask_id=text.mask_id, eos_id=text.eos_id, pad_id=text.eos_id, editable=editable)
    )


def warm_start(model: Transformer, config: TrainConfig, text: Text) -> Transformer:
    """The weights of `model` under the attention and the rotary base that `config` asks for.

    Raises UsageError if the geometry differs.
    """
    fresh = described(config, text)
    sizes = ("vocab_size", "d_model", "n_layers", "n_heads", "d_ff")
    for name in sizes:
        mine, theirs = getattr(fresh.config, name), getattr(model.config, name)
        if mine != theirs:
            raise UsageError(
                f"model.{name} is {mine}, and the checkpoint init = {config.init!r} has {theirs}; "
                "make them equal, or drop init"
            )
    fresh.load_state_dict(model.state_dict())
    return fresh


def save(model: Transformer, text: Text, out: Path) -> Path:
    """Write `out/checkpoint` in bf16, in the published format."""
    checkpoint.save(out / "checkpoint", model, text, sampler=SAMPLER)
    return out / "checkpoint"


def read_metrics(out: Path) -> list[dict[str, Any]]:
    """The metrics so far; a line cut by a kill is left out. Raises UsageError for one that is no report."""
    path = out / "metrics.jsonl"
    try:
        lines = path.read_bytes().decode().splitlines() if path.exists() else []
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {str(path)!r}: {printable(str(error))}; remove it") from None
    return [_report(path, number, line) for number, line in enumerate(lines, 1) if line.endswith("}")]


def _report(path: Path, number: int, line: str) -> dict[str, Any]:
    """One line of the metrics, which is a `Progress`."""
    try:
        report = Progress(**json.loads(line))
        check_fields(report, ValueError)
        check("heldout", list((report.heldout or {}).values()), Sequence[float], ValueError)
    except (ValueError, TypeError, RecursionError) as error:
        reason = printable(str(error))
        raise UsageError(f"{path}, line {number} is no report of a training ({reason}); remove the file") from None
    return asdict(report)


def write_metrics(out: Path, history: list[dict[str, Any]]) -> None:
    """Replace the metrics file as a whole."""
    write(out / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in history))
