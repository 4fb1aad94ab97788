"""LLaDA (8B Base, Instruct, 1.5; arXiv 2502.09992): OLMo names, Llama body, full attention, no shift.

Field and tensor names as in the published `config.json` and `model.safetensors.index.json`. What the published class
can do but no published checkpoint uses is refused by name.
"""

from collections.abc import Mapping
from typing import Any, get_args

from ..errors import CheckpointError
from .config import Attention, ModelConfig
from .family import Family, Part

# Field -> the only value that this implementation honours.
FIXED: dict[str, Any] = {
    "activation_type": "silu",
    "alibi": False,
    "attention_layer_norm": False,
    "bias_for_layer_norm": False,
    "block_group_size": 1,
    "block_type": "llama",
    "include_bias": False,
    "input_emb_norm": False,
    "layer_norm_type": "rms",
    "layer_norm_with_affine": True,
    "rope": True,
    "rope_full_precision": True,
    "scale_logits": False,
    "clip_qkv": None,
    "multi_query_attention": None,
    "rope_scaling": None,
}
IGNORED = {
    "architectures", "model_type", "auto_map", "torch_dtype", "dtype", "transformers_version", "use_cache",
    "precision", "init_device", "init_fn", "init_std", "init_cutoff_factor", "embedding_dropout", "residual_dropout",
    "attention_dropout", "flash_attention", "mlp_ratio", "_name_or_path", "n_positions",
    "return_dict", "bos_token_id", "max_sequence_length_trained",
    "alibi_bias_max", "attention_layer_norm_with_affine",  # details of what FIXED has off
    "tie_word_embeddings",  # transformers adds it, but the class reads weight_tying
}  # fmt: skip

# What `parse` checks before it computes with it.
SIZES = ("d_model", "n_heads", "n_kv_heads", "n_layers", "vocab_size", "embedding_size", "mlp_hidden_size",
         "mlp_ratio", "max_sequence_length", "block_size")  # fmt: skip
NUMBERS = ("rms_norm_eps", "rope_theta")
FLAGS = ("include_qkv_bias", "weight_tying", "editable")
LARGEST = 2**31


def parse(fields: Mapping[str, Any]) -> ModelConfig:
    """The configuration that a published `config.json` describes; unknown fields and features are refused by name."""
    _check_kinds(fields)
    read = dict(fields)
    for name, only in FIXED.items():
        value = read.pop(name, only)
        if value != only and not (only is None and value in (False, {"rope_type": "default"})):
            raise CheckpointError(f"config.json: {name} = {value!r} is not supported; this family has {only!r}")
    try:
        d_model, heads = read.pop("d_model"), read.pop("n_heads")
        vocab = read.pop("vocab_size")
        vocab = read.pop("embedding_size", None) or vocab
        config = ModelConfig(
            family="llada",
            vocab_size=vocab,
            d_model=d_model,
            n_layers=read.pop("n_layers"),
            n_heads=heads,
            n_kv_heads=read.pop("n_kv_heads", None) or heads,
            head_dim=d_model // heads,
            d_ff=read.pop("mlp_hidden_size", None) or read.get("mlp_ratio", 4) * d_model,
            norm_eps=read.pop("rms_norm_eps", 1e-5),
            rope_theta=read.pop("rope_theta", 10000.0),
            max_positions=read.pop("max_sequence_length", 4096),
            qkv_bias=read.pop("include_qkv_bias", False),
            tie_embeddings=read.pop("weight_tying", False),
            attention=read.pop("attention", "full"),
            block_size=read.pop("block_size", None),
            editable=read.pop("editable", False),
            mask_id=read.pop("mask_token_id"),
            eos_ids=_ids(read.pop("eos_token_id", ())),
            pad_id=read.pop("pad_token_id", 0) or 0,
        )
    except KeyError as missing:
        raise CheckpointError(f"config.json lacks {missing.args[0]!r}, which the llada family needs") from None
    except (TypeError, ZeroDivisionError) as error:
        raise CheckpointError(f"config.json holds a value of the wrong type: {error}") from None
    if unknown := sorted(set(read) - IGNORED):
        raise CheckpointError(f"config.json: unknown field {', '.join(map(repr, unknown))} for the llada family")
    return config


