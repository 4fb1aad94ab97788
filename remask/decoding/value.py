"""The values of an axis: what each says of itself, and the hooks by which it meets a tokenizer and a model.

Every axis is one module: a base class that derives from `Value`, frozen dataclasses that derive from the base, and a
table of their names. A hook has a default where most values have nothing to say.
"""

from abc import ABC
from collections.abc import Callable, Iterable
from typing import ClassVar, Self

from ..errors import RecipeError
from ..exactness import Exactness
from ..models.contract import Contract


class Value(ABC):
    """A choice on one axis of a recipe."""

    exactness: ClassVar[Exactness]  # the class that it claims; a property where its numbers decide

    def spelled(self, encode: Callable[[str], list[int]]) -> Self:
        """Return the value with its strings encoded as token ids. Raises RecipeError if one is not a single token."""
        return self

    def fit(self, contract: Contract) -> "Value":
        """Return the value as this model takes it. Raises RecipeError, saying what would fit."""
        return self


def in_vocabulary(what: str, ids: Iterable[int | str], contract: Contract) -> None:
    """Raise RecipeError if one of `ids` is not a row of the model's vocabulary."""
    if outside := [i for i in ids if not 0 <= int(i) < contract.vocab_size]:
        raise RecipeError(f"{what} holds id {outside[0]}, the vocabulary has {contract.vocab_size} rows")
