"""The delayed cache: a token's key and value are stored one step after its decision; undecided ones are computed."""

from dataclasses import dataclass

from ...errors import RecipeError
from ...models.contract import Plan
from .contract import Approximate, View


@dataclass(frozen=True)
class Delayed(Approximate):
    """dKV-Cache-Decode (arXiv 2505.15781, §3.3): a key changes most in the step that decides its token, so the step
    after that one stores it. Every `every` steps everything is computed again; None: never."""

    every: int | None = 8

    def __post_init__(self) -> None:
        if self.every is not None and self.every < 1:
            raise RecipeError(f"cache.every must be at least 1, got {self.every}; dKV-Cache uses 4 to 16")

    def plan(self, view: View) -> Plan:
        """Compute everything, or the undecided positions and those that the last step decided."""
        if (view.written[view.everything] < 0).any() or (self.every is not None and view.forwards % self.every == 0):
            return view.refresh()
        return view.beside_stored(view.everything[(view.stale | view.canvas.undecided)[view.everything]])
