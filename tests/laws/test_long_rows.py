"""Rows beyond the training length: each with its own rotary scaling, in one batch with all others."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from remask.decoding.blocks import Auto, Blocks, Whole
from remask.decoding.caches import BlockCausal, Cache, Delayed, Dual, NoCache, Prefix
from remask.decoding.canvas import Full, Lookahead
from remask.decoding.objective import log_likelihood
from remask.decoding.recipe import Guidance, Recipe
from remask.engine.batch import Batch, lay
from remask.engine.row import Row
from remask.engine.step import step
from remask.errors import RecipeError, RequestError
from remask.exactness import Exactness
from remask.models.contract import Group, Packed
from remask.models.predictor import MaskPredictor
from remask.models.rotary import Rope, Rotations
from remask.testing import TOY, Hashed
from tests.helpers.jobs import Job, alone, decisions, hidden, holes, run, tokens

ROPES = ["none", "ntk:1", "ntk:4", "ntk:31", "ntk-diffusion:auto", "linear:2", "yarn:4", "none,log_n", "ntk:auto"]


@pytest.fixture(scope="module")
def tiny(make_transformer: Callable[..., MaskPredictor]) -> MaskPredictor:
    """A tiny transformer of 96 positions, with LLaDA's θ scaled to them: λ is 4, 8, 14, 31 at 2, 3, 4, 6 times that."""
    return make_transformer(rope_theta=500_000 * (96 / 4096) ** 2)


BY_EIGHT = Recipe(blocks=Blocks(8))


def job(rope: str, length: int, recipe: Recipe = BY_EIGHT) -> Job:
    prompt = [(i * 7 + 3) % 20 for i in range(length - 16)]
    return Job((*prompt, *holes(16)), replace(recipe, rope=Rope.of(rope)))


def logits(model: MaskPredictor, rows: list[Row]) -> list[Tensor]:
    """Each row's logits (R, V) of its first plan, in one forward."""
    batch = Batch(model)
    for row in rows:
        batch.admit(row)
    plans = [row.plan() for row in rows]
    laid = lay(batch, plans)
    with torch.inference_mode():
        rows_read = hidden(model, laid, np.concatenate([where[0] for where in laid.where]))
        return list(model.logits(rows_read).split([len(plan.reads) for plan in plans]))


@pytest.mark.parametrize("rope", ["ntk:4", "linear:2", "yarn:4", "none,log_n"])
def test_a_scale_chosen_after_loading_changes_the_logits(tiny: MaskPredictor, rope: str) -> None:
    """θ patched into a model that holds its table already changes nothing; a row's scaling must."""
    (plain,) = logits(tiny, [job("none", 96).row(tiny.contract)])
    (scaled,) = logits(tiny, [job(rope, 200).row(tiny.contract)])
    (longer,) = logits(tiny, [job("ntk:1", 200).row(tiny.contract)])
    assert (scaled - longer).abs().max() > 1e-2
    (short,) = logits(tiny, [job(rope, 96).row(tiny.contract)])
    assert torch.equal(short, plain) == (rope == "none,log_n")  # which is for what is longer than the training length


def test_a_scale_of_1_is_the_unscaled_model_to_the_bit(tiny: MaskPredictor) -> None:
    own = job("none", 96)
    (plain,) = logits(tiny, [own.row(tiny.contract)])
    for rope in ("ntk:1", "linear:1", "yarn:1", "ntk:auto"):
        (one,) = logits(tiny, [job(rope, 96).row(tiny.contract)])
        assert torch.equal(one, plain)
    rows = [own.row(tiny.contract), job("ntk:4", 96).row(tiny.contract)]
    together, _ = logits(tiny, rows)  # and beside a row that is scaled
    both, _ = logits(tiny, [own.row(tiny.contract), own.row(tiny.contract)])
    assert torch.equal(together, both)


def test_rows_of_every_scale_share_a_batch(tiny: MaskPredictor) -> None:
    jobs = [job(rope, 90 if rope == "none" else 90 + 60 * i) for i, rope in enumerate(ROPES)]
    for (row, steps), one in zip(run(tiny, jobs), jobs, strict=True):
        single, expected = alone(tiny, one)
        assert tokens(row) == tokens(single) and decisions(steps) == decisions(expected)
        np.testing.assert_allclose(row.canvas.logprob, single.canvas.logprob, atol=1e-4)
    told = [alone(tiny, job(rope, 200))[0].canvas.logprob for rope in ("ntk:1", "ntk:4", "yarn:4", "linear:2")]
    apart = [np.nanmax(np.abs(a - b)) for a, b in itertools.combinations(told, 2)]
    assert min(apart) > 1e-2  # the comparison sees a scale that is lost


