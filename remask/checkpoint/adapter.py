"""PEFT adapters: LoRA (arXiv 2106.09685) and DoRA (arXiv 2402.09353), merged into the weights while these are read.

A folder of peft's holds adapter_config.json and adapter_model.safetensors. A matrix W becomes W + s·B·A, under DoRA
with each row scaled to a trained length; biases and other whole tensors that were trained replace the base's. Other
methods of peft are refused by name.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod, sqrt
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import safe_open
from torch import Tensor

from ..errors import CheckpointError
from ..models.config import ModelConfig
from ..models.families.family import Family
from .folder import ADAPTER_WEIGHTS, clip, member, read_json
from .head import spare_head
from .shards import DTYPES, PIECE, Stored, headers, listed

CONFIG = "adapter_config.json"
PREFIX = "base_model.model."  # before every name, of the classes that peft puts around a model
REMEDY = "merge it with peft (merge_and_unload, then save_pretrained) and load the merged model"
# What a tensor's name ends in -> what it is of the module that is named before.
ENDINGS = {
    ".lora_A.weight": "down",
    ".lora_B.weight": "up",
    ".lora_magnitude_vector": "lengths",
    ".lora_magnitude_vector.weight": "lengths",
    ".lora_embedding_A": "columns",
    ".lora_embedding_B": "rows",
}
# Beginnings of training that leave the base as it is; others take from it what they put into the factors.
BEGINNINGS = (None, True, False, "gaussian", "eva", "orthogonal")
# Fields that say how it was trained, or what the tensors' names say again. Any other must be empty or false.
HARMLESS = {
    "peft_type", "base_model_name_or_path", "revision", "task_type", "auto_mapping", "inference_mode", "peft_version",
    "r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora", "use_dora", "bias", "modules_to_save",
    "target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "lora_dropout", "init_lora_weights",
    "megatron_core", "loftq_config", "eva_config", "corda_config", "lora_ga_config", "qalora_group_size",
    "runtime_config",
}  # fmt: skip


@dataclass(frozen=True)
class Factors:
    """The names, in the adapter's `file`, of the factors of one matrix's change, and their scale s.

    `down` is A (r, columns) and `up` is B (rows, r); those of an `embedding` are stored transposed, and the other way
    around. `lengths` (rows,) are DoRA's.
    """

    file: Path
    down: str
    up: str
    lengths: str | None
    scale: float
    embedding: bool = False

    def read(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """A, B and the lengths, in float32."""
        with safe_open(self.file, framework="pt", device="cpu") as shard:
            down, up = shard.get_tensor(self.down).float(), shard.get_tensor(self.up).float()
            lengths = None if self.lengths is None else shard.get_tensor(self.lengths).float()
        return (up.t(), down.t(), lengths) if self.embedding else (down, up, lengths)


@dataclass(frozen=True)
class Merged(Stored):
    """A matrix of the base with the change that its factors make, in float32."""

    base: Stored
    factors: Factors

    def read(self, shard: Any, name: str) -> Iterator[Tensor]:
        """Its rows in pieces of bounded size."""
        down, up, lengths = self.factors.read()
        size, start = max(1, PIECE // max(1, prod(self.shape[1:]))), 0
        for piece in self.base.read(shard, name):
            for rows in piece.split(size):
                here = slice(start, start + len(rows))
                merged = rows.float() + (up[here] @ down) * self.factors.scale  # in peft's order of rounding
                if lengths is not None:
                    merged *= (lengths[here] / merged.norm(dim=1))[:, None]
                yield merged
                start = here.stop


@dataclass(frozen=True)
class Replacement(Stored):
    """A whole tensor of the adapter, which calls it `own`, in place of the base's."""

    own: str

    def read(self, shard: Any, name: str) -> Iterator[Tensor]:
        """Its rows, as views of the mapped `shard`."""
        yield shard.get_tensor(self.own)


class Shape(NamedTuple):
    """What a change is for: the shape of the base's tensor."""

    shape: tuple[int, ...]
    change: Factors | Replacement


