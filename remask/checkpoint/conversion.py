"""From one format to another, tensor by tensor: a checkpoint folder or a GGUF file in, the other or the same out."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import groupby
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub import split_state_dict_into_shards_factory
from torch import Tensor

from ..errors import CheckpointError
from ..files import replacing, write_json
from ..models.rotary import Rope
from . import gguf
from .bpe import parts_of
from .description import Description
from .gguf import CONTROL, NORMAL, UNUSED, USER_DEFINED
from .outline import outlined
from .placement import DTYPES
from .saving import write_weights, write_words
from .shards import pieces

SHARD = 5 * 10**9  # bytes of one safetensors file
KINDS = {"float32": "F32", "bfloat16": "BF16", "float16": "F16", "q8_0": "Q8_0"}
SHORT = {"fp32": "float32", "f32": "float32", "bf16": "bfloat16", "fp16": "float16", "f16": "float16"}


def convert(described: Description, target: Path, dtype: str = "auto") -> None:
    """Write the checkpoint as the GGUF file or the folder `target`; what was there is replaced at the end.

    `dtype` auto keeps that of most weights; q8_0 is for GGUF alone. Raises CheckpointError for what the format cannot
    hold. The peak of memory is one tensor for GGUF, one file of 5 GB for a folder.
    """
    own = str(described.dtype).removeprefix("torch.")
    kind = SHORT.get(dtype, dtype) if dtype != "auto" else own if own in KINDS else "float32"
    if kind not in KINDS:
        raise CheckpointError(f"unknown dtype {dtype[:100]!r}; use auto, {', '.join(KINDS)}")
    if target.suffix == ".gguf":
        to_gguf(described, target, KINDS[kind])
    elif kind not in DTYPES:
        raise CheckpointError(f"{kind} is for GGUF files; a folder holds float32, bfloat16 or float16")
    else:
        to_folder(described, target, DTYPES[kind])


def to_folder(described: Description, folder: Path, dtype: torch.dtype) -> None:
    """Write a folder in the family's published layout, in several files with an index if it is large."""
    if folder.exists() and not (folder / "config.json").exists():
        raise CheckpointError(f"{folder} is there and is no checkpoint; give another name")
    shards = split_state_dict_into_shards_factory(
        {name: described.stored[name] for name in tensor_names(described)},
        get_storage_size=lambda stored: prod(stored.shape) * dtype.itemsize,
        filename_pattern="model{suffix}.safetensors",
        max_shard_size=SHARD,
    )
    with replacing(folder) as fresh:
        fresh.mkdir()
        write_words(fresh, described.family, described.config, described.text, dtype, described.defaults.values)
        for file, names in shards.filename_to_tensors.items():
            write_weights(fresh / file, {n: _cast(n, t, dtype) for n, t in tensors(names, described)})
        if shards.is_sharded:
            index = {"metadata": shards.metadata, "weight_map": shards.tensor_to_filename}
            write_json(fresh / "model.safetensors.index.json", index)


def to_gguf(described: Description, file: Path, kind: str) -> None:
    """Write one GGUF file with llama.cpp's names and conventions, weights as `kind` where its kernels take that."""
    library, config, family = gguf.library(), described.config, described.family
    architecture = next((name for name, ours in gguf.ARCHITECTURES.items() if ours == family.name), None)
    if architecture is None:
        known = ", ".join(gguf.ARCHITECTURES.values())
        raise CheckpointError(f"llama.cpp has no architecture for the {family.name} family; it has: {known}")
    if config.attention != "full" or config.editable:
        raise CheckpointError("llama.cpp runs these models with full attention, and without editing")
    if config.rope_scaling != Rope():
        raise CheckpointError(f"its positions are scaled ({config.rope_scaling}), which is not written as GGUF")
    outlined(described)
    with replacing(file) as fresh, closing(library.GGUFWriter(fresh, architecture)) as writer:
        for key, value in metadata(described, architecture, kind):
            _add(writer, key, value)
        _add_tensors(writer, described, kind)


def _add_tensors(writer: Any, described: Description, kind: str) -> None:
    """Write the header, which names every tensor, and then one tensor at a time."""
    library, config, family = gguf.library(), described.config, described.family
    contents: dict[str, list[str]] = {}  # GGUF's tensor -> the published ones that it holds
    for name, where in gguf.places(family, config).items():
        contents.setdefault(where.tensor, []).append(name)
    kinds: dict[str, Any] = {}
    for name, parts in contents.items():
        shape = described.stored[parts[0]].shape
        shape = shape if len(parts) == 1 else (len(parts), *shape)
        kinds[name] = library.GGMLQuantizationType[_kind(name, shape, kind)]
        stored = library.quant_shape_to_byte_shape(shape, kinds[name])
        writer.add_tensor_info(name, stored, np.dtype(np.uint8), prod(stored), kinds[name])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for name, parts in contents.items():
        narrow = torch.float16 if kinds[name].name == "F16" else torch.float32
        rows = [_cast(part, tensor, narrow).float() for part, tensor in tensors(parts, described)]
        if gguf.is_permuted(family, name):
            rows = [gguf.interleaved(tensor, config.head_dim) for tensor in rows]
        data = library.quantize((rows[0] if len(rows) == 1 else torch.stack(rows)).numpy(), kinds[name])
        writer.write_tensor_data(np.ascontiguousarray(data).view(np.uint8))


