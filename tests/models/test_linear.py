"""How an answering model holds its matrices: laid out for the processor, or rounded to 8 bits."""

from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import remask
from remask.checkpoint import Loaded, load, published
from remask.engine.batch import Batch, lay
from remask.engine.requests import Request
from remask.errors import CheckpointError
from remask.exactness import Exactness
from remask.models import linear
from remask.models.linear import Columns, DynamicInt8, Held, Int8, PackedLinear, Weights, convert, kind, round_rows
from remask.tasks import TASKS, examples
from remask.text.tokenizer import Text
from tests.helpers.checkpoints import logits, network, write
from tests.helpers.data import TINY_LLADA
from tests.helpers.jobs import Job, decisions, holes, run
from tests.helpers.jobs import hidden as packed_hidden

ROUNDED: tuple[Weights, ...] = ("int8", "int8-dynamic")
HOLDERS = {"columns": Columns, "packed": PackedLinear, "int8": Int8, "int8-dynamic": DynamicInt8}
every_kind = pytest.mark.parametrize("weights", HOLDERS)
needs_int8 = pytest.mark.skipif(not linear.has_int8_kernel(), reason="this torch has no int8 kernel for this processor")


@pytest.fixture(scope="module")
def plain() -> Loaded:
    return load(TINY_LLADA, device="cpu", dtype="float32")


def held(weights: Weights) -> Loaded:
    if weights == "int8-dynamic" and not linear.has_int8_kernel():
        pytest.skip("this torch has no int8 kernel for this processor")
    return load(TINY_LLADA, device="cpu", dtype="float32", weights=weights)


def made(width: int, out: int, *, bias: bool = False, dtype: torch.dtype = torch.float32) -> nn.Linear:
    layer = nn.Linear(width, out, bias=bias)
    with torch.no_grad():
        layer.weight.normal_(0, width**-0.5, generator=torch.Generator().manual_seed(width + out))
    return layer.to(dtype).requires_grad_(False)


def rows(count: int, width: int) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(count))


def jobs(loaded: Loaded, count: int = 3) -> list[Job]:
    """Held-out questions of three tasks, in one batch."""
    text = loaded.text
    asked = [e for name in ("sorting", "arithmetic", "recall") for e in islice(examples(TASKS[name], "heldout", 5), 1)]
    prompts = [text.encode(text.chat([{"role": "user", "content": e.prompt}])) for e in asked[:count]]
    return [Job((*prompt, *holes(32)), stop_ids=(text.eos_id, *text.eot_ids)) for prompt in prompts]


def hidden(loaded: Loaded, job: Job) -> Tensor:
    row = job.row(loaded.predictor.contract)
    laid = lay(Batch(loaded.predictor), [row.plan()])
    return packed_hidden(loaded.predictor, laid, laid.where[0].reshape(-1))


# --- packed: the same numbers ---


def test_a_packed_model_decides_as_the_plain_one(plain: Loaded) -> None:
    packed = held("packed")
    assert linear.has_packed_kernel(torch.float32) == any(isinstance(m, Held) for m in packed.predictor.model.modules())
    for job in jobs(plain):
        assert (hidden(packed, job) - hidden(plain, job)).abs().max() <= 1e-5 * hidden(plain, job).abs().max()
    mine, theirs = (run(loaded.predictor, jobs(plain)) for loaded in (packed, plain))
    assert [decisions(steps) for _, steps in mine] == [decisions(steps) for _, steps in theirs]
    assert packed.predictor.contract.exactness == Exactness.EXACT


@pytest.mark.skipif(not linear.has_packed_kernel(torch.float32), reason="packed weights are plain here")
@pytest.mark.parametrize("intel", [False, True])
def test_small_matrices_lie_by_columns_where_mkl_is_at_home(intel: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "has_intel_mkl", lambda: intel)
    assert isinstance(convert(made(160, 480), "packed"), Columns if intel else PackedLinear)
    assert isinstance(convert(made(1024, 1024), "packed"), PackedLinear)
    if linear.has_packed_kernel(torch.bfloat16):
        assert isinstance(convert(made(160, 480, dtype=torch.bfloat16), "packed"), PackedLinear)


