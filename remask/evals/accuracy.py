"""Accuracy of a model and a recipe on a task's held-out examples."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..llm import LLM
from ..tasks import Task
from .items import Outcome, decode, gen_length, of_task, outcomes
from .records import Record
from .statistics import Z, tango, wilson


@dataclass(frozen=True)
class Accuracy:
    """`passed` of `items`, with a 95 % Wilson interval; forwards and tokens are means an item."""

    task: str
    items: int
    passed: int
    forwards: float
    tokens: float

    @classmethod
    def of(cls, task: str, outcomes: Sequence[Outcome]) -> "Accuracy":
        """The accuracy that `outcomes` of a task show."""
        n = max(1, len(outcomes))
        return cls(
            task,
            len(outcomes),
            sum(bool(o.passed) for o in outcomes),
            sum(o.forwards for o in outcomes) / n,
            sum(o.tokens for o in outcomes) / n,
        )

    @property
    def share(self) -> float:
        """Passed over items."""
        return self.passed / self.items if self.items else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Wilson score interval of the share."""
        return wilson(self.passed, self.items)

    def as_dict(self) -> dict[str, Any]:
        """As plain JSON values, the share and its interval with them."""
        return asdict(self) | {"share": self.share, "interval": self.interval}

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.share:6.1%} ({self.passed}/{self.items}; {low:.1%} to {high:.1%})"


def evaluate(
    llm: LLM, task: Task, items: int, *, seed: int = 0, skip: int = 0, window: int = 64, **options: Any
) -> Iterator[Outcome]:
    """Outcomes of held-out items `skip`… of the sequence `seed`, in order; `window` of them are decoded side by side.

    Options are those of `LLM.generate`; one token a step and greedy, unless they, or their `recipe`, say otherwise.
    """
    length = options.pop("gen_length", None) or gen_length(llm, task)
    usual = {} if options.get("recipe") else {"steps": length, "temperature": 0.0}
    chosen = {"gen_length": length} | usual | options
    return decode(llm, ((item, chosen) for item in of_task(llm, task, items, seed=seed, skip=skip)), window)


def resume(
    llm: LLM, name: str, task: Task, items: int, record: Record, *, seed: int = 0, **options: Any
) -> Iterator[Outcome]:
    """Outcomes of those held-out items that `record` lacks of the task `name`; each is on record when it comes.

    Options are those of `evaluate`.
    """
    done = len(outcomes(record, task=name))
    for outcome in evaluate(llm, task, items, seed=seed, skip=done, **options):
        record.add({"task": name} | asdict(outcome))
        yield outcome


def paired_difference(a: Sequence[Outcome], b: Sequence[Outcome], z: float = Z) -> tuple[float, float, float]:
    """Share passed by `a` minus `b` on the same items, with its 95 % interval (Tango's)."""
    pairs = [(bool(x.passed), bool(y.passed)) for x, y in zip(a, b, strict=True)]
    gained, lost = pairs.count((True, False)), pairs.count((False, True))
    return (gained - lost) / max(1, len(pairs)), *tango(gained, lost, len(pairs), z)
