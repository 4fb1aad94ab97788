"""Laws of chance: draws follow softmax(logits / T), as the authors' formula does, and nothing overflows."""

from dataclasses import replace
from itertools import combinations
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from remask.decoding import noise
from remask.decoding.blocks import Whole
from remask.decoding.process import keep_top_k, keep_top_p
from remask.decoding.propose import draw, greedy
from remask.decoding.recipe import Process, Recipe
from remask.decoding.scan import keep
from remask.engine.batch import Batch
from remask.engine.step import step
from remask.errors import RecipeError
from remask.testing import Oracle, Uniform
from tests.helpers.jobs import Job, alone, holes, run, tokens
from tests.helpers.statistics import fits

LOGITS = torch.tensor([2.0, 1.0, 0.5, 0.0, -1.0, -3.0, -torch.inf, 1.0])
MANY = 24_000


def keys(count: int, seed: int = 0) -> Tensor:
    """The keys of `count` positions, as the loop makes them."""
    return torch.from_numpy(noise.keys(seed, 0, np.arange(count)).view(np.int64))


def authors(logits: Tensor, temperature: float, unit: Tensor) -> Tensor:
    """LLaDA's `add_gumbel_noise`, as documented, in double precision: argmax of exp(z) / (-ln u)^T."""
    return (logits.double().exp() / (-unit.log()) ** temperature).argmax(-1)


def frequencies(drawn: Tensor, tokens: int = len(LOGITS)) -> np.ndarray:
    return np.bincount(drawn.numpy(), minlength=tokens)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 1.7, 5.0])
def test_draws_follow_the_tempered_softmax_and_so_do_the_authors(temperature: float) -> None:
    expected = (LOGITS.double() / temperature).softmax(0).numpy()
    ours = draw(LOGITS.expand(MANY, -1), temperature, keys(MANY))
    theirs = authors(LOGITS, temperature, torch.rand(MANY, 8, generator=torch.Generator().manual_seed(1)).double())
    assert fits(frequencies(ours), expected)
    assert fits(frequencies(theirs), expected)
    assert not fits(frequencies(ours), (LOGITS.double() / (temperature * 1.3)).softmax(0).numpy())  # it can tell


@pytest.mark.parametrize("temperature", [0.1, 0.7, 1.0, 2.5])
def test_with_the_same_noise_every_draw_is_the_authors(temperature: float) -> None:
    logits = torch.randn(400, 50, generator=torch.Generator().manual_seed(2)) * 3
    unit = torch.exp(-torch.exp(-noise.gumbel(keys(400), 50)))
    assert torch.equal(draw(logits, temperature, keys(400)), authors(logits, temperature, unit))


def test_temperature_0_is_greedy_with_ties_to_the_lower_id() -> None:
    logits = torch.tensor([[1.0, 3.0, 3.0, 0.0], [2.0, 2.0, 2.0, 2.0]])
    assert draw(logits, 0.0, keys(2)).tolist() == greedy(logits).tolist() == [1, 0]


@pytest.mark.parametrize("width", [128, 1024, 130])
def test_the_likeliest_is_the_first_of_the_largest_also_in_a_wide_vocabulary(width: int) -> None:
    logits = torch.randint(0, 3, (50, width), generator=torch.Generator().manual_seed(1)).float()
    logits[7], logits[8, 100:] = -torch.inf, torch.inf
    assert greedy(logits).tolist() == [row.index(max(row)) for row in logits.tolist()]


EXTREME = torch.tensor(
    [
        [1e38, -1e38, 0.0, 5.0],
        [-1e38, -1e38, -1e38, -3e38],
        [3e38, 3e38, -torch.inf, -3e38],
        [-torch.inf, -torch.inf, -3e38, -torch.inf],
        [0.0, 1e-38, -1e-38, -torch.inf],
        [-torch.inf, 0.0, 0.0, 0.0],
    ]
)


@pytest.mark.parametrize("temperature", [1e-6, 1e-3, 1.0, 1e3, 1e6])
def test_no_temperature_and_no_finite_logit_overflows(temperature: float) -> None:
    for seed in range(200):
        drawn = draw(EXTREME, temperature, keys(len(EXTREME), seed))
        assert torch.isfinite(EXTREME.gather(1, drawn[:, None])).all()  # a valid id, never one at -inf
    assert drawn[3] == 2