def test_without_a_packed_kernel_weights_stay_plain(plain: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    assert kind("packed", torch.device("cuda"), torch.float32) == "plain"
    monkeypatch.setattr(linear, "has_packed_kernel", lambda dtype: False)
    loaded = held("packed")
    assert not any(isinstance(module, Held) for module in loaded.predictor.model.modules())
    assert torch.equal(hidden(loaded, jobs(plain)[0]), hidden(plain, jobs(plain)[0]))


@pytest.mark.parametrize("geometry", [{"tie_embeddings": True}, {"qkv_bias": True, "n_kv_heads": 1}], ids=str)
def test_tied_heads_and_biases_survive_packing(tmp_path: Path, text: Text, geometry: dict[str, Any]) -> None:
    folder = str(write(tmp_path / "it", text, network(text, **geometry)))
    plain, packed = load(folder, device="cpu"), load(folder, device="cpu", weights="packed")
    assert (logits(packed.predictor) - logits(plain.predictor)).abs().max() <= 1e-4
    model = packed.predictor.model
    assert (getattr(model.unembed, "weight", None) is model.embed.weight) == packed.config.tie_embeddings


# --- all: the weight that is told is the one that multiplies ---


@every_kind
@pytest.mark.parametrize("bias", [False, True], ids=["", "bias"])
@pytest.mark.parametrize(("width", "out"), [(160, 480), (33, 17), (24, 2100)])
def test_state_dict_tells_the_weight_that_multiplies(weights: str, width: int, out: int, bias: bool) -> None:
    layer = made(width, out, bias=bias)
    other = HOLDERS[weights](layer)
    x, told = rows(9, width), other.state_dict()
    assert told.keys() == layer.state_dict().keys()
    expected = nn.functional.linear(x, told["weight"], told.get("bias"))
    slack = 1e-5
    if isinstance(other, DynamicInt8):  # half a step of each input, through every weight
        slack += (x.abs().amax(1, keepdim=True) / other.largest / 2 * told["weight"].abs().sum(1)).max().item()
    assert (other(x) - expected).abs().max() <= slack
    if isinstance(other, PackedLinear | Columns):
        assert torch.equal(told["weight"], layer.weight)


def test_what_a_packed_model_publishes_is_what_was_loaded(plain: Loaded) -> None:
    before, after = (published(loaded.predictor.model, torch.bfloat16) for loaded in (plain, held("packed")))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@every_kind
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_row_is_the_same_beside_any_others(weights: str, dtype: torch.dtype) -> None:
    """From 8 rows on: the batch never asks for fewer."""
    if weights == "packed" and not linear.has_packed_kernel(dtype):
        pytest.skip(f"this processor has no packed kernel for {dtype}, and plain weights are held instead")
    if weights == "columns" and not (dtype == torch.float32 and linear.has_intel_mkl()):
        pytest.skip("they are not held so here")
    layer = HOLDERS[weights](made(160, 96, dtype=dtype))
    x = rows(300, 160).to(dtype)
    together = layer(x)
    assert together.dtype == dtype
    for first, stop in ((0, 8), (8, 61), (61, 189), (190, 300)):
        assert torch.equal(layer(x[first:stop]), together[first:stop])


@every_kind
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_broken_row_breaks_itself_alone(weights: str, value: float) -> None:
    layer, x = HOLDERS[weights](made(32, 16)), rows(9, 32)
    whole = layer(x)
    x[4, 7] = value
    broken = layer(x)
    assert not broken[4].isfinite().any()
    assert torch.equal(broken[[0, 1, 2, 3, 5, 6, 7, 8]], whole[[0, 1, 2, 3, 5, 6, 7, 8]])


@every_kind
def test_no_rows_and_rows_of_zeros(weights: str) -> None:
    layer = HOLDERS[weights](made(32, 16))
    assert layer(torch.zeros(0, 32)).shape == (0, 16)
    assert not layer(torch.zeros(8, 32)).any()


# --- 8 bits ---


def test_a_weight_is_rounded_to_the_nearest_of_255_levels_of_its_row() -> None:
    weight = made(64, 40).weight * torch.logspace(-6, 6, 40)[:, None]
    weight[3] = 0.0
    rounded, scale = round_rows(weight)
    assert rounded.dtype == torch.int8 and rounded.abs().max() == 127
    assert ((rounded * scale[:, None] - weight).abs() <= scale[:, None] / 2 * (1 + 1e-6)).all()
    assert (rounded[3] == 0).all()


def test_large_weights_do_not_overflow_float16() -> None:
    layer = made(2048, 8).half()
    x = torch.full((8, 2048), 4.0, dtype=torch.float16) * layer.weight[0].sign()
    assert Int8(layer)(x).isfinite().all()


@needs_int8
def test_without_vnni_pairs_never_overflow_16_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: False)
    layer = DynamicInt8(made(32, 16))
    assert (2 * layer.largest + 1) * 127 * 2 <= 2**15 - 1
    x = rows(9, 32)
    assert (layer(x) - nn.functional.linear(x, layer.weight)).abs().max() < 0.05


@pytest.mark.parametrize("weights", ROUNDED)
def test_a_rounded_model_says_that_its_numbers_are_others_and_answers(plain: Loaded, weights: Weights) -> None:
    other = held(weights)
    assert other.predictor.contract.exactness == Exactness.OTHER_NUMBERS
    kinds = [type(m) for m in other.predictor.model.modules() if isinstance(m, Held)]
    assert len(kinds) == 4 * other.config.n_layers + 1
    for job in jobs(plain):
        mine, theirs = hidden(other, job), hidden(plain, job)
        assert 0 < (mine - theirs).norm() < 0.1 * theirs.norm()


def test_bf16_numbers_are_others_too() -> None:
    assert load(TINY_LLADA, device="cpu", dtype="bfloat16").predictor.contract.exactness == Exactness.OTHER_NUMBERS


def test_a_completion_names_the_weaker_claim() -> None:
    llm = remask.load(TINY_LLADA, device="cpu", quantize="int8")
    tokens = (*llm.encode("Sort 3 1 2."), *holes(4))
    assert llm.engine.submit(Request(tokens)).result().exactness == Exactness.OTHER_NUMBERS


# --- what cannot be had is refused ---


def test_an_unknown_kind_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(CheckpointError, match="unknown quantize 'int4'; use none, int8, int8-dynamic"):
        remask.load(TINY_LLADA, quantize="int4")


def test_int8_dynamic_is_refused_where_it_has_no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CheckpointError, match=r"int8-dynamic needs an x86 CPU .* this is cuda; use int8"):
        kind("int8-dynamic", torch.device("cuda"), torch.bfloat16)
    monkeypatch.setattr(linear, "has_int8_kernel", lambda: False)
    with pytest.raises(CheckpointError, match="this is cpu; use int8"):
        load(TINY_LLADA, device="cpu", weights="int8-dynamic")
