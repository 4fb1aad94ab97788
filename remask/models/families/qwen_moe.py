"""SDAR-30B-A3B (arXiv 2510.06303) and RND1: the tensors of Qwen3-30B-A3B, two contracts.

RND1's defaults are those of its demo (github.com/RadicalNumerics/RND1): 256 steps for 256 tokens, temperature 0.01.
"""

from collections.abc import Mapping
from typing import Any

from ..config import ModelConfig, MoE
from .dense import SDAR, TRAINING
from .fields import Fields
from .llama import Body, family

# Values that RND1's class sets, and that config.json may leave out.
RND1_FIELDS: dict[str, Any] = {
    "attention_bias": False, "eos_token_id": 151645, "head_dim": 128, "hidden_act": "silu",
    "hidden_size": 2048, "intermediate_size": 6144, "max_position_embeddings": 40960,
    "moe_intermediate_size": 768, "norm_topk_prob": True, "num_attention_heads": 32, "num_experts": 128,
    "num_experts_per_tok": 8, "num_hidden_layers": 48, "num_key_value_heads": 4, "pad_token_id": 151643,
    "rms_norm_eps": 1e-6, "rope_theta": 1e6, "tie_word_embeddings": False, "vocab_size": 151936,
}  # fmt: skip


def experts(read: Fields, layers: int) -> MoE:
    """Read Qwen3-MoE's fields: softmax over all experts; the weights of the chosen experts sum to 1."""
    every = read.size("decoder_sparse_step", 1)
    plain = read.ids("mlp_only_layers")
    return MoE(
        n_experts=read.size("num_experts"),
        top_k=read.size("num_experts_per_tok"),
        d_ff=read.size("moe_intermediate_size"),
        normalise=read.flag("norm_topk_prob", True),
        dense_layers=tuple(i for i in range(layers) if i in plain or (i + 1) % every),
    )


def fields_of(config: ModelConfig) -> dict[str, Any]:
    """Return the fields that `experts` reads."""
    moe = config.moe
    assert moe is not None
    return {
        "num_experts": moe.n_experts,
        "num_experts_per_tok": moe.top_k,
        "moe_intermediate_size": moe.d_ff,
        "norm_topk_prob": moe.normalise,
        "mlp_only_layers": list(moe.dense_layers),
        "decoder_sparse_step": 1,
    }


_SDAR = Body("sdar_moe", "SDARMoeForCausalLM", "sdar_moe", qk_norm=True, block_size=4, harmless=TRAINING)
SDAR_MOE = family(
    _SDAR,
    parse=lambda fields: _SDAR.parse(fields, experts),
    export=lambda config: _SDAR.export(config) | fields_of(config),
    mask_id=SDAR.mask_id,
    eos_ids=SDAR.eos_ids,
    eot=SDAR.eot,
    defaults=SDAR.defaults,
    call=SDAR.call,
)

_RND1 = Body(
    "rnd1", "RND1LM", "rnd1", qk_norm=True, shift=1, harmless=frozenset({"moe_backend", "num_diffusion_steps"})
)


def _parse_rnd1(fields: Mapping[str, Any]) -> ModelConfig:
    """Read RND1's configuration; by its class, every layer has experts."""
    return _RND1.parse({**RND1_FIELDS, **fields, "mlp_only_layers": [], "decoder_sparse_step": 1}, experts)


RND1 = family(
    _RND1,
    architectures=("RND1LM", "RND1"),
    parse=_parse_rnd1,
    export=lambda config: _RND1.export(config) | fields_of(config),
    mask_id=151669,
    eos_ids=(151645,),
    defaults={"recipe": "rnd1", "gen_length": 256, "steps": 256, "temperature": 0.01},
    call="the demo of RadicalNumerics/RND1",
)
