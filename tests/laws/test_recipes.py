"""Laws of the recipes that ship: each is its paper's, ends, leaves no [MASK], and says what it claims."""

import re
from dataclasses import replace

import pytest

from remask.decoding.blocks import AlignedBlocks, Auto
from remask.decoding.recipe import Recipe
from remask.errors import RecipeError
from remask.exactness import Exactness
from remask.testing import TOY, Fake, Hashed, Oracle, Poisoned, Uniform
from tests.helpers.jobs import Job, alone, bits, holes, run, tokens

SHIPPED = Recipe.shipped()
RECIPES = {name: Recipe.load(name).spelled(lambda text: [2]) for name in SHIPPED}
every_recipe = pytest.mark.parametrize("name", SHIPPED)
GRIDDED = {name for name, recipe in RECIPES.items() if recipe.cache.attention == "block_causal"}


def fitting(name: str, model: Fake) -> Fake:
    """The model, with the attention that the recipe is for."""
    if name in GRIDDED:
        model.contract = replace(model.contract, block_size=8)
    return model


def test_the_named_methods_of_the_field_are_here() -> None:
    wanted = "llada dream fast-dllm fast-dllm-factor frechet eb klass credit wino sdar llada2 llada2.1 remdm"
    assert set(wanted.split()) <= set(SHIPPED)


@every_recipe
def test_a_recipe_names_itself_and_its_paper(name: str) -> None:
    assert RECIPES[name].name == name and re.search(r"arXiv|github\.com", RECIPES[name].citation)


def test_only_llada_claims_to_be_exact() -> None:
    assert [name for name in SHIPPED if RECIPES[name].exactness is Exactness.EXACT] == ["llada"]
    caches = {name for name in SHIPPED if RECIPES[name].exactness is Exactness.APPROXIMATE}
    assert caches == {name for name in SHIPPED if RECIPES[name].cache.exactness is Exactness.APPROXIMATE}


ADVERSARIES = {
    "any token": Uniform,
    "sharp": lambda: Hashed(1, peakedness=8.0),
    "flat": lambda: Hashed(2, peakedness=0.2),
    "ties everywhere": lambda: Hashed(3, tie_rate=1.0),
    "prefers the mask": lambda: Oracle([TOY.mask_id] * 64, 0.99),
    "prefers the end": lambda: Oracle([TOY.eos_ids[0]] * 64, 0.99),
    "some columns -inf": lambda: Oracle([2] * 64, 1.0),
}


@every_recipe
@pytest.mark.parametrize("kind", ADVERSARIES)
def test_every_recipe_ends_without_a_mask(name: str, kind: str) -> None:
    model = fitting(name, ADVERSARIES[kind]())
    for job in (Job((1, 2, *holes(11)), RECIPES[name]), Job((*holes(3), 15, *holes(6), 4), RECIPES[name], seed=5)):
        row, steps = alone(model, job)
        assert row.finish_reason == "length" and not row.canvas.undecided.any()
        assert row.forwards == len(steps) <= 200
        given = {i: token for i, token in enumerate(job.template) if token is not None}
        assert {i: tokens(row)[i] for i in given} == given
        assert TOY.mask_id not in [tokens(row)[i] for i, token in enumerate(job.template) if token is None]


@every_recipe
def test_a_row_that_breaks_breaks_alone(name: str) -> None:
    model = fitting(name, Poisoned(Hashed(4), float("nan"), lambda position, seen: int(seen[0]) == 9))
    sound, broken = Job((1, *holes(9)), RECIPES[name]), Job((9, *holes(9)), RECIPES[name])
    (row, steps), (other, _) = run(model, [sound, broken])
    assert other.finish_reason == "error" and other.error is not None
    one, ones = alone(model, sound)
    assert bits(steps) == bits(ones) and tokens(row) == tokens(one)


@every_recipe
def test_the_same_seed_gives_the_same_text_and_unlike_recipes_share_a_batch(name: str) -> None:
    model = fitting(name, Hashed(7))
    mates = [other for other in SHIPPED if (other in GRIDDED) == (name in GRIDDED)]
    jobs = [Job((1, *holes(8)), RECIPES[name], seed=3), *(Job((2, *holes(6)), RECIPES[mate]) for mate in mates)]
    together, again = run(model, jobs)[0], alone(model, jobs[0])
    assert bits(together[1]) == bits(again[1])


@pytest.mark.parametrize("name", sorted(GRIDDED))
def test_recipes_for_a_grid_refuse_full_attention_and_say_what_would_fit(name: str) -> None:
    with pytest.raises(RecipeError, match=r"use cache = none, prefix, dual or delayed|use blocks = auto"):
        RECIPES[name].fit(TOY, 16)


def test_caches_for_full_attention_refuse_a_grid() -> None:
    contract = replace(TOY, block_size=4)
    with pytest.raises(RecipeError, match="block_causal, which is exact"):
        replace(RECIPES["fast-dllm"], blocks=Auto()).fit(contract, 16)
    with pytest.raises(RecipeError, match="its own grid of 4"):
        RECIPES["threshold"].fit(contract, 16)
    assert replace(RECIPES["threshold"], blocks=Auto()).fit(contract, 16).blocks == AlignedBlocks(4)
