"""No cache: every position, every step. What LLaDA's authors do, and the only exact choice for full attention."""

from dataclasses import dataclass

import numpy as np

from ..exactness import Exactness
from ..predictor import Plan
from .contract import View


@dataclass(frozen=True)
class NoCache:
    """Recompute the whole canvas at each step."""

    exactness = Exactness.EXACT

    def slots(self, length: int) -> int:
        """None."""
        return 0

    def plan(self, view: View) -> Plan:
        """All positions as queries."""
        return view.queries(np.arange(len(view.canvas)))