def test_a_cached_row_keeps_its_scale(tiny: MaskPredictor) -> None:
    """The store holds turned keys: rows of different scales write and read their own."""
    recipe = Recipe(blocks=Blocks(8), cache=Dual(), guidance=Guidance(0.5))
    jobs = [job(rope, 120, recipe) for rope in ("ntk:4", "yarn:4", "ntk:1")]
    for (row, steps), one in zip(run(tiny, jobs), jobs, strict=True):
        single, expected = alone(tiny, one)
        assert tokens(row) == tokens(single) and decisions(steps) == decisions(expected)
    exact = replace(recipe, cache=Dual(every=1))
    for rope in ("ntk:4", "yarn:4"):
        cached, plain = job(rope, 120, exact), job(rope, 120, replace(exact, cache=Recipe().cache))
        assert tokens(alone(tiny, cached)[0]) == tokens(alone(tiny, plain)[0])


@given(st.sampled_from(ROPES[1:]), st.integers(1, 5000))
def test_attention_sees_distances_alone(tiny: MaskPredictor, rope: str, offset: int) -> None:
    """At any scale, moving all positions by an offset moves nothing else."""
    length = 40
    rotation = Rope.of(rope).rotation(tiny.contract.rotary, 4 * 96)
    words, rows = (torch.arange(length) * 5) % 20, torch.arange(length)
    rotations = None if rotation is None else Rotations.of([rotation], torch.zeros(length, dtype=torch.long))
    here, there = (
        tiny.hidden(Packed(words, rows + start, [Group(0, 1, length)], rows, rotations)) for start in (0, offset)
    )
    torch.testing.assert_close(here, there, atol=2e-3, rtol=0)


def test_decisions_of_all_scales_are_made_together(tiny: MaskPredictor) -> None:
    rows = [job(rope, 120).row(tiny.contract) for rope in ("ntk:4", "ntk:14")]
    assert rows[0].branches == rows[1].branches and rows[0].recipe != rows[1].recipe


def test_a_row_says_its_resolved_scale_and_what_it_claims(tiny: MaskPredictor) -> None:
    row = job("ntk:auto", 200).row(tiny.contract)
    assert row.recipe.rope == Rope("ntk", 8.0)
    assert row.recipe.exactness == Exactness.APPROXIMATE
    assert job("ntk:auto", 60).row(tiny.contract).recipe.exactness == Exactness.EXACT


def test_a_model_without_rotary_positions_takes_no_scale() -> None:
    with pytest.raises(RecipeError, match="no rotary positions that rope ntk:4 could scale"):
        job("ntk:4", 30).row(TOY)
    job("none", 30).row(TOY)


# --- a canvas that grows ---


@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize("masks", [0, 3, 100])
def test_masks_are_there_when_they_are_due(masks: int, shift: int) -> None:
    """After a prompt, each window is computed as if the canvas ended `masks` behind it."""
    model = Hashed(4, contract=replace(TOY, shift=shift))
    recipe = Recipe(blocks=Blocks(4), canvas=Lookahead(masks))
    row = Job((1, 2, 3, *holes(12)), recipe).row(model.contract)
    lengths = []
    batch = Batch(model)
    batch.admit(row)
    while row.finish_reason is None:
        plan = row.plan()
        assert plan.positions.tolist() == list(range(len(plan.positions)))
        lengths.append(len(plan.positions))
        step(batch)
    assert lengths == [min(15, 3 + 4 * (block + 1) + masks) for block in range(3) for _ in range(4)]


def test_enough_lookahead_is_the_full_canvas(tiny: MaskPredictor) -> None:
    full, ahead, none = (
        alone(tiny, Job((3, 1, 4, *holes(24)), Recipe(blocks=Blocks(8), canvas=canvas)))
        for canvas in (Recipe().canvas, Lookahead(16), Lookahead(0))
    )
    assert decisions(full[1]) == decisions(ahead[1]) != decisions(none[1])


