"""`Plan` and `Reviser` are enough: caches, fused passes, shadow rows, edits and guidance are values, never a new loop.

Nothing here touches the sampler.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from torch import Tensor

from remask.decoding.blocks import Auto, Blocks, Whole
from remask.decoding.caches import BlockCausal, Cache, Delayed, Dual, NoCache, Prefix, View
from remask.decoding.recipe import Guidance, Recipe
from remask.decoding.revision import WINO, Edit
from remask.decoding.selection import Threshold
from remask.engine.batch import Batch, lay
from remask.engine.row import Row
from remask.engine.slab import rounded
from remask.engine.step import step
from remask.errors import RecipeError
from remask.models.contract import Packed, Plan, Predictor
from remask.models.predictor import MaskPredictor
from remask.models.transformer import Transformer
from remask.testing import TOY, Fake, Hashed, Scripted
from tests.helpers.jobs import Job, alone, bits, decisions, hidden, holes, run, tokens
from tests.helpers.strategies import MASK, jobs, models

PROMPTS = [(3, 1, 4), (1, 5, 9, 2, 6), (5,), (3, 5, 8, 9, 7, 9, 3)]


def both(model: Predictor, recipe: Recipe, caches: tuple[Cache, Cache], gap: int = 16) -> list[tuple[object, object]]:
    """What each prompt's run decided, with the one cache and with the other."""
    told = []
    for prompt in PROMPTS:
        jobs = [Job((*prompt, *holes(gap), 2), replace(recipe, cache=cache)) for cache in caches]
        (row, steps), (other, others) = run(model, jobs[:1])[0], run(model, jobs[1:])[0]
        told.append(((tokens(row), decisions(steps)), (tokens(other), decisions(others))))
    return told


# --- a cache that goes stale ---


@pytest.mark.parametrize("scale", [0.0, 1.5], ids=["one stream", "two streams"])
@pytest.mark.parametrize("shift", [0, 1])
def test_a_cache_refreshed_every_step_is_no_cache(
    make_transformer: Callable[..., MaskPredictor], shift: int, scale: float
) -> None:
    recipe = Recipe(blocks=Blocks(8), guidance=Guidance(scale))
    for cached, plain in both(make_transformer(shift=shift), recipe, (Dual(every=1), NoCache())):
        assert cached == plain


@pytest.mark.parametrize("scale", [0.0, 1.5], ids=["one stream", "two streams"])
def test_a_cache_refreshed_once_a_block_differs_somewhere(tiny: MaskPredictor, scale: float) -> None:
    """The negative control: a stale cache is an approximation, and the comparison above can see it."""
    recipe = Recipe(blocks=Blocks(8), guidance=Guidance(scale))
    assert any(cached != plain for cached, plain in both(tiny, recipe, (Dual(every=100), NoCache())))


def first_plan(model: Predictor, row: Row) -> Batch:
    """A batch in which `row` has had its refresh, but nothing was committed."""
    batch = Batch(model)
    batch.admit(row)
    forward(batch, row.plan())
    row.written[:] = 0
    row.clock = row.forwards = 1
    return batch


def forward(batch: Batch, plan: Plan) -> Tensor:
    """Logits (S, R, V) of what `plan` reads."""
    laid = lay(batch, [plan])
    with torch.inference_mode():
        rows = hidden(batch.model, laid, laid.where[0].reshape(-1))
        return batch.model.logits(rows).view(*laid.where[0].shape, -1)


FULL: dict[str, object] = {}
GRID: dict[str, object] = {"attention": "block_causal", "block_size": 8}


