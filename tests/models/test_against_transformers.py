"""The same logits as transformers' own classes, under the mask of the family: an independent oracle, run live.

transformers writes the checkpoint and Remask loads it, so names and layout are proven along with the numbers. Each
control then leaves out one quirk, and must fail.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from remask.checkpoint import load
from remask.models.contract import Group
from remask.models.families import FAMILIES
from remask.models.predictor import MaskPredictor
from tests.helpers.tiny import changed, config_of, draw, logits, prompts, write

transformers = pytest.importorskip("transformers", reason="needs the hf extra")

CLOSE = 1e-4
# Family -> the class of transformers that has its body.
CLASSES = {
    "illada": "Llama", "a2d_llama": "Llama", "dream": "Qwen2", "fast_dllm": "Qwen2", "open_dcoder": "Qwen2",
    "a2d_qwen2": "Qwen2", "a2d_qwen3": "Qwen3", "sdar": "Qwen3", "sdar_moe": "Qwen3Moe", "rnd1": "Qwen3Moe",
    "llada_moe": "Olmoe", "llada2": "Glm4Moe",
}  # fmt: skip
OURS = {"bd_size", "block_size", "mask_token_id", "moe_backend", "num_diffusion_steps", "fuse_cross_entropy", "debug"}


def visible(length: int, block_size: int | None, origin: int = 0) -> Tensor:
    """Which keys (L) each query (L) sees."""
    block = (torch.arange(length) + origin) // (block_size or length * 2)
    return block[None, :] <= block[:, None]


def oracle(family: str, **fields: Any) -> Any:
    """transformers' model of the family's tiny geometry, with the weights that follow from its tensors' names."""
    config = {k: v for k, v in (config_of(family) | fields).items() if k not in {"architectures", "model_type"} | OURS}
    if family == "llada_moe":
        config |= {"intermediate_size": config["expert_intermediate_size"], "norm_topk_prob": False}
    if family == "llada2":
        config |= {
            "n_routed_experts": config.pop("num_experts"),
            "n_shared_experts": config["num_shared_experts"],
            "attention_bias": False,
        }
    config["rope_parameters"] = {"rope_type": "default", "rope_theta": config.pop("rope_theta")}
    if "partial_rotary_factor" in config:
        config["rope_parameters"]["partial_rotary_factor"] = config.pop("partial_rotary_factor")
    name = CLASSES[family]
    made = getattr(transformers, name + "Config")(**config, attn_implementation="eager")
    model = getattr(transformers, name + "ForCausalLM")(made).eval().requires_grad_(False)
    state = {k: draw(k, v.shape) for k, v in model.state_dict().items() if not k.endswith("inv_freq")}
    model.load_state_dict(state, strict=False)
    model.tie_weights()
    return model


def stated(family: str, model: Any) -> dict[str, Tensor]:
    """The weights as the family publishes them: each expert a tensor of its own, Glm4's names as Ling's."""
    tensors: dict[str, Tensor] = {}
    for name, weight in model.state_dict().items():
        if name == "lm_head.weight" and model.config.tie_word_embeddings:
            continue
        if name.endswith(("experts.gate_up_proj", "experts.down_proj")):
            at = name.rpartition(".")[0]
            for e, expert in enumerate(weight):
                halves = zip(("gate", "up"), expert.chunk(2), strict=True) if "gate_up" in name else [("down", expert)]
                tensors |= {f"{at}.{e}.{kind}_proj.weight": part for kind, part in halves}
        else:
            tensors[name] = weight
    if family != "llada2":
        return tensors
    renamed = {"embed_tokens": "word_embeddings", "self_attn.": "attention.", "q_norm": "query_layernorm",
               "k_norm": "key_layernorm", "o_proj": "dense", "e_score_correction_bias": "expert_bias"}  # fmt: skip
    for old, new in renamed.items():
        tensors = {name.replace(old, new): weight for name, weight in tensors.items()}
    for name in [name for name in tensors if "attention.q_proj" in name]:
        fused = [tensors.pop(name.replace("q_proj", f"{kind}_proj")) for kind in "qkv"]
        tensors[name.replace("q_proj", "query_key_value")] = torch.cat(fused)
    return tensors


def expected(family: str, model: Any, tokens: Tensor, seen: Tensor) -> Tensor:
    """What the model predicts at each position: its logits, moved right by one where the family's authors do so."""
    hidden = torch.where(seen, 0.0, torch.finfo(torch.float32).min)[None, None].expand(len(tokens), 1, -1, -1)
    out = model(input_ids=tokens, attention_mask=hidden, use_cache=False).logits
    if FAMILIES[family].parse(config_of(family)).shift:
        out = torch.cat((out[:, :1], out[:, :-1]), 1)
    return out


