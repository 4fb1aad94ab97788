"""The values of every axis of a recipe by name: Remask's own, those of `register`, and those of installed packages.

A package adds one by an entry point of the group `remask.AXIS`, as in `remask.select`; it is imported when a recipe
names it.
"""

import re
from dataclasses import fields, is_dataclass
from inspect import isclass
from typing import Any

from ..errors import RecipeError, quoted, unknown_name
from ..exactness import Exactness
from ..validation import check
from . import plugins
from .blocks import DIVISIONS, Division
from .caches import CACHES, Cache
from .canvas import CANVASES, Shown
from .history import HISTORIES, Enhancer
from .prior import PRIORS, Prior
from .process import Guidance, Process
from .revision import REVISERS, Reviser
from .selection import SELECTORS, Selector
from .stop import Stop
from .value import Value

KINDS: dict[str, type[Value]] = {  # what a value of each axis derives from
    "canvas": Shown,
    "blocks": Division,
    "guidance": Guidance,
    "process": Process,
    "history": Enhancer,
    "prior": Prior,
    "select": Selector,
    "revise": Reviser,
    "cache": Cache,
    "stop": Stop,
}
AXES: dict[str, dict[str, type[Value]]] = {
    "canvas": dict(CANVASES),
    "blocks": dict(DIVISIONS),
    "guidance": {"cfg": Guidance},
    "process": {"process": Process},
    "history": dict(HISTORIES),
    "prior": dict(PRIORS),
    "select": dict(SELECTORS),
    "revise": dict(REVISERS),
    "cache": dict(CACHES),
    "stop": {"stop": Stop},
}
OWN = {axis: frozenset(values) for axis, values in AXES.items()}


def register(axis: str, name: str, value_class: type[Any]) -> None:
    """Add a value to an axis: recipes, flags and `set` know it by `name` from now on.

    `value_class` is a frozen dataclass with an `exactness`, derived from the base class of its axis, as a selector is
    from `Selector`; its fields are the parameters. Raises RecipeError for an unknown axis, a taken name, or another
    kind of class.
    """
    check("axis", axis, str, RecipeError)
    check("name", name, str, RecipeError)
    if axis not in AXES:
        raise RecipeError(unknown_name("axis", axis, AXES))
    if not re.fullmatch(r"\w[\w-]{,63}", name):
        raise RecipeError(f"the name of a value must be one word, got {quoted(name)}")
    if name in AXES[axis]:
        raise RecipeError(f"{axis} has a value {name!r} already; register yours under another name")
    if not (isclass(value_class) and is_dataclass(value_class)):
        raise RecipeError(f"{axis} {name} must be a frozen dataclass, got {quoted(value_class)}")
    if not value_class.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        raise RecipeError(f"{axis} {name} must be frozen: write @dataclass(frozen=True) above {value_class.__name__}")
    if not isinstance(getattr(value_class, "exactness", None), Exactness | property):
        raise RecipeError(f"{axis} {name} must state what it claims: add `exactness: ClassVar[Exactness] = …` to it")
    if not issubclass(value_class, base := KINDS[axis]):
        raise RecipeError(
            f"{axis} {name} must derive from its axis: write class {value_class.__name__}({base.__name__}), "
            f"with {base.__name__} from {base.__module__}"
        )
    AXES[axis][name] = value_class


def value_class(axis: str, name: str) -> type[Value]:
    """The class called `name` on `axis`. Raises RecipeError if there is none."""
    if name not in AXES[axis] and (point := plugins.offers(f"remask.{axis}", OWN[axis]).get(name)) is not None:
        register(axis, name, plugins.load(point))
    if name not in AXES[axis]:
        raise RecipeError(unknown_name(axis, name, names(axis)))
    return AXES[axis][name]


def names(axis: str) -> list[str]:
    """The names of all values of `axis`, those of installed packages included."""
    return sorted({*AXES[axis], *plugins.offers(f"remask.{axis}", OWN[axis])})


def name_of(axis: str, value: Value) -> str:
    """The name of the class of `value`. Raises RecipeError if it has none."""
    for name, known in AXES[axis].items():
        if known is type(value):
            return name
    kind = type(value).__name__
    raise RecipeError(f"{axis} {kind} has no name; give it one: remask.register({axis!r}, {kind.lower()!r}, {kind})")


def parameters(value_class: type[Value]) -> list[str]:
    """The names of the parameters of a value."""
    return [f.name for f in fields(value_class) if f.init]  # type: ignore[arg-type]
