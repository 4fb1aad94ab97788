"""Laws of selection: the kernel is the brute force, ties go to the lower position, and somebody always leaves."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from remask.decoding.grid import Grid
from remask.decoding.recipe import Recipe
from remask.decoding.selection import (
    SELECTORS,
    Bernoulli,
    Dynamic,
    EntropyBound,
    Factor,
    Frechet,
    GumbelTopK,
    Neighbour,
    Segment,
    Selector,
    Sequential,
    Stable,
    Threshold,
    TopK,
    select,
)
from remask.errors import RecipeError
from remask.options import apply
from remask.testing import TOY, Hashed, Uniform
from tests.helpers.jobs import Job, alone, holes

# few values, so that they tie; NaN and -inf among them
values = st.sampled_from([0.0, 0.25, 0.5, 0.9, 0.99, 1.0, -1.5, math.nan, -math.inf])
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


def laid(confidence: Tensor, candidate: Tensor, quota: Tensor, **more: Tensor) -> Grid:
    """A grid of nothing but what selection looks at; positions 0, 1, 2, 4, 5, 6, 8, …"""
    width = torch.arange(confidence.shape[1])
    nothing = torch.zeros_like(candidate)
    blank = torch.zeros_like(confidence, dtype=torch.long)
    values = {
        "valid": torch.ones_like(candidate), "position": (width + width // 3).expand_as(blank), "candidate": candidate,
        "committed": nothing, "current": blank, "stored": confidence, "guess": blank, "confidence": confidence,
        "quota": quota, "time": torch.tensor([[1.0, 0.5]]).expand(len(quota), 2), "previous": quota,
    }  # fmt: skip
    return Grid(**values | more)


def chosen(rule: Selector, confidence: list[float], quota: int = 1, **more: Tensor) -> list[bool]:
    row = torch.tensor([confidence])
    return select(rule, laid(row, torch.ones_like(row, dtype=torch.bool), torch.tensor([quota]), **more))[0].tolist()


# --- the brute force, one row and one position at a time ---

Row = tuple[list[float], list[int], int]  # confidences, candidates from the most confident on, quota


def as_many_as(rule: Selector, row: Row) -> int:
    confidence, order, quota = row
    best = [confidence[i] for i in order]
    if isinstance(rule, Threshold):
        return sum(c > rule.threshold or (not rule.strict and c == rule.threshold) for c in best)
    if isinstance(rule, Dynamic):
        return max(quota, sum(c > rule.threshold for c in best))
    if isinstance(rule, Factor):
        return max((n for n, c in enumerate(best, 1) if (n + 1) * (1 - c) < rule.factor - 1e-9), default=0)
    if isinstance(rule, Frechet):
        gains = [sum(best[:n]) - (n - 1) - (1 - c) for n, c in enumerate(best, 1)]
        return max((n for n, gain in enumerate(gains, 1) if gain > rule.margin + 1e-9), default=0)
    return quota


counting = st.one_of(
    st.just(TopK()),
    st.builds(Threshold, st.sampled_from([0.0, 0.5, 0.9, 1.0]), st.booleans()),
    st.builds(Dynamic, st.sampled_from([0.0, 0.5, 0.9])),
    st.builds(Factor, st.sampled_from([0.5, 1.0, 3.0])),
    st.builds(Frechet, st.sampled_from([0.0, 0.02, 0.5])),
)


@given(counting, grids)
def test_rules_that_count_are_the_brute_force(rule: Selector, grid: list[tuple[list[float], list[bool], int]]) -> None:
    confidence = torch.tensor([row for row, _, _ in grid], dtype=torch.float64)
    candidates = torch.tensor([row for _, row, _ in grid])
    quota = torch.tensor([row for _, _, row in grid])
    taken = select(rule, laid(confidence, candidates, quota))
    for row, (numbers, open_, wanted) in zip(taken.tolist(), grid, strict=True):
        ranked = [-1e308 if math.isnan(c) or c == -math.inf else c for c in numbers]
        order = sorted((i for i, candidate in enumerate(open_) if candidate), key=lambda i: (-ranked[i], i))
        count = as_many_as(rule, (ranked, order, wanted))
        assert row == [i in order[: max(1, count)] for i in range(len(ranked))]


@given(st.sampled_from(sorted(SELECTORS)), grids, st.integers(0, 99))
def test_somebody_leaves_and_only_candidates_do(
    name: str, grid: list[tuple[list[float], list[bool], int]], seed: int
) -> None:
    confidence = torch.tensor([row for row, _, _ in grid])
    candidates = torch.tensor([row for _, row, _ in grid])
    noise = torch.rand(confidence.shape, generator=torch.Generator().manual_seed(seed))
    more = {"entropy": noise * 3, "uniform": noise.clamp(1e-6, 1 - 1e-6), "drift": noise[..., None].expand(-1, -1, 2)}
    seen = laid(confidence, candidates, torch.tensor([row for _, _, row in grid]), **more)
    before = confidence.clone(), candidates.clone()
    taken = select(SELECTORS[name](), seen)
    assert not (taken & ~candidates).any()
    assert torch.equal(taken.any(1), candidates.any(1))
    assert torch.equal(confidence.nan_to_num(), before[0].nan_to_num()) and torch.equal(candidates, before[1])


# --- each rule by itself; numbers without a comment are worked out by hand ---

# The paper's rule of arXiv 2505.22618, Thm. 1, against what the released loop does with the last failing token.
FACTOR = [
    ([0.2], 1),
    ([0.9, 0.1], 1),  # released: 2
    ([0.9, 0.8, 0.1], 2),  # released: 3
    ([0.99, 0.98, 0.97, 0.1], 3),  # released: 4
    ([0.99] * 4, 4),
    ([0.9] * 12, 8),  # 10 · 0.1 is not less than 1
    ([0.999, 0.99, 0.95, 0.9, 0.85, 0.7], 5),
    ([0.999] * 6 + [0.9] * 3, 8),
]


@pytest.mark.parametrize(("confidence", "count"), FACTOR)
def test_the_factor_rule_is_the_papers(confidence: list[float], count: int) -> None:
    exact = torch.tensor([confidence], dtype=torch.float64)
    everyone = torch.ones_like(exact, dtype=torch.bool)
    assert int(select(Factor(), laid(exact, everyone, torch.tensor([1]))).sum()) == count


@pytest.mark.parametrize(
    ("confidence", "count"), [([0.999, 0.99, 0.95, 0.9, 0.85, 0.7], 6), ([0.999] * 6 + [0.9] * 3, 9)]
)
def test_the_frechet_rule_takes_at_least_the_factors(confidence: list[float], count: int) -> None:
    assert sum(chosen(Frechet(0.0), confidence)) == count


def test_the_entropy_bound_leaves_out_the_largest() -> None:
    spread = torch.tensor([[0.02, 0.5, 0.05, 0.04]])
    assert chosen(EntropyBound(0.05), [0.9, 0.2, 0.8, 0.85], entropy=spread) == [True, False, False, True]
    assert chosen(EntropyBound(0.07), [0.9, 0.2, 0.8, 0.85], entropy=spread) == [True, False, True, True]
    assert chosen(EntropyBound(0.11), [0.9, 0.2, 0.8, 0.85], entropy=spread) == [True] * 4  # 0.61 less 0.5


def test_each_run_of_masks_is_led_by_its_surest() -> None:
    # positions 0 1 2 | 4 5 6: the gap at 3 parts two runs
    assert chosen(Segment(0.8, 0.4), [0.5, 0.6, 0.6, 0.3, 0.35, 0.2]) == [False, True, False, False, False, False]
    assert chosen(Segment(0.8, 0.4), [0.9, 0.95, 0.1, 0.5, 0.45, 0.5]) == [True, True, False, True, False, False]


def test_neighbours_of_the_sure_need_less() -> None:
    # positions 0 1 2 4 5 6
    assert chosen(Neighbour(0.9, 0.5, 2), [0.6, 0.4, 0.6, 0.95, 0.6, 0.6]) == [False, False, True, True, True, True]
    assert chosen(Neighbour(0.9, 0.5, 1), [0.6, 0.4, 0.6, 0.95, 0.6, 0.6]) == [False, False, False, True, True, False]


def test_in_order_means_the_leftmost() -> None:
    assert chosen(Sequential(), [0.1, 0.9, 0.5, 1.0], 2) == [True, True, False, False]


def test_the_last_step_of_ancestral_sampling_takes_all() -> None:
    coins = torch.tensor([[0.1, 0.49, 0.51, 0.99]])
    assert chosen(Bernoulli(), [0.5] * 4, uniform=coins) == [True, True, False, False]  # half of the time is left
    last = torch.tensor([[0.25, 0.0]])
    assert chosen(Bernoulli(), [0.5] * 4, uniform=coins, time=last) == [True] * 4


@pytest.mark.parametrize("steps", [1, 2, 7, 512])
def test_time_that_ends_before_0_leaves_more_for_the_last_step(steps: int) -> None:
    """Dream's `origin`: t falls from 1 to 1/1000, and p = 1 - s/t at all steps but the last."""
    times = [1 - (1 - 1e-3) * i / steps for i in range(steps + 1)]
    for i, (t, s) in enumerate(pairwise(times)):
        p = 1 - s / t if i + 1 < steps else 1.0
        coins = torch.tensor([[max(0.0, p - 1e-4), p + 1e-4 if p < 1 else 0.9999]])
        now = torch.tensor([[1 - i / steps, 1 - (i + 1) / steps]])
        assert chosen(Bernoulli(eps=1e-3), [0.5] * 2, uniform=coins, time=now) == [True, p == 1]


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@given(factor=st.sampled_from([0.3, 1.0, 2.0]), confidence=st.lists(st.floats(0, 0.999), min_size=5, max_size=5))
def test_the_released_factor_rule_takes_what_its_loop_takes(count: int, factor: float, confidence: list[float]) -> None:
    """The loop stops at the first that fails, and adds one where it stands on the last candidate."""
    sure = sorted(confidence[:count], reverse=True)
    bounds = [-1.0, *(1 - factor / (n + 1) for n in range(2, count + 1))]
    assume(all(abs(c - bound) > 1e-6 for c, bound in zip(sure, bounds, strict=True)))
    at = next((i for i, (c, bound) in enumerate(zip(sure, bounds, strict=True)) if c < bound), count - 1)
    taken = at + 1 if at in (0, count - 1) else at
    assert sum(chosen(Factor(factor, "released"), confidence[:count])) == taken
    assert sum(chosen(Factor(factor), confidence[:count])) in (taken, taken - 1)


