"""What a training run is, as a TOML file. One table a concern; unknown keys are refused by name."""

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from ..errors import UsageError
from ..models.config import ModelConfig
from ..tasks import DRILLS, HAYSTACKS, TASKS

Attention = Literal["full", "block_causal", "causal"]
KNOWN = {**TASKS, **DRILLS, **HAYSTACKS}


@dataclass(frozen=True)
class Geometry:
    """The transformer to train; `attention = "block_causal"` needs a `block_size`.

    `causal` is the autoregressive control: blocks of one token, each predicted from those before it, and learned from
    the next token instead of masks.
    """

    vocab_size: int = 1024  # byte-level BPE, special tokens included
    d_model: int = 192
    n_layers: int = 6
    n_heads: int = 6
    d_ff: int = 512
    max_positions: int = 256
    rope_theta: float = 1953.125  # 500000 · (T / 4096)²: LLaDA's base, scaled to this context
    attention: Attention = "full"
    block_size: int | None = None

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

    steps: int = 10_000
    tokens_per_step: int = 4096
    learning_rate: float = 2e-3  # AdamW; Muon's updates are scaled to the same size
    matrix_optimizer: str = "muon"  # or "adamw"
    weight_decay: float = 0.01
    warmup: int = 200
    decay: float = 0.3  # share of the steps, at the end, over which the rate falls to zero
    schedule: str = "wsd"  # or "cosine"
    clip: float = 1.0
    ema: float = 0.998
    autocast: str = "auto"  # bf16 where the device has it; or "bf16", "off"
    edit_share: float = 0.0  # share of the visible answer tokens that are replaced, to be rewritten (edit objective)


@dataclass(frozen=True)
class Mixture:
    """Which tasks, in what proportion, and how far answers are padded with the end-of-sequence token."""

    tasks: dict[str, float] = field(default_factory=lambda: dict.fromkeys(TASKS, 1.0))
    starts: dict[str, int] = field(default_factory=dict)  # the step from which a task is drawn, if not from the first
    groups: int = 2  # tasks in one step
    pool: int = 1  # as many batches are drawn at once, and one is taken whose rows are about equally long
    random_length: float = 0.01  # share of batches cut to a random length (LLaDA, §2.2)
    long_tail: float = 0.25  # share of batches padded up to a random canvas of at most `longest_canvas`
    longest_canvas: int = 96


@dataclass(frozen=True)
class TrainConfig:
    """One run. `init` warm-starts the weights from a checkpoint folder (the optimizer starts afresh).

    With `induction` two heads begin as an induction head, without it as the others do.
    """

    name: str = "run"
    seed: int = 0
    init: str | None = None
    induction: bool = False
    save_every: int = 200
    log_every: int = 20
    evaluate_every: int = 200
    model: Geometry = Geometry()
    optimisation: Optimisation = Optimisation()
    data: Mixture = Mixture()


