"""The prefix cache: the prefix comes from the first step in the window; window and suffix are computed."""

from dataclasses import dataclass

from ...models.contract import Plan
from .contract import View
from .refresh import Refreshed


@dataclass(frozen=True)
class Prefix(Refreshed):
    """Fast-dLLM's prefix cache (arXiv 2505.22618, §3.2)."""

    def plan(self, view: View) -> Plan:
        """Compute everything, or everything from the window on."""
        return view.refresh() if self.due(view) else view.beside_stored(view.everything[view.window[0] :])
