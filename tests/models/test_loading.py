"""What the user, the folder and the family say of a checkpoint, and in which order; what is saved is loaded."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import remask
from remask.checkpoint import inspect, load, save
from remask.checkpoint.description import recognise
from remask.decoding.recipe import Recipe
from remask.errors import CheckpointError
from remask.models.families import ALL
from remask.models.layers import Experts
from tests.helpers.tiny import EOS, GEOMETRIES, MASK, config_of, loaded, logits, prompts, published, write


def test_the_mask_is_the_users_then_the_files_then_the_familys(tmp_path: Path) -> None:
    family = "illada"
    fields = {name: value for name, value in config_of(family).items() if name != "mask_token_id"}
    folder = write(tmp_path / "it", fields, published(family))

    def mask(**config: Any) -> tuple[int, str]:
        found = inspect(folder, config=config)
        return found.config.mask_id, found.mask_source

    assert mask() == (5, "the illada family")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"]["<[MASK]>"] = 90
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert mask() == (90, "the tokenizer")
    (folder / "generation_config.json").write_text('{"mask_token_id": 91}')
    assert mask() == (91, "generation_config.json")
    (folder / "config.json").write_text(json.dumps(fields | {"mask_token_id": 92}))
    assert mask() == (92, "config.json")
    assert mask(mask_token_id=93) == (93, "the user")
    assert mask(mask_token_id=None) == (91, "generation_config.json")  # null leaves the file's field out


def test_the_user_overrules_a_tokenizer_that_disagrees(tmp_path: Path) -> None:
    folder = write(tmp_path / "it", config_of("sdar"), published("sdar"))
    (folder / "tokenizer_config.json").write_text('{"mask_token": "w3"}')
    with pytest.raises(CheckpointError, match=r"config.json has mask_token_id 89, but the tokenizer's mask_token 'w3'"):
        inspect(folder)
    assert inspect(folder, config={"mask_token_id": 4}).config.mask_id == 4


def test_without_any_mask_there_is_no_model(tmp_path: Path) -> None:
    fields = {name: value for name, value in config_of("a2d_llama").items() if name != "mask_token_id"}
    folder = write(tmp_path / "it", fields, published("a2d_llama"))
    with pytest.raises(CheckpointError, match="names a mask token; state mask_token_id"):
        inspect(folder)


def test_the_end_is_the_familys_where_nobody_else_says(tmp_path: Path) -> None:
    fields = {name: value for name, value in config_of("sdar").items() if "eos" not in name}
    folder = write(tmp_path / "it", fields | {"vocab_size": 151936, "tie_word_embeddings": True}, published("sdar"))
    assert inspect(folder).config.eos_ids == (151643,)


def test_a_field_that_changes_nothing_can_be_left_out_by_the_user(tmp_path: Path) -> None:
    folder = write(tmp_path / "it", config_of("sdar") | {"speed": 11}, published("sdar"))
    with pytest.raises(CheckpointError, match="unknown field 'speed'"):
        load(str(folder))
    assert load(str(folder), config={"speed": None}).config.family == "sdar"


def test_block_size_and_editing_can_be_stated(tmp_path: Path) -> None:
    """A checkpoint trained on larger blocks than its config.json says, as SDAR's are by their names."""
    folder = write(tmp_path / "it", config_of("sdar"), published("sdar"))
    contract = load(str(folder), config={"block_size": 16, "editable": True}).predictor.contract
    assert (contract.block_size, contract.editable) == (16, True)


def test_repositories_whose_configuration_does_not_tell(tmp_path: Path) -> None:
    for family in ALL:
        for repository in family.repositories:
            folder = tmp_path / f"models--{repository.replace('/', '--')}" / "snapshots" / "0123"
            assert recognise(folder, {"architectures": ["Qwen2ForCausalLM"]}).name == family.name
            assert recognise(folder, {"architectures": ["SDARForCausalLM"]}, "sdar").name == "sdar"  # as the user says
    with pytest.raises(CheckpointError, match="open_dcoder"):  # the message names what can be stated
        recognise(tmp_path, {"architectures": ["Qwen2ForCausalLM"]})


@pytest.mark.parametrize("family", GEOMETRIES)
def test_what_is_saved_is_loaded(tmp_path: Path, family: str) -> None:
    """In float32 bit for bit, under the published names and no others."""
    predictor = loaded(tmp_path / "first", family)
    text = inspect(tmp_path / "first", family=family).text
    save(tmp_path / "second", predictor.model, text, dtype=torch.float32, sampler={})
    first, second = (load_file(tmp_path / name / "model.safetensors") for name in ("first", "second"))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    again = load(str(tmp_path / "second"), family=family).predictor
    assert again.contract == predictor.contract
    assert torch.equal(logits(again, prompts()), logits(predictor, prompts()))


def test_the_router_stays_in_float32(tmp_path: Path) -> None:
    """What an expert's bias loses in bfloat16 would send rows elsewhere."""
    write(tmp_path / "it", config_of("llada2"), published("llada2"))
    predictor = load(str(tmp_path / "it"), dtype="bfloat16").predictor
    experts = predictor.model.blocks[1].mlp
    assert isinstance(experts, Experts)
    assert experts.gate_up.dtype == torch.bfloat16
    assert experts.router.weight.dtype == torch.float32
    assert torch.equal(experts.router.bias, published("llada2")["model.layers.1.mlp.gate.expert_bias"])


@pytest.mark.parametrize("family", GEOMETRIES)
def test_a_family_decodes_by_its_authors_recipe(tmp_path: Path, family: str) -> None:
    """Unless told otherwise; what is asked for changes that recipe and no more."""
    write(tmp_path / "it", config_of(family), published(family))
    llm = remask.load(str(tmp_path / "it"), family=family, device="cpu")
    named = {"dream": "dream", "open_dcoder": "dream", "sdar": "sdar", "sdar_moe": "sdar", "llada2": "llada2",
             "llada2.1": "llada2.1", "rnd1": "rnd1", "fast_dllm": "fast-dllm-v2"}.get(family, "llada")  # fmt: skip
    request = llm.request("w1 w2", gen_length=8)
    own = Recipe.load(named) if named != "llada" else Recipe()
    assert request.recipe.name == named
    assert (request.recipe.select, request.recipe.cache, request.recipe.revise) == (own.select, own.cache, own.revise)
    assert (request.recipe.schedule, request.recipe.confidence) == (own.schedule, own.confidence)
    assert llm.request("w1", gen_length=8, steps=4).recipe == replace(llm.request("w1", gen_length=8).recipe, steps=4)
    assert llm.request("w1", recipe=Recipe(steps=2)).recipe == Recipe(steps=2)
    assert llm.generate("w1 w2", gen_length=8).finish_reason in ("length", "stop")


def test_ids_of_the_tiny_checkpoints(tmp_path: Path) -> None:
    contract = loaded(tmp_path, "dream").contract
    assert (contract.mask_id, contract.eos_ids, contract.family) == (MASK, (EOS,), "dream")
    assert set(contract.forbidden) == {MASK, *range(90, 96)}