def test_noise_orders_as_multinomial_draws_without_replacement() -> None:
    """The first of two is drawn with probability softmax(c / T); the set of two with the sum over both orders."""
    confidence, temperature, trials = torch.tensor([0.1, 0.5, 0.9]), 0.5, 20_000
    noise = torch.rand((trials, 3), generator=torch.Generator().manual_seed(5))
    everyone = torch.ones(trials, 3, dtype=torch.bool)
    rows = laid(confidence.expand(trials, 3), everyone, torch.full((trials,), 2), uniform=noise)
    left = (~select(GumbelTopK(temperature), rows)).double().mean(0)
    p = (confidence.double() / temperature).softmax(0)
    for i in range(3):
        j, k = (n for n in range(3) if n != i)
        stays = p[j] * p[k] / (1 - p[j]) + p[k] * p[j] / (1 - p[k])
        assert float(left[i]) == pytest.approx(float(stays), abs=5 * (0.25 / trials) ** 0.5)


def test_the_stable_go_together_and_else_the_quota() -> None:
    drift = torch.tensor([[[0.001, 0.002], [0.001, 0.5], [0.0, 0.0], [math.inf, math.inf]]])
    assert chosen(Stable(0.6, 0.01), [0.9, 0.99, 0.5, 0.99], drift=drift) == [True, False, False, False]
    assert chosen(Stable(0.95, 0.01), [0.9, 0.99, 0.5, 0.99], 2, drift=drift) == [False, True, False, True]


