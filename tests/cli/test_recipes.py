"""`remask recipes`: every recipe by name, and what one says on every axis."""

from collections.abc import Callable
from typing import Any

from remask.decoding.axes import AXES
from remask.decoding.recipe import Recipe

Invoke = Callable[..., Any]


def test_every_recipe_is_listed_with_its_claim_and_source(invoke: Invoke) -> None:
    shown = invoke("recipes").out
    for name in Recipe.names():
        recipe = Recipe.load(name)
        assert f"\n{name} " in shown and str(recipe.exactness) in shown
        assert " ".join(recipe.citation.split()[:2]) in shown


def test_a_recipe_is_shown_axis_by_axis(invoke: Invoke) -> None:
    shown = invoke("recipes", "show", "fast-dllm+cache=prefix").out
    recipe = Recipe.load("fast-dllm+cache=prefix")
    assert recipe.citation in shown and str(recipe.exactness) in shown
    for axis in (*AXES, "schedule", "confidence"):
        assert f"\n{axis} " in shown
    assert "threshold: threshold 0.9, strict" in shown and "prefix" in shown
