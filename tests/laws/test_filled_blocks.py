"""Laws of the last block of a grid: filled to its end for the network, and cut where the answer ends."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import remask
from remask.decoding.blocks import AlignedBlocks, first_of
from remask.decoding.recipe import Recipe, Stop
from remask.decoding.schedule import even
from remask.engine.engine import Engine
from remask.engine.requests import Completion, Request
from remask.errors import RecipeError, RequestError
from remask.testing import TOY, Hashed
from tests.helpers.data import TINY_BLOCKWISE

GRID = replace(TOY, block_size=4, eos_ids=(), eot_ids=())
FILLED = ["sdar", "llada2", "llada2.1", "fast-dllm-v2"]


def recipe_of(name: str) -> Recipe:
    """The recipe with windows that divide the grid of 4, and without what depends on the answer's length."""
    changes = {"blocks.length": 2} if name == "fast-dllm-v2" else {"blocks.minimal_topk": "off"}
    return Recipe.load(name).change(changes)


def asked(prompt: list[int], length: int, recipe: Recipe) -> Request:
    limit = len(prompt) + length
    filled = recipe.blocks.fit(GRID).filled(limit, GRID)
    return Request((*prompt, *[None] * (filled - len(prompt))), recipe, limit=limit)


def answers(model: Hashed, *requests: Request) -> list[Completion]:
    return [handle.result() for handle in Engine(model).run(requests)]


@pytest.mark.parametrize("name", FILLED)
@given(seed=st.integers(0, 50), prompt=st.integers(1, 9), length=st.integers(1, 12), more=st.integers(1, 8))
def test_a_shorter_answer_is_the_beginning_of_a_longer_one(
    name: str, seed: int, prompt: int, length: int, more: int
) -> None:
    """The network sees whole blocks of [MASK], so where the answer is cut does not matter to what it says."""
    given, recipe, model = [1] * prompt, recipe_of(name), Hashed(seed, contract=GRID)
    short, long = answers(model, asked(given, length, recipe), asked(given, length + more, recipe))
    assert len(short.tokens) == length and short.finish_reason == "length"
    assert long.tokens[:length] == short.tokens


@pytest.mark.parametrize("name", FILLED)
def test_an_answer_that_is_decided_ends_though_its_block_is_not(name: str) -> None:
    model = Hashed(3, contract=GRID)
    recipe = recipe_of(name)
    whole = replace(recipe, stop=Stop(eos_prefix=False))
    early, late = answers(model, asked([1], 4, recipe), asked([1], 4, whole))
    assert early.tokens == late.tokens and early.forwards <= late.forwards


def test_without_filling_the_network_sees_where_the_answer_ends() -> None:
    model, plain = Hashed(1, contract=GRID), recipe_of("sdar").change({"blocks.fill": False})
    assert len(asked([1], 5, plain).tokens) == 6
    short, long = answers(model, asked([1], 5, plain), asked([1], 7, plain))
    assert long.tokens[:5] != short.tokens


@given(size=st.integers(1, 32), length=st.integers(1, 32), steps=st.integers(1, 40))
def test_a_block_that_is_partly_given_takes_the_first_numbers_of_a_whole_one(
    size: int, length: int, steps: int
) -> None:
    size = min(size, length)
    shares, (quotas,) = AlignedBlocks(length, denoising_steps=steps).timetable([size], None, size, even)
    whole = even(length, steps)
    assert shares == [steps] and sum(quotas) == size and min(quotas) >= 1
    assert quotas[:-1] == whole[: len(quotas) - 1] and quotas[-1] <= whole[len(quotas) - 1]
    assert first_of(whole, length) == whole


@pytest.mark.parametrize(("answer", "topk", "steps"), [(100, 1, 32), (5, 1, 5), (40, 4, 10), (3, 4, 1)])
def test_a_short_answer_takes_no_more_forwards_than_tokens(answer: int, topk: int, steps: int) -> None:
    rule = AlignedBlocks(32, denoising_steps=32, minimal_topk=topk)
    assert rule.timetable([32], None, answer, even) == ([steps], [even(32, steps)])
    assert rule.timetable([32], 7, answer, even) == ([7], [even(32, 7)])  # steps of the whole answer come first


def test_what_is_asked_for_is_what_comes_out() -> None:
    llm = remask.load(TINY_BLOCKWISE)
    size, room = llm.model.contract.block_size, llm.model.contract.max_positions
    assert size is not None
    for name in ("sdar", "llada2.1"):
        request = llm.request("Sort 31.", gen_length=5, recipe=name)
        assert len(request.tokens) % size == 0 and request.limit == len(request.tokens) - request.tokens.count(None) + 5
        handle = llm.engine.submit(replace(request, stop_ids=()))
        pieces = "".join(handle.pieces())
        done = handle.completion()
        assert pieces == done.text and len(done.tokens) == 5
        assert handle.snapshot().end == request.limit
    ids = [5] * (room - 3)
    assert len(llm.continuation(ids, gen_length=3, recipe="sdar").tokens) == room
    assert llm.infilling("The {{2}} sat", recipe="sdar").limit is None


@pytest.mark.parametrize("limit", [0, 2, 5])
def test_a_limit_must_leave_something_to_decide(limit: int) -> None:
    with pytest.raises(RequestError, match=r"limit must have a \[MASK\] before it on a canvas of 4, got"):
        Engine(Hashed(contract=GRID)).submit(Request((1, 2, None, None), limit=limit))


def test_numbers_of_blocks_are_checked() -> None:
    for key in ("denoising_steps", "minimal_topk"):
        with pytest.raises(RecipeError, match=f"blocks.{key} must be at least 1, got 0"):
            recipe_of("sdar").change({f"blocks.{key}": 0}).fit(GRID, 8)
    with pytest.raises(RecipeError, match="are for models with a grid, and this one has none; use blocks = auto alone"):
        Recipe().change({"blocks.fill": True}).fit(TOY, 8)
    assert np.array_equal(AlignedBlocks(4, fill=True).windows(np.ones(4, bool))[0], np.arange(4))
