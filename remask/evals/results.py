"""The results of a comparison of recipes: one line a recipe, and the frontier of quality and speed."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..decoding.recipe import Recipe
from .accuracy import paired_difference
from .cost import Timing
from .items import Outcome
from .statistics import ONE_SIDED, in_points, wilson

Outcomes = Mapping[tuple[str, int], Outcome]  # by workload and index
Times = Mapping[str, Timing]  # of one round, by recipe


@dataclass(frozen=True)
class Result:
    """One recipe on one workload. What was not measured is None; `refused` is why nothing was.

    `quality` is the share that passed; where nobody can judge, the share of answers equal to the first recipe's.
    `difference` is its distance to the first recipe's on the same items, with a 95 % interval, and `loss` the one-sided
    95 % bound of what was lost; over several workloads, `worst` is the least difference and where. `ratio` is the
    median, over rounds, of the first recipe's seconds over this one's.
    """

    workload: str
    label: str
    recipe: Recipe
    refused: str | None = None
    judged: bool = True
    items: int = 0
    passed: int | None = None
    difference: tuple[float, float, float] | None = None
    loss: float | None = None
    worst: tuple[float, str] | None = None
    errors: int = 0
    forwards: float | None = None
    tokens: float | None = None
    tokens_per_second: float | None = None
    ratio: float | None = None
    first_token: float | None = None
    memory: int | None = None

    @property
    def quality(self) -> float | None:
        """Passed over items."""
        return self.passed / self.items if self.passed is not None and self.items else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % Wilson interval of the quality."""
        return None if self.passed is None else wilson(self.passed, self.items)

    @property
    def tokens_per_forward(self) -> float | None:
        """Kept tokens that one forward yields."""
        return self.tokens / self.forwards if self.tokens is not None and self.forwards else None

    def as_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        plain = asdict(self) | {"recipe": self.recipe.tables(), "exactness": str(self.recipe.exactness)}
        return plain | {
            "quality": self.quality,
            "interval": self.interval,
            "tokens_per_forward": self.tokens_per_forward,
        }


def cost(outcomes: Outcomes) -> dict[str, Any]:
    """Means an item."""
    n, each = max(1, len(outcomes)), outcomes.values()
    return {
        "items": len(outcomes),
        "errors": sum(o.error is not None for o in each),
        "forwards": sum(o.forwards for o in each) / n if outcomes else None,
        "tokens": sum(o.tokens for o in each) / n if outcomes else None,
    }


def summed(parts: Sequence[Times]) -> Times:
    """One round over several workloads: seconds and tokens add up, waits are averaged."""
    keys = set.intersection(*(set(times) for times in parts))
    return {
        key: Timing(
            sum(times[key].seconds for times in parts),
            sum(times[key].tokens for times in parts),
            statistics.mean(times[key].first for times in parts),
        )
        for key in keys
    }


def pace(rounds: Sequence[Times], key: str, first: str) -> dict[str, Any]:
    """Medians over rounds; the ratio is taken within each round, where both met the same machine."""
    if not rounds:
        return {}
    mine = [times[key] for times in rounds]
    return {
        "tokens_per_second": statistics.median(time.tokens / time.seconds for time in mine),
        "ratio": statistics.median(times[first].seconds / times[key].seconds for times in rounds),
        "first_token": statistics.median(time.first for time in mine),
    }


def quality(outcomes: Outcomes, base: Outcomes, judged: bool, is_base: bool) -> dict[str, Any]:
    """How many passed, and how far from `base` on the items that both have; unjudged, how many equal it."""
    common = [(outcomes[i], base[i]) for i in sorted(outcomes.keys() & base.keys())]
    mine, theirs = [a for a, _ in common], [b for _, b in common]
    if not judged:
        same = sum(a.output == b.output and not a.error for a, b in common)
        return {} if is_base else {"items": len(common), "passed": same}
    passed = {"passed": sum(bool(o.passed) for o in outcomes.values())}
    if is_base or not common:
        return passed
    at_least = paired_difference(mine, theirs, ONE_SIDED)[1]
    return passed | {"difference": paired_difference(mine, theirs), "loss": max(0.0, -at_least)}


def worst(each: Sequence[Result]) -> tuple[float, str] | None:
    """The least difference to the first recipe among workloads, and the name of that workload."""
    known = [(result.difference[0], result.workload) for result in each if result.difference is not None]
    return min(known) if known else None


def remarks(results: Sequence[Result]) -> list[str]:
    """What a table of results does not show: who was refused and why, whose numbers broke, where each lost most."""
    lines = []
    for why in dict.fromkeys(result.refused for result in results if result.refused):
        names = ", ".join(result.label for result in results if result.refused == why)
        lines.append(f"refused: {names}: {why}")
    lines += [f"{r.label}: the logits of {r.errors} items broke" for r in results if r.errors]
    lost = [f"{r.label} {in_points(r.worst[0])} ({r.worst[1]})" for r in results if r.worst and r.worst[0] < 0]
    return [*lines, f"most lost on one task: {', '.join(lost)}"] if lost else lines


def frontier(results: Sequence[Result], speed: str) -> list[Result]:
    """Those that no other beats in quality and in `speed` (a field of Result) at once, slowest first."""
    known = [(float(getattr(r, speed)), r) for r in results if r.quality is not None and getattr(r, speed) is not None]
    best: list[Result] = []
    for _, result in sorted(known, key=lambda pair: (-pair[0], -(pair[1].quality or 0.0))):
        if not best or (result.quality or 0.0) > (best[-1].quality or 0.0):
            best.append(result)
    return best[::-1]
