"""Values and recipes from outside the repository: registered by hand, or offered by an installed package."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

import remask
from remask.decoding import recipe as recipes
from remask.decoding.axes import AXES, names
from remask.decoding.selection import TopK
from remask.errors import RecipeError
from remask.exactness import Exactness

Install = Callable[..., None]
SOURCE = '''
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from remask.decoding.grid import Grid
from remask.decoding.selection import Selector
from remask.exactness import Exactness


@dataclass(frozen=True)
class Everything(Selector):
    """Every candidate leaves; `hurry` is there to be set."""

    hurry: int = 1
    exactness: ClassVar[Exactness] = Exactness.OTHER_ORDER

    def choose(self, grid: Grid) -> Tensor:
        return grid.candidate


RECIPE = {"select": {"by": "everything", "hurry": 2}, "blocks": {"by": "blocks", "length": 4}}
'''
POINTS = """
[remask.select]
everything = {module}:Everything

[remask.recipe]
at-once = {module}:RECIPE
"""


@pytest.fixture(autouse=True)
def own_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone after it."""
    for axis, values in AXES.items():
        monkeypatch.setitem(AXES, axis, dict(values))
    monkeypatch.setattr(recipes, "REGISTERED", {})


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Lays out a distribution as pip does, in a folder of its own on sys.path."""

    def distribution(name: str, points: str = POINTS, source: str = SOURCE) -> None:
        folder, module = tmp_path / name, name.replace("-", "_")
        about = folder / f"{module}-1.0.dist-info"
        about.mkdir(parents=True)
        (folder / f"{module}.py").write_text(source)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(points.format(module=module))
        monkeypatch.syspath_prepend(folder)

    return distribution


@dataclass(frozen=True)
class Mine(TopK):
    """A selector of our own."""


def test_an_installed_package_adds_a_value_and_a_recipe(install: Install) -> None:
    install("remask-all-at-once")
    assert "everything" in names("select") and "at-once" in remask.Recipe.names()
    assert "everything" not in AXES["select"], "nothing is imported before it is asked for"
    recipe = remask.Recipe.load("at-once+select.hurry=3")
    assert recipe.tables()["select"] == {"by": "everything", "hurry": 3} and recipe.name == "at-once"
    assert recipe.exactness is Exactness.OTHER_ORDER
    done = remask.load(device="cpu").generate("Sort 3 1 2.", recipe="at-once", gen_length=8)
    assert done.forwards == 2, "two blocks of four, each at once"


def test_settings_reach_an_installed_value(install: Install) -> None:
    install("remask-by-settings")
    changed = remask.Recipe().change({"select": "everything", "select.hurry": 5})
    assert changed.tables()["select"] == {"by": "everything", "hurry": 5}


def test_an_unknown_name_lists_what_is_installed(install: Install) -> None:
    install("remask-listed")
    with pytest.raises(RecipeError, match=r"known: .*everything.*did you mean 'everything'"):
        remask.Recipe().change({"select": "everythin"})
    with pytest.raises(RecipeError, match=r"known: .*at-once.*did you mean 'at-once'"):
        remask.Recipe.load("atonce")


def test_two_packages_of_one_name_are_refused(install: Install) -> None:
    install("remask-first")
    install("remask-second")
    with pytest.raises(RecipeError, match=r"remask-(first|second) and remask-(first|second) both offer 'everything'"):
        remask.Recipe().change({"select": "everything"})
    with pytest.raises(RecipeError, match=r"both offer 'at-once' in remask.recipe; uninstall one"):
        remask.Recipe.load("at-once")


def test_a_package_that_takes_one_of_our_names_is_refused(install: Install) -> None:
    install("remask-thief", "[remask.select]\ntop_k = {module}:Everything\n")
    with pytest.raises(RecipeError, match=r"the packages remask and remask-thief both offer 'top_k' in remask.select"):
        remask.Recipe().change({"select": "no such"})


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("1 / 0", "remask_broken_0:Everything of the package remask-broken-0 cannot be imported .ZeroDivisionError"),
        ("", "cannot be imported .AttributeError"),
        ("Everything = 3", "select everything must be a frozen dataclass, got 3"),
    ],
)
def test_a_broken_package_is_named(install: Install, source: str, message: str, request: pytest.FixtureRequest) -> None:
    number = ("1 / 0", "", "Everything = 3").index(source)
    install(f"remask-broken-{number}", source=source)
    with pytest.raises(RecipeError, match=message):
        remask.Recipe().change({"select": "everything"})
    assert remask.Recipe().change({"select": "top_k"}) == remask.Recipe(), "and only who asks for it meets it"


def test_what_is_registered_is_known_everywhere() -> None:
    remask.register("select", "mine", Mine)
    recipe = remask.register_recipe("my-own", {"select": "mine", "steps": 4})
    assert remask.Recipe.load("my-own") == recipe == remask.Recipe.parse(recipe.tables()) and recipe.name == "my-own"
    assert remask.Recipe.load("my-own+steps=5").steps == 5 and "my-own" in remask.Recipe.names()
    assert "my-own" not in remask.Recipe.shipped()
    remask.register_recipe("my-other", "my-own+steps=8")
    assert remask.Recipe.load("my-other").steps == 8


def test_a_recipe_may_be_registered_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('steps = 3\nselect = "top_k"\n')
    assert remask.register_recipe("from-file", file).steps == 3


def test_a_value_without_a_name_says_how_to_get_one() -> None:
    with pytest.raises(
        RecipeError, match=r"select Mine has no name; give it one: remask.register\('select', 'mine', M"
    ):
        remask.Recipe(select=Mine()).tables()


@dataclass
class Loose:
    """Not frozen."""


@dataclass(frozen=True)
class Silent:
    """Claims nothing."""


@dataclass(frozen=True)
class Loud:
    """Claims something else."""

    exactness: ClassVar[str] = "very"


@dataclass(frozen=True)
class Stranger:
    """Claims enough, and is of no axis."""

    exactness: ClassVar[Exactness] = Exactness.EXACT


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("selekt", "mine", Mine), "unknown axis 'selekt'; known: .*; did you mean 'select'"),
        (("select", "top_k", Mine), "select has a value 'top_k' already; register yours under another name"),
        (("select", "my own", Mine), "the name of a value must be one word, got 'my own'"),
        (("select", "mine", Mine()), "select mine must be a frozen dataclass, got Mine"),
        (("select", "mine", Loose), "must be frozen: write @dataclass.frozen=True. above Loose"),
        (("select", "mine", Silent), "must state what it claims"),
        (("select", "mine", Loud), "must state what it claims"),
        (
            ("select", "mine", Stranger),
            r"write class Stranger\(Selector\), with Selector from remask.decoding.sel",
        ),
        (
            ("cache", "mine", Mine),
            r"write class Mine\(Cache\), with Cache from remask.decoding.caches",
        ),
        ((3, "mine", Mine), "axis must be text, got 3"),
    ],
)
def test_what_is_no_value_is_not_registered(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        remask.register(*arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "recipe", "message"),
    [
        ("dream", {}, "there is a recipe 'dream' already"),
        ("my own", {}, "the name of a recipe must be one word"),
        ("mine.toml", {}, "the name of a recipe must be one word"),
        ("mine", {"selekt": "top_k"}, "unknown recipe axis 'selekt'; known: .*; did you mean 'select'"),
        ("mine", 3, "a recipe must be text, got 3"),
    ],
)
def test_what_is_no_recipe_is_not_registered(name: str, recipe: object, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        remask.register_recipe(name, recipe)  # type: ignore[arg-type]
    assert name not in recipes.REGISTERED
