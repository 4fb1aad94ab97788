"""LLaDA (8B Base, Instruct, 1.5; arXiv 2502.09992): OLMo names, Llama body, full attention, no shift.

Field and tensor names are those of the published `config.json` and `model.safetensors.index.json`. A feature of the
published class that no published checkpoint uses is refused by name. MMaDA and UltraLLaDA have the same class.
The defaults are those of `main` in the authors' generate.py (github.com/ML-GSAI/LLaDA).
"""

from collections.abc import Mapping
from typing import Any, get_args

from ...errors import CheckpointError
from ..config import Attention, ModelConfig
from .family import Family, Spelling
from .fields import Fields
from .scaling import published

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
}
HARMLESS = {
    "precision", "init_device", "init_fn", "init_std", "init_cutoff_factor", "residual_dropout", "flash_attention",
    "mlp_ratio", "n_positions", "flash_attn_varlen", "max_sequence_length_trained",
    "alibi_bias_max", "attention_layer_norm_with_affine",  # details of features that FIXED turns off
    "tie_word_embeddings",  # transformers adds it, but the class reads weight_tying
    # MMaDA's images, whose tokens are rows of the same embedding
    "codebook_size", "llm_vocab_size", "llm_model_path", "new_vocab_size", "num_new_special_tokens", "num_vq_tokens",
    "pretrained_model_path", "w_clip_vit",
}  # fmt: skip


def parse(fields: Mapping[str, Any]) -> ModelConfig:
    """Read the configuration from a published `config.json`; refuse unknown fields and features by name."""
    read = Fields(fields, "llada")
    read.only(FIXED)
    eps, theta = read.number("rms_norm_eps", 1e-5), read.number("rope_theta", 10000.0)
    d_model, heads = read.size("d_model"), read.size("n_heads")
    if d_model % heads:
        raise CheckpointError(f"config.json: d_model must be a multiple of n_heads, got {d_model} and {heads}")
    vocab = read.size("vocab_size")
    ratio = read.size("mlp_ratio", 4)
    attention = read.choice("attention", get_args(Attention), "full")
    length = read.size("max_sequence_length", 4096)
    config = ModelConfig(
        family="llada",
        vocab_size=read.size("embedding_size", vocab, zero=True),
        d_model=d_model,
        n_layers=read.size("n_layers"),
        n_heads=heads,
        n_kv_heads=read.size("n_kv_heads", heads, zero=True),
        head_dim=d_model // heads,
        d_ff=read.size("mlp_hidden_size", ratio * d_model, zero=True),
        norm_eps=eps,
        rope_theta=theta,
        rope_scaling=read.scaling(length),
        max_positions=length,
        qkv_bias=read.flag("include_qkv_bias"),
        tie_embeddings=read.flag("weight_tying"),
        attention=attention,
        block_size=read.size("block_size") if attention == "block_causal" else None,
        shift=int(read.flag("shift")),
        editable=read.flag("editable"),
        mask_id=read.id("mask_token_id"),
        eos_ids=read.ids("eos_token_id"),
        pad_id=read.id("pad_token_id", 0),
    )
    read.end(HARMLESS)
    return config


def export(config: ModelConfig) -> dict[str, Any]:
    """Return the `config.json` of a configuration, in the published format."""
    fields = {name: value for name, value in FIXED.items() if name != "multi_query_attention"}
    extra: dict[str, Any] = {}
    if config.attention != "full":
        extra = {"attention": config.attention, "block_size": config.block_size}
    if config.shift:
        extra["shift"] = True
    if config.editable:
        extra["editable"] = True
    if (scaling := published(config.rope_scaling)) is not None:
        extra["rope_scaling"] = scaling
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


LLADA = Family(
    name="llada",
    architectures=("LLaDAModelLM",),
    model_types=("llada",),
    parse=parse,
    export=export,
    names=Spelling(
        embed="model.transformer.wte",
        norm="model.transformer.ln_f",
        unembed="model.transformer.ff_out",
        block="model.transformer.blocks.{i}.",
        attention_norm="attn_norm",
        qkv=("q_proj", "k_proj", "v_proj"),
        out="attn_out",
        mlp_norm="ff_norm",
        mlp=("ff_proj", "up_proj", "ff_out"),
    ).names,
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
    call="generate.py of ML-GSAI/LLaDA",
)