def test_what_is_given_behind_the_window_stays_in_sight() -> None:
    recipe = Recipe(blocks=Blocks(2), canvas=Lookahead(1))
    row = Job((1, None, None, 2, None, None, 3), recipe).row()
    assert row.plan().positions.tolist() == [0, 1, 2, 3, 4, 6]
    assert row.recipe.exactness == Exactness.OTHER_CANVAS
    assert Job((1, *holes(4)), replace(recipe, blocks=Whole())).row().plan().positions.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "cache", [Prefix(every=1), Dual(every=1), Dual(vicinity=2, every=1), Delayed(every=1)], ids=repr
)
@pytest.mark.parametrize("masks", [0, 5])
def test_a_cache_that_is_refreshed_at_once_sees_the_same_canvas(tiny: MaskPredictor, cache: Cache, masks: int) -> None:
    recipe = Recipe(blocks=Blocks(8), canvas=Lookahead(masks))
    jobs = [Job((3, 1, 4, *holes(24), 7, 7), replace(recipe, cache=one)) for one in (cache, NoCache())]
    (row, steps), (other, others) = run(tiny, jobs)
    assert tokens(row) == tokens(other) and decisions(steps) == decisions(others)


@pytest.mark.parametrize("cache", [Prefix(), Dual(), Dual(vicinity=2), Delayed(None)], ids=repr)
def test_a_cache_stores_no_mask_that_is_not_there_yet(tiny: MaskPredictor, cache: Cache) -> None:
    recipe = Recipe(blocks=Blocks(8), canvas=Lookahead(2), cache=cache)
    row, batch = Job((3, 1, 4, *holes(24), 7), recipe).row(tiny.contract), Batch(tiny)
    batch.admit(row)
    saved = np.zeros(3, int)
    while row.finish_reason is None:
        plan, there = row.plan(), row.recipe.canvas.positions(row.canvas, row.window)
        stored = np.empty(0, np.int64) if plan.stored is None else plan.stored
        assert np.union1d(plan.positions, stored).tolist() == there.tolist()
        assert (row.written[stored] >= 0).all()
        saved[row.block] += len(stored)
        step(batch)
    assert not row.canvas.undecided.any()
    assert (saved > 0).all()  # in every block something was taken from the store


@pytest.mark.parametrize("cache", [NoCache(), BlockCausal()], ids=repr)
def test_a_block_causal_row_never_saw_the_masks_behind(
    make_transformer: Callable[..., MaskPredictor], cache: Cache
) -> None:
    model = make_transformer(attention="block_causal", block_size=4)
    full, ahead = (
        alone(model, Job((3, 1, 4, *holes(21)), Recipe(cache=cache, canvas=canvas)))
        for canvas in (Full(), Lookahead(0))
    )
    assert tokens(full[0]) == tokens(ahead[0]) and decisions(full[1]) == decisions(ahead[1])


def test_a_lookahead_that_cannot_be_is_refused() -> None:
    with pytest.raises(RecipeError, match="at least 0 masks behind the window, got -1"):
        Lookahead(-1)
    assert Recipe.parse({"canvas": {"by": "lookahead", "masks": 2}, "rope": "ntk:4"}) == Recipe(
        canvas=Lookahead(2), rope=Rope("ntk", 4.0)
    )
    with pytest.raises(RecipeError, match="rope must be text"):
        Recipe.parse({"rope": {"by": "ntk"}})


def test_block_causal_rows_scale_too(make_transformer: Callable[..., MaskPredictor]) -> None:
    model = make_transformer(attention="block_causal", block_size=4)
    recipe = Recipe(blocks=Auto())
    jobs = [job(rope, 120, recipe) for rope in ("ntk:4", "yarn:4")]
    for (row, _), one in zip(run(model, jobs), jobs, strict=True):
        assert tokens(row) == tokens(alone(model, one)[0])


def test_a_likelihood_scales_like_a_row(tiny: MaskPredictor) -> None:
    """The whole answer masked is the first plan of a row, so its score is that of the row's logits."""
    prompt, answer = [(i * 7 + 3) % 20 for i in range(184)], [5]
    options: dict[str, Any] = {"samples": 1, "batch": 1}
    ropes = ["ntk:1", "ntk:4", "ntk:auto", "linear:2", "yarn:4", "ntk:1,log_n"]
    scores = {rope: log_likelihood(tiny, prompt, answer, rope=rope, **options).log_likelihood for rope in ropes}
    for rope, score in scores.items():
        row = Job((*prompt, None), Recipe(rope=Rope.of(rope))).row(tiny.contract)
        (found,) = logits(tiny, [row])
        assert score == pytest.approx(float(found[0].log_softmax(0)[5]), abs=1e-4)
    assert len({round(score, 3) for score in scores.values()}) == 5 and scores["ntk:auto"] == scores["ntk:4"]
    with pytest.raises(RequestError, match="185 tokens, the context is 96"):
        log_likelihood(tiny, prompt, answer, **options)