def metadata(described: Description, architecture: str, kind: str) -> Iterator[tuple[str, Any]]:
    """The key-value pairs of a GGUF file, as llama.cpp's converter writes them and its diffusion tool reads them."""
    config, library = described.config, gguf.library()
    yield "general.name", described.folder.stem if described.folder.is_file() else described.folder.resolve().name
    if described.licence:
        yield "general.license", described.licence
    yield "general.file_type", Count({"F32": 0, "F16": 1, "Q8_0": 7, "BF16": 32}[kind])
    yield "general.quantization_version", Count(library.GGML_QUANT_VERSION)
    sizes = {
        "block_count": config.n_layers,
        "context_length": config.max_positions,
        "embedding_length": config.d_model,
        "feed_forward_length": config.d_ff,
        "vocab_size": config.vocab_size,
        "attention.head_count": config.n_heads,
        "attention.head_count_kv": config.n_kv_heads,
        "attention.key_length": config.head_dim,
        "attention.value_length": config.head_dim,
        "rope.dimension_count": config.rotary_dim,
    }
    if (moe := config.moe) is not None:
        sizes |= {
            "expert_count": moe.n_experts,
            "expert_used_count": moe.top_k,
            "expert_feed_forward_length": moe.d_ff,
        }
    for name, size in sizes.items():
        yield f"{architecture}.{name}", Count(size)
    yield f"{architecture}.attention.layer_norm_rms_epsilon", config.norm_eps
    yield f"{architecture}.rope.freq_base", config.rope_theta
    yield f"{architecture}.attention.causal", False
    yield "diffusion.shift_logits", bool(config.shift)
    yield from _words(described, architecture)


def _words(described: Description, architecture: str) -> Iterator[tuple[str, Any]]:
    """The tokenizer: every row of the embedding is a token, those that mean nothing unused."""
    text, config = described.text, described.config
    parts = parts_of(text.tokenizer)
    by_id = {index: token for token, index in parts.vocabulary.items()}
    kinds = {token: CONTROL if special else USER_DEFINED for token, special in parts.added.items()}
    tokens = [by_id.get(i, f"[PAD{i}]") for i in range(config.vocab_size)]
    yield "tokenizer.ggml.model", "gpt2"
    yield "tokenizer.ggml.pre", parts.cut_of(text.tokenizer, prefer=architecture)
    yield "tokenizer.ggml.tokens", tokens
    yield "tokenizer.ggml.token_type", [kinds.get(t, NORMAL) if i in by_id else UNUSED for i, t in enumerate(tokens)]
    yield "tokenizer.ggml.merges", [f"{left} {right}" for left, right in parts.merges]
    special = {role: text.special.get(name) for role, name in gguf.ROLES.items()}
    named = {role: text.tokenizer.token_to_id(token) for role, token in special.items() if token}
    named |= {"eos": config.eos_ids[0], "mask": config.mask_id, "padding": config.pad_id}
    named |= {"eot": text.eot_ids[0]} if text.eot_ids else {}
    for role, index in named.items():
        if index is not None:
            yield f"tokenizer.ggml.{role}_token_id", Count(index)
    if architecture == "llada":
        yield "tokenizer.ggml.add_bos_token", "bos" in named
    if text.template:
        yield "tokenizer.chat_template", text.template


class Count(int):
    """A whole number that GGUF keeps as uint32; others are int32."""


def _add(writer: Any, key: str, value: Any) -> None:
    if isinstance(value, list):
        writer.add_array(key, value)
    elif isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, Count):
        writer.add_uint32(key, int(value))
    elif isinstance(value, float):
        writer.add_float32(key, value)
    else:
        writer.add_string(key, value)


def _kind(name: str, shape: tuple[int, ...], kind: str) -> str:
    """Norms, biases and routers stay float32, as llama.cpp's kernels want them; rows of Q8_0 are of whole blocks."""
    if len(shape) == 1 or "ffn_gate_inp" in name:
        return "F32"
    return "F16" if kind == "Q8_0" and shape[-1] % 32 else kind


def _cast(name: str, tensor: Tensor, dtype: torch.dtype) -> Tensor:
    kept = tensor.to(torch.float32 if name.endswith("expert_bias") else dtype)
    if kept.isfinite().all():
        return kept.contiguous()
    if tensor.isfinite().all():
        kind = str(dtype).removeprefix("torch.")
        raise CheckpointError(f"{name!r} holds values beyond the range of {kind}; use bfloat16 or float32")
    raise CheckpointError(f"{name!r} holds NaN or infinity; the file is damaged, or its training diverged")


def tensor_names(described: Description) -> list[str]:
    """The model's tensors by their published names; all of them must be there and as its configuration says."""
    outlined(described)
    return [part.name for parts in described.family.names(described.config).values() for part in parts]


def tensors(names: Iterable[str], described: Description) -> Iterator[tuple[str, Tensor]]:
    """Tensors by name, as they are on disk or dequantised."""
    for name, group in groupby(pieces(names, described.stored), key=lambda piece: piece[0]):
        rows = [piece for _, piece in group]
        yield name, rows[0] if len(rows) == 1 else torch.cat(rows)
