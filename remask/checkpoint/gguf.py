"""GGUF files, llama.cpp's format: read as if they were a folder with config.json and safetensors.

Metadata become the fields of the family's own config.json, tensors get their published names, and weights are
dequantised while they are copied. The `gguf` library reads and dequantises (extra `gguf`). Facts are llama.cpp's:
its converter permutes the queries and keys of `llada` to interleaved rotary pairs, and of no other of these.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..errors import CheckpointError
from ..models.config import ModelConfig, MoE
from ..models.families import FAMILIES
from ..models.families.family import Family, Spelling
from .bpe import Parts
from .folder import CONFIG_LIMIT, Files, Vocabulary, clip
from .shards import PIECE, Stored, listed

SPELLING = Spelling(
    embed="token_embd",
    norm="output_norm",
    unembed="output",
    block="blk.{i}.",
    attention_norm="attn_norm",
    qkv=("attn_q", "attn_k", "attn_v"),
    q_norm="attn_q_norm",
    k_norm="attn_k_norm",
    out="attn_output",
    mlp_norm="ffn_norm",
    mlp=("ffn_gate", "ffn_up", "ffn_down"),
    router="ffn_gate_inp",
    router_bias="exp_probs_b.bias",
    expert="experts.{e}.",  # of all experts in one tensor: see `place`
)
ARCHITECTURES = {"llada": "llada", "llada-moe": "llada_moe", "dream": "dream", "rnd1": "rnd1"}  # theirs -> our family
PERMUTED = {"llada"}
ROUTED = {"llada_moe", "rnd1"}  # families with experts
# What follows "{arch}." in a key that is not read -> the only value that this implementation honours.
FIXED: dict[str, Any] = {
    "attention.causal": False,
    "attention.sliding_window": 0,
    "rope.scaling.type": "none",
    "rope.scaling.factor": 1,
    "rope.scaling.attn_factor": 1,
    "expert_gating_func": 1,  # softmax
    "expert_group_count": 1,
    "expert_group_used_count": 1,
    "expert_shared_count": 0,
    "expert_weights_scale": 1,
    "leading_dense_block_count": 0,
}
HARMLESS = {"vocab_size", "pooling_type", "rope.scaling.original_context_length", "rope.scaling.finetuned"}
ROLES = {"bos": "bos_token", "eos": "eos_token", "padding": "pad_token", "unknown": "unk_token", "mask": "mask_token",
         "seperator": "sep_token", "cls": "cls_token"}  # fmt: skip
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED = 1, 2, 3, 4, 5


class Place(NamedTuple):
    """A tensor of a GGUF file, or the part of it that belongs to one expert."""

    tensor: str
    expert: int | None = None


def places(family: Family, config: ModelConfig) -> dict[str, Place]:
    """Published name -> where it is in a GGUF file."""
    ours, theirs = family.names(config), SPELLING.names(config)
    return {part.name: place(own.name) for mine in ours for part, own in zip(ours[mine], theirs[mine], strict=True)}


def place(name: str) -> Place:
    """A name of `SPELLING`; the experts of a layer are one tensor (experts, rows, columns)."""
    if found := re.fullmatch(r"(blk\.\d+\.)experts\.(\d+)\.(gate|up|down)_proj\.weight", name):
        return Place(f"{found[1]}ffn_{found[3]}_exps.weight", int(found[2]))
    return Place(name)


def is_permuted(family: Family, tensor: str) -> bool:
    """Whether llama.cpp keeps this tensor's heads as interleaved pairs."""
    return family.name in PERMUTED and (".attn_q." in tensor or ".attn_k." in tensor)


