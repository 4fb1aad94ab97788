"""Checkpoints: what is saved is loaded, bit for bit; what is wrong is refused in one line; nothing in one is run."""

import json
import os
import shutil
import struct
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from remask.checkpoint import inspect, list_models, load, locate, save
from remask.checkpoint.conversion import convert
from remask.checkpoint.defaults import FILE, REMASKING, SAMPLING, Defaults
from remask.checkpoint.placement import SMALL, choose_device, choose_dtype
from remask.cli import main
from remask.errors import CheckpointError, UsageError
from remask.models.families import FAMILIES
from remask.models.families.llada import LLADA
from remask.models.predictor import MaskPredictor
from remask.options import Remasking
from remask.text.tokenizer import Text
from remask.training.config import Mixture
from remask.training.tokenizer import build
from tests.helpers.checkpoints import (
    COMMIT,
    OTHER,
    Hub,
    change,
    edit,
    fingerprint,
    into_cache,
    logits,
    network,
    python,
    scatter,
    serving,
    write,
)
from tests.helpers.data import TINY_LLADA

HEAD = "model.transformer.ff_out.weight"
EMBED = "model.transformer.wte.weight"
QUERY = "model.transformer.blocks.1.q_proj.weight"
GEOMETRIES: dict[str, dict[str, Any]] = {
    "plain": {},
    "grouped queries": {"n_kv_heads": 2},
    "biased": {"qkv_bias": True},
    "grouped and biased": {"n_kv_heads": 1, "qkv_bias": True},
    "tied": {"tie_embeddings": True},
    "block-causal, editable": {"attention": "block_causal", "block_size": 4, "editable": True},
    "rows without a token": {"vocab_size": 352},
    "several ends": {"eos_ids": (319, 3)},
}


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, text: Text) -> Path:
    return write(tmp_path_factory.mktemp("made") / "tiny", text, network(text))


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A good checkpoint that a test may change."""
    return Path(shutil.copytree(made, tmp_path / "tiny"))


# --- what is saved is loaded ---


@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)
def test_load_gives_what_was_saved_bit_for_bit(tmp_path: Path, text: Text, geometry: dict[str, Any]) -> None:
    model = network(text, **geometry)
    loaded = load(str(write(tmp_path / "it", text, model)))
    assert loaded.config == model.config
    assert loaded.weights_dtype == loaded.predictor.dtype == torch.float32
    mine = dict(loaded.predictor.model.named_parameters())
    assert mine.keys() == dict(model.named_parameters()).keys()
    assert all(torch.equal(mine[name], weight) for name, weight in model.named_parameters())
    assert (loaded.predictor.model.unembed.weight is loaded.predictor.model.embed.weight) == model.config.tie_embeddings
    assert torch.equal(logits(loaded.predictor), logits(MaskPredictor(model)))


def test_a_loaded_model_can_be_trained_and_saved_again(made: Path, tmp_path: Path) -> None:
    loaded = load(str(made))
    save(tmp_path / "again", loaded.predictor.model, loaded.text, dtype=torch.float32, sampler=loaded.defaults)
    first, second = (load_file(path / "model.safetensors") for path in (made, tmp_path / "again"))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    model = loaded.predictor.model.train().requires_grad_(True)
    model.embed(torch.tensor([1])).sum().backward()
    assert model.embed.weight.grad is not None


def test_text_contract_and_defaults_come_along(made: Path, text: Text) -> None:
    loaded = load(str(made))
    said = "Sort 5380217.<|eot_id|>"
    assert loaded.text.encode(said) == text.encode(said)
    assert loaded.text.chat([{"role": "user", "content": " hi "}]) == text.chat([{"role": "user", "content": " hi "}])
    assert (loaded.text.mask_id, loaded.text.eos_id, loaded.text.eot_ids) == (text.mask_id, text.eos_id, text.eot_ids)
    assert loaded.predictor.contract.mask_id in loaded.predictor.contract.forbidden
    assert loaded.predictor.contract.eot_ids == text.eot_ids
    authors = {"block_length": 32, "temperature": 0.0, "cfg_scale": 0.0, "remasking": "low_confidence"}
    assert loaded.defaults == authors | {"steps": 16, "gen_length": 16}
    assert (loaded.source, loaded.folder) == (str(made), made)


def test_rows_without_a_token_are_never_guessed(tmp_path: Path, text: Text) -> None:
    loaded = load(str(write(tmp_path / "it", text, network(text, vocab_size=352))))
    assert set(range(320, 352)) < set(loaded.predictor.contract.forbidden)
    assert not set(range(320)) - {text.mask_id} & set(loaded.predictor.contract.forbidden)


@pytest.mark.parametrize("index", [True, False], ids=["index", "no index"])
def test_shards_are_the_single_file(folder: Path, made: Path, index: bool) -> None:
    places = scatter(folder, index=index)
    assert len({places[name] for name in places if ".blocks.0." in name}) == 3, "one layer must lie apart"
    sharded, single = load(str(folder)), load(str(made))
    assert torch.equal(logits(sharded.predictor), logits(single.predictor))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_on_disk(tmp_path: Path, text: Text, dtype: torch.dtype) -> None:
    model = network(text)
    folder = write(tmp_path / "it", text, model, dtype)
    loaded = load(str(folder), dtype="float32")
    assert loaded.weights_dtype == dtype
    for name, weight in loaded.predictor.model.named_parameters():
        assert torch.equal(weight, dict(model.named_parameters())[name].to(dtype).float())
    kept = load(str(folder), dtype=str(dtype).removeprefix("torch."))
    assert kept.predictor.dtype == dtype
    assert torch.isfinite(logits(kept.predictor)).all()


def test_mixed_dtypes_take_that_of_most_weights(folder: Path) -> None:
    change(folder, lambda t: t.update({name: v.bfloat16() for name, v in t.items() if v.ndim == 2}))
    assert inspect(folder).dtype == torch.bfloat16


@pytest.mark.parametrize("index", [True, False], ids=["several files", "one file"])
@pytest.mark.parametrize("family", ["llada", "a2d_qwen2"])
def test_a_head_stored_beside_tied_embeddings_is_used_where_it_differs(
    tmp_path: Path, text: Text, family: str, index: bool
) -> None:
    """Equal it is dropped, in any dtype; with one number changed the model is the one whose head is not tied."""
    changes = {"qkv_bias": True} if family == "a2d_qwen2" else {}
    model = network(text, family=family, tie_embeddings=True, **changes)
    names = FAMILIES[family].names(replace(model.config, tie_embeddings=False))
    embed, head = names["embed.weight"][0].name, names["unembed.weight"][0].name
    folder = write(tmp_path / "it", text, model)
    before = logits(load(str(folder)).predictor)
    change(folder, lambda t: t.update({head: t[embed].clone()}))
    _ = scatter(folder) if index else None
    assert inspect(folder).head == f"tied to the embedding; the stored {head} is equal"
    assert torch.equal(logits(load(str(folder)).predictor), before)
    again = write(tmp_path / "again", text, model)
    change(again, lambda t: t.update({head: t[embed] + torch.eye(320, 32)}))
    _ = scatter(again) if index else None
    found, loaded = inspect(again), load(str(again))
    assert "another" in found.head and not found.config.tie_embeddings
    assert found.parameters == inspect(folder).parameters + 320 * 32
    assert not torch.equal(logits(loaded.predictor), before)
    untied = load(str(again), config={"weight_tying" if family == "llada" else "tie_word_embeddings": False})
    assert torch.equal(logits(untied.predictor), logits(loaded.predictor))
    convert(found, tmp_path / "converted")
    assert torch.equal(logits(load(str(tmp_path / "converted")).predictor), logits(loaded.predictor))


def test_a_head_of_other_numbers_or_of_another_size(tmp_path: Path, text: Text) -> None:
    folder = write(tmp_path / "it", text, network(text, tie_embeddings=True))
    change(folder, lambda t: t.update({HEAD: t[EMBED].double()}))
    assert inspect(folder).head == f"tied to the embedding; the stored {HEAD} is equal"
    change(folder, lambda t: t.update({HEAD: torch.zeros(319, 32)}))
    assert f"'{HEAD}' has shape [319, 32]" in refusal(lambda: load(str(folder)))


def test_a_rope_scaling_is_honoured_and_kept(folder: Path, tmp_path: Path, text: Text) -> None:
    plain = logits(load(str(folder), device="cpu").predictor)
    scaling = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}
    edit(folder, "config.json", rope_scaling=scaling)
    loaded = load(str(folder), device="cpu")
    assert loaded.predictor.contract.max_positions == 256
    assert (logits(loaded.predictor) - plain).abs().max() > 1e-3
    save(tmp_path / "again", loaded.predictor.model, text, dtype=torch.float32, sampler={})
    assert torch.equal(logits(load(str(tmp_path / "again"), device="cpu").predictor), logits(loaded.predictor))


def test_rotary_tables_of_old_code_are_ignored(folder: Path) -> None:
    before = logits(load(str(folder)).predictor)
    change(folder, lambda t: t.update({"model.transformer.blocks.0.rotary_emb.inv_freq": torch.ones(4)}))
    assert torch.equal(logits(load(str(folder)).predictor), before)


@pytest.mark.parametrize("large", [3e38, -3e38])
def test_large_finite_weights_are_not_called_infinite(folder: Path, large: float) -> None:
    change(folder, lambda t: t[QUERY].fill_(large))
    assert load(str(folder)).predictor.model.blocks[1].attention.qkv.weight[0, 0] == torch.tensor(large)


def test_float16_that_cannot_hold_the_weights_is_refused(folder: Path) -> None:
    change(folder, lambda t: t[QUERY][3].fill_(70000.0))
    assert "beyond the range of float16; use bfloat16 or float32" in refusal(lambda: load(str(folder), dtype="fp16"))


def test_saving_replaces_the_folder_and_others_may_read_it(folder: Path, text: Text) -> None:
    (folder / "stale.txt").write_text("old")
    write(folder, text, network(text))
    assert not (folder / "stale.txt").exists()
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in folder.iterdir())
    assert list(folder.parent.iterdir()) == [folder]


def test_a_failed_save_leaves_what_was_there(folder: Path, text: Text) -> None:
    before = fingerprint(folder)
    with pytest.raises(TypeError):
        save(folder, network(text), text, dtype="float32", sampler={})  # type: ignore[arg-type]
    assert fingerprint(folder) == before
    assert list(folder.parent.iterdir()) == [folder]


def test_a_save_that_cannot_take_its_place_leaves_what_was_there(
    folder: Path, text: Text, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, rename = fingerprint(folder), os.rename

    def refuse(source: Path, target: Path) -> None:
        if target == folder and source.parent.name == "whole":  # the new one, not the old one on its way back
            raise OSError("the disk is gone")
        rename(source, target)

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(UsageError, match="the disk is gone"):
        write(folder, text, network(text, d_model=64))
    assert fingerprint(folder) == before
    assert list(folder.parent.iterdir()) == [folder]


# --- what a folder says of itself ---


def test_inspect_reads_no_weights(folder: Path, made: Path) -> None:
    file = folder / "model.safetensors"
    header = struct.unpack("<Q", file.read_bytes()[:8])[0]
    with file.open("r+b") as opened:  # every weight is NaN now
        opened.seek(8 + header)
        opened.write(b"\xff" * (file.stat().st_size - 8 - header))
    (folder / "README.md").write_text("---\nlanguage: en\nlicense: mit\n---\n# A model\n")
    said, truth = inspect(folder), load(str(made)).predictor.model
    assert said.parameters == sum(weight.numel() for weight in truth.parameters())
    assert said.bytes == sum(path.stat().st_size for path in folder.iterdir())
    assert (said.dtype, said.licence, said.known_tokens, said.family.name) == (torch.float32, "mit", 320, "llada")
    assert "NaN" in refusal(lambda: load(str(folder)))


@pytest.mark.parametrize(
    ("readme", "licence"),
    [
        ("---\nlicense: apache-2.0\n---\n", "apache-2.0"),
        ("---\r\nlicense: 'mit'\r\n---\r\n", "mit"),
        ("# Title\nlicense: mit\n", None),
        ("---\ntags: [x]\n---\nlicense: mit\n", None),
        ("", None),
    ],
)
def test_the_licence_is_what_the_front_matter_states(folder: Path, readme: str, licence: str | None) -> None:
    (folder / "README.md").write_text(readme)
    assert inspect(folder).licence == licence


PUBLISHED = """
"activation_type": "silu", "alibi": false, "alibi_bias_max": 8.0, "architectures": ["LLaDAModelLM"],
"attention_dropout": 0.0, "attention_layer_norm": false, "attention_layer_norm_with_affine": true,
"auto_map": {"AutoConfig": "configuration_llada.LLaDAConfig", "AutoModel": "modeling_llada.LLaDAModelLM"},
"bias_for_layer_norm": false, "block_group_size": 1, "block_type": "llama", "d_model": 4096, "embedding_dropout": 0.0,
"embedding_size": 126464, "eos_token_id": 126081, "flash_attention": false, "include_bias": false,
"include_qkv_bias": false, "init_cutoff_factor": null, "init_device": "meta", "init_fn": "mitchell", "init_std": 0.02,
"input_emb_norm": false, "layer_norm_type": "rms", "layer_norm_with_affine": true, "mask_token_id": 126336,
"max_sequence_length": 4096, "mlp_hidden_size": 12288, "mlp_ratio": 4, "model_type": "llada",
"multi_query_attention": null, "n_heads": 32, "n_kv_heads": 32, "n_layers": 32, "pad_token_id": 126081,
"precision": "amp_bf16", "residual_dropout": 0.0, "rms_norm_eps": 1e-05, "rope": true, "rope_full_precision": true,
"rope_theta": 500000.0, "scale_logits": false, "transformers_version": "4.46.3", "use_cache": false,
"vocab_size": 126464, "weight_tying": false
"""


def test_the_published_configuration_is_read() -> None:
    """All fields of LLaDA-8B's config.json, and the numbers of weights and tensors that its index states."""
    fields = json.loads("{" + PUBLISHED + "}")
    config = LLADA.parse(fields)
    assert config.parameters == 8_015_581_184
    assert sum(len(parts) for parts in LLADA.names(config).values()) == 291
    assert (config.head_dim, config.mask_id, config.eos_ids) == (128, 126336, (126081,))


