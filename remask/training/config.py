"""What a training run is, as a TOML file. One table a concern; unknown keys are refused by name."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from ..errors import UsageError, did_you_mean, printable, quoted, unknown_name
from ..models.config import ModelConfig
from ..tasks import DRILLS, HAYSTACKS, TASKS
from ..tasks.corpus import CORPUS, LEVELS
from ..validation import Range, check

MANY = 2**31 - 1
Count = Annotated[int, Range(1, MANY)]
Natural = Annotated[int, Range(0, MANY)]
Amount = Annotated[float, Range(1e-9, 10**9)]
Share = Annotated[float, Range(0, 1)]
Part = Annotated[float, Range(0, 0.999999)]
Attention = Literal["full", "block_causal", "causal"]
KNOWN = {**TASKS, **DRILLS, **HAYSTACKS}


@dataclass(frozen=True)
class Geometry:
    """The transformer to train; `attention = "block_causal"` needs a `block_size`.

    `causal` is the autoregressive control: blocks of one token, each predicted from those before it, and learned from
    the next token instead of masks.
    """

    vocab_size: Annotated[int, Range(300, MANY)] = 1024  # byte-level BPE, special tokens included
    d_model: Count = 192
    n_layers: Count = 6
    n_heads: Count = 6
    d_ff: Count = 512
    max_positions: Count = 256
    rope_theta: Amount = 1953.125  # 500000 · (T / 4096)²: LLaDA's base, scaled to this context
    attention: Attention = "full"
    block_size: Count | None = None

    def model(self, *, mask_id: int, eos_id: int, pad_id: int, editable: bool) -> ModelConfig:
        """The model configuration, once the tokenizer has said which ids are special."""
        causal = self.attention == "causal"
        return ModelConfig(
            family="llada",
            vocab_size=self.vocab_size,
            d_model=self.d_model,
            n_layers=self.n_layers,
            n_heads=self.n_heads,
            n_kv_heads=self.n_heads,
            head_dim=self.d_model // self.n_heads,
            d_ff=self.d_ff,
            max_positions=self.max_positions,
            rope_theta=self.rope_theta,
            attention="full" if self.attention == "full" else "block_causal",
            block_size=1 if causal else self.block_size,
            shift=int(causal),
            editable=editable,
            mask_id=mask_id,
            eos_ids=(eos_id,),
            pad_id=pad_id,
        )


@dataclass(frozen=True)
class Optimisation:
    """Muon for the matrices of the body, AdamW for the rest; warm-up, stable, then decay to zero (WSD)."""

    steps: Count = 10_000
    minutes: Amount | None = None  # the run ends after so much time, if that comes before its steps; the rate follows
    tokens_per_step: Count = 4096
    learning_rate: Amount = 2e-3  # AdamW; Muon's updates are scaled to the same size
    matrix_optimizer: Literal["muon", "adamw"] = "muon"
    weight_decay: Share = 0.01
    warmup: Natural = 200
    decay: Share = 0.3  # share of the steps, at the end, over which the rate falls to zero
    schedule: Literal["wsd", "cosine"] = "wsd"
    clip: Amount = 1.0
    ema: Part = 0.998
    autocast: Literal["auto", "bf16", "off"] = "auto"  # auto: bf16 where the device has it
    edit_share: Part = 0.0  # share of the visible answer tokens that are replaced, to be rewritten (edit objective)


@dataclass(frozen=True)
class Mixture:
    """Which tasks, in what proportion, and how far answers are padded with the end-of-sequence token."""

    tasks: Mapping[str, Amount] = field(default_factory=lambda: dict.fromkeys(TASKS, 1.0))
    starts: Mapping[str, Natural] = field(default_factory=dict)  # the step from which a task is drawn, if not 0
    groups: Count = 2  # tasks in one step
    pool: Count = 1  # as many batches are drawn at once, and one is taken whose rows are about equally long
    random_length: Share = 0.01  # share of batches cut to a random length (LLaDA, §2.2)
    long_tail: Share = 0.25  # share of batches padded up to a random canvas of at most `longest_canvas`
    longest_canvas: Natural = 96
    rows: Mapping[str, Count] = field(default_factory=dict)  # rows of each length: batches of one shape (`feed`)
    text: Mapping[str, Amount] = field(default_factory=dict)  # running text by level, for the rows that are left
    text_share: Share = 0.5  # of the tokens of such a batch
    turns: Share = 0.0  # share of the examples that come second in a talk


@dataclass(frozen=True)
class TrainConfig:
    """One run. `init` warm-starts the weights from a checkpoint folder (the optimizer starts afresh).

    With `induction` two heads begin as an induction head, without it as the others do.
    """

    name: str = "run"
    seed: Natural = 0
    init: str | None = None
    induction: bool = False
    compile: bool = False  # the forward and backward pass, once: it needs batches of one shape
    save_every: Count = 200
    log_every: Count = 20
    evaluate_every: Count = 200
    model: Geometry = Geometry()
    optimisation: Optimisation = Optimisation()
    data: Mixture = Mixture()


TABLES: dict[str, type[Any]] = {"model": Geometry, "optimisation": Optimisation, "data": Mixture}


def load(path: Path) -> TrainConfig:
    """Read a run from TOML. Raises UsageError naming the first key that is unknown or holds what it cannot."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"cannot read the training configuration {str(path)!r}: {printable(str(error))}") from None
    for name, kind in TABLES.items():
        if name in tables:
            check(name, tables[name], Mapping[str, Any], UsageError, "; leave it out")
            tables[name] = kind(**_known(kind, tables[name], f"[{name}]"))
    return validate(TrainConfig(**_known(TrainConfig, tables, "the top level")))


