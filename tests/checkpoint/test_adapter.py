"""PEFT adapters: merged as peft merges them, into any base, or refused by what they are."""

import json
import shutil
from collections.abc import Callable
from math import sqrt
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import remask
from remask.checkpoint import find, inspect, list_models, load
from remask.checkpoint.conversion import convert
from remask.cli import main
from remask.errors import CheckpointError
from remask.text.tokenizer import Text
from tests.helpers import tiny
from tests.helpers.checkpoints import network, write

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "adapters"
KINDS = sorted(path.name for path in GOLDEN.iterdir() if path.is_dir())
QUERY = "model.transformer.blocks.0.q_proj"
FACTORS = {"A": (2, 32), "B": (32, 2)}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tiny.write(tmp_path / "base", tiny.config_of("llada"), tiny.published("llada"))


def adapter(folder: Path, tensors: dict[str, Tensor] | None = None, **fields: Any) -> Path:
    """A LoRA adapter of rank 2 on one matrix, or on what `tensors` name."""
    folder.mkdir(exist_ok=True)
    stated = {"peft_type": "LORA", "r": 2, "lora_alpha": 3, "base_model_name_or_path": None} | fields
    (folder / "adapter_config.json").write_text(json.dumps(stated))
    made = factors(QUERY) if tensors is None else tensors
    save_file(
        {f"base_model.model.{name}": tensor for name, tensor in made.items()}, folder / "adapter_model.safetensors"
    )
    return folder


