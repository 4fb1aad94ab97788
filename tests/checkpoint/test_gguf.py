"""GGUF: what is converted there and back is the same model; llama.cpp's conventions; what is malformed is refused."""

import json
import shutil
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

from remask.checkpoint import conversion as converting
from remask.checkpoint import inspect, load
from remask.checkpoint.bpe import CUTS, Parts, ids, parts_of
from remask.checkpoint.conversion import convert
from remask.checkpoint.gguf import halved, interleaved
from remask.cli import main
from remask.errors import CheckpointError
from remask.models.config import ModelConfig, MoE
from remask.models.layers import RotaryTable, rotate
from remask.tasks import TASKS, examples
from remask.text.tokenizer import Text
from tests.helpers.checkpoints import change, edit, fingerprint, logits, network, write
from tests.helpers.data import TINY_LLADA

gguf = pytest.importorskip("gguf")

GEOMETRIES: dict[str, dict[str, Any]] = {
    "llada": {},
    "llada, grouped and tied": {"n_kv_heads": 2, "tie_embeddings": True},
    "llada, rows without a token": {"vocab_size": 352},
    "llada_moe": {"qk_norm": True, "moe": MoE(8, 2, 32, normalise=False), "rope_theta": 50000.0},
    "dream": {"n_kv_heads": 2, "qkv_bias": True, "shift": 1, "norm_eps": 1e-6, "rope_theta": 1e6},
    "rnd1": {"n_kv_heads": 2, "head_dim": 16, "qk_norm": True, "shift": 1, "norm_eps": 1e-6, "moe": MoE(8, 2, 32)},
}


def folder_of(path: Path, text: Text, name: str) -> Path:
    return write(path / "folder", text, network(text, family=name.partition(",")[0], **GEOMETRIES[name]))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, text: Text) -> Path:
    """A good GGUF file."""
    path = tmp_path_factory.mktemp("gguf")
    convert(inspect(folder_of(path, text, "llada, rows without a token")), path / "tiny.gguf")
    return path / "tiny.gguf"


# --- there and back ---


@pytest.mark.parametrize("name", GEOMETRIES)
def test_the_model_is_the_same_there_and_back(tmp_path: Path, text: Text, name: str) -> None:
    folder, file, back = folder_of(tmp_path, text, name), tmp_path / "it.gguf", tmp_path / "back"
    convert(inspect(folder), file)
    convert(inspect(file), back)
    first, second, third = (load(str(path), dtype="float32") for path in (folder, file, back))
    assert first.config == second.config == third.config
    mine = dict(first.predictor.model.named_parameters())
    for other in (second, third):
        assert all(torch.equal(mine[key], w) for key, w in other.predictor.model.named_parameters())
        assert torch.equal(logits(other.predictor), logits(first.predictor))
        assert other.predictor.contract == first.predictor.contract
        assert (other.text.special, other.text.template) == (text.special, text.template)
    names = load_file(folder / "model.safetensors")
    assert names.keys() == load_file(back / "model.safetensors").keys()


@pytest.mark.parametrize(("dtype", "most"), [("bfloat16", 2.0**-8), ("float16", 2.0**-11), ("q8_0", 1 / 127)])
def test_weights_are_as_near_as_their_kind_allows(tmp_path: Path, text: Text, dtype: str, most: float) -> None:
    folder, file = folder_of(tmp_path, text, "llada"), tmp_path / "it.gguf"
    convert(inspect(folder), file, dtype)
    first, second = (load(str(path), dtype="float32").predictor.model for path in (folder, file))
    errors = [(a - b).abs().max() / a.abs().max() for a, b in zip(first.parameters(), second.parameters(), strict=True)]
    assert 0 < max(errors) <= most
    kinds = {t.name.rpartition(".")[0].rpartition(".")[2]: t.tensor_type.name for t in gguf.GGUFReader(file).tensors}
    assert kinds["attn_norm"] == kinds["output_norm"] == "F32"
    assert kinds["ffn_down"] == {"bfloat16": "BF16", "float16": "F16", "q8_0": "F16"}[dtype]  # 48 is no multiple of 32


