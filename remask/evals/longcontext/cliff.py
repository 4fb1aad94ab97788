"""Where retrieval ends: the distance that the rotary positions promise, and the one that was measured."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..statistics import wilson
from .sweep import Trial


class Needle(NamedTuple):
    """How far a needle was from its answer in tokens, and whether it was found."""

    distance: int
    found: bool


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


def needles(trials: Iterable[Trial]) -> list[Needle]:
    """The needle of each trial that has one, nearest first; found is what RULER's match says."""
    return sorted(Needle(trial.distance, trial.match == 1) for trial in trials if trial.distance is not None)


def cliff(needles: Sequence[Needle]) -> Cliff | None:
    """The likeliest step down of the share found, by distance; None if its two sides do not differ.

    Maximum likelihood of two Bernoulli shares over all places for the step. They differ if their 95 % Wilson
    intervals do not meet.
    """
    best: tuple[float, int] | None = None
    total = sum(hit for _, hit in needles)
    near = 0
    for cut in range(1, len(needles)):
        near += needles[cut - 1].found
        if needles[cut - 1].distance == needles[cut].distance or near / cut <= (total - near) / (len(needles) - cut):
            continue
        likelihood = _log_likelihood(near, cut) + _log_likelihood(total - near, len(needles) - cut)
        if best is None or likelihood > best[0]:
            best = likelihood, cut
    if best is None:
        return None
    cut = best[1]
    near = sum(hit for _, hit in needles[:cut])
    if wilson(near, cut)[0] <= wilson(total - near, len(needles) - cut)[1]:
        return None
    low, high = needles[cut - 1].distance, needles[cut].distance
    return Cliff((low + high) / 2, low, high, near / cut, (total - near) / (len(needles) - cut))


@dataclass(frozen=True)
class Bin:
    """What was found at distances from `low` to `high`, both included."""

    low: int
    high: int
    items: int
    found: int


def bins(needles: Sequence[Needle], count: int = 12) -> list[Bin]:
    """At most `count` bins of about equal numbers of needles; equal distances share a bin."""
    made: list[Bin] = []
    size = max(1, math.ceil(len(needles) / count))
    start = 0
    while start < len(needles):
        stop = min(len(needles), start + size)
        while stop < len(needles) and needles[stop].distance == needles[stop - 1].distance:
            stop += 1
        part = needles[start:stop]
        made.append(Bin(part[0].distance, part[-1].distance, len(part), sum(needle.found for needle in part)))
        start = stop
    return made


def _log_likelihood(hits: int, items: int) -> float:
    """Of `hits` in `items` at the share that fits best."""
    return sum(n * math.log(n / items) for n in (hits, items - hits) if n)
