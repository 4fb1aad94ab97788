"""Tiny checkpoints of every family: a geometry with each quirk on, and weights that follow from their names alone.

`tests/golden/make/families.py` draws the same weights for the authors' classes, so goldens need not hold any.
"""

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models
from torch import Tensor

from remask.checkpoint import load
from remask.models.contract import Group, Packed
from remask.models.families import FAMILIES
from remask.models.predictor import MaskPredictor
from remask.models.transformer import Transformer

WORDS, ROWS = 90, 96  # tokens, and rows of the embedding
EOS, MASK = 88, 89

_HF = {
    "vocab_size": ROWS, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
    "intermediate_size": 48, "max_position_embeddings": 128, "rms_norm_eps": 1e-3, "rope_theta": 100.0,
    "hidden_act": "silu", "tie_word_embeddings": False, "eos_token_id": EOS, "pad_token_id": EOS,
    "mask_token_id": MASK, "attention_dropout": 0.0,
}  # fmt: skip
_QWEN3 = _HF | {"head_dim": 16, "attention_bias": False, "use_sliding_window": False}
_EXPERTS = {"num_experts": 8, "num_experts_per_tok": 3}
_QWEN_MOE = _QWEN3 | _EXPERTS | {
    "moe_intermediate_size": 24, "norm_topk_prob": True, "decoder_sparse_step": 1, "mlp_only_layers": [1],
}  # fmt: skip

# Family -> its config.json. Only what the published class understands.
GEOMETRIES: dict[str, dict[str, Any]] = {
    "llada": {
        "d_model": 32, "n_heads": 4, "n_kv_heads": 2, "n_layers": 3, "mlp_hidden_size": 48, "vocab_size": 90,
        "embedding_size": ROWS, "rms_norm_eps": 1e-3, "rope_theta": 100.0, "max_sequence_length": 128,
        "mask_token_id": MASK, "eos_token_id": EOS, "pad_token_id": EOS, "weight_tying": False, "mlp_ratio": 4,
        "include_bias": False, "include_qkv_bias": True, "block_type": "llama", "layer_norm_type": "rms",
        "activation_type": "silu", "rope": True, "rope_full_precision": True, "attention_dropout": 0.0,
        "residual_dropout": 0.0, "embedding_dropout": 0.0, "bias_for_layer_norm": False, "init_device": "cpu",
        "layer_norm_with_affine": True, "attention_layer_norm": False, "input_emb_norm": False, "alibi": False,
        "scale_logits": False, "block_group_size": 1,
    },
    "illada": _HF | {"tie_word_embeddings": True, "attention_bias": False, "mlp_bias": False, "resid_pdrop": 0.0},
    "dream": _HF | {"use_mrope": False, "use_sliding_window": False},
    "llada_moe": {k: v for k, v in _HF.items() if k != "intermediate_size"} | _EXPERTS | {
        "dense_intermediate_size": 48, "expert_intermediate_size": 24, "shared_expert_intermediate_size": 20,
        "moe_layer_freq": [1, 0, 1], "qk_layernorm": True, "norm_topk_prob": None, "attention_bias": False,
        "moe_router_enable_expert_bias": True, "routed_scaling_factor": 1, "partial_rotary_factor": 1,
    },
    "sdar": _QWEN3 | {"block_size": 4, "fuse_cross_entropy": False, "debug": False},
    "llada2": _HF | _EXPERTS | {
        "head_dim": 16, "moe_intermediate_size": 24, "num_shared_experts": 2, "first_k_dense_replace": 1, "n_group": 4,
        "topk_group": 2, "routed_scaling_factor": 2.5, "partial_rotary_factor": 0.5, "rotary_dim": 8,
        "block_size": 8, "norm_topk_prob": True, "score_function": "sigmoid", "router_dtype": "fp32", "use_bias": False,
        "use_qkv_bias": False, "moe_router_enable_expert_bias": True, "norm_head": False, "use_qk_norm": True,
    },
    "fast_dllm": _HF | {"bd_size": 8, "layer_types": ["full_attention"] * 3},
    "open_dcoder": _HF | {"tie_word_embeddings": True},
    "a2d_qwen3": _QWEN3 | {"tie_word_embeddings": True, "layer_types": ["full_attention"] * 3},
    "a2d_qwen2": _HF | {"tie_word_embeddings": True},
    "a2d_llama": _HF | {"attention_bias": True, "mlp_bias": False},
    "sdar_moe": _QWEN_MOE | {"block_size": 4},
    "rnd1": _QWEN_MOE | {"mlp_only_layers": [], "moe_backend": "hf", "num_diffusion_steps": 256},
}  # fmt: skip
GEOMETRIES["llada2.1"] = GEOMETRIES["llada2"]