@pytest.mark.parametrize(
    ("config", "generation", "declared", "mask"),
    [
        (5, 6, None, 5),  # config.json comes first
        (None, 6, None, 6),
        (None, None, "<|endoftext|>", "<|endoftext|>"),  # what the tokenizer declares
        (None, None, None, "<|mdm_mask|>"),  # a usual name in its vocabulary
        (None, None, "<|mdm_mask|>", "<|mdm_mask|>"),
    ],
)
def test_the_mask_is_resolved_in_order(
    folder: Path, text: Text, config: int | None, generation: int | None, declared: str | None, mask: int | str
) -> None:
    edit(folder, "config.json", mask_token_id=config)
    edit(folder, "generation_config.json", mask_token_id=generation)
    edit(folder, "tokenizer_config.json", mask_token=declared)
    expected = mask if isinstance(mask, int) else text.tokenizer.token_to_id(mask)
    assert inspect(folder).config.mask_id == inspect(folder).text.mask_id == expected


def test_ends_are_resolved_in_order(folder: Path, text: Text) -> None:
    edit(folder, "generation_config.json", eos_token_id=[7, 8])
    assert inspect(folder).config.eos_ids == (text.eos_id,)
    edit(folder, "config.json", drop=("eos_token_id",))
    assert inspect(folder).config.eos_ids == (7, 8)
    edit(folder, "generation_config.json", drop=("eos_token_id",))
    assert inspect(folder).config.eos_ids == (text.eos_id,)
    edit(folder, "tokenizer_config.json", drop=("eos_token",))
    assert "states eos_token_id" in refusal(lambda: inspect(folder))


