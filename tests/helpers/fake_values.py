"""A reviser for tests only, which takes every freedom that the contract promises."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from remask.decoding.canvas import Canvas
from remask.decoding.grid import Grid
from remask.decoding.revision import Counts, Never, Revision
from remask.models.contract import Ints


@dataclass(frozen=True)
class Malicious(Never):
    """Reads the whole canvas, wants everything edited and sent back, and never has enough.

    `edit` and `remask` choose its crimes; `blind` reads nothing beside the candidates.
    """

    edit: bool = True
    remask: bool = True
    blind: bool = False
    active = True

    def reads(self, canvas: Canvas, window: Ints) -> Ints:
        return window[:0] if self.blind else np.arange(len(canvas))

    def revise(self, seen: Grid, chosen: Tensor) -> Revision:
        everything = torch.ones_like(seen.valid)
        return Revision(chosen, everything & self.edit, everything & self.remask)

    def again(self, changed: Counts) -> bool:
        return True
