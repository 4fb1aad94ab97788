"""Intervals: known values, and the equations that define them."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from remask.evals.statistics import Z, clustered, tango, wilson


def test_wilson_intervals_hold_known_values_and_stay_in_the_unit_interval() -> None:
    low, high = wilson(50, 100)
    assert (round(low, 4), round(high, 4)) == (0.4038, 0.5962)
    assert wilson(0, 10)[0] == 0.0 and wilson(10, 10)[1] == 1.0
    assert wilson(0, 0) == (0.0, 1.0)


def score(gained: int, lost: int, items: int, delta: float) -> float:
    """Tango's statistic by its definition: the likeliest share of lost items, given the difference, found by search."""

    def unlikelihood(share: float) -> float:
        shares = (share + delta, share, 1 - delta - 2 * share)
        counts = (gained, lost, items - gained - lost)
        return -sum(n * math.log(max(p, 1e-300)) for n, p in zip(counts, shares, strict=True) if n)

    least, most = max(0.0, -delta), (1 - delta) / 2
    share = minimize_scalar(unlikelihood, bounds=(least, most), method="bounded", options={"xatol": 1e-10}).x
    return float((gained - lost - items * delta) / math.sqrt(items * (2 * share + delta * (1 - delta))))


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 60))
def test_the_ends_of_the_paired_interval_are_just_rejected(gained: int, lost: int, same: int) -> None:
    assume(gained + lost > 0 and same > 0)
    items = gained + lost + same
    low, high = tango(gained, lost, items)
    assert low < (gained - lost) / items < high
    assert score(gained, lost, items, low) == pytest.approx(Z, abs=1e-3)
    assert score(gained, lost, items, high) == pytest.approx(-Z, abs=1e-3)
    assert tango(lost, gained, items) == pytest.approx((-high, -low))


def test_pairs_that_all_agree_still_leave_doubt() -> None:
    half = Z**2 / (100 + Z**2)
    assert tango(0, 0, 100) == pytest.approx((-half, half))
    assert tango(0, 0, 0) == (-1.0, 1.0)
    assert tango(5, 0, 5)[1] == pytest.approx(1.0) and tango(0, 5, 5)[0] == pytest.approx(-1.0)


def test_clusters_of_one_are_independent_and_larger_ones_sway_together() -> None:
    alone = clustered([1, 0, 0, 0] * 25, [1] * 100)
    assert alone == pytest.approx(wilson(25 * 99 / 100, 99), abs=1e-6)
    together = clustered([10, 0, 0, 0] * 25, [10] * 100)
    assert together == pytest.approx(alone), "ten tokens that all change are one event"
    apart = clustered([2, 3] * 50, [10] * 100)
    assert alone[0] < apart[0] < 0.25 < apart[1] < alone[1]
    assert clustered([0] * 8, [30] * 8) == wilson(0, 8), "no change in eight prompts"
    assert clustered([], []) == (0.0, 1.0)
