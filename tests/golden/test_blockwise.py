"""A trained model with a grid: block-causal, taught to edit, and worth both."""

from itertools import islice

import pytest

import remask
from remask.decoding.recipe import Recipe
from remask.llm import LLM
from remask.tasks import TASKS, examples
from tests.helpers.data import TINY_BLOCKWISE, TINY_LLADA


@pytest.fixture(scope="module")
def blockwise() -> LLM:
    return remask.load(TINY_BLOCKWISE)


def passed(llm: LLM, task: str, items: int, **options: object) -> int:
    asked = list(islice(examples(TASKS[task], "heldout", 7), items))
    done = llm.generate([one.prompt for one in asked], gen_length=48, **options)  # type: ignore[arg-type]
    return sum(TASKS[task].passes(one, answer.text) for one, answer in zip(asked, done, strict=True))


def test_it_says_what_it_is(blockwise: LLM) -> None:
    contract = blockwise.model.contract
    assert contract.block_size == 16 and contract.editable
    assert blockwise.loaded.config.parameters == remask.load(TINY_LLADA).loaded.config.parameters


@pytest.mark.parametrize("name", ["sdar", "llada2", "llada2.1"])
def test_recipes_for_a_grid_solve_its_tasks(blockwise: LLM, name: str) -> None:
    assert passed(blockwise, "sorting", 20, recipe=Recipe.load(name)) >= 15


def test_its_cache_is_exact(blockwise: LLM) -> None:
    asked = list(islice(examples(TASKS["extraction"], "heldout", 8), 6))
    told = [
        blockwise.generate([one.prompt for one in asked], gen_length=48, set={"cache": cache})
        for cache in ("none", "block_causal")
    ]
    assert [a.text for a in told[0]] == [b.text for b in told[1]]
    assert str(told[1][0].exactness) == "exact for its own attention"