@pytest.mark.parametrize("scale", [0.0, 1.5], ids=["one stream", "two streams"])
@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize(("cache", "size"), [(Dual(), 8), (Dual(vicinity=3), 14), (Prefix(), 26), (Delayed(), 24)])
@pytest.mark.parametrize("block", [0, 1, 2])
def test_with_no_token_changed_the_cached_window_is_the_full_forward(
    make_transformer: Callable[..., MaskPredictor], cache: Cache, size: int, block: int, shift: int, scale: float
) -> None:
    model = make_transformer(shift=shift)
    recipe = Recipe(cache=cache, guidance=Guidance(scale), blocks=Blocks(8))
    row = Job((3, 1, 4, *holes(24), 7, 7), recipe).row(model.contract)
    row.open(block)
    batch = first_plan(model, row)
    window = row.plan()
    assert window.stored is not None and len(window.positions) + len(window.stored) == len(row.canvas)
    assert len(window.positions) <= size + shift
    full = NoCache().plan(row.view(window.reads))
    torch.testing.assert_close(forward(batch, window), forward(batch, full), atol=1e-5, rtol=0)

    row.canvas.tokens[0] = 9  # the same comparison sees a token that changed behind the cache's back
    stale = forward(batch, row.plan()) - forward(batch, replace(full, tokens=np.where(full.positions, full.tokens, 9)))
    assert stale[0].abs().max() > 1e-2


def test_a_refresh_yields_logits_and_commits_tokens() -> None:
    row, steps = alone(Hashed(), Job((1, *holes(8)), Recipe(blocks=Blocks(4), cache=Dual(every=2))))
    assert row.forwards == len(steps) == 8
    assert all(made.changes for made in steps)


def test_between_refreshes_only_the_window_is_computed() -> None:
    sizes: list[int] = []

    class Spy(Hashed):
        def hidden(self, batch: Packed) -> Tensor:
            sizes.append(sum(group.rows * group.queries for group in batch.groups if group.entries is not None))
            return super().hidden(batch)

    alone(Spy(), Job((1, *holes(16)), Recipe(blocks=Blocks(8), cache=Dual(every=100))))
    assert sizes == [17, *[8] * 7] * 2


def test_a_cache_that_asks_for_no_store_may_not_plan_one() -> None:
    class Greedy(Dual):
        def slots(self, length: int) -> int:
            return 0

        def plan(self, view: View) -> Plan:
            return replace(view.queries(np.arange(len(view.canvas))), stored=np.arange(2))

    with pytest.raises(RecipeError, match="asked for no store"):
        alone(Hashed(), Job((1, *holes(2)), Recipe(cache=Greedy())))


def test_a_slab_grows_for_later_rows_and_keeps_what_it_held(tiny: MaskPredictor) -> None:
    """Rows of like length that are admitted later make it grow under the first; a longer one has a slab of its own."""
    recipe = Recipe(blocks=Blocks(8), cache=Dual(every=100))
    early = Job((3, 1, 4, *holes(8)), recipe)
    late = [Job((*[2] * length, *holes(9)), replace(recipe, guidance=Guidance(1.0))) for length in (5, 30)]
    one, expected = alone(tiny, early)
    row, batch, made = early.row(tiny.contract), Batch(tiny), []
    batch.admit(row)
    while row.finish_reason is None:
        made += [step_ for of, step_ in step(batch) if of is row]
        if late and len(made) >= 2:
            batch.admit(late.pop(0).row(tiny.contract))
    assert not late and batch.entries == {32: 3, 64: 2}
    assert decisions(made) == decisions(expected) and tokens(row) == tokens(one)


@pytest.mark.parametrize(("device", "expected"), [("cpu", [[0], [2, 3], [0]]), ("meta", [[0, 2, 3], [0]])])
def test_cached_windows_of_like_lengths_are_computed_side_by_side(
    make_transformer: Callable[..., MaskPredictor], device: str, expected: list[list[int]]
) -> None:
    """Rows of up to 32 positions, each of which sees its own; a longer one lies in another slab. On a CPU entries that
    are adjacent, because keys are not copied there."""
    with torch.device(device):
        model = MaskPredictor(Transformer(make_transformer().model.config))
    batch = Batch(model)
    for length in (20, 25, 32, 21, 33):
        row = Job((1, *holes(length - 1)), Recipe(blocks=Blocks(4), cache=Dual(every=100))).row(model.contract)
        batch.admit(row)
        row.written[:] = 0
        row.clock = row.forwards = 1
    batch.evict(batch.rows[1])
    spans = lay(batch, [row.plan() for row in batch.rows]).spans
    assert [span.arrays["entries"].tolist() for span in spans] == expected
    seen = [span.arrays["visible"].sum(-1).tolist() for span in spans if span.rows > 1]
    assert seen == [[[32], [21]] if device == "cpu" else [[20], [32], [21]]]


