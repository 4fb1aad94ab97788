"""The items of a comparison, and what a record of them is about."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ..llm import LLM
from ..tasks import Task
from .items import Item, of_prompts, of_task
from .items import gen_length as longest
from .records import subject

NONE: Mapping[str, Task] = MappingProxyType({})


@dataclass(frozen=True)
class Workload:
    """Items that all recipes decode, with `gen_length` positions each; None is the model's default."""

    name: str
    items: Sequence[Item]
    gen_length: int | None = None

    @classmethod
    def of_prompts(cls, llm: LLM, prompts: Sequence[str], gen_length: int | None = None) -> "Workload":
        """A user's own prompts, which nobody can judge. Raises RequestError for one that does not fit the model."""
        options: Mapping[str, Any] = {} if gen_length is None else {"gen_length": gen_length}
        return cls("prompts", of_prompts(llm, prompts, options), gen_length)

    @classmethod
    def of_task(
        cls, llm: LLM, name: str, task: Task, items: int, *, seed: int = 0, gen_length: int | None = None
    ) -> "Workload":
        """Held-out examples of a task; the longest of its answers fits by default."""
        return cls(name, of_task(llm, task, items, seed=seed), gen_length or longest(llm, task))

    @property
    def judged(self) -> bool:
        """Whether answers are right or wrong."""
        return self.items[0].passes is not None


def workloads(
    llm: LLM,
    *,
    tasks: Mapping[str, Task] = NONE,
    prompts: Sequence[str] | None = None,
    items: int = 200,
    seed: int = 0,
    gen_length: int | None = None,
) -> list[Workload]:
    """The `prompts` as one workload if there are any, else one of `items` held-out examples for each of `tasks`."""
    if prompts is not None:
        return [Workload.of_prompts(llm, prompts, gen_length)]
    return [Workload.of_task(llm, name, task, items, seed=seed, gen_length=gen_length) for name, task in tasks.items()]


def about(llm: LLM, workloads: Sequence[Workload], *, seed: int = 0, gen_length: int | None = None) -> dict[str, Any]:
    """What a record of a comparison is about: another model, machine, seed or list of prompts is another work."""
    prompts = json.dumps([item.prompt for work in workloads if not work.judged for item in work.items])
    return {
        **subject(llm),
        "device": str(llm.model.device),
        "threads": llm.engine.threads,
        "seed": seed,
        "gen_length": gen_length,
        "prompts": hashlib.sha256(prompts.encode()).hexdigest()[:16],
    }
