"""The recipes of a comparison, each under the name that the user gave it."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from ..decoding.parsing import settings
from ..decoding.recipe import Recipe
from ..errors import UsageError


@dataclass(frozen=True)
class Contender:
    """A recipe under the name that the user gave it."""

    label: str
    recipe: Recipe

    @property
    def key(self) -> str:
        """Its name in a record: a digest of its values, whatever it is called."""
        values = {k: v for k, v in self.recipe.tables().items() if k not in ("name", "citation")}
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


def contenders(specs: Sequence[str], changes: Sequence[str] = ()) -> list[Contender]:
    """The recipes that `specs` name, as `Recipe.load` reads them, each with `changes` such as "select.threshold=0.8".

    Raises RecipeError for a name or a change that is unknown, UsageError if two of them are one recipe.
    """
    by_key: dict[str, Contender] = {}
    for spec in specs:
        one = Contender("+".join([spec, *changes]), Recipe.load(spec).change(settings(changes)))
        if other := by_key.get(one.key):
            raise UsageError(f"{other.label} and {one.label} are the same recipe; leave one out")
        by_key[one.key] = one
    return list(by_key.values())


def shipped() -> list[str]:
    """The names of all recipes that ship, LLaDA's own first."""
    return sorted(Recipe.shipped(), key=lambda name: (name != "llada", name))
