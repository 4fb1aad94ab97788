"""Where retrieval ends: the distance that the rotary positions promise, and the one that was measured."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..statistics import wilson
from .grid import Outcome

Found = tuple[int, bool]  # how far the needle was, and whether it was found


@dataclass(frozen=True)
class Cliff:
    """A step in what is found by distance: the shares on either side of it, and where it lies.

    `distance` is halfway between the last distance before the step and the first one behind it, `low` and `high`.
    """

    distance: float
    low: int
    high: int
    inside: float
    outside: float


def points(outcomes: Sequence[Outcome]) -> list[Found]:
    """Distance and success of each outcome that has one needle, nearest first; found is what RULER's match says."""
    return sorted((o.distance, o.match == 1) for o in outcomes if o.distance is not None)


def cliff(found: Sequence[Found]) -> Cliff | None:
    """The likeliest step down of the share found, by distance; None if its two sides do not differ.

    Maximum likelihood of two Bernoulli shares over all places for the step. They differ if their 95 % Wilson
    intervals do not meet.
    """
    best: tuple[float, int] | None = None
    total = sum(hit for _, hit in found)
    near = 0
    for cut in range(1, len(found)):
        near += found[cut - 1][1]
        if found[cut - 1][0] == found[cut][0] or near / cut <= (total - near) / (len(found) - cut):
            continue
        likelihood = _log_likelihood(near, cut) + _log_likelihood(total - near, len(found) - cut)
        if best is None or likelihood > best[0]:
            best = likelihood, cut
    if best is None:
        return None
    cut = best[1]
    near = sum(hit for _, hit in found[:cut])
    if wilson(near, cut)[0] <= wilson(total - near, len(found) - cut)[1]:
        return None
    low, high = found[cut - 1][0], found[cut][0]
    return Cliff((low + high) / 2, low, high, near / cut, (total - near) / (len(found) - cut))


@dataclass(frozen=True)
class Bin:
    """What was found at distances from `low` to `high`, both included."""

    low: int
    high: int
    items: int
    found: int


def bins(found: Sequence[Found], count: int = 12) -> list[Bin]:
    """At most `count` bins of about equal numbers of points; equal distances share a bin."""
    made: list[Bin] = []
    size = max(1, math.ceil(len(found) / count))
    start = 0
    while start < len(found):
        stop = min(len(found), start + size)
        while stop < len(found) and found[stop][0] == found[stop - 1][0]:
            stop += 1
        part = found[start:stop]
        made.append(Bin(part[0][0], part[-1][0], len(part), sum(hit for _, hit in part)))
        start = stop
    return made


def _log_likelihood(hits: int, items: int) -> float:
    """Of `hits` in `items` at the share that fits best."""
    return sum(n * math.log(n / items) for n in (hits, items - hits) if n)
