"""The families of checkpoints, and the choice of one for a config.json."""

from collections.abc import Mapping
from typing import Any

from ...errors import CheckpointError, did_you_mean, quoted
from .dense import A2D, A2D_BLOCKS, DREAM, FAST_DLLM, ILLADA, OPEN_DCODER, SDAR
from .family import Family
from .llada import LLADA
from .llada2 import LLADA2, LLADA21
from .llada_moe import LLADA_MOE
from .qwen_moe import RND1, SDAR_MOE

ALL = (
    LLADA, LLADA_MOE, LLADA2, LLADA21, ILLADA, DREAM, SDAR, SDAR_MOE, FAST_DLLM, RND1, OPEN_DCODER, *A2D, *A2D_BLOCKS,
)  # fmt: skip
FAMILIES: dict[str, Family] = {family.name: family for family in ALL}
BY_ARCHITECTURE = {name: family for family in ALL for name in family.architectures}
REPOSITORIES = {repository: family.name for family in ALL for repository in family.repositories}
BY_TYPE = {name: family for family in ALL for name in family.model_types}

# Diffusion models of other kinds, by the beginning of their names in lower case, and what they would need.
MISSING = {
    "diffusiongemma": "it starts from random tokens instead of [MASK] and feeds its guesses back as embeddings",
    "mdlm": "its layers are modulated by the noise level (DiT with adaLN)",
    "bd3lm": "its layers are modulated by the noise level (DiT with adaLN)",
}


def family_of(fields: Mapping[str, Any], family: str | Family | None = None) -> Family:
    """Return the family of a configuration: `family`, given as a value or by its name, else by architecture.

    Different models share a `model_type`, so it counts only if `architectures` is left out. Raises CheckpointError
    for a model of no family here.
    """
    if isinstance(family, Family):
        return family
    if family is not None:
        if family not in FAMILIES:
            raise CheckpointError(
                f"unknown family {quoted(family)}; known: {', '.join(FAMILIES)}{did_you_mean(family, FAMILIES)}"
            )
        return FAMILIES[family]
    architectures, kind = fields.get("architectures") or [], fields.get("model_type")
    names = [name for name in architectures if isinstance(name, str)] if isinstance(architectures, list) else []
    for name in names:
        if name in BY_ARCHITECTURE:
            return BY_ARCHITECTURE[name]
    if not architectures and isinstance(kind, str) and kind in BY_TYPE:
        moe = kind == "llada" and fields.get("num_experts")
        return LLADA_MOE if moe else BY_TYPE[kind]
    label = repr(architectures or kind)
    for name in (*names, str(kind)):
        for start, why in MISSING.items():
            if name.lower().replace("_", "").startswith(start):
                raise CheckpointError(f"config.json: {label[:120]} is not supported: {why}")
    raise CheckpointError(
        f"config.json: architecture {label[:120]} is not supported; supported: {', '.join(BY_ARCHITECTURE)}, "
        f"and by family: {', '.join(family.name for family in ALL if not family.architectures)}"
    )