@given(models, jobs())
def test_a_cache_whose_slots_hold_what_the_canvas_holds_is_no_cache(model: Fake, job: Job) -> None:
    """On fakes, to the last bit, under every recipe: with shadows over stored slots, edits, remasks and two streams."""
    runs = [
        alone(model, replace(job, recipe=replace(job.recipe, cache=cache)))
        for cache in (Delayed(every=None), NoCache())
    ]
    (row, steps), (other, others) = runs
    assert bits(steps) == bits(others) and tokens(row) == tokens(other)


def test_a_delayed_cache_computes_only_what_is_undecided_or_new() -> None:
    row, batch = Job((1, *holes(6)), Recipe(blocks=Whole(), cache=Delayed(every=None))).row(), Batch(Hashed())
    batch.admit(row)
    sizes = []
    while row.finish_reason is None:
        sizes.append(len(row.plan().positions))
        step(batch)
    assert sizes == [7, 6, 5, 4, 3, 2]


# --- block-causal models: the one exact cache ---


@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize("gap", [1, 4, 11, 16])
def test_keeping_finished_blocks_is_exact_where_attention_is_block_causal(
    make_transformer: Callable[..., MaskPredictor], shift: int, gap: int
) -> None:
    model = make_transformer(attention="block_causal", block_size=4, shift=shift)
    for cached, plain in both(model, Recipe(), (BlockCausal(), NoCache()), gap):
        assert cached == plain
    fake = Hashed(5, contract=replace(TOY, block_size=4, shift=shift))
    for cached, plain in both(fake, Recipe(), (BlockCausal(), NoCache()), gap):
        assert cached == plain


def test_the_same_cache_under_full_attention_is_not_exact(tiny: MaskPredictor) -> None:
    """The negative control: the law is the model's, not the cache's."""

    class Blockwise(BlockCausal):
        attention = "full"

        def plan(self, view: View) -> Plan:
            return super().plan(replace(view, contract=replace(view.contract, block_size=4)))

    told = both(tiny, Recipe(blocks=Blocks(4)), (Blockwise(), NoCache()))
    assert any(cached != plain for cached, plain in told)


def test_a_finished_block_is_kept_by_the_pass_that_begins_the_next(blockwise: MaskPredictor) -> None:
    """One fused forward a block: no forward of its own for the commit, and no query twice."""
    job = Job((1, 2, 3, 4, 5, 6, *holes(10)), Recipe(cache=BlockCausal()))
    row, batch = job.row(blockwise.contract), Batch(blockwise)
    batch.admit(row)
    shapes = []
    while row.finish_reason is None:
        plan = row.plan()
        assert plan.keep is not None and plan.stored is not None
        shapes.append((len(plan.positions), len(plan.stored), int((plan.keep >= 0).sum())))
        (made,) = step(batch)
        assert made[1].changes
    assert shapes == [(8, 0, 4), (4, 4, 0), (8, 4, 4), *[(4, 8, 0)] * 3, (8, 8, 4), *[(4, 12, 0)] * 3]
    assert row.forwards == 10


def test_a_recipe_cannot_change_a_models_own_grid(blockwise: MaskPredictor) -> None:
    with pytest.raises(RecipeError, match="grid of 4"):
        Job((1, *holes(4)), Recipe(blocks=Blocks(8))).row(blockwise.contract)


# --- shadow rows ---


def half_committed(model: Predictor, recipe: Recipe) -> Row:
    """A row whose window holds both committed and undecided positions."""
    row, batch = Job((3, 1, *holes(8), 6), recipe).row(model.contract), Batch(model)
    batch.admit(row)
    while row.canvas.committed.sum() < 3:
        step(batch)
    return row


