"""How sure we are: 95 % intervals for counts, for pairs, for tokens that come in prompts, and for means."""

import math
from collections.abc import Callable, Sequence
from random import Random

Z = 1.959964  # two-sided 95 %
ONE_SIDED = 1.644854  # one-sided 95 %


def wilson(passed: float, items: float, z: float = Z) -> tuple[float, float]:
    """Wilson score interval of a share; (0, 1) without items."""
    if not items:
        return 0.0, 1.0
    share, weight = passed / items, z * z / items
    middle = (share + weight / 2) / (1 + weight)
    half = z * math.sqrt(share * (1 - share) / items + weight / items / 4) / (1 + weight)
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))


def tango(gained: int, lost: int, items: int, z: float = Z) -> tuple[float, float]:
    """Score interval of the difference of two shares on the same items (Tango, Statistics in Medicine 17, 1998).

    `gained` items passed only by the first, `lost` only by the second. Unlike the normal interval it has a width also
    where all pairs agree: ±z²/(n + z²). (-1, 1) without items.
    """
    if not items:
        return -1.0, 1.0

    def score(delta: float) -> float:
        b = (2 * items - gained + lost) * delta - gained - lost
        root = math.sqrt(max(0.0, b * b + 8 * items * lost * delta * (1 - delta)))
        variance = (root - b) / 2 + items * delta * (1 - delta)  # at the likeliest share of lost items, given delta
        away = gained - lost - items * delta
        return away / math.sqrt(variance) if variance > 1e-12 else math.copysign(math.inf, away) if away else 0.0

    return _root(score, z), _root(score, -z)


def clustered(parts: Sequence[int], wholes: Sequence[int], z: float = Z) -> tuple[float, float]:
    """Interval of Σ parts / Σ wholes where each pair is one cluster: the tokens of one prompt sway together.

    Wilson's at the effective number of tokens: share · (1 - share) over the variance of the ratio estimate, at most
    the tokens there are; the number of clusters where they do not vary.
    """
    count, total = len(wholes), sum(wholes)
    if not total:
        return 0.0, 1.0
    share = sum(parts) / total
    residues = sum((part - share * whole) ** 2 for part, whole in zip(parts, wholes, strict=True))
    variance = count / (count - 1) * residues / total**2 if count > 1 else 0.0
    effective = min(total, share * (1 - share) / variance) if variance else count
    return wilson(share * effective, effective, z)


def bootstrap(values: Sequence[float], level: float = 0.95, draws: int = 2000, seed: int = 0) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of `values`; they are drawn anew as a whole, `draws` times."""
    rng, n = Random(seed), len(values)
    means = sorted(sum(rng.choices(values, k=n)) / n for _ in range(draws))
    tail = round((1 - level) / 2 * (draws - 1))
    return means[tail], means[-1 - tail]


def in_points(share: float) -> str:
    """A difference of shares in percentage points, as in −2.5."""
    return f"{100 * share:+.1f}".replace("-", "−")


def _root(score: Callable[[float], float], at: float) -> float:
    """Where the falling `score` on [-1, 1] takes the value `at`."""
    low, high = -1.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if score(middle) > at else (low, middle)
    return (low + high) / 2