def test_a_low_temperature_is_greedy_and_a_high_one_uniform() -> None:
    assert set(draw(LOGITS.expand(2000, -1), 1e-6, keys(2000)).tolist()) == {0}
    possible = torch.isfinite(LOGITS).numpy()
    assert fits(frequencies(draw(LOGITS.expand(MANY, -1), 1e6, keys(MANY))), possible)


@given(st.integers(-(2**63), 2**63 - 1))
def test_noise_is_finite_for_every_key(key: int) -> None:
    assert torch.isfinite(noise.gumbel(torch.tensor([key]), 64)).all()


@pytest.mark.parametrize("bits", [0, 1, 2**64 - 1, 2**64 - 2**10, 2**63])
def test_noise_is_finite_also_for_the_rarest_bits(bits: int) -> None:
    """All ones and all zeros come once in 2**53 draws: often enough for somebody."""
    source = unmixed(bits)
    key = (source - noise._GOLDEN) % 2**64
    assert torch.isfinite(noise.gumbel(torch.tensor([key - 2**64 if key >= 2**63 else key]), 1)).all()
    unit = noise.uniform(np.array([source], np.uint64))
    assert ((unit > 0) & (unit < 1)).all()


def unmixed(bits: int) -> int:
    """The number that SplitMix64's finaliser turns into `bits`: it is a bijection."""
    x = bits ^ (bits >> 31) ^ (bits >> 62)
    x = x * pow(noise._M2, -1, 2**64) % 2**64
    x = x ^ (x >> 27) ^ (x >> 54)
    x = x * pow(noise._M1, -1, 2**64) % 2**64
    return x ^ (x >> 30) ^ (x >> 60)


def test_noise_is_that_of_a_gumbel_distribution() -> None:
    sample = noise.gumbel(keys(2000), 50).flatten().numpy()
    cells = np.histogram(np.exp(-np.exp(-sample)), bins=40, range=(0, 1))[0]
    assert fits(cells, np.ones(40))
    unit = noise.uniform(noise.keys(3, 5, np.arange(50_000)))
    assert fits(np.histogram(unit, bins=40, range=(0, 1))[0], np.ones(40))


def test_draws_at_other_positions_steps_and_seeds_are_independent() -> None:
    """Neighbouring positions, steps, seeds and tokens: no correlation above 4 standard deviations."""

    def sample(seed: int, at: int, first: int) -> np.ndarray:
        key = noise.keys(seed, at, np.arange(first, first + 4000))
        return noise.gumbel(torch.from_numpy(key.view(np.int64)), 4).numpy()

    base = sample(0, 0, 0)
    others = [sample(0, 0, 1), sample(0, 1, 0), sample(1, 0, 0), sample(1, 1, 0), np.roll(base, 1, axis=1)]
    for one, other in combinations([base, *others], 2):
        correlation = np.corrcoef(one.flatten(), other.flatten())[0, 1]
        assert abs(correlation) < 4 / np.sqrt(base.size)
    assert np.corrcoef(base.flatten(), sample(0, 0, 0).flatten())[0, 1] > 0.999


def test_the_draw_and_the_random_score_do_not_share_their_numbers() -> None:
    row = Job((1, *holes(60)), seed=4).row()
    positions = np.arange(61)
    assert not np.isclose(row.scores(positions), noise.uniform(row.keys(positions)).astype(np.float32)).any()


# --- filters ---

logit_rows = st.lists(
    st.sampled_from([-3.0, -1.0, 0.0, 0.5, 0.5, 1.0, 2.0, 7.0, -np.inf]), min_size=2, max_size=12
).filter(lambda row: max(row) > -np.inf)


@given(logit_rows, st.integers(1, 13))
def test_top_k_keeps_the_k_largest_and_what_equals_the_last(row: list[float], k: int) -> None:
    kept = torch.isfinite(keep_top_k(torch.tensor([row]), k))[0].tolist()
    cut = sorted(row, reverse=True)[min(k, len(row)) - 1]
    assert kept == [value >= cut and value > -np.inf for value in row]