Pair = Callable[[str], tuple[MaskPredictor, Tensor]]
# OLMoE has neither LLaDA-MoE's bias of experts, nor shared ones, nor dense layers; and its norm spans all heads.
OLMOE = {"num_attention_heads": 1, "num_key_value_heads": 1, "moe_router_enable_expert_bias": False,
         "shared_expert_intermediate_size": None, "moe_layer_freq": [1, 1, 1]}  # fmt: skip


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """A family's model as loaded, and what the oracle says of the prompts."""

    @cache
    def build(family: str) -> tuple[MaskPredictor, Tensor]:
        fields = OLMOE if family == "llada_moe" else {}
        model = oracle(family, **fields)
        folder = write(tmp_path_factory.mktemp(family), config_of(family) | fields, stated(family, model))
        predictor = load(str(folder), device="cpu", dtype="float32", family=family).predictor
        seen = visible(prompts().shape[1], predictor.contract.block_size)
        return predictor, expected(family, model, prompts(), seen)

    return build


@pytest.mark.parametrize("family", CLASSES)
def test_logits_are_those_of_transformers(pair: Pair, family: str) -> None:
    predictor, theirs = pair(family)
    assert theirs.std() > 0.5
    assert (logits(predictor, prompts()) - theirs).abs().max() < CLOSE


TRAPS: list[tuple[str, dict[str, Any]]] = [
    *((family, {"shift": 0}) for family in ("dream", "fast_dllm", "open_dcoder", "rnd1")),
    *((family, {"shift": 1}) for family in ("illada", "sdar", "llada2", "a2d_qwen3")),
    *((family, {"attention": "full", "block_size": None}) for family in ("sdar", "sdar_moe", "llada2", "fast_dllm")),
    *((family, {"attention": "block_causal", "block_size": 4}) for family in ("dream", "llada_moe", "rnd1")),
    *((family, {"block_size": 16}) for family in ("sdar", "fast_dllm", "llada2")),
    *((family, {"qk_norm": False}) for family in ("sdar", "a2d_qwen3", "rnd1", "llada_moe", "llada2")),
    *((family, {"qkv_bias": False}) for family in ("dream", "fast_dllm", "a2d_qwen2", "a2d_llama")),
    *((family, {"norm_eps": 1e-6}) for family in ("illada", "llada2")),
    *((family, {"rope_theta": 1e6}) for family in ("illada", "llada2")),
    ("a2d_llama", {"out_bias": False}),
    ("llada2", {"rotary_dim": 16}),
    ("llada2", {"rotary_dim": 4}),
    ("sdar_moe", {"moe": {"normalise": False}}),
    ("rnd1", {"moe": {"score": "sigmoid"}}),
    ("llada_moe", {"moe": {"normalise": True}}),
    ("llada_moe", {"moe": {"top_k": 2}}),
    ("llada2", {"moe": {"score": "softmax"}}),
    ("llada2", {"moe": {"bias": "none"}}),
    ("llada2", {"moe": {"bias": "choose_and_weigh"}}),
    ("llada2", {"moe": {"n_groups": 1, "top_groups": 1}}),
    ("llada2", {"moe": {"normalise": False}}),
    ("llada2", {"moe": {"scale": 1.0}}),
    ("llada2", {"moe": {"shared_d_ff": 0}}),
]


@pytest.mark.parametrize(("family", "trap"), TRAPS, ids=[f"{f} {t}" for f, t in TRAPS])
def test_without_its_quirk_a_family_is_another_model(pair: Pair, family: str, trap: dict[str, Any]) -> None:
    predictor, theirs = pair(family)
    moe = {"moe": replace(predictor.model.config.moe, **trap["moe"])} if "moe" in trap else {}
    assert (logits(changed(predictor, **trap | moe), prompts()) - theirs).abs().max() > 100 * CLOSE


def test_blocks_begin_at_the_first_position_not_at_the_end_of_the_prompt(pair: Pair) -> None:
    """A mask of our own on the same weights: right with its origin at position 0, wrong with any other."""
    predictor, theirs = pair("sdar")
    tokens = prompts()
    free, far = changed(predictor, attention="full", block_size=None), []
    for origin in range(4):
        seen = visible(tokens.shape[1], 4, origin)[None]
        far.append(float((logits(free, tokens, [Group(0, 2, tokens.shape[1], seen)]) - theirs).abs().max()))
    assert far[0] < CLOSE
    assert min(far[1:]) > 100 * CLOSE