def test_special_tokens_and_templates_in_their_many_forms(folder: Path) -> None:
    edit(folder, "tokenizer_config.json", drop=("bos_token",), pad_token=None, eos_token={"content": "<|endoftext|>"})
    edit(folder, "special_tokens_map.json", bos_token={"content": "<|startoftext|>", "lstrip": False}, eos_token="no")
    assert inspect(folder).text.special["bos_token"] == "<|startoftext|>"
    assert inspect(folder).text.special["eos_token"] == "<|endoftext|>"
    assert "pad_token" not in inspect(folder).text.special
    edit(
        folder,
        "tokenizer_config.json",
        chat_template=[{"name": "rag", "template": "r"}, {"name": "default", "template": "d"}],
    )
    assert inspect(folder).text.template == "d"
    (folder / "chat_template.jinja").write_text("j")
    assert inspect(folder).text.template == "j"
    (folder / "chat_template.jinja").unlink()
    (folder / "tokenizer_config.json").unlink()
    assert inspect(folder).text.template is None


def test_truncation_and_padding_of_the_tokenizer_file_are_not_taken_up(folder: Path, text: Text) -> None:
    tokenizer = build(320, Mixture(), None, examples_per_task=20)
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=64)
    tokenizer.save(str(folder / "tokenizer.json"))
    assert inspect(folder).text.encode("a" * 50) == text.encode("a" * 50)


def test_unrelated_generation_fields_are_ignored(folder: Path) -> None:
    edit(folder, "generation_config.json", do_sample=True, transformers_version="5.0", max_length=4096, steps=None)
    assert inspect(folder).defaults.values["steps"] == 128
    (folder / "generation_config.json").unlink()
    assert inspect(folder).defaults.values["gen_length"] == 128


def test_a_way_to_draw_is_taken_whole_or_not_at_all() -> None:
    """What generation_config.json says of temperature, top_k and top_p, on a family with its own and on one without."""
    theirs = {"sdar": {"temperature": 0.0}, "dream": {"temperature": 0.2, "top_p": 0.95}}
    published = {"do_sample": True, "temperature": 0.6, "top_k": 20, "top_p": 0.95}  # of JetLM/SDAR-8B-Chat
    drawn = {name: value for name, value in published.items() if name != "do_sample"}
    for name, family in theirs.items():
        for said, wanted in (
            (published, drawn),
            (drawn, drawn),
            (published | {"do_sample": False}, family),
            ({"do_sample": False, "temperature": 1.0}, family),
            ({"do_sample": True}, family),
            ({}, family),
            (dict.fromkeys(published), family),
            ({"temperature": 0.1}, {"temperature": 0.1}),
            ({"temperature": 0.4, "top_k": 0, "top_p": 1.0}, {"temperature": 0.4}),
            ({"do_sample": True, "top_k": 5}, {"temperature": 1.0, "top_k": 5}),
            ({"top_p": 0.5}, {"temperature": family["temperature"], "top_p": 0.5}),
        ):
            found = Defaults.of(FAMILIES[name], said)
            assert {n: found.values[n] for n in SAMPLING if n in found.values} == wanted, (name, said)
            assert found.values.keys() == found.sources.keys()
            assert all((found.sources[n] == FILE) == (n in said and wanted is not family) for n in said if n in wanted)


def test_the_ways_to_remask_are_those_of_the_options() -> None:
    assert get_args(Remasking) == REMASKING


def test_code_that_comes_with_a_checkpoint_is_not_run(folder: Path) -> None:
    ran = folder.parent / "ran"
    (folder / "modeling_llada.py").write_text(f"open({str(ran)!r}, 'w')\n")
    (folder / "__init__.py").write_text(f"open({str(ran)!r}, 'w')\n")
    edit(folder, "config.json", auto_map={"AutoModel": "modeling_llada.LLaDAModelLM"})
    load(str(folder))
    assert not ran.exists()


