"""What a checkpoint says of itself, its weights unread: family, geometry, ids, tokenizer, defaults, licence."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import torch

from ..errors import CheckpointError
from ..models.config import ModelConfig
from ..models.family import Family
from ..models.llada import LLADA
from ..text import Text
from . import folder as on_disk
from .folder import Vocabulary, clip
from .shards import Stored, headers, stored_dtype

FAMILIES: dict[str, Family] = {name: family for family in (LLADA,) for name in family.architectures}
MASKS = ("<|mdm_mask|>", "<|mask|>", "<|MASK|>", "|<MASK>|", "<M>", "<[MASK]>", "[MASK]")
COUNTS = ("gen_length", "steps", "block_length")  # what generation_config.json may state
NUMBERS = ("temperature", "cfg_scale")


@dataclass(frozen=True)
class Description:
    """What a checkpoint's folder says of itself, its weights unread."""

    folder: Path
    family: Family
    config: ModelConfig
    text: Text
    defaults: dict[str, Any]  # gen_length, steps, …: the checkpoint's own, else the authors'
    known_tokens: int  # ids from here on are rows without a token
    bytes: int  # of all files
    dtype: torch.dtype  # of most weights on disk
    licence: str | None
    stored: Mapping[str, Stored]

    @property
    def parameters(self) -> int:
        """Number of weights, tied ones counted once."""
        return self.config.parameters


def inspect(folder: Path | str) -> Description:
    """Everything that a folder says, its weights unread. Raises CheckpointError if `load` would not take it."""
    folder = Path(folder)
    if (fields := on_disk.read_json(folder, "config.json")) is None:
        raise CheckpointError(f"no config.json in {folder}")
    generation = on_disk.read_json(folder, "generation_config.json") or {}
    words = on_disk.vocabulary(folder)
    try:
        family = family_of(fields)
        config = family.parse({**fields, **_ids(fields, generation, words, family)})
        _check(config, words)
    except CheckpointError as error:
        raise CheckpointError(f"{folder}: {clip(error, 400)}") from None
    files = on_disk.weights(folder)
    stored = headers(files.files, files.places)
    return Description(
        folder=folder,
        family=family,
        config=config,
        text=Text(words.tokenizer, config.eos_ids[0], config.mask_id, words.template, words.special, family.eot),
        defaults={**family.defaults, **_stated(folder, generation)},
        known_tokens=words.size,
        bytes=on_disk.size(folder),
        dtype=stored_dtype(stored),
        licence=on_disk.licence(folder),
        stored=stored,
    )


def family_of(fields: Mapping[str, Any]) -> Family:
    """The family of a configuration: by architecture, since `model_type` is shared by different models."""
    if quantised := fields.get("quantization_config"):
        method = quantised.get("quant_method") if isinstance(quantised, dict) else quantised
        raise CheckpointError(
            f"config.json: quantised weights ({clip(method)}) are not supported; get the original ones"
        )
    named, kind = fields.get("architectures") or [], fields.get("model_type")
    known = [family for name, family in FAMILIES.items() if isinstance(named, list) and name in named]
    if fields.get("num_experts") and (known or kind == "llada"):
        raise CheckpointError(f"config.json: this is LLaDA-MoE ({clip(named)}, num_experts), which is not supported")
    if not named:
        known = [family for family in FAMILIES.values() if family.name == kind]
    if not known:
        raise CheckpointError(
            f"config.json: architecture {clip(named or kind)} is not supported; supported: {', '.join(FAMILIES)}"
        )
    return known[0]


def _ids(fields: Mapping[str, Any], generation: Mapping[str, Any], words: Vocabulary, family: Family) -> dict[str, Any]:
    """Mask and end-of-sequence ids: from config.json, else generation_config.json, else the tokenizer, else the family.

    A mask that the tokenizer declares must be the one of the configuration.
    """
    known = words.tokenizer.token_to_id
    declared = words.special.get("mask_token")
    if declared is not None and known(declared) is None:
        raise CheckpointError(f"the tokenizer's mask_token {clip(declared)} is not in its vocabulary")
    in_words = next((found for name in (declared, *MASKS) if name and (found := known(name)) is not None), None)
    mask = _first(fields.get("mask_token_id"), generation.get("mask_token_id"), in_words, family.mask_id)
    if declared is not None and known(declared) != mask:
        raise CheckpointError(
            f"config.json has mask_token_id {clip(mask)}, but the tokenizer's mask_token {clip(declared)} is "
            f"{known(declared)}; make them equal"
        )
    end = words.special.get("eos_token")
    eos = _first(fields.get("eos_token_id"), generation.get("eos_token_id"), known(end) if end else None)
    return {"mask_token_id": mask, "eos_token_id": eos}


def _first(*values: Any) -> Any:
    """The first that is stated: neither None nor an empty list."""
    return next((value for value in values if value is not None and value != []), None)


def _check(config: ModelConfig, words: Vocabulary) -> None:
    """Ids must be rows of the model, and the tokenizer must fit it."""
    if not config.eos_ids:
        raise CheckpointError("neither config.json nor generation_config.json nor the tokenizer states eos_token_id")
    ids = {"mask_token_id": [config.mask_id], "eos_token_id": config.eos_ids, "pad_token_id": [config.pad_id]}
    for name, values in ids.items():
        if bad := [value for value in values if type(value) is not int or not 0 <= value < config.vocab_size]:
            raise CheckpointError(f"{name} must be a row below vocab_size = {config.vocab_size}, got {clip(bad[0])}")
    if words.size > config.vocab_size:
        raise CheckpointError(
            f"the tokenizer has ids up to {words.size - 1}, but the model has only {config.vocab_size} rows "
            "(embedding_size, vocab_size): they do not belong together"
        )


def _stated(folder: Path, generation: Mapping[str, Any]) -> dict[str, Any]:
    """The decoding defaults that generation_config.json states; it holds fields of other kinds of models, too."""
    stated = {name: generation[name] for name in (*COUNTS, *NUMBERS, "remasking") if generation.get(name) is not None}
    for name, value in stated.items():
        if name in COUNTS:
            good, what = type(value) is int and value >= 1, "a whole number of at least 1"
        elif name in NUMBERS:
            good, what = type(value) in (int, float) and value >= 0 and isfinite(value), "a number of at least 0"
        else:
            good, what = isinstance(value, str), "a name"
        if not good:
            raise CheckpointError(f"{folder}: generation_config.json: {name} must be {what}, got {clip(value)}")
    return stated
