"""What `plan` and `models show` say of a checkpoint from config.json and its index, without weights or tokenizer."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

import remask
from remask.checkpoint import inspect, load
from remask.cli import main
from remask.errors import CheckpointError
from remask.models.families import FAMILIES, family_of
from remask.text.tokenizer import Text
from tests.helpers.checkpoints import Hub, edit, network, python, scatter, serving, write

CONFIGS: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "models" / "configs.json").read_text(encoding="utf-8")
)
INDEX = "model.safetensors.index.json"


@pytest.fixture
def folder(tmp_path: Path, text: Text) -> Path:
    """A checkpoint in three files with an index."""
    folder = write(tmp_path / "it", text, network(text))
    scatter(folder)
    return folder


def bare(folder: Path, *kept: str) -> Path:
    for path in folder.iterdir():
        if path.name not in kept:
            path.unlink()
    return folder


def published(folder: Path, name: str) -> Path:
    """config.json as configs.json has it from its authors, and the index that its family implies."""
    fields: Mapping[str, Any] = CONFIGS[name]["fields"]
    family = family_of(fields, CONFIGS[name]["family"])
    config = family.parse({"mask_token_id": family.mask_id} | dict(fields))
    names = [part.name for parts in family.names(config).values() for part in parts]
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"eos_token_id": 2} | dict(fields)))
    places = {name: f"model-{i % 4 + 1:05}-of-00004.safetensors" for i, name in enumerate(names)}
    index = {"metadata": {"total_size": 2 * config.parameters}, "weight_map": places}
    (folder / INDEX).write_text(json.dumps(index))
    return folder


@pytest.mark.parametrize("name", [name for name in CONFIGS if CONFIGS[name].get("recorded")])
def test_published_configurations_are_planned(tmp_path: Path, name: str) -> None:
    family = CONFIGS[name]["family"]
    outline = remask.load(published(tmp_path / "it", name), outline=True, family=family)
    plan = outline.plan(context=1024, free=10**12)
    assert (
        plan.parameters
        == FAMILIES[family].parse({"mask_token_id": FAMILIES[family].mask_id} | CONFIGS[name]["fields"]).parameters
    )
    assert plan.weights >= 2 * plan.parameters and plan.fits


@pytest.mark.parametrize("kept", [("config.json",), ("config.json", INDEX), ("config.json", INDEX, "tokenizer.json")])
def test_the_plan_is_that_of_the_whole_checkpoint(folder: Path, kept: tuple[str, ...]) -> None:
    edit(folder, "config.json", torch_dtype="float32")
    whole = remask.load(folder, outline=True).plan(context=64, free=10**9)
    found = remask.load(bare(folder, *kept), outline=True).plan(context=64, free=10**9)
    assert (found.weights, found.parameters, found.dtype) == (whole.weights, whole.parameters, whole.dtype)
    with pytest.raises(CheckpointError):
        load(str(folder))


def test_what_is_here_in_part_is_an_outline(folder: Path) -> None:
    (folder / "model-00002-of-00003.safetensors").unlink()
    found = inspect(folder, outline=True)
    assert found.index is not None and found.index.bytes and not found.stored and found.whole_text
    with pytest.raises(CheckpointError, match="lacks 'model-00002-of-00003"):
        inspect(folder)


def test_an_index_must_fit_the_configuration(folder: Path) -> None:
    places = json.loads((folder / INDEX).read_text())["weight_map"]
    bare(folder, "config.json", "tokenizer.json", INDEX)
    for name, told in (("model.transformer.ln_f.weight", "lacks 'model.transformer.ln_f.weight'"), ("x", "holds 'x'")):
        wrong = {n: p for n, p in places.items() if n != name} if name in places else places | {name: "a.safetensors"}
        edit(folder, INDEX, weight_map=wrong)
        with pytest.raises(CheckpointError, match=told):
            load(str(folder), outline=True)


def test_weights_in_a_refused_form_are_still_refused(folder: Path) -> None:
    bare(folder, "config.json", "tokenizer.json")
    (folder / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(CheckpointError, match="only as pickle"):
        inspect(folder, outline=True)


def test_a_tied_head_in_an_index_is_said_to_be_compared_later(tmp_path: Path, text: Text) -> None:
    folder = write(tmp_path / "it", text, network(text, family="a2d_qwen2", tie_embeddings=True, qkv_bias=True))
    places = scatter(folder)
    edit(folder, INDEX, weight_map=places | {"lm_head.weight": "model-00001-of-00003.safetensors"})
    bare(folder, "config.json", "tokenizer.json", INDEX)
    assert "compared when it is here" in inspect(folder, outline=True).head
    assert load(str(folder), outline=True).config.tie_embeddings


def test_show_and_plan_need_no_weights(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bare(folder, "config.json", INDEX)
    assert main(["models", "show", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "they are not here" in shown and "not counted" in shown and "float32" in shown
    assert main(["plan", str(folder), "--context", "64", "--memory", "1GB"]) == 0


def test_nothing_large_is_downloaded_for_an_outline(tmp_path: Path, folder: Path) -> None:
    code = "import remask\nprint(remask.load('org/name', outline=True).plan(context=64).parameters)"
    with serving(Hub({"org/name": folder})) as hub:
        done = python(code, tmp_path, HF_ENDPOINT=hub.url)
        assert int(done.stdout) == inspect(folder).parameters, done.stderr
        assert not [line for line in hub.served if line.endswith(".safetensors")]
        code = "from remask.checkpoint.hub import locate\nprint(locate('org/name'))"
        again = python(code, tmp_path, HF_ENDPOINT=hub.url)
    assert torch.equal(*(next(load(path).predictor.model.parameters()) for path in (str(folder), again.stdout.strip())))
