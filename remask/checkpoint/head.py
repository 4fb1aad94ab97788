"""The head of a checkpoint that its config.json calls tied: the embedding once more, or a matrix of its own.

Loaders of the authors differ in what they do with a stored head that is another one; the files hold what was trained.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace

import torch

from ..models.config import ModelConfig
from ..models.families.family import Family
from .shards import Stored, paired

CHUNK = 1 << 22  # elements that are compared at once


def spare_head(family: Family, config: ModelConfig) -> str | None:
    """The name that a tied checkpoint's head would have, None if it is not tied."""
    if not config.tie_embeddings:
        return None
    untied = family.names(replace(config, tie_embeddings=False))
    return untied["unembed.weight"][0].name


def with_own_head(
    family: Family, config: ModelConfig, stored: Mapping[str, Stored], elsewhere: Collection[str] = ()
) -> tuple[ModelConfig, str]:
    """`config`, untied where the files hold a head that differs from the embedding, and who decides, in words.

    Both are read where both are there, up to the first difference; `elsewhere` are names of tensors that are not here.
    """
    head = spare_head(family, config)
    if head is None:
        return config, "its own matrix"
    if head in elsewhere:
        return config, f"tied to the embedding by its configuration; the stored {head} is compared when it is here"
    if head not in stored:
        return config, "tied to the embedding"
    if _equal(family.names(config)["embed.weight"][0].name, head, stored):
        return config, f"tied to the embedding; the stored {head} is equal"
    return (
        replace(config, tie_embeddings=False),
        f"its own matrix: tied by its configuration, but the stored {head} is another",
    )


def _equal(embedding: str, head: str, stored: Mapping[str, Stored]) -> bool:
    if embedding not in stored or stored[embedding].shape != stored[head].shape:
        return False
    for left, right in paired(embedding, head, stored):
        wide = torch.promote_types(left.dtype, right.dtype)
        size = max(1, CHUNK // max(1, left[:1].numel()))
        for a, b in zip(left.split(size), right.split(size), strict=True):
            if not torch.equal(a.to(wide), b.to(wide)):
                return False
    return True