def by_hand(row: Row, position: int) -> Plan:
    """The canvas and one [MASK] for each position of the window, as WINO's authors lay them, one cell at a time."""
    length, window = len(row.canvas), row.window.tolist()
    visible = np.zeros((length + len(window), length + len(window)), bool)
    for query in range(len(visible)):
        for key in range(len(visible)):
            is_shadow = query >= length
            own_column = is_shadow and key == window[query - length]
            visible[query, key] = not own_column if key < length else is_shadow
    everything = np.concatenate((np.arange(length), row.window))
    shadow = np.array([length + window.index(position)])
    masks = [row.canvas.mask_id] * len(window)
    return Plan(np.array([[*tokens(row), *masks]]), everything, np.array([position]), shadow, visible=visible)


@pytest.mark.parametrize("layers", [1, 2])
def test_a_shadow_row_sees_all_but_what_it_stands_for(
    make_transformer: Callable[..., MaskPredictor], layers: int
) -> None:
    model = make_transformer(n_layers=layers)
    row = half_committed(model, Recipe(blocks=Whole(), revise=WINO(0.0)))
    plan, batch = row.plan(), Batch(model)
    assert len(plan.positions) == len(row.canvas) + len(row.window)
    shadows = forward(batch, plan)[0]
    plain = forward(batch, row.recipe.cache.plan(row.view(plan.reads)))[0]
    committed = np.flatnonzero(row.canvas.committed[plan.reads])
    assert len(committed) == 3
    for i in committed:
        expected = forward(batch, by_hand(row, int(plan.reads[i])))[0, 0]
        torch.testing.assert_close(shadows[i], expected, atol=1e-5, rtol=0)
        assert (shadows[i] - plain[i]).abs().max() > 1e-2  # the control: with the token in sight it says something else


def test_under_a_right_shift_a_shadow_does_not_depend_on_the_token_that_it_judges(
    make_transformer: Callable[..., MaskPredictor],
) -> None:
    model = make_transformer(shift=1, n_layers=1)  # from two layers on the others have seen it
    row = half_committed(model, Recipe(blocks=Whole(), revise=WINO(0.0)))
    batch, place = Batch(model), int(np.flatnonzero(row.canvas.committed)[0])
    told = []
    for token in (3, 4):
        row.canvas.tokens[place] = token
        plan = row.plan()
        told.append(forward(batch, plan)[0, plan.reads.tolist().index(place)])
    torch.testing.assert_close(told[0], told[1], atol=1e-5, rtol=0)


@pytest.mark.parametrize("attention", [FULL, GRID], ids=["full", "block-causal"])
def test_nobody_sees_a_shadow_row(make_transformer: Callable[..., MaskPredictor], attention: dict[str, object]) -> None:
    """The undecided are read as if there were no shadows."""
    model = make_transformer(**attention)
    row = half_committed(model, Recipe(blocks=Auto() if attention else Whole(), revise=WINO(0.0)))
    with_shadows = row.plan()
    assert len(with_shadows.positions) > len(row.canvas)
    undecided = row.canvas.undecided[with_shadows.reads]
    without = NoCache().plan(row.view(with_shadows.reads))
    batch = Batch(model)
    first, second = forward(batch, with_shadows)[0], forward(batch, without)[0]
    torch.testing.assert_close(first[undecided], second[undecided], atol=1e-5, rtol=0)
    assert (first[~undecided] - second[~undecided]).abs().max() > 1e-2  # and the committed are not


@pytest.mark.parametrize("cache", [NoCache(), Dual(every=1), Dual(every=3)])
def test_a_doubted_token_goes_back_and_is_decided_again(cache: Cache) -> None:
    recipe = Recipe(blocks=Blocks(8), steps=8, revise=WINO(0.9), cache=cache)
    remasked = 0
    for seed in range(10):
        row, steps = alone(Hashed(seed), Job((1, *holes(16)), recipe))
        for made in steps:
            states = [change.state for change in made.changes]
            assert not states.count("masked") or states.count("committed") > 1
            remasked += states.count("masked")
        assert not row.canvas.undecided.any()
    assert remasked > 10