def load(path: Path) -> TrainConfig:
    """Read a run from TOML. Raises UsageError naming the first unknown key or wrong type."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"cannot read the training configuration {str(path)!r}: {error}") from None
    config = TrainConfig(
        **_checked(TrainConfig, {k: v for k, v in tables.items() if not isinstance(v, dict)}, "the top level"),
        model=Geometry(**_checked(Geometry, tables.pop("model", {}), "[model]")),
        optimisation=Optimisation(**_checked(Optimisation, tables.pop("optimisation", {}), "[optimisation]")),
        data=Mixture(**_checked(Mixture, tables.pop("data", {}), "[data]")),
    )
    if unknown := [name for name, value in tables.items() if isinstance(value, dict)]:
        raise UsageError(f"{path}: unknown table {unknown[0]!r}; known: model, optimisation, data")
    return validate(config)


def validate(config: TrainConfig) -> TrainConfig:
    """The same configuration, or a UsageError that quotes the first value out of range."""
    model, rate, data = config.model, config.optimisation, config.data
    checks: list[tuple[bool, str]] = [
        (model.vocab_size >= 300, f"model.vocab_size must be at least 300, got {model.vocab_size}"),
        (
            model.d_model % (2 * model.n_heads) == 0,
            f"model.d_model must be a multiple of 2 × n_heads, got {model.d_model} and {model.n_heads}",
        ),
        (
            model.attention in get_args(Attention),
            f"model.attention must be {', '.join(get_args(Attention))}, got {model.attention!r}",
        ),
        (
            (model.attention == "block_causal") == (model.block_size is not None),
            "model.block_size goes with attention = 'block_causal', and only with it",
        ),
        (rate.steps >= 1, f"optimisation.steps must be at least 1, got {rate.steps}"),
        (rate.schedule in ("wsd", "cosine"), f"optimisation.schedule must be wsd or cosine, got {rate.schedule!r}"),
        (
            rate.matrix_optimizer in ("muon", "adamw"),
            f"optimisation.matrix_optimizer must be muon or adamw, got {rate.matrix_optimizer!r}",
        ),
        (
            rate.autocast in ("auto", "bf16", "off"),
            f"optimisation.autocast must be auto, bf16 or off, got {rate.autocast!r}",
        ),
        (0 <= rate.ema < 1, f"optimisation.ema must be in [0, 1), got {rate.ema}"),
        (
            model.attention != "causal" or not rate.edit_share,
            "optimisation.edit_share is for masked models; leave it out, or model.attention = 'causal'",
        ),
        (0 <= rate.edit_share < 1, f"optimisation.edit_share must be in [0, 1), got {rate.edit_share}"),
        (bool(data.tasks) and all(w > 0 for w in data.tasks.values()), "data.tasks must hold positive weights"),
        (
            not config.induction or config.init is None,
            f"induction writes first weights, and init = {config.init!r} has weights; drop one of them",
        ),
        (
            not config.induction or (min(model.n_layers, model.n_heads) >= 2 and model.d_model // model.n_heads >= 8),
            f"induction needs 2 layers, 2 heads of 8; got {model.n_layers}, {model.n_heads} of {model.d_model} in all",
        ),
        (data.pool >= 1, f"data.pool must be at least 1, got {data.pool}"),
        (config.save_every >= 1, f"save_every must be at least 1, got {config.save_every}"),
    ]
    for holds, message in checks:
        if not holds:
            raise UsageError(message)
    if unknown := sorted(set(data.starts) - set(data.tasks)):
        raise UsageError(f"data.starts: {unknown[0]!r} is not in data.tasks; they are {', '.join(sorted(data.tasks))}")
    if wrong := [f"{name} = {step!r}" for name, step in data.starts.items() if type(step) is not int or step < 0]:
        raise UsageError(f"data.starts must hold steps, whole numbers from 0 on, got {wrong[0]}")
    if all(data.starts.get(name, 0) > 0 for name in data.tasks):
        raise UsageError(f"data.starts leaves no task for the first step, got {data.starts}; let one start at 0")
    if unknown := sorted(set(data.tasks) - set(KNOWN)):
        raise UsageError(f"data.tasks: unknown task {unknown[0]!r}; known: {', '.join(sorted(KNOWN))}")
    if mixed := set(data.tasks) & set(HAYSTACKS) and set(data.tasks) - set(HAYSTACKS):
        raise UsageError(
            f"data.tasks: {min(mixed)!r} has other words than {', '.join(HAYSTACKS)}, which have a tokenizer of "
            "their own; train them apart"
        )
    return config


def _checked(table: type[Any], values: dict[str, Any], where: str) -> dict[str, Any]:
    known = {f.name: f.default for f in fields(table)}
    for name, value in values.items():
        if name not in known:
            raise UsageError(f"unknown key {name!r} in {where}; known: {', '.join(known)}")
        default = known[name]
        if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
            values[name] = float(value)
        elif isinstance(default, bool | int | float | str) and type(value) is not type(default):
            raise UsageError(f"{name} in {where} must be a {type(default).__name__}, got {value!r}")
    return values
