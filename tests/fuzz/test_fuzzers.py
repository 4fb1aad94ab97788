"""Mutants of all that comes from outside: none ends in a raw exception, a crash or a hang, or takes all memory."""

import pytest

from tests.fuzz.fuzzers import COUNTS, FUZZERS
from tests.fuzz.harness import PEAK, SECONDS, tally

pytest.importorskip("gguf")
pytest.importorskip("resource", reason="nothing measures memory or time there")


def fuzz(name: str, seed: int, count: int) -> None:
    found = tally(name, seed, count)
    assert found.cases == count
    assert not (found.raw or found.crashed or found.hung), f"{found}"
    assert found.seconds < SECONDS and found.peak < PEAK, f"{found}"
    drawn = 2 * (0.3 * 0.7 * count) ** 0.5  # two standard errors: as far as so many draws can say
    assert found.worked >= 0.3 * count - drawn, f"{found}"


@pytest.mark.parametrize("name", FUZZERS)
def test_some_mutants(name: str) -> None:
    fuzz(name, 0, COUNTS[name][0])


@pytest.mark.slow
@pytest.mark.parametrize("name", FUZZERS)
def test_many_mutants(name: str) -> None:
    fuzz(name, 1, COUNTS[name][1])