def test_a_key_that_is_not_kept_leaves_the_store_as_it_was(tiny: MaskPredictor) -> None:
    """A shadow's key is for its own forward: every slot but the window's holds what it held, the last one too."""
    row = Job((3, 1, *holes(8), 6), Recipe(blocks=Blocks(4), cache=Dual(every=100), revise=WINO(0.0))).row(
        tiny.contract
    )
    batch = Batch(tiny)
    batch.admit(row)
    step(batch)
    store = batch.slabs[rounded(len(row.canvas))].store
    before, plan = torch.stack(store.data)[..., :-1, :], row.plan()  # without the slot of what is not kept
    assert plan.keep is not None and (plan.keep < 0).any()
    step(batch)
    written = np.isin(np.arange(rounded(len(row.canvas))), plan.keep)
    same = (torch.stack(store.data)[..., :-1, :] == before).flatten(0, 3).all(0).all(-1).numpy()
    assert written.sum() == 4 and (same == ~written).all()


def test_shadow_rows_fit_a_stale_cache(tiny: MaskPredictor) -> None:
    """A shadow hides its column also when that is a stored slot, and its own key is never kept."""
    recipe = Recipe(blocks=Blocks(8), revise=WINO(0.5), cache=Dual(every=1), select=Threshold(0.3))
    for cached, plain in both(tiny, recipe, (Dual(every=1), NoCache())):
        assert cached == plain


# --- edits ---


def settling(position: int, seen: Tensor) -> Tensor:
    """Wants token 1 while two [MASK] are left, and token 2 from then on."""
    logits = torch.zeros(16)
    logits[1 if int((seen == MASK).sum()) > 1 else 2] = 9.0
    return logits


def test_an_edit_rewrites_what_is_committed_until_nothing_changes() -> None:
    row, steps = alone(Scripted(settling), Job((1, 1, *holes(3)), Recipe(blocks=Whole(), revise=Edit(0.5))))
    assert tokens(row) == [1, 1, 2, 2, 2]
    told = [[change.state for change in made.changes] for made in steps]
    # the last reveal comes with the edits, and one more look finds nothing to change
    assert told == [["committed"], ["committed"], ["revised", "revised", "committed"], []]


def test_an_edit_needs_its_threshold() -> None:
    row, _ = alone(Scripted(settling), Job((1, 1, *holes(3)), Recipe(blocks=Whole(), revise=Edit(1.0))))
    assert tokens(row) == [1, 1, 1, 1, 2]


def test_edits_that_would_go_on_for_ever_end() -> None:
    def undecided(position: int, seen: Tensor) -> Tensor:
        """Always wants another token than the one that is there."""
        logits = torch.zeros(16)
        logits[(int(seen[position]) + 1) % 12] = 9.0
        return logits

    row, steps = alone(Scripted(undecided), Job((1, *holes(6)), Recipe(blocks=Blocks(3), revise=Edit(0.5))))
    assert row.finish_reason == "length" and any(c.state == "revised" for made in steps for c in made.changes)


# --- two streams ---


def test_guidance_hides_what_is_given_from_its_second_stream() -> None:
    """u + (w + 1)(c - u), with u from a canvas on which every given token is [MASK]; committed ones stay."""
    seen: list[list[int]] = []

    def script(position: int, row: Tensor) -> Tensor:
        seen.append(row[:5].tolist())
        return torch.arange(16.0) * (2.0 if row[0] == MASK else 3.0)

    job = Job((7, None, None, 8), Recipe(blocks=Whole(), guidance=Guidance(0.5)), candidates=1)
    _, steps = alone(Scripted(script), job)
    conditional, unconditional = [7, MASK, MASK, 8, -1], [MASK, MASK, MASK, MASK, -1]
    assert seen[:4] == [conditional] * 2 + [unconditional] * 2
    assert seen[4:] == [[7, 14, MASK, 8, -1], [MASK, 14, MASK, MASK, -1]]
    guided = torch.arange(16.0) * (2.0 + 1.5 * (3.0 - 2.0))
    assert steps[0].guesses[0].confidence == pytest.approx(float(guided.softmax(0)[14]))


def test_guidance_of_0_costs_no_second_stream() -> None:
    row = Job((1, *holes(4)), Recipe(guidance=Guidance(0.0))).row()
    assert row.streams == 1 and row.plan().tokens.shape == (1, 5)
