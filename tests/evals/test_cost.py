"""What decoding costs, measured: memory is counted the same in every run, waits end before the run does."""

from collections.abc import Callable
from functools import partial

import pytest
import torch

from remask.decoding.recipe import Recipe
from remask.engine.handle import Handle
from remask.engine.memory import LiveTensors, peak_bytes
from remask.engine.requests import Request, Step
from remask.evals.cost import first_settled, timed
from remask.llm import LLM


@pytest.fixture(scope="module")
def requests(llm: LLM) -> Callable[..., list[Request]]:
    def make(n: int, **options: object) -> list[Request]:
        return [llm.request("Sort 5380217.", gen_length=16, seed=i, **options) for i in range(n)]

    return make


def test_a_storage_counts_from_its_birth_to_its_release() -> None:
    old = torch.ones(1000)
    with LiveTensors() as live:
        view = old.view(10, 100) + 0  # a view of what was there is free, its sum is new
        assert live.now == 4000
        same = view.t()
        assert live.now == 4000
        del view
        assert live.now == 4000
        parts = [torch.ones(10) for _ in range(3)]
        assert live.now == 4120
        del same, parts
    assert (live.now, live.peak) == (0, 4120)


def test_memory_is_the_same_in_every_run_and_grows_with_the_rows(
    llm: LLM, requests: Callable[..., list[Request]]
) -> None:
    one, again, three = (
        peak_bytes(torch.device("cpu"), partial(timed, llm, requests(n), rows)) for n, rows in ((1, 1), (3, 1), (3, 3))
    )
    assert one == again, "rows one after another need what one needs"
    assert three == pytest.approx(3 * one, rel=0.1)


def test_what_is_timed_is_what_is_generated(llm: LLM, requests: Callable[..., list[Request]]) -> None:
    timing = timed(llm, requests(3), 2)
    assert timing.tokens == 3 * len(llm.generate("Sort 5380217.", gen_length=16).tokens)
    assert 0 < timing.first < timing.seconds


class Told(list[Step]):
    """Steps as a handle gives them, kept for a second look."""

    def __init__(self, handle: Handle) -> None:
        super().__init__(handle)
        self.request = handle.request


def test_the_first_token_is_waited_for_until_nothing_before_it_is_open(llm: LLM) -> None:
    told = Told(llm.submit("Sort 97209.", gen_length=32, recipe=Recipe(steps=8)))
    start = told.request.tokens.index(None)
    waits = [step.seconds for step in told if any(change.position == start for change in step.changes)]
    assert first_settled(told) == waits[0] > told[0].seconds  # type: ignore[arg-type]
