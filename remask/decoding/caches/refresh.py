"""The refresh of stored keys and values: the common part of the prefix and the dual cache."""

from dataclasses import dataclass

import numpy as np

from ...errors import RecipeError, bounded
from .contract import Approximate, View


@dataclass(frozen=True)
class Refreshed(Approximate):
    """A cache that the first step in each window fills by a forward of the whole canvas (a refresh). Another refresh
    follows after `every` steps, or as soon as more than the share `drift` of the window's tokens was decided; None:
    not before the next window. A refresh commits tokens like any other step."""

    every: int | None = None
    drift: float | None = None

    def __post_init__(self) -> None:
        if self.every is not None and self.every < 1:
            raise RecipeError(f"cache.every must be at least 1, got {self.every}; 1 recomputes everything at each step")
        if self.drift is not None:
            bounded("cache.drift", self.drift, 0, 1, "0 refreshes after each change")

    def due(self, view: View) -> bool:
        """Return True if the next forward computes everything."""
        last = int(view.written[view.everything].min())  # only a refresh writes every slot
        if view.clock == 0 or last < 0:
            return True
        if self.every is not None and view.forwards - last >= self.every:
            return True
        decided = int(np.count_nonzero(view.canvas.age[view.window] >= last))
        return self.drift is not None and decided > self.drift * len(view.window)
