"""How far rotary positions reach at a length, and a model that computes with them outside the engine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ...decoding.objective import Network
from ...llm import LLM
from ...models.contract import Packed, Predictor
from ...models.rotary import Extent, Rope, Rotation, Rotations


def rope_of(llm: LLM, options: Mapping[str, Any], length: int) -> Rope:
    """The scaling that a canvas of `length` tokens gets under `options`, those of `LLM.request`."""
    return llm.continuation([0] * max(1, length - 1), **{**options, "gen_length": 1}).recipe.rope


def extents(llm: LLM, options: Mapping[str, Any], lengths: Sequence[int]) -> dict[int, Extent]:
    """T, λ and reach by length; nothing for a model without rotary positions."""
    rotary = llm.model.contract.rotary
    if rotary is None:
        return {}
    return {length: Extent.of(rope_of(llm, options, length).fit(rotary, length), rotary) for length in lengths}


@dataclass(frozen=True)
class ScaledModel:
    """A model whose every row turns by one rotation."""

    model: Predictor
    rotation: Rotation

    def hidden(self, batch: Packed) -> Tensor:
        """Hidden rows (R, d) of `batch.reads`."""
        which = torch.zeros(len(batch.tokens), dtype=torch.long, device=batch.tokens.device)
        return self.model.hidden(replace(batch, rotations=Rotations.of([self.rotation], which)))

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits (R, V), float32."""
        return self.model.logits(hidden)


def scaled(model: Predictor, rope: Rope, length: int) -> Network:
    """`model` as it reads a canvas of `length` tokens under `rope`."""
    rotation = rope.rotation(model.contract.rotary, length)
    return model if rotation is None else ScaledModel(model, rotation)
