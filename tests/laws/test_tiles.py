"""Long forwards in little memory: tiled is whole, no tensor is as long as the prompt and as wide as the MLP."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.long import Live
from remask.decoding.blocks import Blocks
from remask.decoding.caches import Dual
from remask.decoding.recipe import Guidance, Recipe
from remask.engine.batch import Batch, lay
from remask.models import tiles
from remask.models.attention import sdpa
from remask.models.contract import Group, Packed
from remask.models.predictor import MaskPredictor
from remask.models.rotary import Rope
from tests.helpers.jobs import Job, hidden, holes


@contextmanager
def tiled(monkeypatch: pytest.MonkeyPatch, rows: int, scores: int) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(tiles, "ROWS_AT_ONCE", rows)
        patch.setattr(sdpa, "SCORES_AT_ONCE", scores)
        yield


LONG = ((*range(20),) * 4 + holes(16), Recipe(rope=Rope("ntk", 4.0)))
ANY = [Job(*LONG), Job(*LONG), Job((*range(20), *range(13), *holes(40)))]  # two rows of a shape, and one of another
FULL = [
    *ANY,
    Job((*range(20), *holes(53)), Recipe(blocks=Blocks(8), cache=Dual(), guidance=Guidance(1.0))),
]
CASES: list[tuple[dict[str, object], list[Job]]] = [
    ({}, FULL),
    ({"qkv_bias": True, "n_kv_heads": 4}, FULL),
    ({"n_kv_heads": 1}, FULL),
    ({"attention": "block_causal", "block_size": 4}, ANY),
]


def logits(model: MaskPredictor, jobs: list[Job]) -> Tensor:
    """Logits of the first step of all jobs in one forward; rows of one shape are a group."""
    batch = Batch(model)
    for job in jobs:
        batch.admit(job.row(model.contract))
    laid = lay(batch, [row.plan() for row in batch.rows])
    reads = np.concatenate([where.reshape(-1) for where in laid.where])
    with torch.inference_mode():
        return model.logits(hidden(model, laid, reads))


@pytest.mark.parametrize(("changes", "jobs"), CASES, ids=["grouped", "one a head", "one for all", "block-causal"])
@pytest.mark.parametrize(("rows", "scores"), [(16, 2**30), (2**20, 1000), (50, 3000), (2**20, 1)])
def test_tiled_is_whole(
    make_transformer: Callable[..., MaskPredictor],
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, object],
    jobs: list[Job],
    rows: int,
    scores: int,
) -> None:
    model = make_transformer(**changes)
    whole = logits(model, jobs)
    with tiled(monkeypatch, rows, scores):
        parts = logits(model, jobs)
    torch.testing.assert_close(parts, whole, atol=1e-5, rtol=1e-5)


def test_every_tile_is_at_most_so_long_and_none_is_short() -> None:
    for rows in (1, 8, 100, 2049, 10_000):
        cut = list(tiles.tiles(rows, 2048))
        assert [tile.start for tile in cut[1:]] == [tile.stop for tile in cut[:-1]]
        assert (cut[0].start, cut[-1].stop) == (0, rows)
        lengths = [tile.stop - tile.start for tile in cut]
        assert max(lengths) <= 2048 and max(lengths) - min(lengths) <= 1


def test_training_takes_all_rows_at_once(tiny: MaskPredictor, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def spy(x: Tensor) -> tuple[Tensor]:
        calls.append(len(x))
        return (x,)

    with tiled(monkeypatch, 16, 1000):
        tiles.in_tiles(spy, torch.zeros(64, 2))
        with torch.no_grad():
            tiles.in_tiles(spy, torch.zeros(64, 2))
    assert calls == [64, 16, 16, 16, 16]


def peak(model: MaskPredictor, length: int) -> Live:
    words, rows = torch.arange(length) % 20, torch.arange(length)
    with torch.inference_mode(), Live() as live:
        model.logits(model.hidden(Packed(words, rows, [Group(0, 1, length)], rows[-8:])))
    return live


def test_memory_grows_by_what_a_layer_keeps(
    make_transformer: Callable[..., MaskPredictor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Residual, queries, keys, values, mixed values and the rotary table; no MLP, and no logits of every row."""
    sizes: dict[str, object] = {"d_model": 64, "head_dim": 16, "n_kv_heads": 4, "d_ff": 512, "vocab_size": 1024}
    model = make_transformer(**sizes)
    kept = 4 * (5 * 64 + 2 * 16)
    with tiled(monkeypatch, 32, 2**24):
        short, long = peak(model, 1024), peak(model, 3072)
        assert (long.peak - short.peak) / 2048 == pytest.approx(kept, rel=0.05)
        for length, live in ((1024, short), (3072, long)):
            assert 0.9 * live.peak < model.activation_bytes(length) < 1.15 * live.peak
            assert live.largest <= length * 4 * 64 < length * 4 * 1024 / 4
    whole = peak(model, 2048)  # which is one tile
    assert whole.peak / 2048 > 4 * kept
    assert 0.9 * whole.peak < model.activation_bytes(2048) < 1.15 * whole.peak


def test_masks_of_long_groups_are_cut_with_their_queries(tiny: MaskPredictor, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a kernel widens a mask to is as long as a tile."""
    length = 2048
    words, rows = torch.arange(length) % 20, torch.arange(length)
    visible = torch.ones(1, length, length, dtype=torch.bool)
    group = Group(0, 1, length, visible)
    seen: list[int] = []
    attend = sdpa.F.scaled_dot_product_attention

    def spy(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, **named: bool) -> Tensor:
        seen.append(mask.numel())
        return attend(q, k, v, mask, **named)

    monkeypatch.setattr(sdpa.F, "scaled_dot_product_attention", spy)
    with tiled(monkeypatch, 256, 2**20):
        tiny.hidden(Packed(words, rows, [group], rows[-8:]))
    assert max(seen) <= 2**20 and len(seen) == 2 * 4