def _check_kinds(fields: Mapping[str, Any]) -> None:
    """Sizes must be whole numbers (null means left out), numbers positive, flags true or false."""
    for name in SIZES:
        value = fields.get(name)
        least = 0 if name in ("n_kv_heads", "embedding_size", "mlp_hidden_size") else 1  # there, 0 means left out
        if value is not None and (type(value) is not int or not least <= value < LARGEST):
            raise CheckpointError(f"config.json: {name} must be a whole number from 1 to {LARGEST - 1}, got {value!r}")
    width, heads = fields.get("d_model"), fields.get("n_heads")
    if width and heads and width % heads:
        raise CheckpointError(f"config.json: d_model must be a multiple of n_heads, got {width} and {heads}")
    for name in NUMBERS:
        value = fields.get(name, 1)
        if type(value) not in (int, float) or not 0 < value < LARGEST:
            raise CheckpointError(f"config.json: {name} must be a number above 0 and below {LARGEST}, got {value!r}")
    for name in FLAGS:
        if not isinstance(value := fields.get(name, False), bool):
            raise CheckpointError(f"config.json: {name} must be true or false, got {value!r}")
    if (attention := fields.get("attention", "full")) not in get_args(Attention):
        known = ", ".join(get_args(Attention))
        raise CheckpointError(f"config.json: attention must be one of {known}, got {attention!r}")


def export(config: ModelConfig) -> dict[str, Any]:
    """The `config.json` of a checkpoint in the published format."""
    fields = {name: value for name, value in FIXED.items() if name not in ("multi_query_attention", "rope_scaling")}
    extra: dict[str, Any] = {}
    if config.attention != "full":
        extra = {"attention": config.attention, "block_size": config.block_size}
    if config.editable:
        extra["editable"] = True
    return {
        **fields,
        **extra,
        "architectures": ["LLaDAModelLM"],
        "model_type": "llada",
        "d_model": config.d_model,
        "embedding_size": config.vocab_size,
        "vocab_size": config.vocab_size,
        "n_layers": config.n_layers,
        "n_heads": config.n_heads,
        "n_kv_heads": config.n_kv_heads,
        "mlp_hidden_size": config.d_ff,
        "mlp_ratio": 4,
        "rms_norm_eps": config.norm_eps,
        "rope_theta": config.rope_theta,
        "max_sequence_length": config.max_positions,
        "include_qkv_bias": config.qkv_bias,
        "weight_tying": config.tie_embeddings,
        "mask_token_id": config.mask_id,
        "eos_token_id": config.eos_ids[0] if len(config.eos_ids) == 1 else list(config.eos_ids),
        "pad_token_id": config.pad_id,
    }  # fmt: skip


def _ids(value: Any) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, list | tuple) else () if value is None else (value,)


_BLOCK = "model.transformer.blocks.{i}."


def names(config: ModelConfig) -> dict[str, tuple[Part, ...]]:
    """Our parameter -> the published tensors it is made of, in row order."""
    kv = config.n_kv_heads * config.head_dim
    q = config.n_heads * config.head_dim
    table: dict[str, tuple[Part, ...]] = {"embed.weight": (Part("model.transformer.wte.weight", config.vocab_size),)}
    for i in range(config.n_layers):
        at = _BLOCK.format(i=i)
        mine = f"blocks.{i}."
        table[mine + "attention_norm.weight"] = (Part(at + "attn_norm.weight", config.d_model),)
        for kind in ("weight", "bias") if config.qkv_bias else ("weight",):
            table[mine + "attention.qkv." + kind] = (
                Part(at + "q_proj." + kind, q),
                Part(at + "k_proj." + kind, kv),
                Part(at + "v_proj." + kind, kv),
            )
        table[mine + "attention.out.weight"] = (Part(at + "attn_out.weight", config.d_model),)
        table[mine + "mlp_norm.weight"] = (Part(at + "ff_norm.weight", config.d_model),)
        table[mine + "mlp.gate_up.weight"] = (
            Part(at + "ff_proj.weight", config.d_ff),
            Part(at + "up_proj.weight", config.d_ff),
        )
        table[mine + "mlp.down.weight"] = (Part(at + "ff_out.weight", config.d_model),)
    table["norm.weight"] = (Part("model.transformer.ln_f.weight", config.d_model),)
    if not config.tie_embeddings:
        table["unembed"] = (Part("model.transformer.ff_out.weight", config.vocab_size),)
    return table


LLADA = Family(
    name="llada",
    architectures=("LLaDAModelLM",),
    parse=parse,
    export=export,
    names=names,
    mask_id=126336,
    eot="<|eot_id|>",
    defaults={
        "gen_length": 128,
        "steps": 128,
        "block_length": 32,
        "temperature": 0.0,
        "cfg_scale": 0.0,
        "remasking": "low_confidence",
    },
)