def factors(module: str, seed: int = 0) -> dict[str, Tensor]:
    """Random A and B of a square matrix of width 32."""
    generator = torch.Generator().manual_seed(seed)
    return {f"{module}.lora_{n}.weight": torch.randn(shape, generator=generator) for n, shape in FACTORS.items()}


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(CheckpointError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def query(folder: Path, **options: Any) -> Tensor:
    """The first layer's query matrix as it is loaded."""
    model = load(str(folder), dtype="float32", **options).predictor.model
    return model.state_dict()["blocks.0.attention.qkv.weight"][:32]


# --- the same as peft's ---


@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_those_of_the_model_that_peft_merged(base: Path, kind: str) -> None:
    theirs = load_file(GOLDEN / "logits.safetensors")[kind]
    plain, merged = (load(str(base), dtype="float32", adapter=a).predictor for a in (None, str(GOLDEN / kind)))
    prompt = tiny.prompts()[:1]
    assert (tiny.logits(merged, prompt) - theirs).abs().max() <= 1e-5
    assert (tiny.logits(plain, prompt) - theirs).abs().max() > 1e-2


@pytest.mark.parametrize("rslora", [False, True])
@pytest.mark.parametrize("dora", [False, True])
def test_the_formulas_of_the_papers(base: Path, tmp_path: Path, rslora: bool, dora: bool) -> None:
    tensors = factors(QUERY)
    down, up = tensors.values()
    lengths = torch.rand(32) + 0.5
    if dora:
        tensors[f"{QUERY}.lora_magnitude_vector"] = lengths
    before = query(base)
    wanted = before + 3 / (sqrt(2) if rslora else 2) * up @ down
    if dora:
        wanted = lengths[:, None] * wanted / wanted.norm(dim=1, keepdim=True)
    made = adapter(tmp_path / "it", tensors, use_rslora=rslora, use_dora=dora)
    assert torch.allclose(query(base, adapter=str(made)), wanted, atol=1e-6)


def test_factors_of_zero_change_nothing(base: Path, tmp_path: Path) -> None:
    made = adapter(tmp_path / "it", {name: 0 * tensor for name, tensor in factors(QUERY).items()})
    assert torch.equal(query(base, adapter=str(made)), query(base))


@pytest.mark.parametrize("key", ["q_proj", "blocks.0.q_proj", r"blocks\.0\.q_proj", f"^{QUERY}$"])
def test_patterns_name_modules_by_their_ends(base: Path, tmp_path: Path, key: str) -> None:
    plain = adapter(tmp_path / "plain", lora_alpha=30)
    special = adapter(tmp_path / "special", alpha_pattern={"other": 1, "proj": 2, "1.q_proj": 3, key: 30})
    assert torch.equal(query(base, adapter=str(special)), query(base, adapter=str(plain)))


# --- any base, any way in ---


def test_an_adapter_alone_tells_its_base(base: Path, tmp_path: Path) -> None:
    alone = adapter(tmp_path / "alone", base_model_name_or_path=str(base))
    llm = remask.load(alone, dtype="float32")
    assert llm.loaded.folder == base and llm.loaded.adapter is not None
    assert str(llm.loaded.adapter) == f"LoRA on 1 matrices, from {alone}, for {base}"
    assert torch.equal(query(alone), query(base, adapter=str(alone)))


def test_an_adapter_beside_weights_changes_them(base: Path, tmp_path: Path) -> None:
    apart = query(base, adapter=str(adapter(tmp_path / "apart")))
    assert torch.equal(query(adapter(base)), apart)
    (base / "model.safetensors").rename(base / "other-name.safetensors")  # and is not taken for a part of them
    assert torch.equal(query(base), apart)


def test_what_is_loaded_with_an_adapter_is_called_by_both(base: Path, tmp_path: Path) -> None:
    made = adapter(tmp_path / "it")
    assert load(str(base), adapter=str(made)).source == f"{base} with {made}"
    assert load(str(base)).adapter is None


def test_weights_of_a_gguf_file_are_a_base(tmp_path: Path, text: Text) -> None:
    pytest.importorskip("gguf")
    folder = write(tmp_path / "folder", text, network(text))
    convert(inspect(folder), tmp_path / "it.gguf")
    made = adapter(tmp_path / "it")
    assert torch.equal(query(tmp_path / "it.gguf", adapter=str(made)), query(folder, adapter=str(made)))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_converted_model_is_the_merged_one(base: Path, tmp_path: Path, dtype: str) -> None:
    made, target = adapter(tmp_path / "it"), tmp_path / "merged"
    assert main(["models", "convert", str(base), str(target), "--adapter", str(made), "--dtype", dtype]) == 0
    kind = getattr(torch, dtype)
    assert torch.equal(query(target), query(base, adapter=str(made)).to(kind).float())
    assert load(str(target)).adapter is None


def test_a_head_of_its_own_unties_the_model(tmp_path: Path) -> None:
    tied = tiny.config_of("llada") | {"weight_tying": True}
    tensors = tiny.published("llada")
    head = tensors.pop("model.transformer.ff_out.weight")
    base = tiny.write(tmp_path / "base", tied, tensors)
    made = adapter(tmp_path / "it", {"model.transformer.ff_out.weight": head}, modules_to_save=["ff_out"])
    model = load(str(base), adapter=str(made), dtype="float32").predictor.model
    assert not model.config.tie_embeddings and torch.equal(model.unembed.weight, head)
    assert torch.equal(model.embed.weight, tensors["model.transformer.wte.weight"])
    said = inspect(base, adapter=made)
    assert said.head == "its own matrix, which the adapter brings"
    both = {
        "model.transformer.wte.lora_embedding_A": torch.ones(2, 96),
        "model.transformer.wte.lora_embedding_B": torch.ones(32, 2),
    }
    assert "embedding and head at once" in refusal(lambda: load(str(base), adapter=str(adapter(made, both))))


def test_commands_know_the_adapter(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = str(adapter(tmp_path / "it", base_model_name_or_path="org/base"))
    assert main(["models", "show", str(base), "--adapter", made]) == 0
    assert "LoRA on 1 matrices, from" in (shown := capsys.readouterr().out) and "for org/base" in shown
    answers = []
    for options in ([], ["--adapter", made]):
        assert main(["run", "-m", str(base), *options, "--raw", "w1 w2", "--gen-length", "8", "--quiet"]) == 0
        answers.append(capsys.readouterr().out)
    assert answers[0] != answers[1]
    assert main(["plan", str(base), "--adapter", made]) == 0


# --- what is refused ---


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"peft_type": "IA3"}, "a PEFT adapter of type 'IA3'; read is LORA"),
        ({"peft_type": "PROMPT_TUNING"}, "of type 'PROMPT_TUNING'"),
        ({"peft_type": None}, "of type None"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights 'pissa' changes the base"),
        ({"init_lora_weights": ["x"]}, "init_lora_weights ['x']"),
        ({"fan_in_fan_out": True}, "'fan_in_fan_out' = True is not read; merge it with peft"),
        ({"target_parameters": ["w"]}, "'target_parameters' = ['w'] is not read"),
        ({"trainable_token_indices": [1]}, "'trainable_token_indices'"),
        ({"a_field_of_tomorrow": 1}, "'a_field_of_tomorrow' = 1"),
        ({"r": 3}, "the factors of 'model.transformer.blocks.0.q_proj' are [2, 32] and [32, 2], but"),
        ({"rank_pattern": {"q_proj": 1}}, "says rank 1"),
        ({"rank_pattern": {"(a+)+": 1}}, "the key '(a+)+' of rank_pattern must be the name of a module"),
        ({"rank_pattern": [1]}, "rank_pattern must be an object"),
        ({"lora_alpha": "x"}, "lora_alpha of 'model.transformer.blocks.0.q_proj' must be a number above 0, got 'x'"),
        ({"use_dora": True}, "alone of 'model.transformer.blocks.0.q_proj'; DoRA of a linear layer has 3 tensors"),
    ],
    ids=str,
)
def test_other_adapters_are_refused_by_what_they_are(base: Path, tmp_path: Path, fields: Any, told: str) -> None:
    made = adapter(tmp_path / "it", **fields)
    assert told in refusal(lambda: load(str(base), adapter=str(made)))


