"""No cache: every position, every step. LLaDA's authors do so, and for full attention only this is exact."""

from dataclasses import dataclass
from typing import ClassVar

from ...exactness import Exactness
from ...models.contract import Plan
from .contract import Cache, View


@dataclass(frozen=True)
class NoCache(Cache):
    """Recomputation of everything at each step."""

    exactness: ClassVar[Exactness] = Exactness.EXACT

    def slots(self, length: int) -> int:
        """Return 0: nothing is stored."""
        return 0

    def plan(self, view: View) -> Plan:
        """Compute all positions."""
        return view.queries(view.everything)
