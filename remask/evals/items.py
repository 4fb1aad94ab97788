"""What is decoded to measure a recipe: held-out examples of a task, or prompts; and what came out of each."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from ..engine.handle import Handle
from ..engine.requests import Completion, Request, check
from ..errors import RequestError, RowError
from ..llm import LLM
from ..tasks import Example, FixedTask, Task, examples
from ..validation import Count
from .records import Record

PROBE = 2000  # held-out examples looked at to know the longest answer


@dataclass(frozen=True)
class Item:
    """A prompt to answer, or with `holes` a template to fill; `passes` judges the text, None where nobody can."""

    index: int
    prompt: str
    holes: bool = False
    passes: Callable[[str], bool] | None = None

    def request(self, llm: LLM, options: Mapping[str, Any]) -> Request:
        """The request with options of `LLM.generate`; holes have their own length, and one step a token."""
        if not self.holes:
            return llm.request(self.prompt, **options)
        return llm.infilling(self.prompt, **{k: v for k, v in options.items() if k not in ("gen_length", "steps")})


@dataclass(frozen=True)
class Outcome:
    """One item: whether it passed, what was said, and what it cost.

    `ids` are the decided tokens in order, the one that ended the answer included, and `ages` the forwards that decided
    them; `tokens` counts those kept. `error` is why the row broke, if it did.
    """

    index: Count
    passed: bool | None
    output: str
    tokens: Count
    forwards: Count
    ids: tuple[int, ...] = ()
    ages: tuple[int, ...] = ()
    error: str | None = None


def outcomes(record: Record, **of: Any) -> list[Outcome]:
    """The outcomes on record that have these values, by their index."""
    return sorted(record.values(Outcome, "index", **of), key=lambda outcome: outcome.index)


def of_task(llm: LLM, task: Task, items: int, *, seed: int = 0, skip: int = 0) -> list[Item]:
    """Held-out items `skip`… of the sequence `seed`."""

    def item(index: int, example: Example) -> Item:
        prompt = template(llm, example) if example.holes else example.prompt
        return Item(index, prompt, bool(example.holes), lambda output: task.passes(example, output))

    return [item(i, example) for i, example in enumerate(islice(examples(task, "heldout", seed), skip, items), skip)]


def of_prompts(llm: LLM, prompts: Sequence[str], options: Mapping[str, Any]) -> list[Item]:
    """Prompts that nobody can judge. Raises RequestError, with its number, for one that does not fit the model."""
    items = [Item(i, prompt) for i, prompt in enumerate(prompts)]
    for item in items:
        try:
            check(item.request(llm, options), llm.model)
        except RequestError as error:
            raise RequestError(f"prompt {item.index + 1}: {error}") from None
    return items


def gen_length(llm: LLM, task: Task) -> int:
    """The longest held-out answer of the task in tokens, rounded up to 32: the workload that every figure uses."""
    if isinstance(task, FixedTask):
        return task.gen_length
    probe = islice(examples(task, "heldout", 0), PROBE)
    longest = max(len(llm.text.encode(example.answer)) for example in probe) + len(llm.model.contract.eot_ids)
    return -(-longest // 32) * 32


def template(llm: LLM, example: Example) -> str:
    """The document with a hole of the right number of tokens for each span."""
    parts, at = [], 0
    for start, stop in example.holes:
        lead = start - (start > 0 and example.answer[start - 1] == " ")  # a word's token holds the space before it
        hole = len(llm.text.encode(example.answer[lead:stop]))
        parts += [example.answer[at:lead].replace("{{", r"\{{"), f"{{{{{hole}}}}}"]
        at = stop
    return "".join([*parts, example.answer[at:].replace("{{", r"\{{")])


def decode(llm: LLM, jobs: Iterable[tuple[Item, Mapping[str, Any]]], window: int = 64) -> Iterator[Outcome]:
    """Outcomes of `jobs`, items with options of `LLM.generate`, in order; `window` of them are decoded side by side."""
    waiting: deque[tuple[Item, Handle]] = deque()
    for item, options in jobs:
        waiting.append((item, llm.engine.submit(item.request(llm, options))))
        if len(waiting) >= window:
            yield judge(*waiting.popleft())
    while waiting:
        yield judge(*waiting.popleft())


def judge(item: Item, handle: Handle) -> Outcome:
    """Wait for one item and judge it. A row whose logits broke has not passed; its neighbours go on."""
    done = finished(handle)
    ids, ages = decisions(handle)
    return Outcome(
        index=item.index,
        passed=None if item.passes is None else done.error is None and item.passes(done.text),
        output=done.text,
        tokens=len(done.tokens),
        forwards=done.forwards,
        ids=ids,
        ages=ages,
        error=done.error,
    )


def decisions(handle: Handle) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The decided tokens up to the end of the answer, and the forward that decided each."""
    canvas = handle.snapshot()
    committed = np.flatnonzero(canvas.committed[: canvas.end + 1])
    return tuple(canvas.tokens[committed].tolist()), tuple(canvas.age[committed].tolist())


def finished(handle: Handle) -> Completion:
    """The completion at the end; that of a row whose logits broke says so in its `error`."""
    try:
        return handle.result()
    except RowError:
        return handle.completion()