@dataclass(frozen=True)
class Adapter:
    """What an adapter's folder holds: its `changes` by the name of the base's tensor. `base` is what it says it is for.

    `method` is LoRA or DoRA.
    """

    folder: Path
    base: str | None
    method: str
    changes: Mapping[str, Shape]

    def __str__(self) -> str:
        """In words, for a page."""
        whole = sum(isinstance(made.change, Replacement) for made in self.changes.values())
        also = f" and {whole} whole tensors" if whole else ""
        return f"{self.method} on {len(self.changes) - whole} matrices{also}, from {self.folder}, for {self.base}"

    def merged(
        self, family: Family, config: ModelConfig, stored: Mapping[str, Stored]
    ) -> tuple[ModelConfig, dict[str, Stored]]:
        """The configuration and the tensors of the base with the changes.

        Raises CheckpointError for a change that the base has no place for.
        """
        head = spare_head(family, config)
        changes = dict(self.changes)
        changed = dict(stored)
        if head is not None and (own := self._own_head(head, family.names(config)["embed.weight"][0].name)):
            config = replace(config, tie_embeddings=False)
            changed[head] = own
            del changes[head]
        if missing := sorted(changes.keys() - changed.keys()):
            raise CheckpointError(f"the adapter {self.folder} changes {listed(missing)}, which its base does not have")
        for name, (shape, change) in changes.items():
            old = changed[name]
            if old.shape != shape:
                raise CheckpointError(
                    f"the adapter {self.folder} has {clip(name)} of shape {list(shape)}, its base of "
                    f"{list(old.shape)}; it was trained on another model ({clip(self.base)})"
                )
            new = Merged(old.file, old.dtype, shape, old, change) if isinstance(change, Factors) else change
            changed[name] = new
        return config, changed

    def _own_head(self, head: str, embedding: str) -> Replacement | None:
        """The head that the adapter brings to a base whose head is its embedding; None if it changes neither."""
        touched = self.changes.keys() & {head, embedding}
        whole = all(isinstance(self.changes[name].change, Replacement) for name in touched)
        own = self.changes[head].change if head in touched else None
        if touched and not (whole and own):
            raise CheckpointError(
                f"the adapter {self.folder} changes {listed(sorted(touched))}, which is embedding and head at once in "
                f"its base; {REMEDY}"
            )
        return own if isinstance(own, Replacement) else None


def is_adapter(folder: Path) -> bool:
    """Whether the folder holds an adapter, alone or beside a model."""
    return folder.is_dir() and member(folder, CONFIG) is not None


def stated_base(folder: Path) -> str | None:
    """The model that the adapter says it is for."""
    base = (read_json(folder, CONFIG) or {}).get("base_model_name_or_path")
    return base if isinstance(base, str) and base else None


def read_adapter(folder: Path) -> Adapter:
    """The adapter in `folder`, its weights unread. Raises CheckpointError for a method that is not merged here."""
    if (said := read_json(folder, CONFIG)) is None:
        raise CheckpointError(f"no {CONFIG} in {folder}: an adapter is a folder that peft's save_pretrained wrote")
    _refuse_others(folder, said)
    if (file := member(folder, ADAPTER_WEIGHTS)) is None:
        raise CheckpointError(f"{folder} has no {ADAPTER_WEIGHTS}; save the adapter with safe_serialization=True")
    dora = bool(said.get("use_dora"))
    return Adapter(folder, stated_base(folder), "DoRA" if dora else "LoRA", _changes(file, said, dora))


def _refuse_others(folder: Path, said: Mapping[str, Any]) -> None:
    """Raise CheckpointError for an adapter that is more than LoRA or DoRA."""
    kind, beginning = said.get("peft_type"), said.get("init_lora_weights")
    beside = f", or move {CONFIG} away to run the model without it" if member(folder, "config.json") else ""
    if kind != "LORA":
        raise CheckpointError(
            f"{folder} holds a PEFT adapter of type {clip(kind)}; read is LORA, with or without use_dora; "
            f"{REMEDY}{beside}"
        )
    if not any(beginning is known or (isinstance(known, str) and beginning == known) for known in BEGINNINGS):
        raise CheckpointError(
            f"{folder / CONFIG}: init_lora_weights {clip(beginning)} changes the base as training begins; "
            f"{REMEDY}{beside}"
        )
    if more := next((name for name, value in said.items() if value and name not in HARMLESS), None):
        raise CheckpointError(f"{folder / CONFIG}: {clip(more)} = {clip(said[more])} is not read; {REMEDY}{beside}")