def test_an_adapter_beside_a_model_can_be_moved_away(base: Path) -> None:
    assert "move adapter_config.json away to run the model" in refusal(
        lambda: load(str(adapter(base, peft_type="IA3")))
    )


@pytest.mark.parametrize(
    ("tensors", "told"),
    [
        (
            {f"{QUERY}.lora_A.weight": torch.ones(2, 32)},
            "lora_A.weight alone of 'model.transformer.blocks.0.q_proj'; LoRA",
        ),
        ({f"{QUERY}.lora_B.bias": torch.ones(32)}, "lora_B.bias', which is no part of LoRA or DoRA"),
        (factors("model.nowhere"), "changes 'model.nowhere.weight', which its base does not have"),
        (factors("model.transformer.blocks.0.ff_proj"), "of shape [32, 32], its base of [48, 32]; it was trained on"),
        ({}, "holds no tensor"),
    ],
    ids=["half", "a bias", "nowhere", "another model's", "nothing"],
)
def test_tensors_that_do_not_fit_are_named(base: Path, tmp_path: Path, tensors: dict[str, Tensor], told: str) -> None:
    made = adapter(tmp_path / "it", tensors)
    assert told in refusal(lambda: load(str(base), adapter=str(made)))


def test_names_that_lead_nowhere(base: Path, tmp_path: Path) -> None:
    made = adapter(tmp_path / "it")
    assert "does not say of which model; give the base as the model" in refusal(lambda: find(str(made)))
    gone = adapter(tmp_path / "gone", base_model_name_or_path="./not-here")
    assert "is an adapter of './not-here', which cannot be had" in refusal(lambda: find(str(gone)))
    adapter(made, base_model_name_or_path=str(gone))
    assert "which holds an adapter itself" in refusal(lambda: find(str(made)))
    assert "no adapter_config.json in" in refusal(lambda: find(str(base), str(base)))
    (made / "adapter_model.safetensors").unlink()
    assert "has no adapter_model.safetensors" in refusal(lambda: load(str(base), adapter=str(made)))
    shutil.rmtree(made)
    assert "there is no folder" in refusal(lambda: find(str(base), str(made)))
    assert list_models()
