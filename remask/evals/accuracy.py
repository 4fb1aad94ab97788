"""Accuracy of a model and a recipe on a task's held-out examples."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from ..engine import Completion, Handle
from ..llm import LLM
from ..tasks import Example, Task, examples

PROBE = 2000  # held-out examples looked at to know the longest answer


@dataclass(frozen=True)
class Outcome:
    """One item: whether it passed, what was said, and what it cost."""

    index: int
    passed: bool
    output: str
    tokens: int
    forwards: int


@dataclass(frozen=True)
class Accuracy:
    """`passed` of `items`, with a 95 % Wilson interval; forwards and tokens are means an item."""

    task: str
    items: int
    passed: int
    forwards: float
    tokens: float

    @property
    def share(self) -> float:
        """Passed over items."""
        return self.passed / self.items if self.items else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Wilson score interval of the share."""
        return wilson(self.passed, self.items)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.share:6.1%} ({self.passed}/{self.items}; {low:.1%} to {high:.1%})"


def wilson(passed: int, items: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson score interval of a share; (0, 1) without items."""
    if not items:
        return 0.0, 1.0
    share, weight = passed / items, z * z / items
    middle = (share + weight / 2) / (1 + weight)
    half = z * math.sqrt(share * (1 - share) / items + weight / items / 4) / (1 + weight)
    return max(0.0, middle - half), min(1.0, middle + half)


def gen_length(llm: LLM, task: Task) -> int:
    """The longest held-out answer of the task in tokens, rounded up to 32: the workload that every figure uses."""
    probe = islice(examples(task, "heldout", 0), PROBE)
    longest = max(len(llm.text.encode(example.answer)) for example in probe) + len(llm.model.contract.eot_ids)
    return -(-longest // 32) * 32


def run(
    llm: LLM, task: Task, items: int, *, seed: int = 0, skip: int = 0, window: int = 64, **options: Any
) -> Iterator[Outcome]:
    """Outcomes of held-out items `skip`… of the sequence `seed`, in order; `window` of them are decoded side by side.

    One token a step and greedy, unless `options` (those of `LLM.generate`) say otherwise.
    """
    length = options.pop("gen_length", None) or gen_length(llm, task)
    options = {"steps": length, "temperature": 0.0, **options}
    waiting: list[tuple[int, Example, Handle]] = []
    for index, example in enumerate(islice(examples(task, "heldout", seed), skip, items), skip):
        waiting.append((index, example, submit(llm, example, length, options)))
        if len(waiting) >= window:
            yield judge(task, *waiting.pop(0))
    for item in waiting:
        yield judge(task, *item)


def submit(llm: LLM, example: Example, length: int, options: dict[str, Any]) -> Handle:
    """Start one item: an answer after its prompt, or the holes of its document."""
    if not example.holes:
        return llm.submit(example.prompt, gen_length=length, **options)
    chosen = {k: v for k, v in options.items() if k != "steps"}
    return llm.engine.submit(llm.infilling(template(llm, example), **chosen))


def template(llm: LLM, example: Example) -> str:
    """The document with a hole of the right number of tokens for each span."""
    parts, at = [], 0
    for start, stop in example.holes:
        lead = start - (start > 0 and example.answer[start - 1] == " ")  # a word's token holds the space before it
        hole = len(llm.text.encode(example.answer[lead:stop]))
        parts += [example.answer[at:lead].replace("{{", r"\{{"), f"{{{{{hole}}}}}"]
        at = stop
    return "".join([*parts, example.answer[at:].replace("{{", r"\{{")])


def judge(task: Task, index: int, example: Example, handle: Handle) -> Outcome:
    """Wait for one item and apply the task's rule."""
    done: Completion = handle.result()
    return Outcome(index, task.passes(example, done.text), done.text, len(done.tokens), done.forwards)


def summarise(task: str, outcomes: Sequence[Outcome]) -> Accuracy:
    """Count `outcomes`."""
    n = max(1, len(outcomes))
    return Accuracy(
        task,
        len(outcomes),
        sum(o.passed for o in outcomes),
        sum(o.forwards for o in outcomes) / n,
        sum(o.tokens for o in outcomes) / n,
    )


def paired_difference(a: Sequence[Outcome], b: Sequence[Outcome]) -> tuple[float, float, float]:
    """Share passed by `a` minus `b` on the same items, with its 95 % interval (normal, of the paired differences)."""
    differences = [int(x.passed) - int(y.passed) for x, y in zip(a, b, strict=True)]
    n = len(differences)
    mean = sum(differences) / n
    spread = math.sqrt(sum((d - mean) ** 2 for d in differences) / max(1, n - 1) / n)
    return mean, mean - 1.96 * spread, mean + 1.96 * spread
