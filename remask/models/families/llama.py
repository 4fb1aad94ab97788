"""The common part of the families with Llama's or Qwen's config.json: its fields, read and written in one place.

A family states only what its published class fixes in code (`Body`); the rest is in config.json.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import CheckpointError
from ..config import ModelConfig, MoE
from .family import Family, Spelling
from .fields import Fields
from .scaling import published

# Field -> the only value that this implementation honours.
FIXED: dict[str, Any] = {
    "hidden_act": "silu",
    "mlp_bias": False,
    "use_sliding_window": False,
    "clip_qkv": None,
    "layer_norm_eps": None,
    "use_mrope": False,
    "logit_scale": None,
    "attention_chunk_size": None,
    "attn_logit_softcapping": None,
    "final_logit_softcapping": None,
}


@dataclass(frozen=True)
class Body:
    """The values that a family's class fixes. With `biases` None, the field `attention_bias` decides for queries, keys,
    values and output."""

    family: str
    architecture: str
    model_type: str
    biases: bool | None = None
    qk_norm: bool = False
    shift: int = 0
    block_size: int | None = None  # block-causal, unless config.json states another size
    block_field: str = "block_size"
    norm_eps: float = 1e-6
    rope_theta: float = 10000.0
    harmless: frozenset[str] = frozenset()

    def parse(self, fields: Mapping[str, Any], moe: Callable[[Fields, int], MoE] | None = None) -> ModelConfig:
        """Read the configuration from config.json; `moe` reads the experts, for a number of layers."""
        read = Fields(fields, self.family)
        read.only(FIXED)
        layers = read.size("num_hidden_layers")
        heads, width = read.size("num_attention_heads"), read.size("hidden_size")
        if "head_dim" not in read.left and width % heads:
            raise CheckpointError(
                f"config.json: hidden_size must be a multiple of num_attention_heads, got {width} and {heads}"
            )
        theta, length = read.rotary(self.rope_theta), read.size("max_position_embeddings")
        head_dim = read.size("head_dim", width // heads, zero=True)
        share = read.number("partial_rotary_factor", 1.0)
        experts = moe(read, layers) if moe else None
        block_size = read.size(self.block_field, self.block_size or 0, zero=True) or None
        attention_bias = read.flag("attention_bias")
        biased = attention_bias if self.biases is None else self.biases
        kinds = read.left.pop("layer_types", None) or []
        if not isinstance(kinds, list) or set(map(str, kinds)) - {"full_attention"}:
            raise CheckpointError(f"config.json: layer_types = {kinds!r} is not supported; all layers see everything")
        config = ModelConfig(
            family=self.family,
            vocab_size=read.size("vocab_size"),
            d_model=width,
            n_layers=layers,
            n_heads=heads,
            n_kv_heads=read.size("num_key_value_heads", heads, zero=True),
            head_dim=head_dim,
            d_ff=read.size("intermediate_size"),
            norm_eps=read.number("rms_norm_eps", self.norm_eps),
            rope_theta=theta,
            rotary_dim=int(head_dim * share),
            rope_scaling=read.scaling(length),
            max_positions=length,
            qkv_bias=biased,
            out_bias=biased and self.biases is None,
            qk_norm=self.qk_norm,
            tie_embeddings=read.flag("tie_word_embeddings"),
            moe=experts,
            attention="full" if block_size is None else "block_causal",
            block_size=block_size,
            shift=self.shift,
            editable=read.flag("editable"),
            mask_id=read.id("mask_token_id"),
            eos_ids=read.ids("eos_token_id"),
            pad_id=read.id("pad_token_id", 0),
        )
        read.end(self.harmless)
        return config

    def export(self, config: ModelConfig) -> dict[str, Any]:
        """Return the `config.json` of a configuration, in the published format."""
        fields: dict[str, Any] = {
            "architectures": [self.architecture],
            "model_type": self.model_type,
            "hidden_act": "silu",
            "vocab_size": config.vocab_size,
            "hidden_size": config.d_model,
            "num_hidden_layers": config.n_layers,
            "num_attention_heads": config.n_heads,
            "num_key_value_heads": config.n_kv_heads,
            "head_dim": config.head_dim,
            "intermediate_size": config.d_ff,
            "rms_norm_eps": config.norm_eps,
            "rope_theta": config.rope_theta,
            "max_position_embeddings": config.max_positions,
            "tie_word_embeddings": config.tie_embeddings,
            "mask_token_id": config.mask_id,
            "eos_token_id": config.eos_ids[0] if len(config.eos_ids) == 1 else list(config.eos_ids),
            "pad_token_id": config.pad_id,
        }
        if (scaling := published(config.rope_scaling)) is not None:
            fields["rope_scaling"] = scaling
        if config.rotary_dim != config.head_dim:
            fields["partial_rotary_factor"] = config.rotary_dim / config.head_dim
        if self.biases is None:
            fields["attention_bias"] = config.qkv_bias
        if config.block_size is not None:
            fields[self.block_field] = config.block_size
        if config.editable:
            fields["editable"] = True
        return fields


def family(body: Body, **overrides: Any) -> Family:
    """Make the family with this body and Llama's names; `overrides` are further or other fields of `Family`."""
    defaults: dict[str, Any] = {
        "name": body.family,
        "architectures": (body.architecture,),
        "model_types": (body.model_type,),
        "parse": body.parse,
        "export": body.export,
        "names": Spelling().names,
    }
    return Family(**(defaults | overrides))
