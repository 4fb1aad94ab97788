"""Recipes side by side on the same items: how good, how many forwards, how fast, how much memory."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import chain, product
from pathlib import Path
from typing import Any

from .. import files
from ..engine.memory import peak_bytes
from ..engine.requests import Request
from ..errors import RecipeError
from ..llm import LLM
from ..validation import Count
from .contenders import Contender
from .cost import Timing, timed
from .frontier import plot
from .items import Item, Outcome, decode, outcomes
from .records import Record
from .results import Result, Times, cost, pace, quality, summed, worst
from .workloads import Workload


@dataclass(frozen=True)
class Clock:
    """How speed is measured: `rounds` in which each recipe decodes the first `items`, `rows` of them side by side."""

    rounds: int = 5
    items: int = 8
    rows: int = 1


@dataclass(frozen=True)
class Peak:
    """A line of the record: bytes of `memory` that a recipe took with so many rows side by side."""

    memory: Count


@dataclass(frozen=True)
class Round:
    """A line of the record: one timed round, a Timing by recipe."""

    times: Mapping[str, Any]


@dataclass(frozen=True)
class Stage:
    """A part of the work: `done` of `total` is in the record already, and each item of `work` is one more."""

    name: str
    total: int
    done: int
    work: Iterator[None]


@dataclass
class Bench:
    """All contenders on all workloads. What is measured goes to `record`, and the results are read from there."""

    llm: LLM
    contenders: Sequence[Contender]
    workloads: Sequence[Workload]
    record: Record
    clock: Clock = Clock()
    seed: int = 0
    refused: dict[tuple[str, str], str] = field(init=False)

    def __post_init__(self) -> None:
        pairs = product(self.workloads, self.contenders)
        reasons = {(w.name, c.key): self._refusal(w, c) for w, c in pairs}
        self.refused = {pair: why for pair, why in reasons.items() if why is not None}

    def answers(self) -> Iterator[Stage]:
        """Every recipe's answer to every item that the record lacks, a stage a workload."""
        for workload in self.workloads:
            runs = self._runnable(workload)
            known = {(c.key, index) for c in runs for _, index in self.outcomes([workload], c)}
            jobs = [(item, c) for item in workload.items for c in runs if (c.key, item.index) not in known]
            total = len(workload.items) * len(runs)
            yield Stage(f"{workload.name}: answers", total, total - len(jobs), self._answers(workload, jobs))

    def costs(self) -> Iterator[Stage]:
        """Memory and speed, as far as the record lacks them, two stages a workload."""
        for workload in self.workloads:
            runs = self._runnable(workload)
            lacking = [c for c in runs if self._memory(workload, c) is None]
            work = self._memories(workload, lacking)
            yield Stage(f"{workload.name}: memory", len(runs), len(runs) - len(lacking), work)
            done = len(self._rounds(workload))
            yield Stage(f"{workload.name}: speed", self.clock.rounds, done, self._speed(workload, runs, done))

    def results(self) -> list[Result]:
        """What is measured so far: a line a recipe for each workload, and for all together if they are several."""
        single = [list(self._results([workload])) for workload in self.workloads]
        if len(single) == 1:
            return single[0]
        together = zip(self._results(self.workloads), *single, strict=True)
        return [*chain(*single), *(replace(both, worst=worst(each)) for both, *each in together)]

    def as_dict(self) -> dict[str, Any]:
        """Everything that was measured, as plain JSON values."""
        results = [result.as_dict() for result in self.results()]
        return {"about": dict(self.record.about), "clock": asdict(self.clock), "results": results}

    def save(self, folder: Path) -> None:
        """Write results.json, frontier.png and frontier.svg into `folder`. Raises UsageError if that cannot be."""
        plain = json.dumps(self.as_dict(), ensure_ascii=False, allow_nan=False)
        files.write(folder / "results.json", plain + "\n")
        for kind in ("png", "svg"):
            title = f"Recipes on {self.llm.loaded.source}"
            files.write(folder / f"frontier.{kind}", plot(self.results(), title, kind))

    @property
    def caption(self) -> str:
        """What the figures hold for, in words."""
        clock, device, threads = self.clock, self.llm.model.device, self.llm.engine.threads
        memory = "what the allocator held" if device.type == "cuda" else "live tensors"
        dtype = str(self.llm.model.dtype).removeprefix("torch.")
        return (
            "Intervals hold with 95 %; differences are paired. "
            f"Speed: medians of {clock.rounds} rounds of {clock.items} items, {clock.rows} at a time, "
            f"on {device} with {threads} thread{'s' * (threads != 1)} in {dtype}. "
            f"Memory: {memory} at most while {clock.rows} at a time are decoded, the weights not counted."
        )

    def _results(self, group: Sequence[Workload]) -> Iterator[Result]:
        name = group[0].name if len(group) == 1 else "all tasks"
        why = {key: reason for (work, key), reason in self.refused.items() if work in {w.name for w in group}}
        runs = [c for c in self.contenders if c.key not in why]
        rounds = [summed(parts) for parts in zip(*(self._rounds(w) for w in group), strict=False)]
        base = self.outcomes(group, runs[0]) if runs else {}
        for c in self.contenders:
            plain = Result(name, c.label, c.recipe, judged=group[0].judged)
            if c not in runs:
                yield replace(plain, refused=why[c.key])
                continue
            mine, memory = self.outcomes(group, c), [self._memory(w, c) for w in group]
            used = max((m for m in memory if m is not None), default=None)
            measured = replace(plain, **cost(mine), **pace(rounds, c.key, runs[0].key), memory=used)
            yield replace(measured, **quality(mine, base, group[0].judged, c is runs[0]))

    def _refusal(self, workload: Workload, contender: Contender) -> str | None:
        """Why the recipe does not fit the model; None if it does."""
        try:
            self.llm.engine.check(self._request(workload, workload.items[0], contender))
        except RecipeError as error:
            return str(error)
        return None

    def _runnable(self, workload: Workload) -> list[Contender]:
        return [c for c in self.contenders if (workload.name, c.key) not in self.refused]

    def _options(self, workload: Workload, item: Item, contender: Contender) -> dict[str, Any]:
        return {"recipe": contender.recipe, "gen_length": workload.gen_length, "seed": self.seed + item.index}

    def _request(self, workload: Workload, item: Item, contender: Contender) -> Request:
        return item.request(self.llm, self._options(workload, item, contender))

    def _answers(self, workload: Workload, jobs: Sequence[tuple[Item, Contender]]) -> Iterator[None]:
        """All recipes advance through the items together, so that what is there after a kill is there in pairs."""
        options = ((item, self._options(workload, item, c)) for item, c in jobs)
        for (_, c), outcome in zip(jobs, decode(self.llm, options), strict=True):
            self.record.add({"task": workload.name, "recipe": c.key} | asdict(outcome))
            yield

    def _memories(self, workload: Workload, contenders: Sequence[Contender]) -> Iterator[None]:
        rows = self.clock.rows
        for c in contenders:
            requests = [self._request(workload, item, c) for item in workload.items[:rows]]
            used = peak_bytes(self.llm.model.device, partial(timed, self.llm, requests, rows))
            self.record.add({"task": workload.name, "recipe": c.key, "rows": rows, "memory": used})
            yield

    def _speed(self, workload: Workload, contenders: Sequence[Contender], done: int) -> Iterator[None]:
        """Each round times every recipe once, in an order that turns, so that the machine's moods hit all alike."""
        if done >= self.clock.rounds or not contenders:
            return
        items = workload.items[: self.clock.items]
        requests = {c.key: [self._request(workload, item, c) for item in items] for c in contenders}
        for c in contenders:
            timed(self.llm, requests[c.key][:1], 1)  # warms up
        for turn in range(done, self.clock.rounds):
            order = [contenders[(turn + i) % len(contenders)] for i in range(len(contenders))]
            took = {c.key: asdict(timed(self.llm, requests[c.key], self.clock.rows)) for c in order}
            self.record.add({"task": workload.name, "round": turn, "clock": self._clock(workload), "times": took})
            yield

    def _clock(self, workload: Workload) -> list[Any]:
        return [self.clock.rows, self.clock.items, sorted(c.key for c in self._runnable(workload))]

    def _rounds(self, workload: Workload) -> list[Times]:
        lines = self.record.find(task=workload.name, clock=self._clock(workload))[: self.clock.rounds]
        rounds = [(self.record.value(Round, line, line).times, line) for line in lines]
        keys = [c.key for c in self._runnable(workload)]
        return [{key: self.record.value(Timing, times.get(key), line) for key in keys} for times, line in rounds]

    def _memory(self, workload: Workload, contender: Contender) -> int | None:
        of = {"task": workload.name, "recipe": contender.key, "rows": self.clock.rows}
        peaks = self.record.values(Peak, "rows", **of)
        return peaks[0].memory if peaks else None

    def outcomes(self, group: Sequence[Workload], contender: Contender) -> dict[tuple[str, int], Outcome]:
        """What the recipe made of the items of `group` so far, by workload and index."""
        items = {(w.name, item.index) for w in group for item in w.items}
        known = [(w.name, o) for w in group for o in outcomes(self.record, task=w.name, recipe=contender.key)]
        return {(name, o.index): o for name, o in known if (name, o.index) in items}
