"""Laws of what a row remembers: the sparse record is the dense table, and a divergence is never overstated."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from remask.decoding.canvas import Canvas
from remask.decoding.history import Credit, History, Memory, divergence
from remask.decoding.prior import Certain, Leftward
from remask.decoding.recipe import Recipe
from remask.decoding.selection import Stable
from remask.errors import RecipeError
from remask.options import apply
from tests.helpers.jobs import Job, alone, holes
from tests.helpers.strategies import models

VOCABULARY = 7
runs = st.tuples(st.integers(0, 99), st.integers(1, 9), st.sampled_from([0.5, 1.0, 2.0])).map(
    lambda r: r[2] * torch.randn((r[1], 4, VOCABULARY), generator=torch.Generator().manual_seed(r[0]))
)


def memory(history: History) -> Memory:
    return Memory(torch.from_numpy(history.tokens), torch.from_numpy(history.shares))


def remember(history: History, logits: Tensor, drift: Tensor) -> None:
    best = logits.softmax(1).topk(min(history.width, VOCABULARY))
    everywhere = np.arange(history.length)
    history.record(everywhere, best.indices.numpy(), best.values.numpy(), drift.numpy())


@given(runs, st.sampled_from([Credit(), Credit(2.0, 1.0, 0.5), Credit(1.0, 0.0, 1.0)]))
def test_credit_is_the_dense_table_of_the_paper(run: Tensor, rule: Credit) -> None:
    history, table = History(4, *rule.memory), torch.zeros(4, VOCABULARY)
    for logits in run:
        share, leader = logits.softmax(1).max(1)
        table *= rule.decay
        table[torch.arange(4), leader] += share**rule.power
        expected = logits + rule.strength * torch.log(1 + table)
        torch.testing.assert_close(rule.enhance(logits, memory(history)), expected, atol=1e-5, rtol=0)
        remember(history, logits, torch.zeros(4))


@given(runs, st.integers(1, VOCABULARY))
def test_a_coarse_divergence_is_a_lower_bound_and_exact_at_full_width(run: Tensor, width: int) -> None:
    history = History(4, 1, width)
    previous = None
    for logits in run:
        moved = divergence(logits, memory(history))
        if previous is None:
            assert moved.isinf().all()
        else:
            p, q = logits.double().softmax(1), previous.double().softmax(1)
            full = (p * (p.log() - q.log())).sum(1)
            assert (moved <= full * 1.001 + 1e-3).all() and (moved >= 0).all()
            if width == VOCABULARY:
                torch.testing.assert_close(moved.double(), full, atol=1e-4, rtol=1e-3)
        remember(history, logits, moved)
        previous = logits


def test_the_record_holds_the_latest_step_first_and_positions_apart() -> None:
    history = History(3, 2, 1)
    for step in (1, 2, 3):
        history.record(np.array([0, 2]), np.array([[step], [10 * step]]), np.ones((2, 1), np.float32), np.zeros(2))
    assert history.tokens[..., 0].tolist() == [[3, 2], [-1, -1], [30, 20]]


@given(models)
def test_credit_without_strength_is_no_credit(model: object) -> None:
    """The law that memory costs nothing where it adds nothing; any strength may change the run."""
    recipe = apply(Recipe(), block_length=4)
    told = [
        alone(model, Job((1, *holes(8)), Recipe(blocks=recipe.blocks, history=history)))[0].canvas.tokens.tolist()  # type: ignore[arg-type]
        for history in (Credit(strength=0.0), recipe.history)
    ]
    assert told[0] == told[1]


@given(models)
def test_a_row_knows_how_far_each_step_moved(model: object) -> None:
    row, steps = alone(model, Job((1, *holes(6)), Recipe(select=Stable(1.0, steps=2))))  # type: ignore[arg-type]
    assert row.forwards == len(steps) == 6  # nothing is surer than certain, so the schedule decides
    seen_twice = np.isfinite(row.history.drift[:, 0])
    assert not seen_twice[0] and seen_twice[1:].sum() >= 5  # all but the one that left in the first step


# --- priors ---


def test_a_leftward_prior_falls_from_the_start_of_the_window() -> None:
    canvas = Canvas.after([1, 2], 6, 15)
    weights = Leftward(0.5).weights(canvas, np.array([4, 5, 6]), np.array([4, 6]))
    assert weights.tolist() == pytest.approx([1.0, np.exp(-1.0)])


def test_certainty_is_higher_near_what_is_known() -> None:
    canvas = Canvas.after([1, 2, 3], 9, 15)
    weights = Certain(2.0).weights(canvas, np.arange(3, 12), np.arange(3, 12))
    assert (np.diff(weights) < 0).all() and 0 < weights[-1] < weights[0] < 1


def test_a_prior_does_not_multiply_negative_entropies() -> None:
    with pytest.raises(RecipeError, match="multiplies probabilities"):
        Recipe(confidence="entropy", prior=Leftward())