def test_loading_writes_nothing_into_the_folder(folder: Path) -> None:
    before = fingerprint(folder)
    load(str(folder))
    assert fingerprint(folder) == before


# --- what is wrong is refused ---


def refusal(action: Callable[[], object]) -> str:
    """The one line with which it is refused."""
    with pytest.raises(CheckpointError) as caught:
        action()
    told = str(caught.value)
    assert told
    assert "\n" not in told
    assert len(told) < 900
    return told


def config(**fields: Any) -> Callable[[Path], object]:
    return lambda folder: edit(folder, "config.json", **fields)


def words(**fields: Any) -> Callable[[Path], object]:
    return lambda folder: edit(folder, "tokenizer_config.json", **fields)


def generation(**fields: Any) -> Callable[[Path], object]:
    return lambda folder: edit(folder, "generation_config.json", **fields)


def file(name: str, content: str | bytes) -> Callable[[Path], object]:
    data = content if isinstance(content, bytes) else content.encode()
    return lambda folder: (folder / name).write_bytes(data)


def spelled(name: str, field: str, value: str) -> Callable[[Path], object]:
    """Add a field that json would write in another way."""

    def broken(folder: Path) -> None:
        said = (folder / name).read_text().rstrip().removesuffix("}")
        (folder / name).write_text(f'{said}, "{field}": {value}}}')

    return broken


