"""No cache: every position, every step. What LLaDA's authors do, and the only exact choice for full attention."""

from dataclasses import dataclass
from typing import ClassVar

from ...exactness import Exactness
from ...models.contract import Plan
from .contract import Attention, View


@dataclass(frozen=True)
class NoCache:
    """Recompute everything at each step."""

    exactness: ClassVar[Exactness] = Exactness.EXACT
    attention: ClassVar[Attention] = "any"

    def slots(self, length: int) -> int:
        """None."""
        return 0

    def plan(self, view: View) -> Plan:
        """All positions as queries."""
        return view.queries(view.everything)
