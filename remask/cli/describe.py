"""A recipe and a completion as plain JSON values."""

import math
from dataclasses import asdict, fields, is_dataclass
from typing import Any

from ..engine import Completion
from ..recipe import AXES, Recipe


def tables(recipe: Recipe) -> dict[str, Any]:
    """The recipe as tables of names and numbers: `Recipe.parse` reads them back, and so does a TOML file."""
    said: dict[str, Any] = {}
    for axis in fields(recipe):
        value = getattr(recipe, axis.name)
        if is_dataclass(value) and not isinstance(value, type):
            by = next(name for name, kind in AXES[axis.name].items() if kind is type(value))
            kept = {f.name: getattr(value, f.name) for f in fields(value) if f.init}
            value = {"by": by} | {k: list(v) if isinstance(v, tuple) else v for k, v in kept.items() if v is not None}
        if value is not None:
            said[axis.name] = value
    return said


def completion(done: Completion, model: str, recipe: Recipe, seed: int) -> dict[str, Any]:
    """One answer as a JSON object; a number that JSON cannot hold is null."""
    said = asdict(done) | {"exactness": str(done.exactness), "model": model, "seed": seed, "recipe": tables(recipe)}
    for name in ("logprobs", "confidences"):
        said[name] = [value if math.isfinite(value) else None for value in said[name]]
    said["seconds"] = round(done.seconds, 6)
    return said


def figures(done: Completion, paused: float = 0.0) -> str:
    """What a run cost, in one line; `paused` are seconds that the viewer spent looking."""
    seconds, tokens = max(done.seconds - paused, 1e-9), len(done.tokens)
    return " · ".join(
        (
            f"{tokens} token{'s' * (tokens != 1)}",
            f"{done.forwards} forward{'s' * (done.forwards != 1)}",
            f"{seconds:.2f} s",
            f"{tokens / seconds:.1f} tokens/s",
            str(done.exactness),
            done.finish_reason,
        )
    )
