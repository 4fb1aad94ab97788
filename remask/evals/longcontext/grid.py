"""A grid of cells, each a task at one length and depth, run probe by probe and kept on record cell by cell."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from ...engine.handle import Handle
from ...engine.requests import Request, check
from ...errors import RequestError, UsageError
from ...llm import LLM
from ..statistics import wilson
from . import record
from .haystack import Filler, stories
from .layout import Frame, Probe
from .scoring import score
from .suite import LongTask, Sought


@dataclass(frozen=True)
class Cell:
    """One cell: a task, the tokens of its canvases, and the needle's depth in percent (None: a random one each)."""

    task: str
    length: int
    depth: float | None = None

    @property
    def key(self) -> str:
        """Its name in a record."""
        return f"{self.task}/{self.length}" + ("" if self.depth is None else f"/{self.depth:g}")


@dataclass(frozen=True)
class Outcome:
    """One probe: what was said, how it scored, and how far its needle was."""

    output: str
    exact: bool
    match: float
    f1: float
    needlebench: float
    distance: int | None


@dataclass(frozen=True)
class Result:
    """A cell and its outcomes."""

    cell: Cell
    outcomes: tuple[Outcome, ...]

    @property
    def exact(self) -> int:
        """How many answers were exact."""
        return sum(outcome.exact for outcome in self.outcomes)

    @property
    def found(self) -> int:
        """How many answers hold all that was asked for (of a question: one of its references)."""
        return sum(outcome.match == 1 for outcome in self.outcomes)

    def mean(self, name: str) -> float:
        """Mean of one score."""
        return sum(float(getattr(outcome, name)) for outcome in self.outcomes) / len(self.outcomes)

    def summary(self) -> dict[str, Any]:
        """Counts, means and 95 % Wilson intervals."""
        n = len(self.outcomes)
        return asdict(self.cell) | {
            "items": n,
            "exact": self.exact,
            "exact_interval": [round(bound, 6) for bound in wilson(self.exact, n)],
            "found": self.found,
            "found_interval": [round(bound, 6) for bound in wilson(self.found, n)],
            **{name: round(self.mean(name), 6) for name in ("match", "f1", "needlebench")},
        }


@dataclass
class Record:
    """Results by cell, on disk if there is a path."""

    path: Path | None
    about: dict[str, Any]
    results: dict[str, Result] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path | None, about: dict[str, Any]) -> "Record":
        """Take up `path` if it holds the same settings, else begin it. Raises UsageError if it holds others."""
        return cls(path, about, parsed(path, record.resumed(path, about, "cells")))

    @classmethod
    def read(cls, path: Path) -> "Record":
        """A record from its file. Raises UsageError if it is none."""
        said = record.read(path, "cells")
        return cls(path, said["about"], parsed(path, said["cells"]))

    def add(self, result: Result) -> None:
        """Keep one result."""
        self.results[result.cell.key] = result
        cells = [one.summary() | {"outcomes": list(map(asdict, one.outcomes))} for one in self.results.values()]
        record.write(self.path, self.about, cells=cells)


def parsed(path: Path | None, lines: Sequence[Mapping[str, Any]]) -> dict[str, Result]:
    """Results by the keys of their cells. Raises UsageError if `lines` do not hold any."""
    try:
        results = [
            Result(Cell(line["task"], line["length"], line["depth"]), tuple(Outcome(**o) for o in line["outcomes"]))
            for line in lines
        ]
    except (KeyError, TypeError) as error:
        raise UsageError(f"{path} holds a cell that is not whole ({error}); name another file") from None
    return {result.cell.key: result for result in results}


@dataclass(frozen=True)
class Settings:
    """How a grid is run: prompts a cell, seed, prompts decoded side by side, options of `LLM.request`.

    `gen_length` None takes the longest answer of the task; `raw` leaves out the chat template.
    """

    repeats: int = 10
    seed: int = 0
    batch: int = 8
    raw: bool = False
    gen_length: int | None = None
    filler: Filler = stories
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value in (("repeats", self.repeats), ("batch", self.batch), ("gen_length", self.gen_length)):
            if value is not None and value < 1:
                raise UsageError(f"{name} must be at least 1, got {value}")


def probes(cell: Cell, task: LongTask, frame: Frame, settings: Settings) -> Iterator[Probe]:
    """The probes of a cell: functions of the task, the seed and their number, whatever else is run."""
    gen_length = settings.gen_length or task.gen_length(frame, cell.length)
    for index in range(settings.repeats):
        rng = Random(f"{settings.seed}:{cell.key}:{index}")
        depth = rng.random() if cell.depth is None else cell.depth / 100
        form = task.draw(rng, Sought(cell.length, depth, settings.filler))
        yield frame.lay(form, cell.length, gen_length, rng)


def run(
    llm: LLM, cells: Sequence[Cell], tasks: dict[str, LongTask], settings: Settings, done: Iterable[str] = ()
) -> Iterator[Result]:
    """Results of all `cells` but those whose keys are `done`, in order; probes of several cells share a batch.

    Every cell is laid out once before the first one is decoded, so what cannot fit or run is refused at once. Raises
    UsageError for that.
    """
    frame = Frame.of(llm.text, raw=settings.raw)
    left = [cell for cell in cells if cell.key not in set(done)]
    for cell in left:
        try:
            request(llm, next(probes(cell, tasks[cell.task], frame, settings)), settings)
        except RequestError as error:
            raise RequestError(f"{cell.key}: {error}") from None
    waiting: list[tuple[Cell, Probe, Handle]] = []
    outcomes: list[Outcome] = []

    def finished() -> Iterator[Result]:
        cell, probe, handle = waiting.pop(0)
        outcomes.append(judge(probe, handle.result().text))
        if len(outcomes) == settings.repeats:
            yield Result(cell, tuple(outcomes))
            outcomes.clear()

    for cell in left:
        for probe in probes(cell, tasks[cell.task], frame, settings):
            if len(waiting) >= settings.batch:
                yield from finished()
            waiting.append((cell, probe, llm.engine.submit(request(llm, probe, settings))))
    while waiting:
        yield from finished()


def request(llm: LLM, probe: Probe, settings: Settings) -> Request:
    """What the engine is asked for a probe: one token a step and greedy, unless the settings say otherwise.

    Raises RequestError or RecipeError if it cannot run here.
    """
    usual = {} if "recipe" in settings.options else {"steps": probe.gen_length, "temperature": 0.0}
    asked = llm.continuation(probe.prompt, gen_length=probe.gen_length, **usual | settings.options)
    check(asked, llm.model)
    return asked


def judge(probe: Probe, output: str) -> Outcome:
    """Score one answer."""
    found = score(output, probe.references, part=probe.part, needle=probe.needle)
    return Outcome(
        output, found.exact, round(found.match, 6), round(found.f1, 6), round(found.needlebench, 6), probe.distance
    )
