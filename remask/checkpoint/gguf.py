"""GGUF files, llama.cpp's format: read as if they were a folder with config.json and safetensors.

Metadata become the fields of the family's own config.json, tensors get their published names, and weights are
dequantised while they are copied. The `gguf` library reads and dequantises (extra `gguf`). Facts are llama.cpp's:
its converter permutes the queries and keys of `llada` to interleaved rotary pairs, and of no other of these.
"""

import logging
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
from . import gguf_file
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
# What follows "tokenizer." in a key that is not read -> the only value that is honoured.
FIXED_WORDS: dict[str, Any] = {
    "ggml.add_eos_token": False,
    "ggml.add_sep_token": False,
    "ggml.add_space_prefix": False,
    "ggml.remove_extra_whitespaces": False,
    "ggml.escape_whitespaces": True,
}
HARMLESS_WORDS = re.compile(
    r"ggml\.(add_bos_token"  # for prompts without a chat template, which are read as they stand
    r"|scores|token_type_count"  # of other kinds of tokenizers
    r"|(eom|prefix|suffix|middle|fim_[a-z]+)_token_id)"  # tokens of the vocabulary by a role that nothing here has
    r"|chat_templates?(\.\w+)?"  # further templates; llama.cpp takes the plain one, too
    r"|huggingface\.json"  # the same tokenizer once more; llama.cpp reads the parts, too
)

log = logging.getLogger(__name__)


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
    file = gguf_file.header(path, library())
    said, tensors = Metadata(path, file.values), file.tensors
    architecture = said.text("general.architecture")
    if architecture not in ARCHITECTURES:
        raise CheckpointError(
            f"{path}: architecture {clip(architecture)} is not supported; supported: {', '.join(ARCHITECTURES)}"
        )
    if (parts := said.number("split.count", 1)) > 1:
        raise CheckpointError(f"{path} is one of {parts} parts; join them with llama-gguf-split --merge")
    family = FAMILIES[ARCHITECTURES[architecture]]
    try:
        fields = _fields(said, architecture, family, tensors)
        shift = family.parse(fields | {"mask_token_id": 0}).shift
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {clip(error, 400)}") from None
    _check_shift(said, family, bool(shift))
    words = _words(path, said)
    said.check_words(words, family)

    def stored(family: Family, config: ModelConfig) -> Mapping[str, GGUFTensor]:
        return _stored(path, family, config, tensors)

    return Files(
        fields=fields,
        generation={},
        words=words,
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
        except CheckpointError as error:
            raise CheckpointError(f"{self.path}: {clip(key)}: {error}") from None

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

    def check_words(self, words: Vocabulary, family: Family) -> None:
        """Refuse a key of `tokenizer` that nobody has read, unless it changes nothing."""
        turn = self.id("eot")
        ends = {"eot_token": family.eot, "eos_token": words.special.get("eos_token")}
        if turn is not None and turn not in [words.tokenizer.token_to_id(token) for token in ends.values() if token]:
            raise CheckpointError(
                f"{self.path}: tokenizer.ggml.eot_token_id = {turn} is not supported; the {family.name} family ends "
                f"a turn with {family.eot or 'the end of the text'}"
            )
        for key in self.fields:
            name = key.removeprefix("tokenizer.")
            if name == key or key in self.read or HARMLESS_WORDS.fullmatch(name):
                continue
            if name not in FIXED_WORDS:
                raise CheckpointError(
                    f"{self.path}: unknown key {clip(key)}; if it does not change the tokens of a text, remove it with "
                    "gguf-new-metadata --remove-metadata"
                )
            if (value := self.value(key)) != FIXED_WORDS[name]:
                raise CheckpointError(
                    f"{self.path}: {key} = {clip(value)} is not supported; only {FIXED_WORDS[name]!r} is"
                )


def _fields(said: Metadata, arch: str, family: Family, tensors: Mapping[str, gguf_file.Tensor]) -> dict[str, Any]:
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
        vocab_size=tensors["token_embd.weight"].shape[0],
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


def _check_shift(said: Metadata, family: Family, shift: bool) -> None:
    """What the file states of the shift must be the family's; where it states nothing, the family's holds."""
    key = "diffusion.shift_logits"
    if key not in said.fields:
        log.warning("%s lacks %s in its metadata; the %s family has %s", said.path, key, family.name, shift)
    elif said.flag(key, shift) != shift:
        raise CheckpointError(f"{said.path}: {key} is {not shift}, but the {family.name} family has {shift}")


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


def _stored(
    path: Path, family: Family, config: ModelConfig, tensors: Mapping[str, gguf_file.Tensor]
) -> dict[str, GGUFTensor]:
    """The file's tensors by their published names; one that has no place keeps the name that it has here."""
    wanted = places(family, config)
    if missing := sorted({where.tensor for where in wanted.values()} - set(tensors)):
        raise CheckpointError(f"{path} lacks {listed(missing)}, which its metadata imply")
    found: dict[str, GGUFTensor] = {}
    for name, where in wanted.items():
        tensor = tensors[where.tensor]
        shape, data = tensor.shape, tensor.data
        if where.expert is not None:
            if len(shape) != 3 or where.expert >= shape[0]:
                raise CheckpointError(f"{path}: {where.tensor!r} has shape {list(shape)}; its metadata imply 3 sizes")
            shape, data = shape[1:], data[where.expert]
        head_dim = config.head_dim if is_permuted(family, where.tensor) else 0
        if head_dim and shape[0] % head_dim:
            raise CheckpointError(f"{path}: {where.tensor!r} has {shape[0]} rows, not whole heads of {head_dim}")
        found[name] = GGUFTensor(path, tensor.kind, shape, data, head_dim)
    used = {where.tensor for where in wanted.values()}
    for name, tensor in tensors.items():
        if name not in used:
            found[name] = GGUFTensor(path, tensor.kind, tensor.shape, tensor.data)
    return found


@cache
def library() -> Any:
    try:
        import gguf
    except ImportError:
        raise CheckpointError("GGUF files need the gguf library: pip install 'remask[gguf]'") from None
    return gguf
