"""A sweep: probes of many conditions, run side by side and kept on record, condition by condition."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from random import Random
from typing import Annotated, Any

from ...engine.handle import Handle
from ...engine.requests import Request, check
from ...errors import RequestError, UsageError
from ...llm import LLM
from ...validation import Range
from ..records import Record, subject
from ..statistics import wilson
from .conditions import Condition, trained_length
from .haystack import Filler, stories
from .layout import Frame, Probe
from .scoring import Score
from .suite import LongTask, Site

Share = Annotated[float, Range(0, 1)]


@dataclass(frozen=True)
class Trial:
    """One probe: the answer, its scores, and how far its needle was."""

    output: str
    exact: bool
    match: Share
    f1: Share
    needlebench: Annotated[float, Range(0, 100)]
    distance: Annotated[int | None, Range(0, 2**31)]

    @classmethod
    def of(cls, probe: Probe, output: str) -> "Trial":
        """Score one answer."""
        score = Score.of(output, probe.references, part=probe.part, needle=probe.needle)
        match, f1, needlebench = (round(number, 6) for number in (score.match, score.f1, score.needlebench))
        return cls(output, score.exact, match, f1, needlebench, probe.distance)


@dataclass(frozen=True)
class Tally:
    """A condition and its trials."""

    condition: Condition
    trials: tuple[Trial, ...]

    @property
    def exact(self) -> int:
        """How many answers were exact."""
        return sum(trial.exact for trial in self.trials)

    @property
    def found(self) -> int:
        """How many answers hold all that was asked for (of a question: one of its references)."""
        return sum(trial.match == 1 for trial in self.trials)

    def mean(self, name: str) -> float:
        """Mean of one score."""
        return sum(float(getattr(trial, name)) for trial in self.trials) / len(self.trials)

    def summary(self) -> dict[str, Any]:
        """Counts, means and 95 % Wilson intervals."""
        n = len(self.trials)
        return asdict(self.condition) | {
            "items": n,
            "exact": self.exact,
            "exact_interval": [round(bound, 6) for bound in wilson(self.exact, n)],
            "found": self.found,
            "found_interval": [round(bound, 6) for bound in wilson(self.found, n)],
            **{name: round(self.mean(name), 6) for name in ("match", "f1", "needlebench")},
        }

    def as_line(self) -> dict[str, Any]:
        """A line of a record."""
        return asdict(self.condition) | {"trials": list(map(asdict, self.trials))}

    def __str__(self) -> str:
        return f"{self.condition.key} found {self.found}/{len(self.trials)}"


@dataclass(frozen=True)
class Sweep:
    """How conditions are run: probes each, seed, probes decoded side by side, options of `LLM.request`.

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

    def about(self, llm: LLM, kind: str, haystack: str | None = None) -> dict[str, Any]:
        """What a record of this sweep is about; `haystack` names the filler. Lengths, depths and tasks may grow."""
        return {
            "kind": kind,
            **subject(llm),
            "trained": trained_length(llm),
            "repeats": self.repeats,
            "seed": self.seed,
            "raw": self.raw,
            "gen_length": self.gen_length,
            "haystack": haystack,
            "options": {name: str(value) for name, value in sorted(self.options.items()) if name != "seed"},
        }


def probes(condition: Condition, task: LongTask, frame: Frame, sweep: Sweep) -> Iterator[Probe]:
    """The probes of a condition: functions of the task, the seed and their number, whatever else is run."""
    gen_length = sweep.gen_length or task.gen_length(frame, condition.length)
    for index in range(sweep.repeats):
        rng = Random(f"{sweep.seed}:{condition.key}:{index}")
        depth = rng.random() if condition.depth is None else condition.depth / 100
        form = task.draw(rng, Site(condition.length, depth, sweep.filler))
        yield frame.lay(form, condition.length, gen_length, rng)


def resume(
    llm: LLM, conditions: Sequence[Condition], tasks: Mapping[str, LongTask], sweep: Sweep, record: Record
) -> Iterator[Tally]:
    """Tallies of those `conditions` that `record` lacks; each is on record when it comes. Errors as of `run`."""
    for tally in run(llm, conditions, tasks, sweep, tallies(record)):
        record.add(tally.as_line())
        yield tally


def tallies(record: Record) -> dict[Condition, Tally]:
    """The tallies on record. Raises UsageError, with the number of the line, for one that is not whole."""
    every = {}
    for line in record.lines:
        condition, trials = record.value(Condition, line, line), record.value(Trials, line, line).trials
        if not trials:
            record.value(Trial, None, line)  # which is none
        every[condition] = Tally(condition, tuple(record.value(Trial, trial, line) for trial in trials))
    return every


@dataclass(frozen=True)
class Trials:
    """The trials in a line of a record, as plain values."""

    trials: Sequence[Mapping[str, Any]]


def run(
    llm: LLM,
    conditions: Sequence[Condition],
    tasks: Mapping[str, LongTask],
    sweep: Sweep,
    done: Collection[Condition] = (),
) -> Iterator[Tally]:
    """Tallies of all `conditions` but those that are `done`, in order; probes of several conditions share a batch.

    Every condition is laid out once before the first one is decoded, so that what cannot run is refused at once.
    Raises RequestError or RecipeError for that, with the condition.
    """
    frame = Frame.of(llm.text, raw=sweep.raw)
    left = [condition for condition in conditions if condition not in done]
    for condition in left:
        try:
            request(llm, next(probes(condition, tasks[condition.task], frame, sweep)), sweep)
        except RequestError as error:
            raise RequestError(f"{condition.key}: {error}") from None
    waiting: list[tuple[Condition, Probe, Handle]] = []
    trials: list[Trial] = []

    def finished() -> Iterator[Tally]:
        condition, probe, handle = waiting.pop(0)
        trials.append(Trial.of(probe, handle.result().text))
        if len(trials) == sweep.repeats:
            yield Tally(condition, tuple(trials))
            trials.clear()

    for condition in left:
        for probe in probes(condition, tasks[condition.task], frame, sweep):
            if len(waiting) >= sweep.batch:
                yield from finished()
            waiting.append((condition, probe, llm.engine.submit(request(llm, probe, sweep))))
    while waiting:
        yield from finished()


def request(llm: LLM, probe: Probe, sweep: Sweep) -> Request:
    """The request of a probe: one token a step and greedy, unless the options of the sweep say otherwise.

    Raises RequestError or RecipeError if it cannot run here.
    """
    usual = {} if "recipe" in sweep.options else {"steps": probe.gen_length, "temperature": 0.0}
    whole = llm.continuation(probe.prompt, gen_length=probe.gen_length, **usual | sweep.options)
    check(whole, llm.model)
    return whole