def interleaved(rows: Tensor, head_dim: int) -> Tensor:
    """Rows of whole heads, from halves (0, n/2, 1, …'s first and second half apart) to llama.cpp's pairs."""
    return rows.unflatten(0, (-1, 2, head_dim // 2)).transpose(1, 2).reshape(rows.shape)


def halved(rows: Tensor, head_dim: int) -> Tensor:
    """The inverse of `interleaved`."""
    return rows.unflatten(0, (-1, head_dim // 2, 2)).transpose(1, 2).reshape(rows.shape)


@dataclass(frozen=True)
class GGUFTensor(Stored):
    """A tensor in a GGUF file, perhaps quantised: `data` are its rows in the mapped file."""

    data: np.ndarray[Any, Any]
    head_dim: int = 0  # if its heads are permuted

    def read(self, shard: Any, name: str) -> Iterator[Tensor]:
        """Its rows in pieces of bounded size, dequantised and with heads as published."""
        whole_heads = self.head_dim or 1
        step = max(1, PIECE // max(1, prod(self.shape[1:])) // whole_heads) * whole_heads
        for start in range(0, self.shape[0], step):
            rows = unpacked(self.data[start : start + step], self.dtype)
            yield halved(rows, self.head_dim) if self.head_dim else rows


def unpacked(data: np.ndarray[Any, Any], kind: str) -> Tensor:
    """Rows as numbers: F32, F16 and BF16 as they are, others as float32."""
    if kind == "BF16":
        return torch.from_numpy(np.array(data)).view(torch.bfloat16)
    if kind in ("F32", "F16", "F64"):
        return torch.from_numpy(np.array(data))
    kinds = library().GGMLQuantizationType
    return torch.from_numpy(library().dequantize(np.array(data), kinds[kind]))


def read(path: Path) -> Files:
    """What a GGUF file says of itself, its weights unread. Raises CheckpointError for what cannot be taken."""
    reader = _open(path)
    said = Metadata(path, {name: field for name, field in reader.fields.items() if not name.startswith("GGUF.")})
    architecture = said.text("general.architecture")
    if architecture not in ARCHITECTURES:
        raise CheckpointError(
            f"{path}: architecture {clip(architecture)} is not supported; supported: {', '.join(ARCHITECTURES)}"
        )
    if (parts := said.number("split.count", 1)) > 1:
        raise CheckpointError(f"{path} is one of {parts} parts; join them with llama-gguf-split --merge")
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    if bare := [name for name, tensor in tensors.items() if not len(tensor.shape)]:
        raise CheckpointError(f"{path}: {listed(bare)} has no sizes, but a weight has 1 to 3; convert it again")
    family = FAMILIES[ARCHITECTURES[architecture]]
    try:
        fields = _fields(said, architecture, family, tensors)
        shift = family.parse(fields | {"mask_token_id": 0}).shift
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {clip(error, 400)}") from None
    if said.flag("diffusion.shift_logits", True) != bool(shift):
        raise CheckpointError(
            f"{path}: diffusion.shift_logits is {not shift}, but the {family.name} family has {bool(shift)}"
        )

    def stored(family: Family, config: ModelConfig) -> Mapping[str, GGUFTensor]:
        return _stored(path, family, config, tensors)

    return Files(
        fields=fields,
        generation={},
        words=_words(path, said),
        stored=stored,
        bytes=path.stat().st_size,
        licence=said.text("general.license", ""),
        origin="the GGUF metadata",
    )


class Metadata:
    """The key-value pairs of a GGUF file; one of the wrong type raises CheckpointError."""

    def __init__(self, path: Path, fields: Mapping[str, Any]) -> None:
        self.path, self.fields = path, fields
        self.read: set[str] = set()

    def value(self, key: str) -> Any:
        """The value of a key that is there, whatever its type."""
        self.read.add(key)
        try:
            return self.fields[key].contents()
        except UnicodeDecodeError as error:
            told = f"{clip(key)} holds {clip(error.object)}, which is not UTF-8 text; convert it again"
            raise CheckpointError(f"{self.path}: {told}") from None

    def get(self, key: str, kinds: tuple[type, ...], what: str, default: Any = None) -> Any:
        """The value of `key`, `default` where it is left out; without a default it must be there."""
        if key not in self.fields:
            if default is None:
                raise CheckpointError(f"{self.path} lacks {key!r} in its metadata")
            return default
        value = self.value(key)
        if type(value) not in kinds:
            raise CheckpointError(f"{self.path}: {key} must be {what}, got {clip(value)}")
        return value

    def number(self, key: str, default: int | None = None) -> int:
        """A whole number."""
        return int(self.get(key, (int,), "a whole number", default))

    def real(self, key: str, default: float | None = None) -> float:
        """A number, of float32: the shortest decimal that rounds to it, which is what was meant."""
        with np.errstate(over="ignore"):  # infinity is refused by whoever uses it
            return float(str(np.float32(self.get(key, (int, float), "a number", default))))

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        return bool(self.get(key, (bool,), "true or false", default))

    def text(self, key: str, default: str | None = None) -> str:
        """A string."""
        return str(self.get(key, (str,), "a string", default))

    def items(self, key: str, kind: type, default: list[Any] | None = None) -> list[Any]:
        """A list of strings or numbers."""
        values: list[Any] = self.get(key, (list,), "a list", default)
        if any(type(value) is not kind for value in values):
            raise CheckpointError(f"{self.path}: {key} must be a list of {kind.__name__}")
        return values

    def id(self, role: str) -> int | None:
        """The id of a special token, if it is stated."""
        key = f"tokenizer.ggml.{role}_token_id"
        return self.number(key) if key in self.fields else None

    def end(self, arch: str, fixed: Mapping[str, Any]) -> None:
        """Refuse a key of `arch` that nobody has read, unless it is harmless or has the one value of `fixed`."""
        for key in self.fields:
            name = key.removeprefix(f"{arch}.")
            if name == key or key in self.read or name in HARMLESS:
                continue
            value = self.value(key)
            if name not in fixed:
                raise CheckpointError(
                    f"unknown key {clip(key)} = {clip(value)} for the {arch} architecture; if it does not change the "
                    "network, remove it with gguf-new-metadata --remove-metadata"
                )
            if value != fixed[name]:
                raise CheckpointError(
                    f"{key} = {clip(value)} is not supported; the {arch} architecture has {fixed[name]!r}"
                )


def _fields(said: Metadata, arch: str, family: Family, tensors: Mapping[str, Any]) -> dict[str, Any]:
    """The config.json that the family would have published."""
    if "token_embd.weight" not in tensors:
        raise CheckpointError("it lacks the tensor 'token_embd.weight'")
    width, heads = said.number(f"{arch}.embedding_length"), said.number(f"{arch}.attention.head_count")
    moe = None
    if family.name in ROUTED:
        moe = MoE(
            n_experts=said.number(f"{arch}.expert_count"),
            top_k=said.number(f"{arch}.expert_used_count"),
            d_ff=said.number(f"{arch}.expert_feed_forward_length"),
        )
    config = ModelConfig(
        family=family.name,
        vocab_size=int(tensors["token_embd.weight"].shape[-1]),
        d_model=width,
        n_layers=said.number(f"{arch}.block_count"),
        n_heads=heads,
        n_kv_heads=said.number(f"{arch}.attention.head_count_kv", heads),
        head_dim=said.number(f"{arch}.attention.key_length", width // max(1, heads)),
        d_ff=said.number(f"{arch}.feed_forward_length", moe.d_ff if moe else None),  # of no layer, with experts
        norm_eps=said.real(f"{arch}.attention.layer_norm_rms_epsilon"),
        rope_theta=said.real(f"{arch}.rope.freq_base", 10000.0),
        max_positions=said.number(f"{arch}.context_length"),
        qk_norm="blk.0.attn_q_norm.weight" in tensors,
        tie_embeddings="output.weight" not in tensors,
        moe=moe,
        eos_ids=tuple(end for end in [said.id("eos")] if end is not None),
    )
    said.end(arch, FIXED | dict.fromkeys(("rope.dimension_count", "attention.value_length"), config.head_dim))
    mask, pad = said.id("mask"), said.id("padding")
    return family.export(config) | {"mask_token_id": mask, "pad_token_id": pad or 0}


def _words(path: Path, said: Metadata) -> Vocabulary:
    """The tokenizer, special tokens and chat template of the metadata."""
    if (kind := said.text("tokenizer.ggml.model")) != "gpt2":
        raise CheckpointError(
            f"{path}: tokenizer model {clip(kind)} is not supported; supported: gpt2 (byte-level BPE)"
        )
    tokens = said.items("tokenizer.ggml.tokens", str)
    types = said.items("tokenizer.ggml.token_type", int, [NORMAL] * len(tokens))
    merges = [merge.split(" ") for merge in said.items("tokenizer.ggml.merges", str)]
    if len(types) != len(tokens) or any(len(merge) != 2 for merge in merges):
        raise CheckpointError(f"{path}: {len(tokens)} tokens, but {len(types)} token types, or a merge is no pair")
    kept = [(i, token, kind) for i, (token, kind) in enumerate(zip(tokens, types, strict=True)) if kind != UNUSED]
    vocabulary = {token: i for i, token, _ in kept}
    if len(vocabulary) != len(kept):
        raise CheckpointError(f"{path}: a token comes twice in tokenizer.ggml.tokens")
    added = {token: kind == CONTROL for _, token, kind in kept if kind in (CONTROL, USER_DEFINED)}
    special = {}
    for role, name in ROLES.items():
        if (token_id := said.id(role)) is not None and 0 <= token_id < len(tokens):
            special[name] = tokens[token_id]
    template = said.text("tokenizer.chat_template", "")
    if len(template) > CONFIG_LIMIT:
        raise CheckpointError(f"{path}: the chat template has {len(template)} characters; the limit is {CONFIG_LIMIT}")
    try:
        parts = Parts(vocabulary, [(left, right) for left, right in merges], added)
        tokenizer = parts.build(said.text("tokenizer.ggml.pre", "default"))
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    return Vocabulary(tokenizer, special, template or None)


def _stored(path: Path, family: Family, config: ModelConfig, tensors: Mapping[str, Any]) -> dict[str, GGUFTensor]:
    """The file's tensors by their published names; one that has no place keeps the name that it has here."""
    wanted = places(family, config)
    if missing := sorted({where.tensor for where in wanted.values()} - set(tensors)):
        raise CheckpointError(f"{path} lacks {listed(missing)}, which its metadata imply")
    found: dict[str, GGUFTensor] = {}
    for name, where in wanted.items():
        tensor = tensors[where.tensor]
        shape, data = tuple(int(n) for n in reversed(tensor.shape)), tensor.data
        if where.expert is not None:
            if len(shape) != 3 or where.expert >= shape[0]:
                raise CheckpointError(f"{path}: {where.tensor!r} has shape {list(shape)}; its metadata imply 3 sizes")
            shape, data = shape[1:], data[where.expert]
        head_dim = config.head_dim if is_permuted(family, where.tensor) else 0
        if head_dim and shape[0] % head_dim:
            raise CheckpointError(f"{path}: {where.tensor!r} has {shape[0]} rows, not whole heads of {head_dim}")
        found[name] = GGUFTensor(path, tensor.tensor_type.name, shape, data, head_dim)
    used = {where.tensor for where in wanted.values()}
    for name, tensor in tensors.items():
        if name not in used:
            found[name] = GGUFTensor(path, tensor.tensor_type.name, tuple(map(int, tensor.shape)), tensor.data)
    return found


def _open(path: Path) -> Any:
    """The library's reader, which maps the file."""

    class Reader(library().GGUFReader):  # type: ignore[misc]
        """Refuses to read beyond the file, where the library would go on with nothing."""

        def _get(self, offset: int, dtype: Any, count: int = 1, override_order: Any = None) -> Any:
            if offset + int(count) * np.dtype(dtype).itemsize > len(self.data):
                raise ValueError(f"something of {int(count)} × {np.dtype(dtype).itemsize} bytes lies beyond its end")
            return super()._get(offset, dtype, count, override_order)

    try:
        reader = Reader(path)
    except (ValueError, LookupError, OverflowError, TypeError, MemoryError, RecursionError, OSError) as error:
        raise CheckpointError(f"{path} is not a whole GGUF file ({clip(error, 200)}); download it again") from None
    if reader.byte_order != "I":
        raise CheckpointError(f"{path} has its bytes in the other order; get the file for this kind of machine")
    return reader


@cache
def library() -> Any:
    try:
        import gguf
    except ImportError:
        raise CheckpointError("GGUF files need the gguf library: pip install 'remask[gguf]'") from None
    return gguf
