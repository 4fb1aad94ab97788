"""Laws of selection: the kernel is the brute force, ties go to the lower position, and somebody always leaves."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from remask.errors import RecipeError
from remask.models.fakes import TOY, Hashed, Uniform
from remask.recipe import Recipe
from remask.selection import Selector, Threshold, TopK, select
from tests.laws.helpers import Job, alone, holes

# few values, so that they tie; NaN and -inf among them
values = st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0, -1.5, math.nan, -math.inf])
grids = st.integers(1, 9).flatmap(
    lambda width: st.lists(
        st.tuples(
            st.lists(values, min_size=width, max_size=width),
            st.lists(st.booleans(), min_size=width, max_size=width),
            st.integers(0, 10),
        ),
        min_size=1,
        max_size=5,
    )
)
rules: st.SearchStrategy[Selector] = st.one_of(
    st.just(TopK()), st.builds(Threshold, st.sampled_from([0.0, 0.5, 0.9, 1.0]), st.booleans())
)


def brute_force(rule: Selector, confidence: list[float], candidates: list[bool], quota: int) -> list[bool]:
    """One row, one position at a time."""
    ranked = [-math.inf if math.isnan(c) else c for c in confidence]
    order = sorted((i for i, candidate in enumerate(candidates) if candidate), key=lambda i: (-ranked[i], i))
    if isinstance(rule, Threshold):
        count = sum(ranked[i] > rule.threshold or (not rule.strict and ranked[i] == rule.threshold) for i in order)
    else:
        count = quota
    return [i in order[: max(1, count)] for i in range(len(confidence))]


@given(rules, grids)
def test_selection_is_the_brute_force(rule: Selector, grid: list[tuple[list[float], list[bool], int]]) -> None:
    confidence = torch.tensor([row for row, _, _ in grid], dtype=torch.float64)
    candidates = torch.tensor([row for _, row, _ in grid])
    quota = torch.tensor([row for _, _, row in grid])
    taken = select(rule, confidence, candidates, quota)
    assert taken.tolist() == [brute_force(rule, *row) for row in grid]
    assert not (taken & ~candidates).any()
    assert torch.equal(taken.any(1), candidates.any(1))  # at least one, unless there is none


def one(rule: Selector, confidence: list[float], quota: int = 1) -> list[bool]:
    row = torch.tensor([confidence])
    return select(rule, row, torch.ones_like(row, dtype=torch.bool), torch.tensor([quota]))[0].tolist()


def test_ties_go_to_the_lower_position() -> None:
    assert one(TopK(), [0.5, 0.9, 0.5, 0.9], 1) == [False, True, False, False]
    assert one(TopK(), [0.5, 0.9, 0.5, 0.9], 3) == [True, True, False, True]


def test_a_threshold_is_reached_or_if_strict_exceeded() -> None:
    assert one(Threshold(0.5), [0.5, 0.4, 0.6]) == [True, False, True]
    assert one(Threshold(0.5, strict=True), [0.5, 0.4, 0.6]) == [False, False, True]
    assert one(Threshold(0.9), [0.9, 0.8999]) == [True, False]  # 0.9 in float32 is 0.9


def test_candidates_that_are_all_nan_still_move_on() -> None:
    assert one(TopK(), [math.nan] * 3, 2) == [True, True, False]
    assert one(Threshold(0.0), [math.nan] * 3) == [True, False, False]


def test_a_row_without_candidates_selects_nothing() -> None:
    confidence = torch.tensor([[0.9, 0.8], [0.9, 0.8]])
    candidates = torch.tensor([[False, False], [False, True]])
    for rule in (TopK(), Threshold(0.0)):
        assert select(rule, confidence, candidates, torch.tensor([2, 2])).tolist() == [[False, False], [False, True]]


@pytest.mark.parametrize("rule", [TopK(), Threshold(0.5)])
def test_selection_keeps_its_hands_off_its_arguments(rule: Selector) -> None:
    confidence, candidates = torch.tensor([[0.9, math.nan, 0.1]]), torch.tensor([[True, True, False]])
    before = confidence.clone(), candidates.clone()
    select(rule, confidence, candidates, torch.tensor([1]))
    assert torch.equal(confidence.nan_to_num(), before[0].nan_to_num()) and torch.equal(candidates, before[1])


@pytest.mark.parametrize("threshold", [-0.1, 1.1, math.nan])
def test_a_threshold_outside_0_to_1_is_refused(threshold: float) -> None:
    with pytest.raises(RecipeError, match="must lie in"):
        Threshold(threshold)


def test_a_threshold_of_0_fills_each_block_in_one_step_and_of_1_one_at_a_time() -> None:
    job = Job((1, *holes(8)))
    for threshold, forwards in ((0.0, 1), (1.0, 8)):
        row, _ = alone(Uniform(), Job(job.template, Recipe.of(block_length=8, threshold=threshold)))
        assert row.forwards == forwards


@pytest.mark.parametrize("steps", [2, 3, 5, 8])
def test_the_schedule_says_how_many_leave(steps: int) -> None:
    _, made = alone(Hashed(), Job((1, *holes(16)), Recipe.of(block_length=8, steps=steps)))
    assert len(made) == steps
    counts = [len(step.changes) for step in made]
    first = -(-steps // 2)
    assert counts == [len(part) for n in (first, steps - first) for part in torch.arange(8).tensor_split(n)]


def most_confident(confidence: Tensor, count: int) -> set[int]:
    return set(confidence.argsort(descending=True, stable=True)[:count].tolist())


def test_the_most_confident_leave_first() -> None:
    _, made = alone(Hashed(2, contract=TOY), Job((1, *holes(12)), Recipe.of(block_length=12, steps=4)))
    for step in made:
        positions = [guess.position for guess in step.guesses]
        confidence = torch.tensor([guess.confidence for guess in step.guesses])
        chosen = most_confident(confidence, len(step.changes))
        assert {change.position for change in step.changes} == {positions[i] for i in chosen}
