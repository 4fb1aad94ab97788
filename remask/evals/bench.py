"""Recipes side by side on the same items: how good, how many forwards, how fast, how much memory."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import chain, product
from typing import Any

from ..decoding.recipe import Recipe
from ..engine.memory import peak_bytes
from ..engine.requests import Request
from ..errors import RecipeError
from ..llm import LLM
from .cost import timed
from .items import Item, Outcome, decode
from .records import Record
from .results import Result, Times, cost, pace, quality, summed, worst


@dataclass(frozen=True)
class Contender:
    """A recipe under the name that the user gave it."""

    label: str
    recipe: Recipe

    @property
    def key(self) -> str:
        """What a record knows it by: a digest of its values, whatever it is called."""
        values = {k: v for k, v in self.recipe.tables().items() if k not in ("name", "citation")}
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Workload:
    """Items that all recipes decode, with `gen_length` positions each; None is the model's default."""

    name: str
    items: Sequence[Item]
    gen_length: int | None = None

    @property
    def judged(self) -> bool:
        """Whether answers are right or wrong."""
        return self.items[0].passes is not None


@dataclass(frozen=True)
class Clock:
    """How speed is measured: `rounds` in which each recipe decodes the first `items`, `rows` of them side by side."""

    rounds: int = 5
    items: int = 8
    rows: int = 1


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
        found = {(w.name, c.key): self._refusal(w, c) for w, c in pairs}
        self.refused = {pair: why for pair, why in found.items() if why is not None}

    def answers(self) -> Iterator[Stage]:
        """Every recipe's answer to every item that the record lacks, a stage a workload."""
        for workload in self.workloads:
            runs, lines = self._runnable(workload), self.record.find(task=workload.name)
            known = {(line["recipe"], line["index"]) for line in lines if "index" in line}
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
            found, memory = self.outcomes(group, c), [self._memory(w, c) for w in group]
            used = max((m for m in memory if m is not None), default=None)
            measured = replace(plain, **cost(found), **pace(rounds, c.key, runs[0].key), memory=used)
            yield replace(measured, **quality(found, base, group[0].judged, c is runs[0]))

    def _refusal(self, workload: Workload, contender: Contender) -> str | None:
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
        asked = ((item, self._options(workload, item, c)) for item, c in jobs)
        for (_, c), outcome in zip(jobs, decode(self.llm, asked), strict=True):
            self.record.keep(outcome, task=workload.name, recipe=c.key)
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
        found = self.record.find(task=workload.name, clock=self._clock(workload))
        return [line["times"] for line in found[: self.clock.rounds]]

    def _memory(self, workload: Workload, contender: Contender) -> int | None:
        found = self.record.find(task=workload.name, recipe=contender.key, rows=self.clock.rows)
        return int(found[0]["memory"]) if found else None

    def outcomes(self, group: Sequence[Workload], contender: Contender) -> dict[tuple[str, int], Outcome]:
        """What the recipe made of the items of `group` so far, by workload and index."""
        wanted = {(w.name, item.index) for w in group for item in w.items}
        found = [(w.name, o) for w in group for o in self.record.outcomes(task=w.name, recipe=contender.key)]
        return {(name, o.index): o for name, o in found if (name, o.index) in wanted}
