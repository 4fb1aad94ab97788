"""How a checkpoint is decoded by default: as generation_config.json states, else as its authors call it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import CheckpointError
from ..models.config import LARGEST
from ..models.families.family import Family
from .folder import clip

FILE = "generation_config.json"
COUNTS = ("gen_length", "steps", "block_length")  # what the file may state, besides fields of other kinds of models
SAMPLING = ("temperature", "top_k", "top_p")
REMASKING = ("low_confidence", "probability", "margin", "entropy", "random")


def _whole(least: int) -> tuple[str, Callable[[Any], bool]]:
    return f"a whole number from {least} to {LARGEST}", lambda value: type(value) is int and least <= value <= LARGEST


def _number(most: int) -> tuple[str, Callable[[Any], bool]]:
    return f"a number from 0 to {most}", lambda value: type(value) in (int, float) and 0 <= value <= most


CHECKS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    **dict.fromkeys(COUNTS, _whole(1)),
    "do_sample": ("true or false", lambda value: isinstance(value, bool)),
    "temperature": _number(LARGEST),
    "top_k": _whole(0),
    "top_p": ("a number above 0, up to 1", lambda value: type(value) in (int, float) and 0 < value <= 1),
    "cfg_scale": _number(LARGEST),
    "remasking": (f"one of {', '.join(REMASKING)}", lambda value: isinstance(value, str) and value in REMASKING),
}


@dataclass(frozen=True)
class Defaults:
    """The options by name, and who states each: the file, the authors' call, or the family."""

    values: dict[str, Any]
    sources: dict[str, str]

    @classmethod
    def of(cls, family: Family, generation: Mapping[str, Any]) -> "Defaults":
        """Those of a family's checkpoint whose file states `generation`. Raises CheckpointError for a wrong value.

        `temperature`, `top_k` and `top_p` are one way to draw: the file states it whole, or, where it has none of them
        or `do_sample` is false, the family does.
        """
        stated = {name: _checked(name, generation[name]) for name in CHECKS if generation.get(name) is not None}
        drawn, sampled = stated.keys() & set(SAMPLING), stated.pop("do_sample", None)
        theirs = dict(family.defaults)
        if drawn and sampled is not False:
            if sampled:
                stated.setdefault("temperature", 1.0)  # as transformers has it
            theirs = {name: value for name, value in theirs.items() if name == "temperature" or name not in SAMPLING}
            everything = {"top_k": 0, "top_p": 1}
            stated = {name: value for name, value in stated.items() if everything.get(name) != value}
        else:
            stated = {name: value for name, value in stated.items() if name not in SAMPLING}
        author = f"the authors' call, {family.call}" if family.call else f"the {family.name} family"
        return cls(theirs | stated, dict.fromkeys(theirs, author) | dict.fromkeys(stated, FILE))


def _checked(name: str, value: Any) -> Any:
    what, good = CHECKS[name]
    if not good(value):
        raise CheckpointError(f"{FILE}: {name} must be {what}, got {clip(value)}")
    return value
