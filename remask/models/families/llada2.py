"""LLaDA 2.0 and 2.1 (mini 16B-A1.4B, flash 103B-A6B; arXiv 2512.15745, 2602.08676): Ling's body, block-causal by 32.

Each expert has one sigmoid. A learned bias takes part in the choice, within the best groups, but not in the weights.
One expert is shared. Half of each head is rotated. 2.1 has the same fields and tensors, but is also trained to rewrite
committed tokens. The defaults are those of the published class's `generate` (blocks of 32, threshold 0.95, temperature
0), but for gen_length: theirs is 2048.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ...errors import CheckpointError
from ..config import ModelConfig, MoE
from .family import Spelling
from .fields import Fields
from .llama import Body, family

# Field -> the only value that this implementation honours. The published class fixes the routing in code.
FIXED: dict[str, Any] = {
    "use_bias": False,
    "use_qk_norm": True,
    "norm_head": False,
    "norm_softmax": False,
    "use_rmsnorm": True,
    "norm_topk_prob": True,
    "score_function": "sigmoid",
    "moe_router_enable_expert_bias": True,
    "router_dtype": "fp32",
    "using_split_qkv_in_self_attention": False,
}
# Ling's own fields; what they would add is visible in the tensors.
HARMLESS = frozenset({"moe_shared_expert_intermediate_size", "num_nextn_predict_layers", "mtp_loss_scaling_factor"})
NEWER = ("expert_capacity", "delete_token_id", "split_token_id")  # LLaDA 2.2


def parse(fields: Mapping[str, Any]) -> ModelConfig:
    """Read the configuration from config.json."""
    if newer := [name for name in NEWER if fields.get(name) is not None]:
        raise CheckpointError(
            f"config.json: {newer[0]} makes this LLaDA 2.2, whose experts of limited capacity and whose insertions and "
            "deletions are not implemented; use LLaDA 2.0 or 2.1"
        )
    values = {"partial_rotary_factor": 0.5} | {name: value for name, value in fields.items() if value is not None}
    values.pop("rotary_dim", None)  # the published class uses partial_rotary_factor
    biased = Fields({"use_qkv_bias": values.pop("use_qkv_bias", None)}, "llada2").flag("use_qkv_bias")
    return replace(BODY, biases=biased).parse(values, _experts)


def _experts(read: Fields, layers: int) -> MoE:
    read.only(FIXED)
    top_k, width = read.size("num_experts_per_tok"), read.size("moe_intermediate_size")
    first = read.size("first_k_dense_replace", 0, zero=True)
    return MoE(
        n_experts=read.size("num_experts"),
        top_k=top_k,
        d_ff=width,
        score="sigmoid",
        bias="choose",
        n_groups=read.size("n_group", 8),
        top_groups=read.size("topk_group", 4),
        normalise=top_k > 1,
        scale=read.number("routed_scaling_factor", 2.5),
        shared_d_ff=width * read.size("num_shared_experts", 0, zero=True),
        dense_layers=tuple(range(min(first, layers))),
    )


def export(config: ModelConfig) -> dict[str, Any]:
    """Return the `config.json` of a configuration, in the published format."""
    moe = config.moe
    assert moe is not None
    return {
        **BODY.export(config),
        **FIXED,
        "use_qkv_bias": config.qkv_bias,
        "num_experts": moe.n_experts,
        "num_experts_per_tok": moe.top_k,
        "moe_intermediate_size": moe.d_ff,
        "num_shared_experts": moe.shared_d_ff // moe.d_ff,
        "first_k_dense_replace": len(moe.dense_layers),
        "n_group": moe.n_groups,
        "topk_group": moe.top_groups,
        "routed_scaling_factor": moe.scale,
        "partial_rotary_factor": config.rotary_dim / config.head_dim,
        "rotary_dim": config.rotary_dim,
    }


BODY = Body(
    "llada2", "LLaDA2MoeModelLM", "llada2_moe", biases=False, qk_norm=True, block_size=32, rope_theta=6e5,
    harmless=HARMLESS,
)  # fmt: skip
LLADA2 = family(
    BODY,
    model_types=("llada2_moe", "llada2_moe_veomni"),
    parse=parse,
    export=export,
    names=Spelling(
        embed="model.word_embeddings",
        qkv=("attention.query_key_value",),
        q_norm="attention.query_layernorm",
        k_norm="attention.key_layernorm",
        out="attention.dense",
        router_bias="mlp.gate.expert_bias",
    ).names,
    mask_id=156895,
    eos_ids=(156892,),
    eot="<|role_end|>",
    defaults={"recipe": "llada2", "gen_length": 256, "temperature": 0.0},
    call="generate of their modeling_llada2_moe.py, but for its gen_length of 2048",
)


def _parse_editable(fields: Mapping[str, Any]) -> ModelConfig:
    return parse({"editable": True} | dict(fields))


LLADA21 = replace(
    LLADA2,
    name="llada2.1",
    architectures=(),
    model_types=(),
    repositories=("inclusionAI/LLaDA2.1-mini", "inclusionAI/LLaDA2.1-flash"),
    parse=_parse_editable,
    defaults={**LLADA2.defaults, "recipe": "llada2.1"},
)
