"""How to decode: one value per axis, printable, comparable, and readable from TOML.

A `Recipe` knows no tensor and no model. What the model *is* it cannot override; `fit` refuses what does not fit, and
says what would. How values and tables become each other is in `parsing`, the names of values in `axes`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, get_type_hints

from ..errors import RecipeError, printable, quoted, unknown_name
from ..exactness import Exactness
from ..models.contract import Contract
from ..models.rotary import NONE, Rope
from ..validation import check
from . import plugins
from .axes import AXES, KINDS, name_of
from .blocks import Auto, Division
from .caches import Cache, NoCache
from .canvas import Full, Shown
from .confidence import CLAIMS, CONFIDENCES, Confidence
from .grid import Want
from .history import Enhancer, Forgetful
from .parsing import choose, plain_value, read_toml, settings, stated
from .prior import Flat, Prior
from .process import Guidance, Process
from .revision import Never, Reviser
from .schedule import SCHEDULES
from .selection import Selector, TopK
from .stop import Stop
from .value import Value

FAST = "fast"  # the named recipe that is fast and loses little
MOST_STEPS = 2**20
GROUP = "remask.recipe"  # the entry points by which installed packages add recipes


@dataclass(frozen=True)
class Recipe:
    """One value per axis. The defaults are LLaDA's own, and exact.

    `steps` counts forwards over the whole canvas; None means one a token.
    """

    name: str = "llada"
    citation: str = "Nie et al., Large Language Diffusion Models, arXiv 2502.09992"
    steps: int | None = None
    canvas: Shown = Full()
    rope: Rope = NONE
    blocks: Division = Auto()
    schedule: str = "even"
    guidance: Guidance = Guidance()
    process: Process = Process()
    history: Enhancer = Forgetful()
    confidence: Confidence = "probability"
    prior: Prior = Flat()
    select: Selector = TopK()
    revise: Reviser = Never()
    cache: Cache = NoCache()
    stop: Stop = Stop()

    def __post_init__(self) -> None:
        for name, hint in PLAIN.items():
            check(f"recipe.{name}", getattr(self, name), hint, RecipeError)
        for axis, value in self.values.items():
            if not isinstance(value, KINDS[axis]):
                raise RecipeError(f"{axis} must be a value of its axis, as remask.Recipe().{axis}, got {quoted(value)}")
        if self.steps is not None and not 1 <= self.steps <= MOST_STEPS:
            raise RecipeError(
                f"steps must lie in 1..{MOST_STEPS:,}, got {quoted(self.steps)}; leave it out for one step a token"
            )
        if self.schedule not in SCHEDULES:
            raise RecipeError(unknown_name("schedule", self.schedule, SCHEDULES))
        if self.confidence not in CONFIDENCES:
            raise RecipeError(unknown_name("confidence", self.confidence, CONFIDENCES))
        if self.confidence == "entropy" and self.prior != Flat():
            raise RecipeError(
                'a prior multiplies probabilities, and negative entropies are none; use confidence = "probability"'
            )
        if self.revise.replaces not in (None, self.select):
            rule, selector = name_of("revise", self.revise), name_of("select", self.revise.replaces)
            raise RecipeError(f'{rule} draws who leaves by itself; add select = "{selector}", which it replaces')

    @property
    def values(self) -> dict[str, Value]:
        """The value on each axis."""
        return {axis: getattr(self, axis) for axis in AXES}

    @property
    def exactness(self) -> Exactness:
        """The weakest claim of its values."""
        claims = [value.exactness for value in self.values.values()]
        return max(CLAIMS[self.confidence], self.rope.exactness, *claims)

    @cached_property
    def wants(self) -> frozenset[Want]:
        """What its rules need to see beside the confidence."""
        return frozenset((*self.select.wants, *self.revise.wants))

    @cached_property
    def memory(self) -> tuple[int, int]:
        """Steps to remember at each position, and likeliest tokens of each."""
        steps, width = zip(self.history.memory, self.select.memory, strict=True)
        return max(steps), max(width)

    def spelled(self, encode: Callable[[str], list[int]]) -> "Recipe":
        """The recipe with the strings among its token ids encoded. Raises RecipeError if one is not a single token."""
        return replace(self, **{axis: value.spelled(encode) for axis, value in self.values.items()})  # type: ignore[arg-type]

    def fit(self, contract: Contract, length: int) -> "Recipe":
        """The recipe as this model takes it, for a canvas of `length` tokens: what is `auto` is resolved.

        Raises RecipeError, saying what would fit.
        """
        values = {axis: value.fit(contract) for axis, value in self.values.items()}
        return replace(self, rope=self.rope.fit(contract.rotary, length), **values)  # type: ignore[arg-type]

    @classmethod
    def load(cls, spec: str) -> "Recipe":
        """A recipe by its name, or a TOML file; `llada+cache=dual+select.threshold=0.8` changes it."""
        check("a recipe", spec, str, RecipeError, "; give a name, as 'llada', or a .toml file")
        name, *changes = re.split(r"\+(?=\w+(?:\.\w+)?=)", spec)
        if changes:
            return cls.load(name).change(settings(changes))
        if name.endswith(".toml"):
            try:
                text = Path(name).read_text(encoding="utf-8")
            except (OSError, ValueError) as error:
                raise RecipeError(f"cannot read the recipe {quoted(name)}: {printable(str(error))}") from None
            return cls.parse(read_toml(text, f"the recipe {quoted(name)}"))
        if name in REGISTERED:
            return REGISTERED[name]
        if name in cls.shipped():
            text = files("remask.decoding.recipes").joinpath(f"{name}.toml").read_text(encoding="utf-8")
            return cls.parse(read_toml(text, f"the recipe {name!r}"))
        if (point := plugins.offers(GROUP, cls.shipped()).get(name)) is not None:
            return register_recipe(name, plugins.load(point))
        raise RecipeError(unknown_name("recipe", name, cls.names()))

    @staticmethod
    def shipped() -> list[str]:
        """The names of the recipes that ship with Remask."""
        paths = [Path(file.name) for file in files("remask.decoding.recipes").iterdir()]
        return sorted(path.stem for path in paths if path.suffix == ".toml")

    @classmethod
    def names(cls) -> list[str]:
        """The names that `load` knows: those that ship, those of `register_recipe` and of installed packages."""
        own = cls.shipped()
        return sorted({*own, *REGISTERED, *plugins.offers(GROUP, own)})

    @classmethod
    def parse(cls, tables: Mapping[str, Any]) -> "Recipe":
        """A recipe from TOML tables: one key or table an axis; unknown ones are refused by name."""
        check("a recipe", tables, Mapping[str, Any], RecipeError, "; give one key or table an axis")
        known = {f.name for f in fields(cls)}
        values = {}
        for axis, value in tables.items():
            if axis not in known:
                raise RecipeError(unknown_name("recipe axis", axis, known))
            if axis in PLAIN:
                values[axis] = plain_value(f"recipe.{axis}", value, PLAIN[axis])
            else:
                values[axis] = Rope.of(value) if axis == "rope" else choose(axis, value)
        return cls(**values)

    def tables(self) -> dict[str, Any]:
        """The recipe as tables of names and numbers, as a TOML file has them: `parse` gives back an equal one."""
        tables: dict[str, Any] = {}
        for f in fields(self):
            value = getattr(self, f.name)
            if f.name == "rope":
                tables[f.name] = str(value)
            else:
                tables[f.name] = value if f.name in PLAIN else stated(f.name, value)
        return {axis: value for axis, value in tables.items() if value is not None}

    def change(self, settings: Mapping[str, Any]) -> "Recipe":
        """The recipe with `settings` such as {"cache": "dual", "select.threshold": 0.8}.

        An axis is replaced as a whole, with the defaults of its new value; then single values of it are set.
        """
        check("settings", settings, Mapping[str, Any], RecipeError, ', as in {"cache": "dual"}')
        if not settings:
            return self
        tables = self.tables()
        for path, value in sorted(settings.items(), key=lambda item: "." in item[0]):
            axis, _, key = path.partition(".")
            now = tables.get(axis)
            if not key:
                tables[axis] = value
            elif axis in PLAIN or axis == "rope":
                raise RecipeError(f"{axis} has no parts, got {printable(path)}; set {axis} itself")
            elif isinstance(now, str | Mapping):
                tables[axis] = ({"by": now} if isinstance(now, str) else dict(now)) | {key: value}
            else:
                tables[axis] = {key: value}
        return self.parse(tables)


PLAIN: dict[str, Any] = {  # what is a number or text, and no value with parameters
    name: hint
    for name, hint in get_type_hints(Recipe).items()
    if name in ("name", "citation", "steps", "schedule", "confidence")
}
REGISTERED: dict[str, Recipe] = {}


def register_recipe(name: str, recipe: "Recipe | Mapping[str, Any] | Path | str") -> Recipe:
    """Give a recipe a name, by which `Recipe.load` and the option `recipe` know it from now on; gives it back.

    `recipe` is a value, its tables, or what `Recipe.load` takes. Raises RecipeError if the name is taken or no word.
    """
    check("the name of a recipe", name, str, RecipeError)
    if name in REGISTERED or name in Recipe.shipped():
        raise RecipeError(f"there is a recipe {quoted(name)} already; register yours under another name")
    if not re.fullmatch(r"\w[\w.-]*", name) or name.endswith(".toml"):
        raise RecipeError(f"the name of a recipe must be one word, got {quoted(name)}")
    if isinstance(recipe, Mapping):
        recipe = Recipe.parse(recipe)
    elif not isinstance(recipe, Recipe):
        recipe = Recipe.load(str(recipe) if isinstance(recipe, Path) else recipe)
    REGISTERED[name] = replace(recipe, name=name)
    return REGISTERED[name]
