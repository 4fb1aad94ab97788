"""A completion as plain JSON values, and in one line."""

import math
from dataclasses import asdict
from typing import Any

from ..decoding.recipe import Recipe
from ..engine.requests import Completion


def completion(done: Completion, model: str, recipe: Recipe, seed: int) -> dict[str, Any]:
    """One answer as a JSON object; a number that JSON cannot hold is null."""
    said = asdict(done) | {"exactness": str(done.exactness), "model": model, "seed": seed, "recipe": recipe.tables()}
    for name in ("logprobs", "confidences"):
        said[name] = [value if math.isfinite(value) else None for value in said[name]]
    said["seconds"] = round(done.seconds, 6)
    return said


def figures(done: Completion, paused: float = 0.0) -> str:
    """What a run cost, in one line; `paused` are seconds that the viewer spent looking."""
    seconds, tokens = max(done.seconds - paused, 1e-9), len(done.tokens)
    scaled = () if done.rope is None or done.rope.rope == "none" else (f"{done.rope.rope} reaches {done.rope.reach:,}",)
    cut = (f"{done.dropped:,} prompt tokens left out",) if done.dropped else ()
    return " · ".join(
        (
            f"{tokens} token{'s' * (tokens != 1)}",
            f"{done.forwards} forward{'s' * (done.forwards != 1)}",
            f"{seconds:.2f} s",
            f"{tokens / seconds:.1f} tokens/s",
            str(done.exactness),
            *scaled,
            *cut,
            done.finish_reason,
        )
    )
