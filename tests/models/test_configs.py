"""Published configurations, read without weights: the family, the number of weights and tensors that each implies.

configs.json says of each where it is from; `recorded` are those whose fields were read in a file of the authors.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from remask.errors import CheckpointError
from remask.models.families import ALL, FAMILIES, REPOSITORIES, family_of
from remask.models.predictor import contract
from remask.models.rotary import Rope
from remask.models.transformer import Transformer
from tests.helpers.tiny import GEOMETRIES, config_of

CONFIGS: dict[str, dict[str, Any]] = json.loads((Path(__file__).parent / "configs.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", CONFIGS)
def test_a_published_configuration_has_as_many_weights_as_it_should(name: str) -> None:
    said = CONFIGS[name]
    family = family_of(said["fields"], REPOSITORIES.get(name))
    assert family.name == said["family"]
    config = family.parse({"mask_token_id": family.mask_id} | said["fields"])
    names = family.names(config)
    if "parameters" in said:
        assert config.parameters == said["parameters"]
    if "billions" in said:
        digits = len(str(said["billions"]).partition(".")[2])
        assert round(config.parameters / 1e9, digits) == said["billions"]
    if "tensors" in said:
        assert sum(map(len, names.values())) == said["tensors"]
    if config.parameters < 1e10:
        with torch.device("meta"):
            model = Transformer(config)
        assert sum(weight.numel() for weight in model.parameters()) == config.parameters
        assert names.keys() == dict(model.named_parameters(remove_duplicate=False)).keys() - (
            {"unembed.weight"} - names.keys()
        )


@pytest.mark.parametrize("family", GEOMETRIES)
def test_what_is_exported_is_parsed_again(family: str) -> None:
    known = FAMILIES[family]
    config = known.parse(config_of(family))
    exported = known.export(config)
    assert known.parse(exported) == config
    if known.architectures:
        assert family_of(exported) is known


def test_contracts() -> None:
    """What a recipe cannot override: who is shifted, block-causal, editable."""
    parsed = {
        family.name: contract(
            family.parse(config_of(family.name) if family.name in GEOMETRIES else a2d(family.name)), 90
        )
        for family in ALL
    }
    assert {name for name, c in parsed.items() if c.shift} == {"dream", "fast_dllm", "open_dcoder", "rnd1"}
    assert {name: c.block_size for name, c in parsed.items() if c.block_size} == {
        "sdar": 4, "sdar_moe": 4, "llada2": 8, "llada2.1": 8, "fast_dllm": 8, "a2d_qwen3_bd3lm": 32,
        "a2d_qwen2_bd3lm": 32,
    }  # fmt: skip
    assert {name for name, c in parsed.items() if c.editable} == {"llada2.1"}
    assert all(c.mask_id in c.forbidden for c in parsed.values())


def a2d(name: str) -> dict[str, Any]:
    return config_of(name.removesuffix("_bd3lm"))


def test_blocks_of_the_published_sizes() -> None:
    """Where config.json leaves out the block size, the family knows it."""
    for family, field, size in (("sdar", "block_size", 4), ("llada2", "block_size", 32), ("fast_dllm", "bd_size", 32)):
        fields = {key: value for key, value in config_of(family).items() if key != field}
        assert FAMILIES[family].parse(fields).block_size == size


# --- which family ---


def test_architecture_comes_before_model_type() -> None:
    """LLaDA and LLaDA-MoE share a model_type."""
    assert family_of({"architectures": ["LLaDAMoEModelLM"], "model_type": "llada"}).name == "llada_moe"
    assert family_of({"architectures": ["LLaDAModelLM"], "model_type": "llada"}).name == "llada"
    assert family_of({"model_type": "llada"}).name == "llada"
    assert family_of({"model_type": "llada", "num_experts": 64}).name == "llada_moe"
    for family in ALL:
        for name in family.architectures:
            assert family_of({"architectures": [name], "model_type": "sdar"}) is family
        for kind in family.model_types:
            assert family_of({"model_type": kind}) is family


def test_a_family_can_be_stated() -> None:
    assert family_of({"architectures": ["Qwen2ForCausalLM"]}, "open_dcoder").name == "open_dcoder"
    with pytest.raises(CheckpointError, match="unknown family 'llama'; known: llada, "):
        family_of({}, "llama")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2"}, "not supported; supported: .* by family: "),
        ({"architectures": ["DiffusionGemmaForBlockDiffusion"]}, "starts from random tokens"),
        ({"model_type": "diffusion_gemma"}, "starts from random tokens"),
        ({"architectures": ["MDLM"], "model_type": "mdlm"}, "modulated by the noise level"),
        ({"architectures": ["BD3LM"]}, "modulated by the noise level"),
        ({"architectures": ["LlamaForCausalLM"], "model_type": "llada"}, "not supported"),  # never by type alone
        ({}, "architecture None is not supported"),
    ],
)
def test_other_models_are_refused_by_name(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(CheckpointError, match=told):
        family_of(fields)


# --- what a family cannot do ---

REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("llada2", {"expert_capacity": 48}, "LLaDA 2.2"),
    ("llada2", {"delete_token_id": 5}, "LLaDA 2.2"),
    ("llada2", {"norm_head": True}, "norm_head = True is not supported"),
    ("llada2", {"score_function": "softmax"}, "score_function"),
    ("llada2", {"n_group": 3}, "8 experts cannot be chosen from 2 of 3 groups"),
    ("llada2", {"num_experts_per_tok": 5}, "2 of 4 groups hold fewer than 5 experts"),
    ("llada2", {"n_group": 8, "topk_group": 4}, "a group needs two experts"),
    ("llada2", {"use_qkv_bias": "no"}, "use_qkv_bias must be true or false"),
    ("sdar", {"use_sliding_window": True}, "use_sliding_window = True is not supported"),
    ("sdar", {"rope_scaling": {"rope_type": "longrope", "factor": 4.0}}, "rope_scaling of type 'longrope' is not"),
    ("sdar", {"rope_parameters": {"rope_type": "linear"}}, "rope_parameters of type 'linear' lacks its 'factor'"),
    (
        "sdar",
        {"rope_scaling": {"type": "linear", "factor": 2}, "rope_parameters": {"type": "linear", "factor": 3}},
        "contradict each other",
    ),
    ("sdar", {"hidden_act": "gelu"}, "hidden_act"),
    ("sdar", {"layer_types": ["sliding_attention"]}, "layer_types"),
    ("sdar", {"dropout_of_mine": 0.5}, "unknown field 'dropout_of_mine' .* state it as null"),
    ("sdar", {"head_dim": 15}, "head_dim must be even"),
    ("sdar", {"num_key_value_heads": 3}, "n_heads must be a multiple of n_kv_heads"),
    ("dream", {"use_mrope": True}, "use_mrope"),
    ("dream", {"hidden_size": 33}, "hidden_size must be a multiple of num_attention_heads"),
    ("illada", {"layer_norm_eps": 1e-5}, "layer_norm_eps"),
    ("a2d_llama", {"mlp_bias": True}, "mlp_bias"),
    ("llada_moe", {"moe_layer_freq": [1, 1]}, "moe_layer_freq must be 3 times 0 or 1"),
    ("llada_moe", {"clip_qkv": 8.0}, "clip_qkv"),
    ("llada_moe", {"num_experts_per_tok": 9}, "top_k must lie between 1 and the 8 experts, got 9"),
    ("sdar_moe", {"norm_topk_prob": 1}, "norm_topk_prob must be true or false, got 1"),
    ("rnd1", {"num_experts": 0}, "num_experts must be a whole number from 1"),
    ("sdar", {"rope_theta": 1.0}, r"rope_theta must be a number above 1, as 10000\.0 is, got 1\.0"),
    ("sdar", {"intermediate_size": 2**31}, "intermediate_size must .* to 2147483647, got 2147483648"),
    # Before anything is made for each layer or expert
    ("llada", {"n_layers": 1001}, "n_layers must be a whole number from 1 to 1000, got 1001"),
    ("llada_moe", {"num_hidden_layers": 10**6, "moe_layer_freq": [1]}, "num_hidden_layers must .* 1000, got 1000000"),
    ("sdar_moe", {"num_hidden_layers": 10**6, "num_experts": 0}, "num_hidden_layers must .* to 1000, got 1000000"),
    ("llada2", {"num_hidden_layers": 10**6, "num_experts": 0}, "num_hidden_layers must .* to 1000, got 1000000"),
    ("rnd1", {"num_experts": 4097}, "num_experts must be a whole number from 1 to 4096, got 4097"),
    ("rnd1", {"num_hidden_layers": 1000, "num_experts": 4096}, "n_experts must be at most 65536, got 1000 × 4096"),
    ("llada2", {"num_shared_experts": 2**31 - 1}, "d_ff of the shared expert must .* to 2147483647, got"),
]


@pytest.mark.parametrize(("family", "changes", "told"), REFUSED, ids=[f"{f} {list(c)}" for f, c, _ in REFUSED])
def test_what_would_change_the_network_is_refused(family: str, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(CheckpointError, match=told) as caught:
        FAMILIES[family].parse(config_of(family) | changes)
    assert "\n" not in str(caught.value)


def test_what_cannot_change_the_network_is_not() -> None:
    config = FAMILIES["sdar"].parse(config_of("sdar"))
    for more in ({"dropout_of_mine": None}, {"rope_scaling": {"rope_type": "default"}}, {"rope_scaling": False},
                 {"use_cache": True}, {"max_window_layers": 36}, {"sliding_window": 4096}):  # fmt: skip
        assert FAMILIES["sdar"].parse(config_of("sdar") | more) == config


def test_transformers_5_puts_the_rotary_base_elsewhere() -> None:
    fields = config_of("llada2")
    moved = {"rope_theta": fields.pop("rope_theta"), "partial_rotary_factor": fields.pop("partial_rotary_factor")}
    fields["rope_parameters"] = {"rope_type": "default", **moved}
    assert FAMILIES["llada2"].parse(fields) == FAMILIES["llada2"].parse(config_of("llada2"))
    yarn = {"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 64}
    fields["rope_parameters"] = moved | yarn
    config = FAMILIES["llada2"].parse(config_of("llada2") | {"rope_scaling": yarn})
    assert FAMILIES["llada2"].parse(fields) == config and config.rope_scaling == Rope("yarn", 2.0, trained=64)
    assert FAMILIES["llada2"].parse(FAMILIES["llada2"].export(config)) == config
