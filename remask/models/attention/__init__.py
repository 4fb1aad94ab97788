"""Attention: the only part of a forward where a row sees others. One contract, and two ways to compute it.

`sdpa`    a call for each group of sequences of equal shape; any device, dtype and mask.
`varlen`  one call for all sequences that see themselves alone, of any lengths; CUDA, 16 bits.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from ..config import ModelConfig
from ..contract import Group
from .sdpa import Sdpa


class Mixer(Protocol):
    """Attention in one forward: it knows the groups of the packed rows, and serves every layer."""

    def mix(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Return the mixed values (N, heads · head_dim) of packed rows: q (N, heads, head_dim), k and v (N, kv_heads,
        head_dim). Read and write what the groups store of this layer."""


Mixing = Callable[[Sequence[Group]], Mixer]


def mixing(config: ModelConfig, device: torch.device, dtype: torch.dtype) -> Mixing:
    """Return the way to compute attention that suits a model of `dtype` on `device`."""
    if device.type != "cuda":
        return Sdpa
    from . import varlen  # only here: its import takes time, and serves no other device

    return varlen.mixing(config, device, dtype) or Sdpa
