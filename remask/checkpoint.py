"""Checkpoints in the published layout: config.json, safetensors, tokenizer.json. No pickle, no remote code.

`save` writes what the authors' own code can load. (Loading lives below it; both use one table of names a family.)
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from .models.llada import LLADA
from .models.transformer import Transformer
from .text import Text


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A new folder beside `folder` to write into; it takes that name only if the block ends without an error."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        yield fresh
        fresh.chmod(0o755)
        if folder.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old.", dir=folder.parent))
            os.rename(folder, old / "was")
            os.rename(fresh, folder)
            shutil.rmtree(old)
        else:
            os.rename(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def write_json(path: Path, value: Any) -> None:
    """Write JSON under a temporary name, then rename: a reader sees the old file or the new one, never half."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(scratch, path)


def published(model: Transformer, dtype: torch.dtype) -> dict[str, Tensor]:
    """The model's weights under their published names, split as published."""
    tensors = {}
    weights = dict(model.named_parameters())
    for mine, parts in LLADA.names(model.config).items():
        pieces = weights[mine].detach().to("cpu", dtype).split([part.rows for part in parts])
        tensors |= {part.name: piece.contiguous() for part, piece in zip(parts, pieces, strict=True)}
    return tensors


def save(
    folder: Path, model: Transformer, text: Text, *, dtype: torch.dtype = torch.bfloat16, sampler: Mapping[str, Any]
) -> None:
    """Write a whole checkpoint folder in the LLaDA format; an earlier folder of that name is replaced at the end."""
    with replacing(folder) as fresh:
        config = LLADA.export(model.config) | {"torch_dtype": str(dtype).removeprefix("torch.")}
        write_json(fresh / "config.json", config)
        write_json(fresh / "generation_config.json", {"eos_token_id": list(model.config.eos_ids), **sampler})
        write_json(
            fresh / "tokenizer_config.json",
            {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "add_bos_token": False,
                "add_eos_token": False,
                "clean_up_tokenization_spaces": False,
                "model_max_length": model.config.max_positions,
                **text.special,
                "chat_template": text.template,
            },
        )
        text.tokenizer.save(str(fresh / "tokenizer.json"))
        save_file(published(model, dtype), fresh / "model.safetensors", metadata={"format": "pt"})
