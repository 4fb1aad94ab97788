"""The `rope_scaling` dictionary of a checkpoint, as transformers writes it, as a `Rope`."""

from collections.abc import Mapping
from typing import Any

from ...errors import CheckpointError, RecipeError
from ..rotary import Rope, yarn_amplitude

KINDS = ("default", "linear", "dynamic", "yarn", "llama3")
NAMES = {"beta_fast": "fast", "beta_slow": "slow", "high_freq_factor": "fast", "low_freq_factor": "slow",
         "attention_factor": "attention", "truncate": "truncate"}  # fmt: skip
READ = {"rope_type", "type", "factor", "original_max_position_embeddings", "mscale", "mscale_all_dim"}


def rope_scaling(stated: Any, max_positions: int, name: str = "rope_scaling") -> Rope:
    """Read the scaling `stated` in the field `name`, for a model whose configuration has `max_positions`.

    None, False and the type `default` mean no scaling. Raises CheckpointError, with the name, for a type or a key that
    is not supported.
    """
    if stated is None or stated is False:
        return Rope()
    if not isinstance(stated, Mapping):
        raise CheckpointError(f"config.json: {name} must be an object, got {stated!r}")
    given = {key: value for key, value in stated.items() if value is not None}
    kind = given.get("rope_type", given.get("type", None if given else "default"))
    if kind not in KINDS:
        raise CheckpointError(f"config.json: {name} of type {kind!r} is not supported; known: {', '.join(KINDS)}")
    if unknown := sorted(given.keys() - READ - NAMES.keys()):
        raise CheckpointError(f"config.json: {name} has {unknown[0]!r}, which is not supported")
    if kind == "default":
        return Rope()
    if not given.keys() & {"factor", "original_max_position_embeddings"}:
        raise CheckpointError(f"config.json: {name} of type {kind!r} lacks its 'factor'")
    trained = given.get("original_max_position_embeddings", max_positions)
    values = {NAMES[key]: value for key, value in given.items() if key in NAMES}
    weights = given.get("mscale", 0), given.get("mscale_all_dim", 0)
    try:
        factor = float(given.get("factor", max_positions / trained))
        if kind == "yarn" and all(weights) and "attention" not in values:
            values["attention"] = yarn_amplitude(factor, weights[0]) / yarn_amplitude(factor, weights[1])
        return Rope(kind, factor, trained=int(trained), **values)
    except (TypeError, ValueError, ArithmeticError) as error:
        reason = error if isinstance(error, RecipeError) else f"its values must be finite numbers, got {dict(given)}"
        raise CheckpointError(f"config.json: {name}: {reason}") from None


def published(rope: Rope) -> dict[str, Any] | None:
    """Return the dictionary that `rope_scaling` reads as `rope`, or None for no scaling."""
    if rope == Rope():
        return None
    fields: dict[str, Any] = {
        "rope_type": rope.method,
        "factor": rope.times,
        "original_max_position_embeddings": rope.trained,
        "attention_factor": rope.attention,
    }
    if rope.method == "yarn":
        fields |= {"beta_fast": rope.fast, "beta_slow": rope.slow, "truncate": rope.truncate}
    if rope.method == "llama3":
        fields |= {"high_freq_factor": rope.turns[0], "low_freq_factor": rope.turns[1]}
    return {name: value for name, value in fields.items() if value is not None}
