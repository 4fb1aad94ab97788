"""What the study claims, on its own model: near is found as it is, far is lost, and comes back when θ is scaled."""

import pytest

import remask
from remask.llm import LLM
from remask.longcontext.grid import Cell, Settings, run
from remask.longcontext.suite import KV
from remask.rotary import Rope


@pytest.fixture(scope="module")
def haystack() -> LLM:
    return remask.load("bundled-haystack", dtype="float32")


def found(llm: LLM, length: int, depths: tuple[int, ...], rope: str) -> float:
    """The share of values found, of four a depth."""
    settings = Settings(repeats=4, batch=12, options={"rope": Rope.of(rope)})
    results = list(run(llm, [Cell("kv", length, depth) for depth in depths], {"kv": KV["symbols"]}, settings, {}))
    return sum(result.found for result in results) / (4 * len(depths))


def test_within_its_training_length_it_finds_everything(haystack: LLM) -> None:
    assert haystack.model.contract.max_positions == 128
    assert found(haystack, 128, (0, 25, 50, 75, 100), "none") > 0.94


def test_what_lies_beyond_its_reach_is_lost_as_it_is_and_found_scaled(haystack: LLM) -> None:
    far = (0, 10, 20)
    assert found(haystack, 256, far, "ntk:1") < 0.2
    assert found(haystack, 256, far, "ntk:auto") > 0.6


def test_what_lies_within_its_reach_is_found_in_a_longer_text_too(haystack: LLM) -> None:
    assert found(haystack, 256, (60, 70, 80), "ntk:1") > 0.8
