"""The block-causal cache: finished blocks never change, so storing them is exact; later blocks are not computed."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from ...exactness import Exactness
from ...models.contract import Plan
from .contract import Attention, Cache, View


@dataclass(frozen=True)
class BlockCausal(Cache):
    """The cache of models with block-causal attention (SDAR, arXiv 2510.06303; LLaDA2.0, arXiv 2512.15745). The first
    step of a block stores the block before it, so that the commit pass costs query rows but no forward of its own."""

    exactness: ClassVar[Exactness] = Exactness.OWN_ATTENTION
    attention: ClassVar[Attention] = "block_causal"

    def plan(self, view: View) -> Plan:
        """Compute the open block, and each block before it whose stored keys are missing or stale."""
        size = view.contract.block_size
        assert size is not None
        first = int(view.window[0]) // size * size
        before, block = view.everything[:first], view.everything[first : first + size]
        old = view.stale[:first]
        old = np.logical_or.reduceat(old, np.arange(0, first, size)).repeat(size) if first else old
        positions = np.unique(np.concatenate((before[old], block, view.sources)))
        keep = np.where(positions < first, positions, -1)
        return replace(view.queries(positions), stored=np.setdiff1d(before, positions), keep=keep)
