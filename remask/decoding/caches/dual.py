"""The dual cache: prefix and suffix come from the first step in the window; the window alone is computed."""

from dataclasses import dataclass

import numpy as np

from ...errors import RecipeError
from ...models.contract import Plan
from .contract import View
from .refresh import Refreshed


@dataclass(frozen=True)
class Dual(Refreshed):
    """Fast-dLLM's dual cache (arXiv 2505.22618, §3.2). With a `vicinity`, so many positions on either side of the
    window are computed too (dInfer, arXiv 2510.08666, §4.3)."""

    vicinity: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.vicinity < 0:
            raise RecipeError(f"cache.vicinity must be at least 0, got {self.vicinity}; dInfer uses 16")

    def plan(self, view: View) -> Plan:
        """Compute everything, or the window and its vicinity."""
        if self.due(view):
            return view.refresh()
        first, last = int(view.window[0]), int(view.window[-1])
        near = view.everything[max(0, first - self.vicinity) : last + self.vicinity + 1]
        return view.beside_stored(near if self.vicinity else np.asarray(view.window))
