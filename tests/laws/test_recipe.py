"""A recipe as text: told in full, read back, and changed one value at a time."""

import json
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from remask.decoding.axes import AXES
from remask.decoding.blocks import Blocks
from remask.decoding.caches.delayed import Delayed
from remask.decoding.parsing import settings
from remask.decoding.recipe import Recipe
from remask.decoding.revision import Never
from remask.decoding.selection import Threshold, TopK
from remask.errors import RecipeError

SHIPPED = Recipe.shipped()
REQUIRED = {"grid": {"length": 4}}  # what has no default
BESIDE = {"remdm": {"select": "bernoulli"}}  # what it goes with


def every_value() -> list[Recipe]:
    """A recipe for each value of each axis, and those that ship."""
    made = [Recipe.load(name) for name in SHIPPED]
    for axis, choices in AXES.items():
        made += [Recipe.parse({axis: {"by": by} | REQUIRED.get(by, {})} | BESIDE.get(by, {})) for by in choices]
    return made


@pytest.mark.parametrize("recipe", every_value(), ids=lambda recipe: recipe.name)
def test_a_recipe_told_is_the_same_recipe(recipe: Recipe) -> None:
    assert Recipe.parse(json.loads(json.dumps(recipe.tables()))) == recipe
    assert recipe.change({}) == recipe


@pytest.mark.parametrize("recipe", every_value(), ids=lambda recipe: recipe.name)
def test_setting_what_is_there_already_changes_nothing(recipe: Recipe) -> None:
    for axis, value in recipe.tables().items():
        assert recipe.change({axis: value}) == recipe
        for key, part in value.items() if isinstance(value, dict) else ():
            assert recipe.change({f"{axis}.{key}": part}) == recipe


def test_off_is_none_also_where_that_is_not_the_default() -> None:
    assert Recipe().change(settings(["process.top_k=7"])).change(settings(["process.top_k=off"])) == Recipe()
    never = Recipe(cache=Delayed(every=None))
    assert never.tables()["cache"]["every"] == "off" and Recipe.parse(never.tables()) == never
    assert Recipe().change(settings(["cache=delayed", "cache.every=off"])) == never


@pytest.mark.parametrize(
    ("texts", "axis", "value"),
    [
        (["select=threshold"], "select", Threshold()),
        (["select=threshold", "select.threshold=0.8"], "select", Threshold(0.8)),
        (["select.threshold=0.8", "select=threshold"], "select", Threshold(0.8)),
        (["select.by=threshold", "select.strict=true"], "select", Threshold(strict=True)),
        (['select={by = "threshold", threshold = 1}'], "select", Threshold(1)),
        (['select = "top_k"'], "select", TopK()),
        (["steps=16"], "steps", 16),
        (["confidence=margin"], "confidence", "margin"),
        (["blocks=blocks", "blocks.length=8"], "blocks", Blocks(8)),
        (["revise=never"], "revise", Never()),
    ],
)
def test_settings_change_one_axis_and_nothing_else(texts: list[str], axis: str, value: Any) -> None:
    changed = Recipe().change(settings(texts))
    for f in fields(Recipe):
        assert getattr(changed, f.name) == (value if f.name == axis else getattr(Recipe(), f.name))


def test_an_axis_set_anew_forgets_the_parameters_of_the_old_value() -> None:
    strict = Recipe().change({"select": {"by": "threshold", "threshold": 0.5, "strict": True}})
    assert strict.change({"select": "threshold"}).select == Threshold()
    assert strict.change({"select.threshold": 0.6}).select == Threshold(0.6, strict=True)


def test_a_spec_is_a_recipe_with_its_settings(tmp_path: Path) -> None:
    file = tmp_path / "my+own.toml"
    file.write_text('select = {by = "threshold", threshold = 0.5}\n')
    for name, start in (("llada", Recipe.load("llada")), (str(file), Recipe.load(str(file)))):
        spec = f"{name}+select=threshold+select.threshold=0.75+steps=8"
        assert Recipe.load(spec) == start.change({"select": "threshold", "select.threshold": 0.75, "steps": 8})


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["speed=9"], "unknown recipe axis 'speed'; known: "),
        (["speed.limit=9"], "unknown recipe axis 'speed'; known: "),
        (["select=best"], "unknown select 'best'; known: "),
        (["select.threshold=0.8"], "select: top_k has no value 'threshold'; what has it: threshold, "),
        (
            ["select=threshold", "select.limit=1"],
            r"select: threshold has no value 'limit' \(it has threshold, strict\)",
        ),
        (["blocks.length=8"], r"blocks: auto has no value 'length' \(it has fill, .*\); what has it: blocks, grid, "),
        (["blocks=grid"], "blocks: 'length' is missing"),
        (["steps.even=8"], "steps has no parts, got steps.even; set steps itself"),
        (["steps=1.5"], "recipe.steps must be a whole number or off, got 1.5"),
        (["steps=true"], "recipe.steps must be a whole number or off, got True"),
        (["cache={by='dual', vicinity=2147483648}"], "cache.vicinity must lie in ±2,147,483,647, got 2147483648"),
        (["process.suppress=[3, 9999999999999]"], r"process.suppress must lie in ±2,147,483,647, got \[3, 9999"),
        (["blocks={by='grid', length=0}"], "blocks.length must be at least 1, got 0"),
        (["process.top_k=[3]"], r"process.top_k must be a whole number or off, got \[3\]"),
        (["process.suppress=[1, 2.5]"], r"process.suppress must be a list, each a whole number, got \[1, 2.5\]"),
        (["process.temperature=hot"], "process.temperature must be a number, got 'hot'"),
        (["stop.eos_prefix=1"], "stop.eos_prefix must be true or false, got 1"),
        (["schedule=3"], "recipe.schedule must be text, got 3"),
        (["select=3"], "select must be a name or a table, got 3"),
        (["select=threshold", "select.threshold=1.5"], r"select.threshold must lie in \[0, 1\], got 1.5"),
        (["steps=8", "steps=9"], "steps is set twice, to 8 and to 9; leave one out"),
        (["steps"], "'steps' is not a setting; write axis=value or axis.key=value"),
        (["a.b.c=1"], "'a.b.c=1' is not a setting"),
        (["steps="], "the value of steps= is not TOML"),
        (["steps=8 9"], "the value of steps=8 9 is not TOML"),
        (["steps=8\nx = 9"], "the value of steps must be one TOML value"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(texts: list[str], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Recipe().change(settings(texts))


def test_every_parameter_of_every_axis_is_plain_enough_for_toml() -> None:
    for recipe in every_value():
        for axis in recipe.tables().values():
            parts = axis.values() if isinstance(axis, dict) else [axis]
            assert all(isinstance(part, bool | int | float | str | list) and not is_dataclass(part) for part in parts)