def test_ties_go_to_the_lower_position() -> None:
    assert chosen(TopK(), [0.5, 0.9, 0.5, 0.9], 1) == [False, True, False, False]
    assert chosen(TopK(), [0.5, 0.9, 0.5, 0.9], 3) == [True, True, False, True]


def test_a_threshold_is_reached_or_if_strict_exceeded() -> None:
    assert chosen(Threshold(0.5), [0.5, 0.4, 0.6]) == [True, False, True]
    assert chosen(Threshold(0.5, strict=True), [0.5, 0.4, 0.6]) == [False, False, True]
    assert chosen(Threshold(0.9), [0.9, 0.8999]) == [True, False]  # 0.9 in float32 is 0.9


def test_candidates_that_are_all_nan_still_move_on() -> None:
    assert chosen(TopK(), [math.nan] * 3, 2) == [True, True, False]
    assert chosen(Threshold(0.0), [math.nan] * 3) == [True, False, False]


BAD: list[tuple[type, dict[str, float]]] = [
    *[(Threshold, {"threshold": t}) for t in (-0.1, 1.1, math.nan)],
    *[
        (Dynamic, {"threshold": 2}),
        (Factor, {"factor": -1}),
        (Frechet, {"margin": math.nan}),
        (EntropyBound, {"gamma": -1}),
    ],
    *[(Segment, {"low": 2}), (Neighbour, {"reach": -1}), (GumbelTopK, {"temperature": 0}), (Stable, {"steps": 0})],
]


@pytest.mark.parametrize(("rule", "values"), BAD)
def test_what_a_rule_cannot_use_is_refused(rule: type, values: dict[str, float]) -> None:
    with pytest.raises(RecipeError, match="must lie in"):
        rule(**values)


def test_a_threshold_of_0_fills_each_block_in_one_step_and_of_1_one_at_a_time() -> None:
    job = Job((1, *holes(8)))
    for threshold, forwards in ((0.0, 1), (1.0, 8)):
        row, _ = alone(Uniform(), Job(job.template, apply(Recipe(), block_length=8, threshold=threshold)))
        assert row.forwards == forwards


@pytest.mark.parametrize("steps", [2, 3, 5, 8])
def test_the_schedule_says_how_many_leave(steps: int) -> None:
    _, made = alone(Hashed(), Job((1, *holes(16)), apply(Recipe(), block_length=8, steps=steps)))
    assert len(made) == steps
    counts = [len(step.changes) for step in made]
    first = -(-steps // 2)
    assert counts == [len(part) for n in (first, steps - first) for part in torch.arange(8).tensor_split(n)]


def most_confident(confidence: Tensor, count: int) -> set[int]:
    return set(confidence.argsort(descending=True, stable=True)[:count].tolist())


def test_the_most_confident_leave_first() -> None:
    _, made = alone(Hashed(2, contract=TOY), Job((1, *holes(12)), apply(Recipe(), block_length=12, steps=4)))
    for step in made:
        positions = [guess.position for guess in step.guesses]
        confidence = torch.tensor([guess.confidence for guess in step.guesses])
        chosen = most_confident(confidence, len(step.changes))
        assert {change.position for change in step.changes} == {positions[i] for i in chosen}