def gone(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


def tensors(how: Callable[[dict[str, Tensor]], object]) -> Callable[[Path], object]:
    return lambda folder: change(folder, how)


def header(change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    """Put another header into model.safetensors, its length as it should be."""

    def broken(folder: Path) -> None:
        whole = (folder / "model.safetensors").read_bytes()
        end = 8 + struct.unpack("<Q", whole[:8])[0]
        fresh = change(whole[8:end])
        (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(fresh)) + fresh + whole[end:])

    return broken


def bytes_of_weights(change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    def broken(folder: Path) -> None:
        path = folder / "model.safetensors"
        path.write_bytes(change(path.read_bytes()))

    return broken


def index(**fields: Any) -> Callable[[Path], object]:
    def broken(folder: Path) -> None:
        scatter(folder)
        edit(folder, "model.safetensors.index.json", **fields)

    return broken


def placed(name: str) -> Callable[[Path], object]:
    """An index that sends one tensor to the file `name`."""

    def broken(folder: Path) -> None:
        places = scatter(folder)
        edit(folder, "model.safetensors.index.json", weight_map=places | {QUERY: name})

    return broken


def misplaced(folder: Path) -> None:
    files = sorted(set((places := scatter(folder)).values()))
    wrong = next(file for file in files if file != places[QUERY])
    edit(folder, "model.safetensors.index.json", weight_map=places | {QUERY: wrong})


def after_scattering(change: Callable[[Path], object]) -> Callable[[Path], object]:
    def broken(folder: Path) -> None:
        scatter(folder)
        change(folder)

    return broken


def large_header(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", (10 << 20) + 1))
    os.truncate(folder / "model.safetensors", 11 << 20)  # without taking that space


def first_twice(text: bytes) -> bytes:
    entries = json.loads(text)
    return text.rstrip()[:-1] + b"," + json.dumps({QUERY: entries[QUERY]}).encode()[1:]


def many_names(text: bytes) -> bytes:
    return text.rstrip()[:-1] + b"".join(b',"%x":0' % i for i in range(1_048_000)) + b"}"


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04cos\nsystem\n")


def twice(folder: Path) -> None:
    scatter(folder)
    path = folder / "model-00002-of-00003.safetensors"
    save_file(load_file(path) | {EMBED: torch.zeros(320, 32)}, path)


def link(name: str, outside: str = "elsewhere") -> Callable[[Path], object]:
    def broken(folder: Path) -> None:
        (folder / name).rename(folder.parent / outside)
        (folder / name).symlink_to(folder.parent / outside)

    return broken


def dangling(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to("../blobs/gone")


def pipe(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    os.mkfifo(folder / "tokenizer.json")


def cutter(**fields: object) -> Callable[[Path], object]:
    """Let the tokenizer treat text as the library does not foresee."""
    return lambda folder: edit(folder, "tokenizer.json", **fields)


def larger_tokenizer(folder: Path) -> None:
    build(321, Mixture(), None, examples_per_task=20).save(str(folder / "tokenizer.json"))
    edit(folder, "tokenizer_config.json", drop=("mask_token",))


MALFORMED: dict[str, tuple[Callable[[Path], object], str]] = {
    # config.json as a file
    "no config": (gone("config.json"), "no config.json"),
    "config: not JSON": (file("config.json", '{"d_model": 32,\n}'), "config.json is not valid JSON"),
    "config: empty": (file("config.json", ""), "config.json is not valid JSON"),
    "config: not UTF-8": (file("config.json", b'{"a": "\xff"}'), "config.json is not UTF-8 text"),
    "config: a list": (file("config.json", "[1]"), "must hold a JSON object, not [1]"),
    "config: a key twice": (file("config.json", '{"d_model": 1, "d_model": 2}'), "'d_model' comes twice"),
    "config: NaN": (file("config.json", '{"rms_norm_eps": NaN}'), "NaN is no JSON number"),
    "config: too large": (file("config.json", " " * (1 << 20) + "{}"), "the limit is 1048576"),
    "config: too deep": (file("config.json", "[" * 100_000), "config.json is not valid JSON"),
    "config: a folder": (lambda f: ((f / "config.json").unlink(), (f / "config.json").mkdir()), "not a regular file"),
    "config: a link out": (link("config.json"), "config.json is a link that leads out"),
    # config.json as a description
    "lacks a field": (config(drop=("d_model",)), "lacks 'd_model'"),
    "unknown field": (config(n_experts=4), "unknown field 'n_experts'"),
    "unknown field on two lines": (config(**{"a\nb": 4}), r"unknown field 'a\nb'"),
    "unsupported feature": (config(alibi=True), "alibi = True is not supported"),
    "rope scaling": (config(rope_scaling={"rope_type": "yarn"}), "rope_scaling of type 'yarn' lacks its 'factor'"),
    "rope scaling: unknown": (config(rope_scaling={"type": "longrope", "factor": 2.0}), "type 'longrope' is not supp"),
    "rope scaling: a huge factor": (config(rope_scaling={"type": "linear", "factor": 10**400}), "numbers, got {"),
    "rope scaling: infinite": (
        spelled("config.json", "rope_scaling", '{"type": "linear", "original_max_position_embeddings": 1e400}'),
        "finite numbers, got {'type': 'linear', 'original_max_position_embeddings': inf}",
    ),
    "an endless value": (config(activation_type="x" * 100_000), "activation_type"),
    "size: text": (config(d_model="32"), "d_model must be a whole number"),
    "size: a fraction": (config(d_model=32.0), "d_model must be a whole number"),
    "size: true": (config(n_kv_heads=True), "n_kv_heads must be a whole number from 1"),
    "size: null": (config(n_layers=None), "n_layers must be a whole number"),
    "size: none": (config(mlp_hidden_size=0, mlp_ratio=0), "mlp_ratio must be a whole number from 1"),
    "size: huge": (config(d_model=2**40), "d_model must be a whole number from 1 to 2147483647"),
    "heads that do not divide": (config(n_heads=5), "d_model must be a multiple of n_heads, got 32 and 5"),
    "no heads": (config(n_heads=0), "n_heads must be a whole number from 1"),
    "flag: text": (config(weight_tying="no"), "weight_tying must be true or false, got 'no'"),
    "number: text": (config(rms_norm_eps="1e-5"), "rms_norm_eps must be a number above 0"),
    "number: negative": (config(rope_theta=-1.0), "rope_theta must be a number above 0"),
    "number: θ of 1": (config(rope_theta=1.0), "rope_theta must be a number above 1, as 10000.0 is, got 1.0"),
    "number: infinite": (file("config.json", '{"architectures": ["LLaDAModelLM"], "rope_theta": 1e999}'), "rope_theta"),
    "attention": (config(attention="sliding"), "attention must be one of full, block_causal, got 'sliding'"),
    "block size": (config(attention="block_causal", block_size=0), "block_size must be a whole number from 1"),
    "more layers than any": (config(n_layers=10**9), "n_layers must be a whole number from 1 to 1000, got 1000000000"),
    "more layers than tensors": (config(n_layers=1000), "describes 1000 layers"),
    "sizes beyond counting": (config(d_model=2**30, n_heads=1, n_kv_heads=1, mlp_hidden_size=2**31 - 1), "21 tensors"),
    "mask: outside": (config(mask_token_id=320), "mask_token_id"),
    "mask: text": (config(mask_token_id="5"), "mask_token_id"),
    "mask: not the tokenizer's": (config(mask_token_id=5), "the tokenizer's mask_token '<|mdm_mask|>' is"),
    "end: outside": (config(eos_token_id=[1, 320]), "eos_token_id must be a row below vocab_size = 320, got 320"),
    "end: true": (config(eos_token_id=True), "eos_token_id must be a row"),
    "pad: outside": (config(pad_token_id=-2), "pad_token_id must be a row"),
    # which model it is
    "another architecture": (config(architectures=["LlamaForCausalLM"]), "'LlamaForCausalLM'] is not supported; supp"),
    "no architecture": (config(architectures=None, model_type="bert"), "architecture 'bert' is not supported"),
    "architectures: a number": (config(architectures=5), "architecture 5 is not supported"),
    "architectures: objects": (config(architectures=[{}]), "architecture [{}] is not supported"),
    "LLaDA-MoE": (config(architectures=["LLaDAMoEModelLM"], num_experts=64), "which the llada_moe family needs"),
    "LLaDA-MoE by type": (config(architectures=None, num_experts=64), "which the llada_moe family needs"),
    "quantised by MLX": (config(quantization={"group_size": 64, "bits": 4}), "quantised weights ('MLX')"),
    "quantised by MLX, twice": (
        config(**{key: {"group_size": 64, "bits": 4} for key in ("quantization", "quantization_config")}),
        "quantised weights ('MLX') are not supported; get the original weights, and hold those in eight bits",
    ),
    "quantised by bitsandbytes": (config(quantization_config={"load_in_4bit": True}), "weights ('bitsandbytes')"),
    "quantised without a name": (config(quantization_config={"x": 1}), "quantised weights ({'x': 1})"),
    "quantised in two words": (config(quantization_config="fp8"), "quantised weights ('fp8')"),
    "quantised, says a file": (file("quantize_config.json", "{}"), "quantize_config.json: quantised weights ('GPTQ')"),
    "an adapter": (
        file("adapter_config.json", '{"peft_type": "IA3", "base_model_name_or_path": "org/base"}'),
        "holds a PEFT adapter of type 'IA3'; read is LORA, with or without use_dora; merge it with peft",
    ),
    "quantised": (config(quantization_config={"quant_method": "gptq"}), "quantised weights ('gptq')"),
    # files of weights
    "no weights": (gone("model.safetensors"), "holds no weights"),
    "pickle only": (pickled, "pickle ('pytorch_model.bin'), which can run code"),
    "weights: a link out": (link("model.safetensors"), "model.safetensors is a link that leads out"),
    "weights: a link to nothing": (dangling, "a link to nothing"),
    "weights: empty": (file("model.safetensors", b""), "model.safetensors is cut short"),
    "weights: cut in the header": (bytes_of_weights(lambda b: b[:500]), "model.safetensors is cut short"),
    "weights: cut at the end": (bytes_of_weights(lambda b: b[:-5]), "not a whole safetensors file"),
    "weights: longer": (bytes_of_weights(lambda b: b + b"12345678"), "not a whole safetensors file"),
    "weights: a huge header": (bytes_of_weights(lambda b: b"\xff" * 8 + b[8:]), "18446744073709551615"),
    "weights: a header beyond the limit": (large_header, "states a header of 10485761 bytes; the limit is 10485760"),
    "weights: no JSON": (header(lambda h: b"\0" * len(h)), "model.safetensors is not a whole safetensors file"),
    "weights: overlapping": (header(lambda h: h.replace(b'"data_offsets":[0,', b'"data_offsets":[4,', 1)), "not a"),
    "weights: a tensor twice": (header(first_twice), f"'{QUERY}' comes twice in one object"),
    "weights: a key of a tensor twice": (
        header(lambda h: h.replace(b'{"dtype":"F32",', b'{"dtype":"F32","dtype":"F32",', 1)),
        "'dtype' comes twice in one object",
    ),
    "weights: a key of the metadata twice": (
        header(lambda h: h.replace(b'"format":"pt"', b'"format":"pt","format":"pt"')),
        "'format' comes twice in one object",
    ),
    "weights: a long name": (header(lambda h: h.replace(b"wte", b"w" * 300)), "characters; the limit is 256"),
    "weights: names without number": (header(many_names), "names 1,048,022 tensors; the limit is 131,072"),
    "weights: too deep": (header(lambda h: b"[" * 100_000), "is not a whole safetensors file"),
    "weights: not UTF-8": (header(lambda h: h.replace(b"wte", b"\xff\xff\xff")), "is not a whole safetensors file"),
    "weights: an HTML page": (file("model.safetensors", "<html>404</html>" * 9), "model.safetensors is cut short"),
    "index: no map": (index(drop=("weight_map",)), "must have a weight_map"),
    "index: a list": (index(weight_map=["a"]), "must have a weight_map"),
    "index: numbers": (index(weight_map={"a": 1}), "must have a weight_map"),
    "index: not JSON": (after_scattering(file("model.safetensors.index.json", "{")), "index.json is not valid JSON"),
    "index: up and out": (placed("../evil.safetensors"), "'../evil.safetensors' is not the plain name"),
    "index: absolute": (placed("/etc/evil.safetensors"), "'/etc/evil.safetensors' is not the plain name"),
    "index: another separator": (placed("..\\evil.safetensors"), "is not the plain name"),
    "index: a drive": (placed("C:evil.safetensors"), "'C:evil.safetensors' is not the plain name"),
    "index: NUL": (placed("a\0.safetensors"), "is not the plain name"),
    "index: too long for a file": (placed("a" * 300 + ".safetensors"), "download it again"),
    "index: pickle": (placed("pytorch_model.bin"), "'pytorch_model.bin', which is not a *.safetensors file"),
    "index: a file that is not there": (placed("model-4.safetensors"), "lacks 'model-4.safetensors'"),
    "index: the wrong file": (misplaced, "the index says that 'model.transformer.blo"),
    "index: a shard is gone": (after_scattering(gone("model-00002-of-00003.safetensors")), "model-00002-of-00003"),
    "index: a link out": (after_scattering(link("model-00002-of-00003.safetensors")), "a link that leads out"),
    "a tensor in two files": (twice, f"'{EMBED}' is in two files, model-0000"),
    # tensors
    "a tensor is missing": (tensors(lambda t: t.pop(QUERY)), f"lacks '{QUERY}'"),
    "many are missing": (tensors(lambda t: [t.pop(n) for n in list(t) if "blocks.1" in n]), "and 6 more (9 tensors)"),
    "the head is missing": (tensors(lambda t: t.pop(HEAD)), f"lacks '{HEAD}'"),
    "tensors of GPTQ": (tensors(lambda t: t.update({"x.g_idx": torch.ones(1)})), "'x.g_idx', as GPTQ-quantised weigh"),
    "tensors of AWQ": (tensors(lambda t: t.update({"x.qweight": torch.ones(1)})), "as AWQ or GPTQ-quantised weights"),
    "tensors of MLX": (tensors(lambda t: t.update({"x.scales": torch.ones(1)})), "as MLX-quantised weights do"),
    "tensors of an adapter": (
        tensors(lambda t: t.update({QUERY.replace("weight", "lora_A.weight"): torch.ones(1)})), "is of a PEFT adapter",
    ),
    "one too many": (tensors(lambda t: t.update({"lora.a": torch.ones(1)})), "holds 'lora.a', for which"),
    "a table that only looks rotary": (tensors(lambda t: t.update({"my_inv_freq": torch.ones(1)})), "'my_inv_freq'"),
    "a head beside the head": (tensors(lambda t: t.update({"lm_head.weight": t[HEAD] + 1})), "'lm_head.weight', for"),
    "denied biases": (tensors(lambda t: t.update({QUERY[:-6] + "bias": torch.ones(32)})), "q_proj.bias', for which"),
    "wrong shape": (tensors(lambda t: t.update({QUERY: torch.ones(32, 31)})), "[32, 31]; config.json implies [32, 32]"),
    "transposed": (tensors(lambda t: t.update({EMBED: t[EMBED].T.contiguous()})), "has shape [32, 320]"),
    "grouped queries that are not": (config(n_kv_heads=2), "has shape [32, 32]; config.json implies [16"),
    "whole numbers": (tensors(lambda t: t.update({QUERY: t[QUERY].to(torch.int8)})), "is stored as I8"),
    "eight bits": (tensors(lambda t: t.update({QUERY: t[QUERY].to(torch.float8_e4m3fn)})), "is stored as F8_E4M3"),
    "NaN": (tensors(lambda t: t[QUERY][5].fill_(float("nan"))), f"'{QUERY}' holds NaN or infinity"),
    "infinity": (tensors(lambda t: t[HEAD][9].fill_(float("-inf"))), f"'{HEAD}' holds NaN or infinity"),
    "infinity both ways": (tensors(lambda t: t[HEAD][:2].copy_(torch.tensor([[1e999], [-1e999]]))), f"'{HEAD}' holds"),
    # tokenizer
    "no tokenizer": (gone("tokenizer.json"), "lacks tokenizer.json, and vocab.json with merges.txt"),
    "tokenizer: not JSON": (file("tokenizer.json", "{"), "tokenizer.json cannot be read as a tokenizer"),
    "tokenizer: another thing": (file("tokenizer.json", '{"a": 1}'), "tokenizer.json cannot be read as a tokenizer"),
    "tokenizer: a broken table": (
        cutter(normalizer={"type": "Precompiled", "precompiled_charsmap": "////f2FhYWE="}),
        "tokenizer.json cannot be read as a tokenizer",
    ),
    "tokenizer: no step": (cutter(pre_tokenizer={"type": "FixedLength", "length": 0}), "breaks on any text; download"),
    "tokenizer: nothing": (cutter(normalizer={"type": "Prepend", "prepend": ""}), "breaks on any text; download"),
    "tokenizer: a pipe": (pipe, "tokenizer.json is not a regular file"),
    "tokenizer: a link out": (link("tokenizer.json"), "tokenizer.json is a link that leads out"),
    "tokenizer: larger than the model": (larger_tokenizer, "ids up to 320, but the model has only 320 rows"),
    "tokenizer: no such mask": (words(mask_token="<no>"), "mask_token '<no>' is not in its vocabulary"),
    "tokenizer: a token that is a number": (words(bos_token=5), "bos_token must be a string"),
    "template: a number": (words(chat_template=5), "chat_template must be a string"),
    "template: none is the default": (words(chat_template=[{"name": "rag", "template": ""}]), "['rag'] is called 'def"),
    "template: not UTF-8": (file("chat_template.jinja", b"\xff"), "chat_template.jinja is not UTF-8"),
    # defaults
    "steps: none": (generation(steps=0), "steps must be a whole number from 1 to 2147483647, got 0"),
    "temperature: text": (generation(temperature="hot"), "temperature must be a number from 0 to 2147483647"),
    "temperature: huge": (generation(temperature=10**400), "temperature must be a number from 0 to 2147483647"),
    "temperature: infinite": (spelled("generation_config.json", "temperature", "1e400"), "to 2147483647, got inf"),
    "remasking: a number": (generation(remasking=1), "generation_config.json: remasking must be one of low_conf"),
    "remasking: unheard of": (generation(remasking="topk_margin"), "margin, entropy, random, got 'topk_margin'"),
    "top_k: a fraction": (generation(top_k=0.5), "generation_config.json: top_k must be a whole number from 0 to 21"),
    "top_p: none": (generation(top_p=0), "generation_config.json: top_p must be a number above 0, up to 1, got 0"),
    "top_p: true": (generation(top_p=True), "top_p must be a number above 0, up to 1, got True"),
    "sampling: text": (generation(do_sample="no"), "do_sample must be true or false, got 'no'"),
    "sampling: unread, but wrong": (generation(do_sample=False, top_p=2), "top_p must be a number above 0, up to 1"),
    "defaults: not JSON": (file("generation_config.json", "steps = 1"), "generation_config.json is not valid JSON"),
}  # fmt: skip


@pytest.mark.parametrize(("breaks", "told"), MALFORMED.values(), ids=MALFORMED)
def test_what_is_malformed_is_refused(folder: Path, breaks: Callable[[Path], object], told: str) -> None:
    if os.name == "nt" and breaks is pipe:
        pytest.skip("no named pipes here")
    breaks(folder)
    before = fingerprint(folder) if breaks is not pipe else {}
    said = refusal(lambda: load(str(folder), device="cpu"))
    assert told in said
    assert breaks is pipe or fingerprint(folder) == before


def test_what_inspect_takes_is_not_only_what_load_takes(folder: Path) -> None:
    """`models show` also tells of a checkpoint whose weights are broken."""
    change(folder, lambda t: t[QUERY].fill_(float("nan")))
    assert inspect(folder).parameters == sum(t.numel() for t in load_file(folder / "model.safetensors").values())


# --- where and in which numbers ---


@pytest.mark.parametrize("name", ["fp64", "int8", "", "float32 "])
def test_unknown_dtypes_are_refused_before_anything_is_read(name: str) -> None:
    assert "use auto, float32, fp32" in refusal(lambda: load("no/such/folder", dtype=name))


@pytest.mark.parametrize("name", ["gpu", "", "cpu:x", "meta", "cuda:99", "xla"])
def test_devices_that_are_not_there_are_refused_before_anything_is_read(name: str) -> None:
    assert "use" in refusal(lambda: load("no/such/folder", device=name))


def test_what_auto_takes() -> None:
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    half, single = torch.bfloat16, torch.float32
    assert choose_device().type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert [choose_dtype("auto", half, cpu, n) for n in (SMALL - 1, SMALL)] == [single, half]
    assert choose_dtype("auto", half, cuda, 5) == half
    assert choose_dtype("bf16", single, cpu, 5) == half
    assert choose_dtype("auto", torch.float64, cpu, SMALL) == single


def test_a_small_model_answers_in_the_same_numbers_on_every_processor(tmp_path: Path, text: Text) -> None:
    loaded = load(str(write(tmp_path / "it", text, network(text), torch.bfloat16)), device="cpu")
    assert loaded.predictor.dtype == torch.float32


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory, text: Text) -> Path:
    """A checkpoint of 64 MB in float32."""
    model = network(text, d_model=512, n_heads=8, head_dim=64, d_ff=1536, n_layers=5)
    return write(tmp_path_factory.mktemp("made") / "large", text, model)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize(
    ("kind", "weights", "bound"),
    [("folder", "plain", 1.1), ("folder", "packed", 1.4), ("folder", "int8", 0.7), ("quantised file", "plain", 1.1)],
)
def test_the_peak_is_the_model_and_a_little(large: Path, tmp_path: Path, kind: str, weights: str, bound: float) -> None:
    """Loading 64 MB takes little more than that of memory of its own (mapped pages belong to the file)."""
    folder, small = large, TINY_LLADA
    if kind != "folder":
        pytest.importorskip("gguf")
        for name, path in ((str(folder), "large.gguf"), (small, "small.gguf")):
            convert(inspect(locate(name)), tmp_path / path, "q8_0")
        folder, small = tmp_path / "large.gguf", str(tmp_path / "small.gguf")
    code = f"""
import json, sys, torch
imported = set(sys.modules)
from remask import checkpoint
from remask.checkpoint import shards

def anonymous():
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("RssAnon"))

torch.set_num_threads(1)
checkpoint.load({small!r}, weights={weights!r})  # what only the first call takes
seen, copy = [], shards._copy
def watched(*args):
    seen.append(anonymous())
    copy(*args)
    seen.append(anonymous())
shards._copy = watched
before = anonymous()
checkpoint.load({str(folder)!r}, dtype="float32", weights={weights!r})
heavy = {{"huggingface_hub", "sympy", "torch._dynamo", "transformers"}} & (set(sys.modules) - imported)
print(json.dumps([max(seen) - before, sorted(heavy)]))
"""
    done = python(code, tmp_path)
    assert done.returncode == 0, done.stderr
    peak, heavy = json.loads(done.stdout)
    assert (size := 4 * inspect(large).parameters) > 60e6
    assert peak < bound * size
    assert heavy == [], "loading a folder imports what takes seconds"


# --- names ---


def test_the_bundled_model_loads() -> None:
    loaded = load("bundled")
    assert loaded.text.eot_ids
    assert torch.isfinite(logits(loaded.predictor)).all()
    assert ("bundled", loaded.folder) in [(entry.name, entry.path) for entry in list_models()]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("org/name@..", "names no model"),
        ("", "'' names no model; give 'bundled', a folder"),
        ("llada", "'llada' names no model; give 'bundled', a folder"),
        ("x\ny", "names no model"),
        ("org/name@", "names no model"),
        ("org/name@../../x", "there is no folder"),
        ("org/na me", "names no model"),
        ("org/a--b", "names no model"),
        ("./no/such", "there is no folder './no/such'"),
        ("/no/such", "there is no folder '/no/such'"),
        ("no/such/folder", "there is no folder"),
        ("~nobody/x", "there is no folder"),
        ("x" * 10_000, "names no model"),
        ("a\0b", "names no model"),
    ],
)
def test_names_that_are_none_are_refused(name: str, told: str) -> None:
    assert told in refusal(lambda: locate(name))


def test_a_folder_comes_before_a_repository(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent.parent)
    assert locate(f"{folder.parent.name}/tiny").samefile(folder)
    monkeypatch.chdir(folder)
    assert locate(".").samefile(folder)
    assert "is a file; give the folder" in refusal(lambda: locate("config.json"))
    (folder / "config.json").unlink()
    assert "no config.json in '.'" in refusal(lambda: locate("."))


@pytest.fixture
def cache(tmp_path: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub cache with org/name at two commits."""
    constants = pytest.importorskip("huggingface_hub.constants")
    root = into_cache(tmp_path / "home", "org/name", made, {"main": COMMIT, "v1": OTHER, "refs/pr/1": OTHER})
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "home" / "hub"))
    return root


@pytest.mark.parametrize(
    ("name", "commit"),
    [
        ("org/name", COMMIT),
        ("org/name@main", COMMIT),
        ("org/name@v1", OTHER),
        ("org/name@refs/pr/1", OTHER),
        (f"org/name@{OTHER}", OTHER),
    ],
)
def test_cached_revisions_load_offline(cache: Path, made: Path, name: str, commit: str) -> None:
    before = fingerprint(cache)
    loaded = load(str(locate(name, offline=True)))
    assert loaded.folder == cache / "snapshots" / commit
    assert torch.equal(logits(loaded.predictor), logits(load(str(made)).predictor))
    assert fingerprint(cache) == before


@pytest.mark.parametrize("name", ["org/name@v2", f"org/name@{'a' * 40}", "org/other"])
def test_what_is_not_cached_is_refused_offline(cache: Path, name: str) -> None:
    assert f"{name!r} is no folder here and not (wholly) in the cache" in refusal(
        lambda: load(str(locate(name, offline=True)))
    )


@pytest.mark.parametrize("where", ["../../../models--org--evil/blobs/x", "../../../../secret"])
def test_links_may_not_leave_the_repository_of_a_cache(cache: Path, made: Path, where: str) -> None:
    path = cache / "snapshots" / COMMIT / "model.safetensors"
    path.unlink()
    path.symlink_to(where)
    (path.parent / where).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(made / "model.safetensors", path.parent / where)
    assert "is a link that leads out" in refusal(lambda: load(str(locate("org/name", offline=True))))


def test_models_in_the_cache_are_listed(cache: Path, tmp_path: Path, made: Path) -> None:
    another = Path(shutil.copytree(made, tmp_path / "another"))
    edit(another, "config.json", architectures=["LlamaForCausalLM"])
    into_cache(tmp_path / "home", "org/llama", another, {"main": COMMIT})
    entries = {entry.name: entry for entry in list_models()}
    assert set(entries) == {
        "bundled",
        "bundled-blockwise",
        "bundled-haystack",
        "org/name",
        "org/name@v1",
        "org/name@refs/pr/1",
    }
    assert entries["org/name"].path == cache / "snapshots" / COMMIT
    assert entries["org/name"].size == sum(path.stat().st_size for path in made.iterdir())
    assert all(load(str(locate(name, offline=True))) for name in entries)


LOCATE = """
import sys
from remask.cli import main
from remask.errors import CheckpointError, UsageError
from remask.checkpoint.hub import locate
for name in sys.argv[1:] or {names!r}:
    try:
        print(locate(name))
    except CheckpointError as error:
        print("refused:", error)
"""


def test_offline_by_environment(tmp_path: Path, made: Path) -> None:
    into_cache(tmp_path, "org/name", made, {"main": COMMIT})
    done = python(LOCATE.format(names=["org/name", "org/none"]), tmp_path, HF_HUB_OFFLINE="1")
    found, refused = done.stdout.splitlines()
    assert found.endswith(f"snapshots/{COMMIT}")
    assert refused.startswith("refused: 'org/none' is no folder here and not (wholly) in the cache")
    assert done.stderr == ""


def test_a_hub_that_does_not_answer(tmp_path: Path, made: Path) -> None:
    into_cache(tmp_path, "org/name", made, {"main": COMMIT})
    done = python(LOCATE.format(names=["org/name", "org/none"]), tmp_path, HF_ENDPOINT="http://127.0.0.1:9")
    found, refused = done.stdout.splitlines()
    assert found.endswith(f"snapshots/{COMMIT}")
    assert refused.startswith("refused: 'org/none' is no folder here and not (wholly) in the cache")
    assert "looking for org/name in the cache" in done.stderr


def test_a_hub_that_answers(tmp_path: Path, folder: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    (folder / "modeling_llada.py").write_text("raise SystemExit")
    (folder / "original").mkdir()
    (folder / "original" / "model.safetensors").write_bytes(b"the same in another format")
    names = ["org/name", "org/name@v9", "org/none", "org/gated", "org/broken"]
    refused = {"org/gated": "GatedRepo", "org/broken": "Nonsense"}
    with serving(Hub(dict.fromkeys(["org/name", "org/gated", "org/broken"], folder), refused)) as hub:
        done = python(LOCATE.format(names=names), tmp_path, HF_ENDPOINT=hub.url)
    found, revision, none, gated, broken = done.stdout.splitlines()
    wanted = {path.name for path in folder.iterdir()} - {"pytorch_model.bin", "modeling_llada.py", "original"}
    assert {path.name for path in Path(found).iterdir()} == wanted
    assert not [line for line in hub.served if "modeling" in line or ".bin" in line or "original" in line]
    assert revision.startswith("refused: org/name has no revision 'v9'")
    assert none.startswith("refused: 'org/none' is neither a folder here nor a model on the hub")
    assert gated.startswith("refused: org/gated is gated: accept its terms")
    assert broken.startswith("refused: downloading org/broken failed")
    assert torch.isfinite(logits(load(found).predictor)).all()


def test_large_files_that_came_damaged_are_refused_and_removed(tmp_path: Path, folder: Path) -> None:
    good = (folder / "model.safetensors").read_bytes()
    bad = good[:-1000] + bytes(1000)
    with serving(Hub({"org/name": folder}, large={"model.safetensors": bad})) as hub:
        refused = python(LOCATE.format(names=["org/name"]), tmp_path, HF_ENDPOINT=hub.url).stdout
        assert refused.startswith("refused: model.safetensors of org/name came damaged: its sha256 is ")
        assert not list((tmp_path / "hub").rglob("model.safetensors"))
        hub.large["model.safetensors"] = good
        found = python(LOCATE.format(names=["org/name"]), tmp_path, HF_ENDPOINT=hub.url).stdout.strip()
    assert torch.isfinite(logits(load(found).predictor)).all()


@pytest.mark.parametrize("licence", ["[/nope]", "[bold]x", "\x1b]0;title\x07"])
def test_no_licence_ends_the_list(cache: Path, capsys: pytest.CaptureFixture[str], licence: str) -> None:
    readme = cache / "snapshots" / COMMIT / "README.md"
    readme.write_text(f"---\nlicense: {licence}\n---\n")
    (cache / "snapshots" / OTHER / "README.md").mkdir()
    assert main(["models", "list"]) == 0
    shown = capsys.readouterr().out
    assert "org/name@v1" in shown and "\x1b" not in shown
    assert licence in shown or "\x1b" in licence
