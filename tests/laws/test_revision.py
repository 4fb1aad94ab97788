"""Laws of revision: who goes back, that the count adds up, and that ancestral remasking keeps the marginals."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from remask.decoding.blocks import Adaptive, Blocks, Whole
from remask.decoding.recipe import Recipe
from remask.decoding.revision import RCR, WINO, Edit, ReMDM
from remask.decoding.selection import Bernoulli, Threshold, TopK
from remask.engine.row import Row
from remask.errors import RecipeError
from remask.models.predictor import MaskPredictor
from remask.testing import TOY, Hashed, Scripted, Uniform
from tests.helpers.jobs import Job, alone, holes, run, tokens
from tests.helpers.strategies import MASK


@pytest.mark.parametrize("steps", [3, 5, 8])
def test_running_confidence_keeps_the_schedule_and_sends_the_least_sure_back(steps: int) -> None:
    recipe = Recipe(blocks=Whole(), steps=steps, revise=RCR())
    remasked = 0
    for seed in range(8):
        row, made = alone(Hashed(seed), Job((1, *holes(8)), recipe))
        kept = np.cumsum(row.quotas[0])
        for step, total in zip(made, kept, strict=True):
            states = [change.state for change in step.changes]
            remasked += states.count("masked")
            assert 8 - step.undecided == total
        assert not row.canvas.undecided.any()
    assert remasked > 3


def test_what_running_confidence_keeps_is_the_surest_of_old_and_new() -> None:
    recipe = Recipe(blocks=Whole(), steps=4, revise=RCR())
    _, steps = alone(Hashed(3), Job((1, *holes(8)), recipe))
    stored: dict[int, float] = {}
    for step in steps:
        now = {g.position: g.confidence for g in step.guesses if g.position not in stored} | stored
        changed = {c.position: c.state for c in step.changes}
        after = {p for p in now if changed.get(p) == "committed" or (p in stored and changed.get(p) != "masked")}
        assert min(now[p] for p in after) >= max((now[p] for p in now if p not in after), default=-1.0)
        stored = {p: now[p] for p in after}


@pytest.mark.parametrize("schedule", ["cap", "rescale", "conf"])
def test_remasking_keeps_the_share_of_masks_that_the_schedule_has_at_each_time(schedule: str) -> None:
    """In expectation t of the positions are masked at time t, whatever sigma is; here over many rows, to 4 sigma."""
    length, steps, rows = 16, 8, 60
    recipe = Recipe(blocks=Whole(), steps=steps, revise=ReMDM(0.5, schedule), select=Bernoulli())  # type: ignore[arg-type]
    jobs = [Job((1, *holes(length)), recipe, seed=seed) for seed in range(rows)]
    done = run(Uniform(), jobs)
    back = sum(change.state == "masked" for _, made in done for step in made for change in step.changes)
    assert back > rows / 4
    for k in range(steps - 1):
        masked = np.mean([made[k].undecided if k < len(made) else 0 for _, made in done]) / length
        expected = 1 - (k + 1) / steps
        if schedule == "conf":  # sigma is zero for a mask, so what goes back is not made up for
            assert masked > expected - 4 * (0.25 / (rows * length)) ** 0.5
        else:
            assert masked == pytest.approx(expected, abs=4 * (0.25 / (rows * length)) ** 0.5)
    assert all(not row.canvas.undecided.any() for row, _ in done)


def test_wino_reveals_no_more_than_its_share() -> None:
    recipe = Recipe(blocks=Whole(), select=Threshold(0.0), revise=WINO(0.0))
    _, steps = alone(Uniform(), Job((1, *holes(40)), recipe))
    counts = [sum(change.state == "committed" for change in step.changes) for step in steps]
    left, expected = 40, []
    while left:
        expected.append(min(max(left * 7 // 10, 5), 20, left))
        left -= expected[-1]
    assert counts == expected


def test_wino_sends_back_fewer_than_the_step_before_revealed() -> None:
    recipe = Recipe(blocks=Whole(), select=Threshold(0.0), revise=WINO(1.0))
    for seed in range(6):
        _, steps = alone(Hashed(seed), Job((1, *holes(30)), recipe))
        before = 30
        for step in steps:
            states = [change.state for change in step.changes]
            assert states.count("masked") <= max(0, before - 1)
            before = states.count("committed")


def test_sending_back_what_would_now_be_said_otherwise_ends() -> None:
    def fickle(position: int, seen: Tensor) -> Tensor:
        logits = torch.zeros(16)
        logits[1 + int((seen == MASK).sum()) % 5] = 9.0
        return logits

    recipe = Recipe(blocks=Blocks(6), revise=Edit(0.9, remask=True))
    row, steps = alone(Scripted(fickle), Job((1, *holes(6)), recipe))
    assert any(change.state == "masked" for step in steps for change in step.changes)
    assert not row.canvas.undecided.any()


def test_edits_need_a_model_that_was_trained_so(tiny: MaskPredictor) -> None:
    with pytest.raises(RecipeError, match="not trained to rewrite"):
        Job((1, *holes(4)), Recipe(revise=Edit())).row(tiny.contract)
    assert isinstance(Job((1, *holes(4)), Recipe(revise=Edit(remask=True))).row(tiny.contract), Row)


def test_remasking_by_coin_replaces_the_selector() -> None:
    with pytest.raises(RecipeError, match="bernoulli"):
        Recipe(revise=ReMDM(), select=TopK())


@pytest.mark.parametrize(
    "rule", [lambda: Edit(1.5), lambda: Edit(patience=-1), lambda: ReMDM(2), lambda: WINO(-1), lambda: ReMDM(0.1, "x")]
)
def test_what_a_reviser_cannot_use_is_refused(rule: Callable[[], object]) -> None:
    with pytest.raises(RecipeError, match="revise"):
        rule()


# --- blocks that are cut as they come ---


def pausing(position: int, seen: Tensor) -> Tensor:
    """A line of four tokens, then the delimiter 7, and so on."""
    logits = torch.zeros(16)
    logits[7 if position % 5 == 0 else 2] = 5.0
    return logits


def test_a_block_ends_with_the_surest_pause() -> None:
    recipe = Recipe(blocks=Adaptive(3, 8, 0.3, (7,)))
    row, steps = alone(Scripted(pausing), Job((1, *holes(14)), recipe))
    assert [window.tolist() for window in row.windows] == [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10], [11, 12, 13], [14]]
    assert tokens(row) == [1, 2, 2, 2, 2, 7, 2, 2, 2, 2, 7, 2, 2, 2, 2]
    assert len(steps) == 14


def test_without_a_pause_a_block_has_its_length() -> None:
    recipe = Recipe(blocks=Adaptive(3, 8, 0.3, (9,)), steps=4)
    row, steps = alone(Scripted(pausing), Job((1, *holes(8)), recipe))
    assert [len(window) for window in row.windows] == [3, 3, 2]
    assert sum(len(step.changes) for step in steps) == 8


@pytest.mark.parametrize("values", [(0, 8), (9, 8), (3, 8, 2.0), (3, 8, 0.3, ())])
def test_blocks_that_cannot_be_are_refused(values: tuple[object, ...]) -> None:
    with pytest.raises(RecipeError, match="blocks"):
        Adaptive(*values)  # type: ignore[arg-type]


def test_pauses_are_spelled_by_the_tokenizer_and_must_be_one_token() -> None:
    recipe = Recipe(blocks=Adaptive(delimiters=("\n", 5)))
    spelled = recipe.spelled(lambda text: [7] * len(text))
    assert isinstance(spelled.blocks, Adaptive) and spelled.blocks.delimiters == (7, 5)
    with pytest.raises(RecipeError, match="2 tokens"):
        Recipe(blocks=Adaptive(delimiters=("ab",))).spelled(lambda text: [7] * len(text))
    with pytest.raises(RecipeError, match="need a tokenizer"):
        recipe.fit(TOY, 8)