def _changes(file: Path, said: Mapping[str, Any], dora: bool) -> dict[str, Shape]:
    """The changes by the name of the base's tensor, from the names and shapes in the adapter's file."""
    tensors = headers([file], {})
    parts: dict[str, dict[str, str]] = {}
    changes: dict[str, Shape] = {}
    for name, stored in tensors.items():
        if stored.dtype not in DTYPES:
            raise CheckpointError(f"{file}: {clip(name)} is stored as {stored.dtype}; known are {', '.join(DTYPES)}")
        ending = next((ending for ending in ENDINGS if name.endswith(ending)), "")
        module = name.removeprefix(PREFIX).removesuffix(ending)
        if ending:
            parts.setdefault(module, {})[ENDINGS[ending]] = name
        elif "lora_" in name or not name.startswith(PREFIX):
            raise CheckpointError(f"{file} holds {clip(name)}, which is no part of LoRA or DoRA; {REMEDY}")
        else:
            changed = Replacement(stored.file, stored.dtype, stored.shape, own=name)
            changes[module.replace(".base_layer.", ".")] = Shape(stored.shape, changed)
    for module, names in parts.items():
        changes[f"{module}.weight"] = _factors(file, module, names, tensors, said, dora)
    if not changes:
        raise CheckpointError(f"{file} holds no tensor; save the adapter again")
    return changes


def _factors(
    file: Path,
    module: str,
    names: Mapping[str, str],
    tensors: Mapping[str, Stored],
    said: Mapping[str, Any],
    dora: bool,
) -> Shape:
    """The change of one matrix. Raises CheckpointError where a factor is missing or does not fit the others."""
    embedding = "columns" in names
    first, second = ("columns", "rows") if embedding else ("down", "up")
    wanted = {first, second, "lengths"} if dora else {first, second}
    if names.keys() != wanted or (embedding and dora):
        raise CheckpointError(
            f"{file} has {', '.join(sorted(names.values()))} alone of {clip(module)}; "
            f"{'DoRA of a linear layer' if dora else 'LoRA'} has {len(wanted)} tensors; save the adapter again"
        )
    down, up = tensors[names[first]].shape, tensors[names[second]].shape
    rank = _stated(said, "r", "rank_pattern", module)
    if len(down) != 2 or len(up) != 2 or not down[0] == up[1] == rank:
        raise CheckpointError(
            f"{file}: the factors of {clip(module)} are {list(down)} and {list(up)}, but {CONFIG} says rank {rank:g}"
        )
    shape = (down[1], up[0]) if embedding else (up[0], down[1])
    lengths = names.get("lengths")
    if lengths is not None and tensors[lengths].shape != shape[:1]:
        raise CheckpointError(f"{file}: {clip(lengths)} has shape {list(tensors[lengths].shape)}, not [{shape[0]}]")
    alpha = _stated(said, "lora_alpha", "alpha_pattern", module)
    scale = alpha / (sqrt(rank) if said.get("use_rslora") else rank)
    return Shape(shape, Factors(file, names[first], names[second], lengths, scale, embedding))


def _stated(said: Mapping[str, Any], name: str, pattern: str, module: str) -> float:
    """The number of a module: of the first key of `pattern` that names it or the end of its name, else `name`'s.

    peft takes the keys as regular expressions, in which strangers can write endless work; here they are names.
    """
    patterns = said.get(pattern) or {}
    if not isinstance(patterns, dict):
        raise CheckpointError(f"{CONFIG}: {pattern} must be an object, got {clip(patterns)}")
    value = said.get(name, 8)  # peft's own default of both
    for key, special in patterns.items():
        words = key.replace("\\.", ".").removesuffix("$")
        if not re.fullmatch(r"\^?[\w.-]+", words):
            raise CheckpointError(f"{CONFIG}: the key {clip(key)} of {pattern} must be the name of a module; {REMEDY}")
        if module == words.removeprefix("^") or f".{module}".endswith(f".{words}"):
            value = special
            break
    if type(value) not in (int, float) or not 0 < value < 2**31:
        raise CheckpointError(f"{CONFIG}: {name} of {clip(module)} must be a number above 0, got {clip(value)}")
    return value
