"""What the study claims, on its own models: A (`bundled-haystack`), B, C and the autoregressive control.

By default one claim is tried on one model; `-m slow` tries them all.
"""

from functools import cache
from pathlib import Path

import pytest

import remask
from remask.evals.longcontext.conditions import Condition
from remask.evals.longcontext.suite import KV
from remask.evals.longcontext.sweep import Sweep, run
from remask.llm import LLM
from remask.models.rotary import Rope

ARMS = {"a": "bundled-haystack"} | {path.name: str(path) for path in (Path(__file__).parent / "arms").iterdir()}
FAR, NEAR = (0, 10, 20), (60, 70, 80)  # depths at 2 × T: beyond the reach of λ = 1, and within it


@cache
def load(arm: str) -> LLM:
    return remask.load(ARMS[arm], dtype="float32")


def found(arm: str, length: int, depths: tuple[int, ...], rope: str) -> float:
    """The share of values found, of four a depth."""
    sweep = Sweep(repeats=4, batch=12, options={"rope": Rope.of(rope)})
    conditions = [Condition("kv", length, depth) for depth in depths]
    tallies = run(load(arm), conditions, {"kv": KV["symbols"]}, sweep)
    return sum(tally.found for tally in tallies) / (4 * len(depths))


@pytest.mark.slow
@pytest.mark.parametrize("arm", sorted(ARMS.keys() - {"b"}))
def test_within_its_training_length_an_arm_finds_everything(arm: str) -> None:
    assert load(arm).model.contract.max_positions == 128
    assert found(arm, 128, (0, 25, 50, 75, 100), "none") > 0.94


@pytest.mark.slow
def test_a_small_base_bounds_what_is_found_within_the_training_length_too() -> None:
    assert found("b", 128, (60, 70, 80, 90), "none") > 0.9
    assert found("b", 128, FAR, "none") < 0.2


@pytest.mark.parametrize("arm", ["a", pytest.param("ar", marks=pytest.mark.slow)])
def test_what_lies_beyond_its_reach_is_lost_as_it_is_and_found_scaled(arm: str) -> None:
    assert found(arm, 256, FAR, "ntk:1") < 0.2
    assert found(arm, 256, FAR, "ntk:auto") > 0.9


@pytest.mark.slow
def test_what_lies_within_reach_is_found_in_a_longer_text_under_diffusion_alone() -> None:
    assert found("a", 256, NEAR, "ntk:1") > 0.9
    assert found("ar", 256, NEAR, "ntk:1") < 0.6


@pytest.mark.slow
def test_features_that_barely_turn_reach_twice_as_far_unscaled() -> None:
    assert found("c", 256, FAR, "ntk:1") > 0.8


@pytest.mark.slow
@pytest.mark.parametrize("arm", ["a", "ar"])
def test_yarn_carries_to_eight_times_the_length_and_the_base_frequency_does_not(arm: str) -> None:
    assert found(arm, 1024, (0, 50), "yarn:8") > 0.6
    assert found(arm, 1024, (0, 50), "ntk:55") < 0.2
