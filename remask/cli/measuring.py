"""What `bench` and `drift` share: which recipes, on which items, and what a record must be of to go on."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..errors import UsageError
from .options import task_names
from .progress import progress
from .screen import say

if TYPE_CHECKING:
    from ..evals.bench import Contender, Stage, Workload
    from ..llm import LLM


def contenders(specs: Sequence[str], setting: Sequence[str]) -> "list[Contender]":
    """The recipes that `specs` name, each with `setting`. Raises UsageError if two of them are one."""
    from ..decoding.recipe import Recipe, settings
    from ..evals.bench import Contender

    found: dict[str, Contender] = {}
    for spec in specs:
        one = Contender("+".join([spec, *setting]), Recipe.load(spec).change(settings(setting)))
        if other := found.get(one.key):
            raise UsageError(f"{other.label} and {one.label} are the same recipe; leave one out")
        found[one.key] = one
    return list(found.values())


def workloads(
    llm: "LLM", tasks: Sequence[str], texts: Sequence[str] | None, items: int, seed: int, gen_length: int | None
) -> "list[Workload]":
    """The user's own `texts`, or held-out examples of `tasks`."""
    from ..evals.bench import Workload
    from ..evals.items import gen_length as longest
    from ..evals.items import of_prompts, of_task
    from ..tasks import TASKS

    if texts is not None:
        options = {} if gen_length is None else {"gen_length": gen_length}
        return [Workload("prompts", of_prompts(llm, texts, options), gen_length)]
    named = [(name, TASKS[name]) for name in task_names(list(tasks))]
    return [Workload(n, of_task(llm, t, items, seed=seed), gen_length or longest(llm, t)) for n, t in named]


def carry_out(stages: "Iterable[Stage]", kept: Path | None) -> bool:
    """Do the work behind progress bars; False if it was interrupted, having said what is kept."""
    try:
        for stage in stages:
            with progress(stage.name, stage.total, stage.done) as advance:
                for _ in stage.work:
                    advance("")
    except KeyboardInterrupt:
        going_on = f"{kept} has what was measured, the same command goes on from it"
        say(f"interrupted; {going_on if kept else 'nothing is kept without --out'}")
        return False
    return True


def about(llm: "LLM", works: "Sequence[Workload]", seed: int, gen_length: int | None) -> dict[str, Any]:
    """What a record is of: work that differs in any of it does not go on from it."""
    from ..evals.records import fingerprint

    texts = json.dumps([item.prompt for work in works if not work.judged for item in work.items])
    return {
        "remask": __version__,
        "model": llm.loaded.source,
        "weights": fingerprint(llm.loaded.folder),
        "device": str(llm.model.device),
        "dtype": str(llm.model.dtype).removeprefix("torch."),
        "threads": llm.engine.threads,
        "seed": seed,
        "gen_length": gen_length,
        "prompts": hashlib.sha256(texts.encode()).hexdigest()[:16],
    }


def points(share: float) -> str:
    """A difference of shares in points, as in −2.5."""
    return f"{100 * share:+.1f}".replace("-", "−")