def test_float16_that_cannot_hold_the_weights_is_refused(tmp_path: Path, text: Text) -> None:
    folder = folder_of(tmp_path, text, "llada")
    change(folder, lambda t: t["model.transformer.wte.weight"][3].fill_(70000.0))
    for target in ("it.gguf", "other"):
        with pytest.raises(CheckpointError, match="beyond the range of float16"):
            convert(inspect(folder), tmp_path / target, "float16")
        assert not (tmp_path / target).exists()


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_K", "Q5_K", "Q6_K", "Q8_0", "Q3_K"])
def test_quantised_files_are_read_as_the_library_reads_them(
    tmp_path: Path, text: Text, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks of random bytes, read whole by the library and in pieces by us; queries and keys are put in order."""
    monkeypatch.setattr("remask.checkpoint.gguf.PIECE", 5000)
    model = network(text, d_model=256, n_heads=4, n_kv_heads=2, head_dim=64, d_ff=256)
    convert(inspect(write(tmp_path / "folder", text, model)), tmp_path / "plain.gguf")
    code, rng = gguf.GGMLQuantizationType[kind], np.random.default_rng(0)

    def random(tensor: Any) -> tuple[np.ndarray[Any, Any], Any]:
        if len(tensor.shape) == 1:
            return tensor.data, tensor.tensor_type
        shape = gguf.quant_shape_to_byte_shape(tuple(map(int, reversed(tensor.shape))), code)
        data = rng.integers(0, 256, shape, dtype=np.uint8)
        blocks = data.reshape(-1, gguf.GGML_QUANT_SIZES[code][1])
        scales = {"Q6_K": [208], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q2_K": [80, 82], "Q3_K": [108]}.get(kind, [0])
        for at in scales:  # of float16: not NaN
            blocks[:, at : at + 2] = np.frombuffer(np.float16(0.01).tobytes(), np.uint8)
        return data, code

    file = rewritten(tmp_path / "plain.gguf", tmp_path / "quantised.gguf", tensors=random)
    whole = {
        t.name: torch.from_numpy(np.array(gguf.dequantize(t.data, t.tensor_type)))
        for t in gguf.GGUFReader(file).tensors
    }
    blocks = load(str(file), dtype="float32").predictor.model.blocks
    for i, block in enumerate(blocks):
        q, k, v = block.attention.qkv.weight.split((256, 128, 128))
        assert torch.equal(v, whole[f"blk.{i}.attn_v.weight"])
        for ours, theirs, heads in ((q, "q", 4), (k, "k", 2)):
            pairs = whole[f"blk.{i}.attn_{theirs}.weight"].view(heads, 32, 2, 256)
            assert torch.equal(ours.view(heads, 2, 32, 256), torch.stack((pairs[:, :, 0], pairs[:, :, 1]), 1))
        assert torch.equal(block.mlp.down.weight, whole[f"blk.{i}.ffn_down.weight"])


def test_large_models_become_several_files(tmp_path: Path, text: Text, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of(tmp_path, text, "llada")
    monkeypatch.setattr(converting, "SHARD", 20_000)
    convert(inspect(folder), tmp_path / "many")
    files = sorted(path.name for path in (tmp_path / "many").glob("*.safetensors"))
    assert len(files) > 3 and files[0] == f"model-00001-of-{len(files):05}.safetensors"
    index = json.loads((tmp_path / "many" / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == sum(t.nbytes for t in load_file(folder / "model.safetensors").values())
    assert torch.equal(logits(load(str(tmp_path / "many")).predictor), logits(load(str(folder)).predictor))


# --- llama.cpp's conventions ---


def test_interleaved_heads_turn_in_pairs_as_halves_turn() -> None:
    """Rotary positions of halves on our weights give the scores that those of adjacent pairs give on llama.cpp's."""
    config = ModelConfig("x", 8, 24, 1, 3, 3, 8, 8, mask_id=1)
    weight, x, positions = torch.randn(2, 24, 24), torch.randn(5, 24), torch.arange(5)
    cos, sin = RotaryTable(config.rotary.own)(positions)

    def in_pairs(heads: torch.Tensor) -> torch.Tensor:
        even, odd = heads[..., 0::2], heads[..., 1::2]
        c, s = cos[..., :4], sin[..., 4:]
        return torch.stack((even * c - odd * s, even * s + odd * c), -1).flatten(-2)

    q, k = (rotate((x @ w.T).view(5, 3, 8), cos, sin) for w in weight)
    qp, kp = (in_pairs((x @ interleaved(w, 8).T).view(5, 3, 8)) for w in weight)
    qw, kw = (in_pairs((x @ w.T).view(5, 3, 8)) for w in weight)
    scores = torch.einsum("qhd,khd->hqk", q, k)
    assert torch.allclose(scores, torch.einsum("qhd,khd->hqk", qp, kp), atol=1e-4)
    assert not torch.allclose(scores, torch.einsum("qhd,khd->hqk", qw, kw), atol=1e-1), "unpermuted it must differ"
    assert torch.equal(halved(interleaved(weight[0], 8), 8), weight[0])


@pytest.mark.parametrize("name", ["llada", "llada_moe", "dream", "rnd1"])
def test_names_and_keys_are_llama_cpps(tmp_path: Path, text: Text, name: str) -> None:
    folder, file = folder_of(tmp_path, text, name), tmp_path / "it.gguf"
    convert(inspect(folder), file)
    reader = gguf.GGUFReader(file)
    arch = name.replace("_", "-")
    said = {key: field.contents() for key, field in reader.fields.items()}
    kind = next(key for key, value in gguf.MODEL_ARCH_NAMES.items() if value == arch)
    known = {gguf.TENSOR_NAMES[tensor] for tensor in gguf.MODEL_TENSORS[kind]}
    used = {t.name.rpartition(".")[0] for t in reader.tensors}
    assert {n if not n.startswith("blk.") else "blk.{bid}." + n.split(".", 2)[2] for n in used} <= known
    assert said["general.architecture"] == arch
    assert said["tokenizer.ggml.mask_token_id"] == text.mask_id
    assert said["diffusion.shift_logits"] is (name in ("dream", "rnd1"))
    assert said[f"{arch}.attention.causal"] is False
    assert (said[f"{arch}.block_count"], said[f"{arch}.attention.head_count"]) == (2, 4)
    assert said["tokenizer.ggml.model"] == "gpt2"
    assert ("tokenizer.ggml.add_bos_token" in said) == (name == "llada")
    assert (f"{arch}.expert_used_count" in said) == ("moe" in name or name == "rnd1")
    queries = next(t for t in reader.tensors if t.name == "blk.1.attn_q.weight")
    kept = load(str(folder)).predictor.model.blocks[1].attention.qkv.weight[: queries.data.shape[0]]
    assert torch.equal(torch.from_numpy(np.array(queries.data)), kept) == (name != "llada")


WRITTEN = (  # by llama.cpp's converter, of every architecture; what it adds to that
    "block_count", "context_length", "embedding_length", "attention.head_count", "attention.head_count_kv",
    "attention.layer_norm_rms_epsilon", "attention.causal", "rope.freq_base",
)  # fmt: skip
EXPERTS = ("expert_count", "expert_used_count", "expert_feed_forward_length")
ADDED = {
    "llada": ("feed_forward_length", "vocab_size", "rope.dimension_count"),
    "llada_moe": EXPERTS,  # its config.json has no intermediate_size
    "dream": ("feed_forward_length",),
    "rnd1": ("feed_forward_length", "attention.key_length", "attention.value_length", *EXPERTS),
}
NEUTRAL = {
    "rope.scaling.type": "none", "rope.scaling.factor": 1.0, "rope.scaling.original_context_length": 32,
    "rope.scaling.finetuned": False, "attention.sliding_window": 0, "pooling_type": 0,
}  # fmt: skip


@pytest.mark.parametrize("name", ADDED)
def test_a_file_may_say_as_little_as_llama_cpps_or_more_that_is_neutral(tmp_path: Path, text: Text, name: str) -> None:
    file, arch = tmp_path / "it.gguf", name.replace("_", "-")
    convert(inspect(folder_of(tmp_path, text, name)), file)
    wanted = logits(load(str(file)).predictor)
    mine = [key for key in gguf.GGUFReader(file).fields if key.startswith(f"{arch}.")]
    drop = tuple(key for key in mine if key.removeprefix(f"{arch}.") not in (*WRITTEN, *ADDED[name]))
    neutral = {f"{arch}.{key}": value for key, value in NEUTRAL.items()}
    other = rewritten(file, tmp_path / "other.gguf", neutral, drop, arch=arch)
    assert torch.equal(logits(load(str(other)).predictor), wanted)


def test_a_model_of_experts_states_them(tmp_path: Path, text: Text) -> None:
    convert(inspect(folder_of(tmp_path, text, "llada_moe")), tmp_path / "it.gguf")
    rewritten(tmp_path / "it.gguf", tmp_path / "other.gguf", drop=("llada-moe.expert_count",), arch="llada-moe")
    with pytest.raises(CheckpointError, match=r"lacks 'llada-moe\.expert_count'"):
        inspect(tmp_path / "other.gguf")


def test_every_row_has_a_token_and_the_spare_ones_are_unused(made: Path, text: Text) -> None:
    fields = gguf.GGUFReader(made).fields
    tokens, kinds = (fields[f"tokenizer.ggml.{name}"].contents() for name in ("tokens", "token_type"))
    assert len(tokens) == len(kinds) == 352
    assert (tokens[351], kinds[351], kinds[0], kinds[text.mask_id]) == ("[PAD351]", 5, 1, 3)
    assert inspect(made).known_tokens == 320


def test_a_model_speaks_the_same_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "tiny.gguf"
    assert main(["models", "convert", TINY_LLADA, str(file)]) == 0
    prompt = ["run", "Sort 5 3 8 1 2.", "--gen-length", "16", "--dtype", "float32", "-q"]
    answers = []
    for model in (TINY_LLADA, str(file)):
        capsys.readouterr()
        assert main([*prompt, "--model", model, "--steps", "16"]) == 0
        answers.append(capsys.readouterr().out)
    assert answers[0] == answers[1] != "\n"
    first, second = inspect(TINY_LLADA).text, inspect(file).text
    for task in {task.name: task for task in TASKS.values()}.values():
        for _, example in zip(range(20), examples(task, "train", 1), strict=False):
            said = first.chat([{"role": "user", "content": example.prompt}]) + example.answer
            assert first.encode(said) == second.encode(said)
            assert first.decode(second.encode(said)) == second.decode(first.encode(said))


# --- tokenizers from their parts ---


def unpacked(folder: Path, tokenizer: Tokenizer, **config: Any) -> Path:
    """The folder with vocab.json and merges.txt in place of tokenizer.json."""
    parts = parts_of(tokenizer)
    plain = {token: i for token, i in parts.vocabulary.items() if token not in parts.added}
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.json").write_text(json.dumps(plain))
    merges = [f"{left} {right}" for left, right in parts.merges]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")
    added = {str(parts.vocabulary[t]): {"content": t, "special": special} for t, special in parts.added.items()}
    edit(
        folder, "tokenizer_config.json", **{"added_tokens_decoder": added, "tokenizer_class": "Qwen2Tokenizer"} | config
    )
    return folder


TEXTS = (
    "Hello, WORLD! I'll say: don't.\n\n  x = 12345 # naïve\r\n\tend  ", "<|mdm_mask|>Sort 5380217.<|eot_id|> ok",
    "Å ½ ² 中文 русский", "a.b . c...  d\n\n\ne", "",
)  # fmt: skip


def test_a_tokenizer_is_made_of_vocabulary_and_merges(tmp_path: Path, text: Text) -> None:
    folder = unpacked(folder_of(tmp_path, text, "llada"), text.tokenizer)
    made = inspect(folder).text
    wanted = parts_of(text.tokenizer).build("qwen2")
    for said in TEXTS:
        assert made.encode(said) == ids(wanted, said)
    assert made.tokenizer.token_to_id("<|eot_id|>") == text.eot_ids[0]
    assert made.decode([text.eot_ids[0]]) == ""
    edit(folder, "tokenizer_config.json", drop=("added_tokens_decoder",))
    added = parts_of(text.tokenizer).added
    edit(folder, "added_tokens.json", **{token: text.tokenizer.token_to_id(token) for token in added})
    assert [inspect(folder).text.encode(said) for said in TEXTS] == [made.encode(said) for said in TEXTS]


@pytest.mark.parametrize(("name", "cut"), [("Qwen2Tokenizer", "qwen2"), ("GPT2Tokenizer", "gpt-2")])
def test_the_cuts_are_those_of_transformers(text: Text, name: str, cut: str) -> None:
    transformers = pytest.importorskip("transformers")
    parts = parts_of(text.tokenizer)
    theirs = getattr(transformers, name)(vocab=dict(parts.vocabulary), merges=list(parts.merges))
    mine = Parts(parts.vocabulary, parts.merges, {}).build(cut)
    other = Parts(parts.vocabulary, parts.merges, {}).build("default")
    plain = [said for said in TEXTS if "<|" not in said]
    for said in plain:
        assert ids(mine, said) == theirs.encode(said, add_special_tokens=False)
    assert any(
        [piece for piece, _ in mine.pre_tokenizer.pre_tokenize_str(said)]
        != [piece for piece, _ in other.pre_tokenizer.pre_tokenize_str(said)]
        for said in plain
    )


@pytest.mark.parametrize("cut", CUTS)
def test_a_tokenizer_is_written_with_the_cut_that_it_has(text: Text, cut: str) -> None:
    parts = parts_of(text.tokenizer)
    rich = Parts(dict(parts.vocabulary) | {"12": 400, "123": 401, "'m": 402, "'M": 403}, parts.merges, parts.added)
    tokenizer = rich.build(cut)
    found = rich.build(rich.cut_of(tokenizer, "default"))
    assert all(ids(found, said) == ids(tokenizer, said) for said in TEXTS)


# --- what is malformed is refused ---


def rewritten(
    source: Path, target: Path, change: dict[str, Any] | None = None, drop: tuple[str, ...] = (),
    tensors: Callable[[Any], tuple[Any, Any] | None] = lambda t: (t.data, t.tensor_type), arch: str = "llada",
) -> Path:  # fmt: skip
    """A copy with other metadata or tensors; a tensor for which None is given is left out."""
    reader, writer = gguf.GGUFReader(source), gguf.GGUFWriter(target, arch)
    kinds = {key: (field.contents(), field.types) for key, field in reader.fields.items() if key[:5] != "GGUF."}
    kinds.pop("general.architecture")
    values = {key: value for key, (value, _) in kinds.items()} | (change or {})
    for key, value in values.items():
        if key in drop:
            continue
        types = kinds.get(key, (None, ()))[1]
        if isinstance(value, list):
            writer.add_array(key, value)
        elif type(value) is int and gguf.GGUFValueType.UINT32 in types:
            writer.add_uint32(key, value)
        else:
            adders = {bool: writer.add_bool, int: writer.add_int32, float: writer.add_float32, str: writer.add_string}
            adders[type(value)](key, value)
    for tensor in reader.tensors:
        if (made := tensors(tensor)) is not None:
            writer.add_tensor(tensor.name, np.ascontiguousarray(made[0]), raw_dtype=made[1])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


def keys(drop: tuple[str, ...] = (), **change: Any) -> Callable[[Path], object]:
    """Other metadata; `__` in a name stands for a dot."""
    spelt = {key.replace("__", "."): value for key, value in change.items()}

    def broken(file: Path) -> None:
        rewritten(file, file.with_suffix(".new"), spelt, drop).replace(file)

    return broken


def without(name: str) -> Callable[[Path], object]:
    def broken(file: Path) -> None:
        kept = rewritten(
            file, file.with_suffix(".new"), tensors=lambda t: None if t.name == name else (t.data, t.tensor_type)
        )
        kept.replace(file)

    return broken


def shaped(name: str, how: Callable[[Any], Any], kind: Any = gguf.GGMLQuantizationType.F32) -> Callable[[Path], object]:
    def broken(file: Path) -> None:
        def other(tensor: Any) -> Any:
            return (how(np.array(tensor.data)), kind) if tensor.name == name else (tensor.data, tensor.tensor_type)

        rewritten(file, file.with_suffix(".new"), tensors=other).replace(file)

    return broken


def raw(how: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    return lambda file: file.write_bytes(how(file.read_bytes()))


def nan(data: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    data[1] = np.nan
    return data


def bare(whole: bytes) -> bytes:
    """The embedding's info, without its two sizes."""
    name, sizes, rest = whole.partition(b"token_embd.weight" + (2).to_bytes(4, "little"))
    return name + sizes[:-4] + bytes(4) + rest[16:] + bytes(64)


def endless(whole: bytes) -> bytes:
    """A list of 2⁶⁰ bytes, of which the file has none."""
    key = b"x.endless"
    header = b"GGUF" + (3).to_bytes(4, "little") + (0).to_bytes(8, "little") + (1).to_bytes(8, "little")
    return (
        header
        + len(key).to_bytes(8, "little")
        + key
        + (9).to_bytes(4, "little")
        + bytes(4)
        + (1 << 60).to_bytes(8, "little")
    )


def put(key: str, kind: int, value: bytes, times: int = 1) -> Callable[[bytes], bytes]:
    """One more key in front, its value as the bytes of a file, so many times; a filler keeps tensors aligned."""

    def long(number: int) -> bytes:
        return number.to_bytes(8, "little")

    def more(whole: bytes) -> bytes:
        added = (long(len(key)) + key.encode() + kind.to_bytes(4, "little") + value) * times
        filler = long(12) + b"general.fill" + (8).to_bytes(4, "little")
        left = -(len(added) + len(filler) + 8) % 32
        keys = int.from_bytes(whole[16:24], "little") + times + 1
        return whole[:16] + long(keys) + added + filler + long(left) + b"x" * left + whole[24:]

    return more


def moved(whole: bytes) -> bytes:
    """A gap before a tensor of one size."""
    at = whole.index(b"output_norm.weight") + len(b"output_norm.weight") + 4 + 8 + 4
    offset = int.from_bytes(whole[at : at + 8], "little") + 32
    return whole[:at] + offset.to_bytes(8, "little") + whole[at + 8 :]


def array(kind: int, count: int, elements: bytes) -> bytes:
    return kind.to_bytes(4, "little") + count.to_bytes(8, "little") + elements


TOKENS = [f"t{i}" for i in range(352)]
MALFORMED: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (raw(lambda b: b""), "is not a whole GGUF file"),
    "not GGUF": (raw(lambda b: b"<html>404</html>" * 99), "GGUF magic invalid"),
    "another version": (raw(lambda b: b[:4] + b"\x63\0\0\0" + b[8:]), "version 99"),
    "cut in the header": (raw(lambda b: b[:700]), "lies beyond its end"),
    "cut at the end": (raw(lambda b: b[:-5000]), "lies beyond its end"),
    "more pairs than it has": (raw(lambda b: b[:16] + b"\xff" * 8 + b[24:]), "is not a whole GGUF file"),
    "more tensors than it has": (raw(lambda b: b[:8] + b"\xff" * 7 + b"\0" + b[16:]), "is not a whole GGUF file"),
    "an endless string": (raw(lambda b: b[:24] + b"\xff" * 8 + b[32:]), "is not a whole GGUF file"),
    "an endless list": (raw(endless), "lies beyond its end"),
    "another architecture": (lambda f: rewritten(f, f.with_suffix(".n"), arch="qwen3").replace(f), "'qwen3' is not"),
    "a part of several": (keys(split__count=3), "one of 3 parts"),
    "no layers stated": (keys(drop=("llada.block_count",)), "lacks 'llada.block_count'"),
    "layers as text": (keys(llada__block_count="2"), "llada.block_count must be a whole number, got '2'"),
    "more layers than tensors": (keys(llada__block_count=9), "'blk.2.attn_k.weight', 'blk.2.attn_norm.weight'"),
    "more layers than any": (keys(llada__block_count=100_000), "n_layers must be a whole number from 1 to 1000"),
    "causal": (keys(llada__attention__causal=True), "llada.attention.causal = True is not supported; the llada arch"),
    "shifted": (keys(diffusion__shift_logits=True), "shift_logits is True, but the llada family has False"),
    "scaled positions": (keys(llada__rope__scaling__type="yarn"), "rope.scaling.type = 'yarn' is not supported"),
    "positions divided": (keys(llada__rope__scaling__factor=4.0), "llada.rope.scaling.factor = 4.0 is not supported"),
    "a sliding window": (keys(llada__attention__sliding_window=16), "llada.attention.sliding_window = 16 is not supp"),
    "values of another width": (keys(llada__attention__value_length=4), "value_length = 4 is not supported; the llada"),
    "an unknown key": (keys(llada__logit_scale=0.5), "unknown key 'llada.logit_scale' = 0.5 for the llada arch"),
    "padded": (raw(lambda b: b + bytes(100)), "100 bytes follow the last tensor"),
    "a key twice": (raw(put("x.y", 7, b"\0", times=2)), "the key 'x.y' comes twice"),
    "an array of arrays": (raw(put("x.y", 9, array(9, 2, array(0, 0, b"") * 2))), "'x.y' is an array of arrays"),
    "strings without number": (raw(put("x.y", 9, array(8, 1 << 40, b""))), "1,099,511,627,776 strings; the limit is"),
    "a string beyond the end": (raw(put("x.y", 9, array(8, 2, b"\xff" * 16))), "is not a whole GGUF file"),
    "an unknown kind": (raw(put("x.y", 13, b"")), "'x.y' is of the unknown kind 13"),
    "a long key": (raw(put("x" * 300, 7, b"\0")), "a name of 300 bytes; the limit is 256"),
    "a tensor that begins elsewhere": (raw(moved), "'output_norm.weight' does not begin where the tensor"),
    "an alignment of 3": (raw(put("general.alignment", 4, b"\3\0\0\0")), "must be a power of two up to"),
    "an end that is added": (keys(tokenizer__ggml__add_eos_token=True), "add_eos_token = True is not supported; only"),
    "words of another kind": (keys(tokenizer__ggml__unheard_of=4), "unknown key 'tokenizer.ggml.unheard_of'"),
    "turns that end otherwise": (keys(tokenizer__ggml__eot_token_id=7), "eot_token_id = 7 is not supported; the llada"),
    "an unknown key on two lines": (keys(**{"llada.a\nb": 4}), r"unknown key 'llada.a\nb' = 4"),
    "experts of a dense model": (keys(llada__expert_count=8), "unknown key 'llada.expert_count' = 8"),
    "θ of 1": (keys(llada__rope__freq_base=1.0), "rope_theta must be a number above 1, as 10000.0 is, got 1.0"),
    "heads that turn in part": (keys(llada__rope__dimension_count=4), "dimension_count = 4 is not supported"),
    "no heads": (keys(llada__attention__head_count=0), "n_heads must be a whole number from 1 to 2147483647, got 0"),
    "a mask outside": (keys(tokenizer__ggml__mask_token_id=352), "mask_token_id"),
    "an end outside": (keys(tokenizer__ggml__eos_token_id=4000), "eos_token_id must be a row below"),
    "a mask beyond the tokens": (keys(tokenizer__ggml__mask_token_id=340), "is not in its vocabulary"),
    "another tokenizer": (keys(tokenizer__ggml__model="llama"), "tokenizer model 'llama' is not supported"),
    "another cut": (keys(tokenizer__ggml__pre="tekken"), "pre-tokenizer 'tekken' is not known; known: "),
    "a token twice": (keys(tokenizer__ggml__tokens=[*TOKENS[:5], "t0", *TOKENS[6:]]), "a token comes twice"),
    "a token that is not UTF-8": (
        raw(lambda b: b.replace(b"<|mdm_mask|>", b"<|mdm_mask|\xff")),
        "'tokenizer.ggml.tokens' holds b'<|mdm_mask|\\xff'",
    ),
    "fewer types than tokens": (keys(tokenizer__ggml__token_type=[1, 1]), "352 tokens, but 2 token types"),
    "a merge of one": (keys(tokenizer__ggml__merges=["ab"]), "or a merge is no pair"),
    "a merge of unknown tokens": (keys(tokenizer__ggml__merges=["unheard of"]), "do not fit together"),
    "a large template": (keys(tokenizer__chat_template="x" * (1 << 21)), "the limit is 1048576"),
    "a tensor is missing": (without("blk.1.attn_q.weight"), "lacks 'blk.1.attn_q.weight', which its metadata imply"),
    "a tensor without sizes": (raw(bare), "'token_embd.weight' has no sizes"),
    "no embedding": (without("token_embd.weight"), "lacks the tensor 'token_embd.weight'"),
    "one layer too many": (keys(llada__block_count=1), "holds 'blk.1.attn_norm.weight', 'blk.1."),
    "wrong shape": (shaped("blk.0.attn_output.weight", lambda d: d[:16]), "has shape [16, 32]; config.json implies"),
    "half a head": (shaped("blk.0.attn_q.weight", lambda d: d[:12]), "has 12 rows, not whole heads of 8"),
    "NaN": (shaped("blk.0.ffn_up.weight", nan), "holds NaN or infinity"),
    "whole numbers": (
        shaped("blk.0.attn_v.weight", lambda d: d.astype(np.int8), gguf.GGMLQuantizationType.I8),
        "is stored as I8",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("breaks", "told"), MALFORMED.values(), ids=MALFORMED)
def test_what_is_malformed_is_refused(
    made: Path, tmp_path: Path, breaks: Callable[[Path], object], told: str, capfd: pytest.CaptureFixture[str]
) -> None:
    file = Path(shutil.copy(made, tmp_path / "it.gguf"))
    breaks(file)
    with pytest.raises(CheckpointError) as caught:
        load(str(file), device="cpu")
    said = str(caught.value)
    assert told in said and "\n" not in said and len(said) < 900
    assert capfd.readouterr() == ("", "")
    with pytest.raises(CheckpointError):
        convert(inspect(file), tmp_path / "folder")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["it.gguf"], "nothing is left behind"


PARTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no merges": (lambda f: (f / "merges.txt").unlink(), "lacks tokenizer.json, and vocab.json with merges.txt"),
    "no vocabulary": (lambda f: (f / "vocab.json").unlink(), "lacks tokenizer.json, and vocab.json with merges.txt"),
    "merges of another model": (lambda f: (f / "merges.txt").write_text("unheard of\n"), "do not fit together"),
    "an unknown class": (lambda f: edit(f, "tokenizer_config.json", tokenizer_class="XTokenizer"), "'XTokenizer' has"),
    "no class": (lambda f: edit(f, "tokenizer_config.json", drop=("tokenizer_class",)), "is none of Qwen2Tokenizer"),
    "an id that is text": (lambda f: edit(f, "vocab.json", a="5"), "the id of 'a' must be a whole number, got '5'"),
    "an added id that is none": (lambda f: edit(f, "added_tokens.json", x="y"), "added token must be a whole number"),
    "an added id without end": (lambda f: (f / "added_tokens.json").write_text('{"x": 1e400}'), "number, got inf"),
    "an added id that is a fraction": (lambda f: edit(f, "added_tokens.json", x=1.5), "whole number, got 1.5"),
    "added tokens as a list": (
        lambda f: edit(f, "tokenizer_config.json", added_tokens_decoder=[1]), "added_tokens_decoder must map ids",
    ),
    "vocabulary: a list": (lambda f: (f / "vocab.json").write_text("[]"), "vocab.json must hold a JSON object"),
    "merges: not UTF-8": (lambda f: (f / "merges.txt").write_bytes(b"\xff a"), "merges.txt is not UTF-8"),
}  # fmt: skip


@pytest.mark.parametrize(("breaks", "told"), PARTS.values(), ids=PARTS)
def test_parts_that_make_no_tokenizer_are_refused(
    tmp_path: Path, text: Text, breaks: Callable[[Path], object], told: str
) -> None:
    folder = unpacked(folder_of(tmp_path, text, "llada"), text.tokenizer)
    breaks(folder)
    with pytest.raises(CheckpointError) as caught:
        load(str(folder))
    assert told in str(caught.value) and "\n" not in str(caught.value)


def test_what_nobody_reads_costs_next_to_nothing(made: Path, tmp_path: Path) -> None:
    """Arrays of 16 MB are passed over; objects for their elements would take a hundred times as much."""
    plain, size = inspect(made), 1 << 24
    for kind, count, elements in ((0, size, bytes(size)), (12, size // 8, bytes(size)), (8, 1 << 18, bytes(1 << 21))):
        file = tmp_path / "it.gguf"
        file.write_bytes(put("x.y", 9, array(kind, count, elements))(made.read_bytes()))
        tracemalloc.start()
        described = inspect(file)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert described.config == plain.config and peak < 8 << 20, f"kind {kind} took {peak:,} bytes"


def test_a_shift_that_is_not_stated_is_the_familys(
    tmp_path: Path, text: Text, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("llada", "dream"):
        convert(inspect(folder_of(tmp_path / name, text, name)), tmp_path / "it.gguf")
        rewritten(tmp_path / "it.gguf", tmp_path / "new.gguf", drop=("diffusion.shift_logits",), arch=name)
        caplog.clear()
        assert inspect(tmp_path / "new.gguf").config.shift == (name == "dream")
        assert f"lacks diffusion.shift_logits in its metadata; the {name} family has {name == 'dream'}" in caplog.text


def test_words_that_change_nothing_may_be_there(made: Path, tmp_path: Path) -> None:
    neutral = {
        "tokenizer.ggml.add_eos_token": False, "tokenizer.ggml.add_space_prefix": False,
        "tokenizer.ggml.fim_pre_token_id": 5, "tokenizer.ggml.scores": [0.0] * 352,
        "tokenizer.chat_template.tools": "x", "tokenizer.huggingface.json": "{}", "quantize.imatrix.file": "x.dat",
    }  # fmt: skip
    other = rewritten(made, tmp_path / "other.gguf", neutral)
    assert inspect(other).text.encode("Sort 5.") == inspect(made).text.encode("Sort 5.")


# --- remask models convert ---


def test_convert_refuses_and_leaves_what_was_there(
    tmp_path: Path, text: Text, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, file = folder_of(tmp_path, text, "llada"), tmp_path / "it.gguf"
    file.write_text("precious")
    assert main(["models", "convert", str(folder), str(file)]) == 2
    assert "is there already; give another name, or --force" in capsys.readouterr().err
    change(folder, lambda t: t["model.transformer.ln_f.weight"].fill_(float("nan")))
    for target in (file, tmp_path / "new.gguf", tmp_path / "new"):
        assert main(["models", "convert", str(folder), str(target), "--force"]) == 2
        assert "NaN" in capsys.readouterr().err
    assert file.read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "it.gguf"]


@pytest.mark.parametrize("target", ["it.gguf", "it"])
def test_a_full_disk_leaves_nothing_and_is_told(tmp_path: Path, target: str) -> None:
    code = """
import resource, signal, sys
from remask.cli import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, resource.RLIM_INFINITY))
sys.exit(main(["models", "convert", *sys.argv[1:]]))
"""
    command = [sys.executable, "-c", code, TINY_LLADA, tmp_path / target]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    told = " ".join(done.stderr.split())
    assert told.startswith(f"remask: error: cannot write '{tmp_path / target}': ")
    assert told.endswith("; free some space, or name another place")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("target", "options", "told"),
    [
        ("x.gguf", ["--dtype", "q4_k"], "unknown dtype 'q4_k'; use auto, float32, bfloat16, float16, q8_0"),
        ("x", ["--dtype", "q8_0"], "q8_0 is for GGUF files; a folder holds float32, bfloat16 or float16"),
        ("there", ["--force"], "is there and is no checkpoint; give another name"),
    ],
)
def test_what_cannot_be_converted_is_refused(
    tmp_path: Path, target: str, options: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine.txt").write_text("kept")
    assert main(["models", "convert", TINY_LLADA, str(tmp_path / target), *options]) == 2
    assert told in " ".join(capsys.readouterr().err.split())
    assert (tmp_path / "there" / "mine.txt").read_text() == "kept"


def test_families_that_llama_cpp_lacks_are_refused(tmp_path: Path, text: Text) -> None:
    folder = write(tmp_path / "it", text, network(text, family="illada"))
    with pytest.raises(
        CheckpointError, match=r"no architecture for the illada family; it has: llada, llada_moe, dream"
    ):
        convert(inspect(folder), tmp_path / "x.gguf")
    before = fingerprint(folder)
    convert(inspect(folder), tmp_path / "half", "bf16")
    assert inspect(tmp_path / "half").dtype == torch.bfloat16 and fingerprint(folder) == before
    causal = write(tmp_path / "causal", text, network(text, attention="block_causal", block_size=4))
    with pytest.raises(CheckpointError, match="full attention"):
        convert(inspect(causal), tmp_path / "x.gguf")
