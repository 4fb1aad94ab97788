"""What is planned is what is taken: the arithmetic that admits rows, against a count of live tensors."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from remask.cli import main
from remask.cli.plan import parse_size
from remask.decoding.blocks import Blocks
from remask.decoding.caches import Dual
from remask.decoding.canvas import Canvas, Full, Growing, Lookahead, Suffix
from remask.decoding.history import Credit
from remask.decoding.recipe import Guidance, Process, Recipe
from remask.decoding.revision import WINO
from remask.decoding.selection import EntropyBound
from remask.engine.batch import Batch
from remask.engine.memory import footprint, largest, peak_bytes
from remask.engine.row import Row
from remask.engine.slab import rounded
from remask.engine.step import step
from remask.errors import UsageError
from remask.models import tiles
from remask.models.config import ModelConfig, MoE
from remask.models.layers import Router
from remask.models.predictor import MaskPredictor
from remask.models.transformer import Transformer
from remask.options import apply
from remask.testing import TOY, Hashed
from remask.text.tokenizer import Text
from tests.helpers.checkpoints import network, write
from tests.helpers.data import TINY_LLADA

CPU = torch.device("cpu")
BODY = {"vocab_size": 1024, "d_model": 128, "n_layers": 2, "n_heads": 4, "n_kv_heads": 4, "head_dim": 32, "d_ff": 384}
HEAD = {**BODY, "vocab_size": 8192, "d_model": 32, "d_ff": 64, "n_heads": 2, "n_kv_heads": 2, "head_dim": 16}
SHARED = MoE(16, 2, 32, shared_d_ff=256, score="sigmoid", bias="choose")
# geometry, canvas, positions to decide in one window, rows, and what the recipe asks for
SHAPES: dict[str, tuple[dict[str, Any], int, int, int, dict[str, Any]]] = {
    "a long canvas": (BODY, 256, 32, 1, {}),
    "all of it at once": (BODY, 256, 256, 1, {}),
    "a batch": (BODY, 256, 32, 4, {}),
    "narrow MLP": (BODY | {"d_ff": 64}, 256, 32, 1, {}),
    "wide heads": (BODY | {"head_dim": 64}, 256, 32, 1, {}),
    "grouped queries": (BODY | {"n_kv_heads": 2, "d_ff": 64}, 256, 32, 1, {}),
    "normed queries": (BODY | {"qk_norm": True, "d_ff": 64}, 256, 32, 1, {}),
    "partly turned": (BODY | {"rotary_dim": 16, "d_ff": 64}, 256, 32, 1, {}),
    "experts": (BODY | {"moe": MoE(16, 4, 64)}, 256, 32, 1, {}),
    "a shared expert": (BODY | {"moe": SHARED}, 256, 32, 1, {}),
    "block-causal": (BODY | {"attention": "block_causal", "block_size": 32}, 128, 32, 2, {}),
    "shadows": (BODY, 64, 32, 2, {"revise": WINO()}),
    "guidance": (BODY, 256, 64, 2, {"cfg_scale": 1.0}),
    "a store": (BODY, 256, 32, 3, {"cache": Dual()}),
    "a store of many heads": (BODY | {"n_layers": 8}, 256, 32, 3, {"cache": Dual(), "cfg_scale": 1.0}),
    "logits": (HEAD, 64, 64, 4, {}),
    "logits in turns": (HEAD, 4200, 4200, 1, {}),
    "reduced in turns": (HEAD, 1100, 1100, 1, {}),
    "guided, in turns": (HEAD, 600, 600, 1, {"cfg_scale": 1.0}),
    "nucleus in turns": (HEAD, 600, 600, 1, {"temperature": 1.0, "top_p": 0.9}),
    "entropy in turns": (HEAD, 600, 600, 1, {"remasking": "entropy"}),
    "credit in turns": (HEAD, 600, 600, 1, {"history": Credit()}),
    "suppressed in turns": (HEAD, 1100, 1100, 1, {"logits_eos_inf": True}),
    "processed in turns": (HEAD, 600, 600, 1, {"temperature": 1.0, "top_k": 9, "set": {"process.scores": "processed"}}),
    "as the authors, in turns": (HEAD, 600, 600, 1, {"confidence_eos_eot_inf": True, "compat": "llada"}),
    "noise for few": (HEAD, 16, 8, 1, {"temperature": 1.0}),
    "guided logits": (HEAD, 64, 64, 4, {"cfg_scale": 1.0}),
    "nucleus": (HEAD, 64, 64, 2, {"temperature": 1.0, "top_p": 0.9}),
    "nucleus of the best": (HEAD, 64, 64, 2, {"temperature": 1.0, "top_p": 0.9, "top_k": 9}),
    "the best": (HEAD, 64, 64, 4, {"top_k": 9}),
    "entropy": (HEAD, 64, 64, 4, {"remasking": "entropy"}),
    "entropy bound": (HEAD, 64, 64, 4, {"select": EntropyBound()}),
    "processed scores": (HEAD, 64, 64, 4, {"temperature": 1.0, "top_k": 9, "set": {"process.scores": "processed"}}),
    "credit": (HEAD, 64, 64, 4, {"history": Credit()}),
    "as the authors": (HEAD, 64, 64, 4, {"confidence_eos_eot_inf": True, "compat": "llada"}),
}


def model_of(geometry: dict[str, Any], dtype: torch.dtype) -> MaskPredictor:
    config = ModelConfig(family="llada", max_positions=4096, mask_id=1, eos_ids=(2,), **geometry)
    model = Transformer(config).initialise(torch.Generator().manual_seed(0)).to(dtype)
    for module in model.modules():
        if isinstance(module, Router):
            module.to(Router.dtype)
    return MaskPredictor(model)


def rows_of(model: MaskPredictor, length: int, window: int, count: int, options: dict[str, Any]) -> list[Row]:
    blocks = {} if model.contract.block_size else {"block_length": window}
    axes = {name: options[name] for name in ("cache", "select", "history", "revise") if name in options}
    named = {name: value for name, value in options.items() if name not in axes}
    recipe = replace(apply(Recipe(), **blocks, **named), **axes)
    tokens = torch.arange(3, 3 + length - window).tolist()
    canvas = [*(token % model.contract.vocab_size for token in tokens), *[None] * window]
    return [Row(Canvas.template(canvas, 1), recipe, model.contract) for _ in range(count)]


HALF = ("a long canvas", "narrow MLP", "normed queries", "experts", "logits")  # are measured in bfloat16, too


@pytest.mark.parametrize(
    ("name", "dtype"), [*((s, torch.float32) for s in SHAPES), *((s, torch.bfloat16) for s in HALF)]
)
def test_a_step_takes_what_was_planned(name: str, dtype: torch.dtype) -> None:
    geometry, *asked = SHAPES[name]
    model = model_of(geometry, dtype)
    rows = rows_of(model, *asked)  # type: ignore[arg-type]
    planned = footprint(rows, model).peak
    took = peak_bytes(CPU, partial(one_step, model, rows))
    assert abs(planned / took - 1) < 0.1, f"planned {planned:,}, took {took:,}"


def one_step(model: MaskPredictor, rows: list[Row]) -> None:
    batch = Batch(model)
    for row in rows:
        batch.admit(row)
    step(batch)


@pytest.mark.parametrize("name", ["a long canvas", "experts", "normed queries", "a batch"])
def test_tiles_are_planned(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "ROWS_AT_ONCE", 64)
    test_a_step_takes_what_was_planned(name, torch.float32)


RUNS = [
    ("wino", Lookahead(8)), ("hierarchical", Suffix(8)), ("fast-dllm", Full()),
    ("threshold", Growing(first=8, step=8, tail=4)),
]  # fmt: skip


@pytest.mark.parametrize(("recipe", "canvas"), RUNS, ids=repr)
def test_no_step_of_a_run_takes_more_than_was_planned(recipe: str, canvas: Any) -> None:
    model = model_of(BODY | {"vocab_size": 64}, torch.float32)
    how = replace(Recipe.load(recipe), canvas=canvas, steps=None)
    how = replace(how, blocks=Blocks(8))
    row = Row(Canvas.template([*range(3, 35), *[None] * 16], 1), how, model.contract)
    planned = footprint([row], model).peak

    def run() -> None:
        batch = Batch(model)
        batch.admit(row)
        while not row.finish_reason:
            step(batch)

    assert peak_bytes(CPU, run) < 1.1 * planned


PLAIN = Recipe(blocks=Blocks(4))


@pytest.mark.parametrize(
    ("other", "more"),
    [
        (replace(PLAIN, cache=Dual()), {"store"}),
        (replace(PLAIN, guidance=Guidance(1.0)), {"activations", "logits"}),
        (replace(PLAIN, blocks=Blocks(8)), {"logits"}),
        (replace(PLAIN, process=Process(temperature=1.0, top_p=0.5)), {"logits"}),
        (replace(PLAIN, cache=Dual(), guidance=Guidance(1.0)), {"store", "activations", "logits"}),
    ],
)
def test_each_axis_costs_where_it_costs(other: Recipe, more: set[str]) -> None:
    model = Hashed()
    first, second = (footprint([Row(Canvas.template([None] * 16, 15), r, TOY)], model) for r in (PLAIN, other))
    assert {name for name in vars(first) if getattr(second, name) > getattr(first, name)} == more
    assert all(getattr(second, name) >= getattr(first, name) for name in vars(first))


@given(st.lists(st.tuples(st.integers(1, 40), st.booleans(), st.booleans()), max_size=5), st.integers(1, 40))
def test_one_row_more_never_takes_less(rows: list[tuple[int, bool, bool]], length: int) -> None:
    model = Hashed()

    def row(length: int, cached: bool, guided: bool) -> Row:
        recipe = replace(PLAIN, guidance=Guidance(float(guided)))
        return Row(Canvas.template([None] * length, 15), replace(recipe, cache=Dual()) if cached else recipe, TOY)

    before = [row(*one) for one in rows]
    with_one = footprint([*before, row(length, True, True)], model)
    assert with_one.peak >= footprint(before, model).peak
    alone = footprint([row(length, True, True)], model)
    assert alone.store == 2 * (rounded(length) + 1) * model.bytes_per_slot()
    assert with_one.store >= alone.store


# --- remask plan ---


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory, text: Text) -> Path:
    """A checkpoint of 104 MB in float32."""
    model = network(text, d_model=512, n_heads=8, n_kv_heads=4, head_dim=64, d_ff=1536, n_layers=8, max_positions=512)
    return write(tmp_path_factory.mktemp("made") / "large", text, model)


def planned(capsys: pytest.CaptureFixture[str], *arguments: Any, code: int = 0) -> dict[str, Any]:
    assert main(["plan", *map(str, arguments), "--json", "--device", "cpu"]) == code
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    return said


def test_the_plan_is_what_loading_and_a_step_take(large: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = planned(capsys, large, "--batch", 3, "--context", 200, "--measure", "--dtype", "float32")
    assert said["weights"] > 100e6
    assert abs(said["peak"] / said["measured"] - 1) < 0.1
    assert said["peak"] == said["weights"] + said["store"] + max(said["activations"], said["logits"])


def test_planning_reads_no_weights(large: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert peak_bytes(CPU, lambda: planned(capsys, large, "--dtype", "bf16")) < 1e6
    said = planned(capsys, large, "--dtype", "bf16")
    assert said["weights"] == said["parameters"] * 2
    assert 0.5 < planned(capsys, large, "--dtype", "bf16", "--quantize", "int8")["weights"] / said["weights"] < 0.52


@pytest.mark.parametrize("options", [["--batch", "3"], ["--gen-length", "9", "--cfg-scale", "1"]])
def test_the_largest_that_fit_do_and_one_more_does_not(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    whole = planned(capsys, TINY_LLADA, *options)
    memory = (whole["weights"] + whole["peak"]) // 2
    said = planned(capsys, TINY_LLADA, *options, "--memory", memory, code=2)
    context, batch = said["largest_context"], said["largest_batch"]
    assert 0 < context < whole["context"] and said["peak"] > memory
    planned(capsys, TINY_LLADA, *options, "--context", context, "--memory", memory)
    planned(capsys, TINY_LLADA, *options, "--context", context + 1, "--memory", memory, code=2)
    if "--batch" not in options:
        assert batch == 0
        said = planned(capsys, TINY_LLADA, *options, "--memory", 10 * memory)
        planned(capsys, TINY_LLADA, *options, "--batch", said["largest_batch"], "--memory", 10 * memory)
        planned(capsys, TINY_LLADA, *options, "--batch", said["largest_batch"] + 1, "--memory", 10 * memory, code=2)


def test_what_does_not_fit_is_refused_with_the_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", TINY_LLADA, "--memory", "10MB", "--batch", "9", "--dtype", "fp32", "--device", "cpu"]) == 2
    out, err = capsys.readouterr()
    assert "9 × 256 positions need 31 MB, cpu has 10 MB; at this batch the largest context is " in err
    assert "weights       8.9 MB in float32" in out and "measured" not in out
    assert main(["plan", TINY_LLADA, "--memory", "1MB", "--measure", "--device", "cpu"]) == 2
    assert "cpu has 1.0 MB: less than the weights alone" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "size"),
    [("5e6", 5 * 10**6), ("24GB", 24 * 10**9), ("1.5 GiB", 3 << 29), ("8e9", 8 * 10**9), ("64mib", 64 << 20)],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert parse_size(text) == size


def test_a_size_that_no_machine_has_lacks_its_unit() -> None:
    with pytest.raises(UsageError, match="a size below 1 MB is no memory, got '5'; give a unit, as in 24GB"):
        parse_size("5")


@pytest.mark.parametrize("text", ["", "GB", "much", "-5GB", "1.2.3", "5 XB", "1e999"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="a size is a number and a unit"):
        parse_size(text)


@pytest.mark.parametrize("most", [0, 1, 2, 7, 100])
def test_the_search_finds_the_last_good_number(most: int) -> None:
    asked: list[int] = []
    good: Callable[[int], bool] = lambda n: asked.append(n) or n <= most  # type: ignore[func-returns-value]  # noqa: E731
    assert largest(good, 1, 100) == most
    assert len(asked) < 16