def validate(config: TrainConfig) -> TrainConfig:
    """The same configuration, or a UsageError that quotes the first value of the wrong type or out of range."""
    _checked(config, "")
    for name in TABLES:
        _checked(getattr(config, name), f"{name}.")
    model, rate, data = config.model, config.optimisation, config.data
    checks: list[tuple[bool, str]] = [
        (
            model.d_model % (2 * model.n_heads) == 0,
            f"model.d_model must be a multiple of 2 × n_heads, got {model.d_model} and {model.n_heads}",
        ),
        (
            (model.attention == "block_causal") == (model.block_size is not None),
            f"model.block_size goes with attention = 'block_causal' alone, got {model.block_size}, {model.attention!r}",
        ),
        (
            model.attention != "causal" or not rate.edit_share,
            "optimisation.edit_share is for masked models; leave it out, or model.attention = 'causal'",
        ),
        (bool(data.tasks), "data.tasks must name at least one task, got none; leave it out for all but the drills"),
        (
            not config.induction or config.init is None,
            f"induction writes first weights, and init = {config.init!r} has weights; drop one of them",
        ),
        (
            not config.induction or (min(model.n_layers, model.n_heads) >= 2 and model.d_model // model.n_heads >= 8),
            f"induction needs 2 layers, 2 heads of 8; got {model.n_layers}, {model.n_heads} of {model.d_model} in all",
        ),
    ]
    for holds, message in checks:
        if not holds:
            raise UsageError(message)
    if unknown := sorted(set(data.starts) - set(data.tasks)):
        raise UsageError(f"data.starts: {unknown[0]!r} is not in data.tasks; they are {', '.join(sorted(data.tasks))}")
    if all(data.starts.get(name, 0) > 0 for name in data.tasks):
        raise UsageError(f"data.starts leaves no task for the first step, got {data.starts}; let one start at 0")
    names = [*KNOWN, *CORPUS]
    if unknown := sorted(set(data.tasks) - set(names)):
        raise UsageError(f"data.tasks: {unknown_name('task', unknown[0], names)}")
    _fixed(config)
    if mixed := set(data.tasks) & set(HAYSTACKS) and set(data.tasks) - set(HAYSTACKS):
        raise UsageError(
            f"data.tasks: {min(mixed)!r} has other words than {', '.join(HAYSTACKS)}, which have a tokenizer of "
            "their own; train them apart"
        )
    return config


def _fixed(config: TrainConfig) -> None:
    """Raise UsageError unless the keys for batches of one shape fit together."""
    data, longest = config.data, config.model.max_positions
    for length in data.rows:
        if not (length.isdecimal() and 8 <= int(length) <= longest):
            raise UsageError(f"data.rows: a length is a number from 8 to max_positions = {longest}, got {length!r}")
    if unknown := sorted(set(data.text) - set(LEVELS)):
        raise UsageError(f"data.text: {unknown_name('level', unknown[0], LEVELS)}")
    needs = {
        "data.text": bool(data.text),
        "compile": config.compile,
        "data.turns": data.turns > 0,
    }
    if not data.rows and (first := next((key for key, given in needs.items() if given), None)):
        raise UsageError(f"{first} needs batches of one shape; give data.rows = {{ 64 = 128, … }}")
    if data.rows and (config.optimisation.edit_share or config.model.attention != "full"):
        raise UsageError("data.rows is for full attention without edit_share; leave it out")


def _known(table: type[Any], values: dict[str, Any], where: str) -> dict[str, Any]:
    """`values`, all of whose names the table knows."""
    known = [f.name for f in fields(table)]
    if unknown := [name for name in values if name not in known]:
        raise UsageError(
            f"unknown key {quoted(unknown[0])} in {where}; known: {', '.join(known)}{did_you_mean(unknown[0], known)}"
        )
    return values


def _checked(table: Any, where: str) -> None:
    """Raise UsageError unless every value of `table` is what its annotation says; `where` begins their names."""
    hints = get_type_hints(type(table), include_extras=True)
    for f in fields(table):
        remedy = f"leave it out for {f.default!r}" if isinstance(f.default, int | float | str) else "leave it out"
        _check(where + f.name, getattr(table, f.name), hints[f.name], remedy)


def _check(name: str, value: Any, hint: Any, remedy: str) -> None:
    """Raise UsageError unless `value`, or each entry of a mapping, has the annotated type and lies in its range."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Mapping and isinstance(value, Mapping):
        for key, entry in value.items():
            _check(f"{name}: {key!r}", entry, parts[1], remedy)
    elif origin in (Union, UnionType):
        if value is not None:
            _check(name, value, parts[0], remedy)
    elif origin is Literal and value not in parts:
        raise UsageError(f"{name} must be {', '.join(parts)}, got {quoted(value)}; {remedy}")
    else:
        check(name, value, hint, UsageError, f"; {remedy}")
