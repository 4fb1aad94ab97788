"""LLaDA-MoE (7B-A1B): OLMoE's body, full attention; the softmax weights of the chosen experts are not normalised.

The defaults are those of the model card, which calls LLaDA's generate.py with the mask 156895.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ...errors import CheckpointError
from ..config import ModelConfig, MoE
from .family import Spelling
from .fields import Fields
from .llama import Body, family

FIXED: dict[str, Any] = {"routed_scaling_factor": 1, "moe_router_score_function": None}
HARMLESS = frozenset({"norm_topk_prob", "router_num_group", "router_topk_group"})


def parse(fields: Mapping[str, Any]) -> ModelConfig:
    """Read the configuration from config.json."""
    renamed = dict(fields)
    dense = renamed.pop("dense_intermediate_size", None)
    renamed["intermediate_size"] = dense or fields.get("expert_intermediate_size")
    qk_norm = Fields({"qk_layernorm": renamed.pop("qk_layernorm", None)}, "llada_moe").flag("qk_layernorm")
    return replace(BODY, qk_norm=qk_norm).parse(renamed, _experts)


def _experts(read: Fields, layers: int) -> MoE:
    if read.left.get("moe_router_score_function") == "softmax":
        del read.left["moe_router_score_function"]
    read.only(FIXED)
    kinds = read.left.pop("moe_layer_freq", None) or [1] * layers
    if not isinstance(kinds, list) or len(kinds) != layers or not set(map(repr, kinds)) <= {"0", "1"}:
        raise CheckpointError(f"config.json: moe_layer_freq must be {layers} times 0 or 1, got {kinds!r}")
    return MoE(
        n_experts=read.size("num_experts"),
        top_k=read.size("num_experts_per_tok"),
        d_ff=read.size("expert_intermediate_size"),
        bias="choose_and_weigh" if read.flag("moe_router_enable_expert_bias") else "none",
        normalise=False,  # fixed by the published class, for any norm_topk_prob
        shared_d_ff=read.size("shared_expert_intermediate_size", 0, zero=True),
        dense_layers=tuple(i for i, kind in enumerate(kinds) if not kind),
    )


def export(config: ModelConfig) -> dict[str, Any]:
    """Return the `config.json` of a configuration, in the published format."""
    moe = config.moe
    assert moe is not None
    fields = BODY.export(config) | {
        "num_experts": moe.n_experts,
        "num_experts_per_tok": moe.top_k,
        "expert_intermediate_size": moe.d_ff,
        "dense_intermediate_size": config.d_ff,
        "shared_expert_intermediate_size": moe.shared_d_ff or None,
        "moe_router_enable_expert_bias": moe.bias != "none",
        "moe_layer_freq": [int(i not in moe.dense_layers) for i in range(config.n_layers)],
        "qk_layernorm": config.qk_norm,
        "norm_topk_prob": None,
        "routed_scaling_factor": 1,
    }
    del fields["intermediate_size"]
    return fields


BODY = Body("llada_moe", "LLaDAMoEModelLM", "llada", qk_norm=True, norm_eps=1e-5, rope_theta=50000.0, harmless=HARMLESS)
LLADA_MOE = family(
    BODY,
    architectures=("LLaDAMoEModelLM", "LLaDAMoEModel"),
    model_types=("lladamoe",),
    parse=parse,
    export=export,
    names=Spelling(shared="shared_expert.").names,
    mask_id=156895,
    eos_ids=(156892,),
    eot="<|role_end|>",
    defaults={
        "gen_length": 128, "steps": 128, "block_length": 32, "temperature": 0.0, "cfg_scale": 0.0,
        "remasking": "low_confidence",
    },
    call="the model card, with LLaDA's generate.py",
)  # fmt: skip
