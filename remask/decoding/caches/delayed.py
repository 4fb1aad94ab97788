"""Delayed cache: a token's key and value are stored one step after it was decided; what is undecided is computed."""

from dataclasses import dataclass

from ...errors import RecipeError
from ...models.contract import Plan
from .contract import Approximate, View


@dataclass(frozen=True)
class Delayed(Approximate):
    """dKV-Cache-Decode (arXiv 2505.15781, §3.3): keys change most in the step in which their token is decided, so
    that the step after stores them. Everything is computed anew every `every` steps; None: never."""

    every: int | None = 8

    def __post_init__(self) -> None:
        if self.every is not None and self.every < 1:
            raise RecipeError(f"cache.every must be at least 1, got {self.every}; dKV-Cache uses 4 to 16")

    def plan(self, view: View) -> Plan:
        """Everything, or what is undecided and what was decided by the last step."""
        if (view.written[view.everything] < 0).any() or (self.every is not None and view.forwards % self.every == 0):
            return view.refresh()
        return view.beside_stored(view.everything[(view.stale | view.canvas.undecided)[view.everything]])
