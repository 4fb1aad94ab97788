"""Write a model and its tokenizer as a checkpoint folder in its family's published format."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from ..files import replacing, write_json
from ..models.config import ModelConfig
from ..models.families import FAMILIES
from ..models.families.family import Family, Part
from ..models.transformer import Transformer
from ..text.tokenizer import Text


def published(model: Transformer, dtype: torch.dtype) -> dict[str, Tensor]:
    """The model's weights under their published names, split as published."""
    tensors: dict[str, Tensor] = {}
    weights = model.state_dict()
    for mine, parts in FAMILIES[model.config.family].names(model.config).items():
        kind = torch.float32 if mine.endswith("router.bias") else dtype
        pieces = split(weights[mine].to("cpu", kind), parts)
        tensors |= {part.name: piece.contiguous() for part, piece in zip(parts, pieces, strict=True)}
    return tensors


def save(
    folder: Path, model: Transformer, text: Text, *, dtype: torch.dtype = torch.bfloat16, sampler: Mapping[str, Any]
) -> None:
    """Write a whole checkpoint folder in its family's format; an earlier folder of that name is replaced at the end."""
    with replacing(folder) as fresh:
        fresh.mkdir()
        write_words(fresh, FAMILIES[model.config.family], model.config, text, dtype, sampler)
        write_weights(fresh / "model.safetensors", published(model, dtype))


def write_words(
    folder: Path, family: Family, config: ModelConfig, text: Text, dtype: torch.dtype, sampler: Mapping[str, Any]
) -> None:
    """Write all of a checkpoint but its weights: configuration, decoding defaults, tokenizer, chat template."""
    fields = family.export(config) | {"torch_dtype": str(dtype).removeprefix("torch.")}
    write_json(folder / "config.json", fields)
    write_json(folder / "generation_config.json", {"eos_token_id": list(config.eos_ids), **sampler})
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "add_bos_token": False,
            "add_eos_token": False,
            "clean_up_tokenization_spaces": False,
            "model_max_length": config.max_positions,
            **text.special,
            "chat_template": text.template,
        },
    )
    text.tokenizer.save(str(folder / "tokenizer.json"))


def write_weights(file: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write one safetensors file."""
    save_file(dict(tensors), file, metadata={"format": "pt"})


def split(weight: Tensor, parts: Sequence[Part]) -> Sequence[Tensor]:
    """Views of a weight's rows as its parts divide them; those of experts follow one another."""
    rows = weight.detach() if weight.ndim < 3 else weight.detach().flatten(0, 1)
    return rows.split([part.rows for part in parts])