@given(logit_rows, st.sampled_from([1e-9, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99]))
def test_top_p_keeps_the_smallest_set_that_reaches_p(row: list[float], p: float) -> None:
    kept = torch.isfinite(keep_top_p(torch.tensor([row]), p))[0].tolist()
    probability = np.exp(np.array(row) - max(row))
    probability /= probability.sum()
    order = sorted(range(len(row)), key=lambda i: (-row[i], i))
    before = np.cumsum([0.0, *probability[order]])[:-1]
    expected = {i for i, mass in zip(order, before, strict=True) if mass < p - 1e-6 and row[i] > -np.inf}
    allowed = {i for i, mass in zip(order, before, strict=True) if mass < p + 1e-6}
    mine = {i for i, keeps in enumerate(kept) if keeps}
    assert expected <= mine <= allowed and order[0] in mine


def test_top_p_of_1_and_top_k_of_all_keep_everything() -> None:
    logits = torch.tensor([[1.0, 0.0, -200.0]])
    assert torch.equal(keep_top_p(logits, 1.0), logits) and torch.equal(keep_top_k(logits, 3), logits)


def test_filters_change_the_draw_and_never_the_score() -> None:
    oracle = Oracle([2] * 9, 0.6)
    plain, filtered = (
        alone(oracle, Job((1, *holes(8)), Recipe(process=process)))[1]
        for process in (Process(), Process(temperature=1.0, top_k=1))
    )
    assert [made.guesses for made in plain] == [made.guesses for made in filtered]


def test_temperature_acts_on_the_draw_and_never_on_the_score() -> None:
    _, steps = alone(Oracle([2] * 40, 0.6), Job((1, *holes(39)), Recipe(process=Process(temperature=2.0))))
    for made in steps:
        for guess in made.guesses:
            assert guess.confidence == pytest.approx(0.6 if guess.token == 2 else 0.4 / 15, rel=1e-5)


def test_a_row_draws_as_the_softmax_says() -> None:
    """Through the whole loop: the first guesses of many seeds."""
    recipe = Recipe(blocks=Whole(), process=Process(temperature=1.0))
    jobs = [Job((1, *holes(20)), recipe, seed) for seed in range(120)]
    batch = Batch(Oracle([2] * 21, 0.5))
    for job in jobs:
        batch.admit(job.row())
    drawn = [guess.token for _, made in step(batch) for guess in made.guesses]
    assert fits(np.bincount(drawn, minlength=16)[:15], [0.5 if t == 2 else 0.5 / 15 for t in range(15)])


# --- random remasking ---


def test_random_remasking_reveals_every_position_first_equally_often() -> None:
    recipe = Recipe(blocks=Whole(), confidence="random")
    batch = Batch(Uniform())
    for seed in range(1500):
        batch.admit(Job((1, *holes(6)), recipe, seed).row())
    first = [made.changes[0].position for _, made in step(batch)]
    assert fits(np.bincount(first, minlength=7)[1:], np.ones(6))


def test_random_remasking_goes_through_all_orders() -> None:
    recipe = Recipe(blocks=Whole(), confidence="random")
    runs = run(Uniform(), [Job((1, *holes(3)), recipe, seed) for seed in range(600)])
    orders = [tuple(made.changes[0].position for made in steps) for _, steps in runs]
    counts = {order: orders.count(order) for order in set(orders)}
    assert len(counts) == 6 and fits(list(counts.values()), np.ones(6))
    assert {tuple(tokens(row)) for row, _ in runs} == {(1, 0, 0, 0)}


@pytest.mark.parametrize(("filters", "kept"), [("top_k_first", [0]), ("top_p_first", [0, 1])])
def test_the_order_of_the_filters_decides_what_is_left(
    filters: Literal["top_k_first", "top_p_first"], kept: list[int]
) -> None:
    """Of two tokens with 0.5 and 0.2, the first alone holds 0.65 of what top_k leaves, but not of all."""
    logits = torch.tensor([[0.5, 0.2, 0.1, 0.1, 0.05, 0.05]]).log()
    left = keep(logits, Process(top_k=2, top_p=0.65, filters=filters))
    assert torch.isfinite(left)[0].nonzero()[:, 0].tolist() == kept
    for one in (Process(top_k=3, filters=filters), Process(top_p=0.75, filters=filters)):
        assert torch.equal(keep(logits, one), keep(logits, replace(one, filters="top_k_first")))


def test_an_unknown_order_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"unknown process\.filters 'top_x_first'; known: top_k_first, top_p_first"):
        Recipe.load("llada").change({"process.filters": "top_x_first"})
    with pytest.raises(RecipeError, match=r"unknown select\.rule 'x'; known: paper, released"):
        Recipe.load("fast-dllm-factor+select.rule=x")