def config_of(family: str) -> dict[str, Any]:
    """The family's tiny config.json."""
    known = FAMILIES[family]
    named = {"architectures": list(known.architectures[:1]), "model_type": (*known.model_types, "qwen2")[0]}
    return GEOMETRIES[family] | named


def draw(name: str, shape: Sequence[int]) -> Tensor:
    """The weights of the published tensor `name`: large enough that attention is sharp and routing decided."""
    noise = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(tuple(shape))
    if "norm" in name or name.endswith("ln_f.weight"):
        noise = 1 + 0.3 * noise
    elif len(shape) == 1:
        noise *= 0.3
    elif not any(embedding in name for embedding in ("embed", "wte")):
        noise *= 1.5 / shape[-1] ** 0.5
    if name in ("lm_head.weight", "model.transformer.ff_out.weight"):
        noise = 2 * noise
        noise[MASK:] = 0  # neither the mask nor a row without a token is ever likeliest
    return torch.from_numpy(noise).float()


def prompts() -> Tensor:
    """Two rows (2, 22) of given tokens, then masks among which some are committed; no multiple of any block."""
    rows = np.random.RandomState(1).randint(0, EOS, (2, 22))
    rows[0, 9:] = MASK
    rows[1, 11:] = MASK
    rows[:, (12, 15)] = 7
    return torch.from_numpy(rows)


def write(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor] | None = None) -> Path:
    """A whole checkpoint folder; with no `tensors`, those of the tiny geometry."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    words = Tokenizer(models.WordLevel({f"w{i}": i for i in range(WORDS)}, unk_token="w0"))
    words.save(str(folder / "tokenizer.json"))
    if tensors is not None:
        save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, folder / "model.safetensors")
    return folder


def published(family: str) -> dict[str, Tensor]:
    """The tiny checkpoint's tensors, their names and shapes from our own table."""
    known = FAMILIES[family]
    config = known.parse(config_of(family))
    with torch.device("meta"):
        ours = dict(Transformer(config).named_parameters(remove_duplicate=False))
    return {
        part.name: draw(part.name, (part.rows, *ours[mine].shape[1:][-1:]))
        for mine, parts in known.names(config).items()
        for part in parts
    }


def loaded(folder: Path, family: str, tensors: Mapping[str, Tensor] | None = None) -> MaskPredictor:
    """The tiny checkpoint of `family`, written and loaded."""
    write(folder, config_of(family), published(family) if tensors is None else tensors)
    return load(str(folder), device="cpu", dtype="float32", family=family).predictor


def logits(predictor: MaskPredictor, tokens: Tensor, groups: list[Group] | None = None) -> Tensor:
    """What `predictor` predicts at each position of `tokens` (B, L): (B, L, V), the contract's shift applied."""
    rows, length = tokens.shape
    positions = np.arange(length)
    sources = torch.from_numpy(predictor.contract.source(positions))
    reads = (torch.arange(rows)[:, None] * length + sources).flatten()
    packed = Packed(
        tokens.flatten(), torch.from_numpy(positions).repeat(rows), groups or [Group(0, rows, length)], reads
    )
    return predictor.logits(predictor.hidden(packed)).view(rows, length, -1)


def changed(predictor: MaskPredictor, **changes: Any) -> MaskPredictor:
    """The same weights under another configuration: what a loader that overlooks a quirk would make of them."""
    model = Transformer(replace(predictor.model.config, **changes))
    model.load_state_dict(predictor.model.state_dict(), strict=False)
    return MaskPredictor(model)
