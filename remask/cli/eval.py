"""`remask eval`: held-out accuracy by task, with counts and intervals."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from typer import Argument, Option

from ..errors import UsageError
from .options import Decoding, Machine, at_least

if TYPE_CHECKING:
    from ..evals.accuracy import Accuracy
    from ..evals.record import Record
    from ..llm import LLM


def eval(  # noqa: A001 - the command's name
    decoding: Decoding,
    machine: Machine,
    tasks: Annotated[list[str], Argument(help="Task names, or 'all'.", metavar="TASK…")],
    items: Annotated[int, Option("--items", "-n", help="Held-out examples a task.", metavar="N")] = 1000,
    gen_length: Annotated[
        int | None, Option("--gen-length", help="Default: the longest answer, rounded up to 32.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None, Option(help="Record every answer here; a second run goes on from it.", metavar="FILE.jsonl")
    ] = None,
    as_json: Annotated[bool, Option("--json", help="One JSON object a task.")] = False,
) -> None:
    """Measure how many held-out examples of the generated tasks a model answers, one token a step unless told."""
    at_least("items", items, 1)
    at_least("gen_length", gen_length, 1)
    from ..evals.record import Record
    from ..tasks import TASKS

    wanted = list(TASKS) if tasks == ["all"] else tasks
    if unknown := [name for name in wanted if name not in TASKS]:
        raise UsageError(f"unknown task {unknown[0]!r}; known: {', '.join(TASKS)}, or all")
    options = {k: v for k, v in decoding.options().items() if k not in ("seed", "stop")}
    llm = machine.load()
    about = {
        "model": llm.loaded.source,
        "items": items,
        "gen_length": gen_length,
        "seed": decoding.seed,
        "options": repr(options),
    }
    record = Record.open(out, about)
    options = {"gen_length": gen_length, **options} if gen_length else options
    for name in wanted:
        show(measure(llm, name, items, decoding.seed, record, options), as_json)


def measure(llm: "LLM", name: str, items: int, seed: int, record: "Record", options: dict[str, Any]) -> "Accuracy":
    """Run one task to its end behind a progress bar, going on from what `record` holds."""
    from ..evals.accuracy import run, summarise
    from ..tasks import TASKS
    from .screen import errors_to

    outcomes = record.outcomes(name)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors_to(sys.stderr), transient=True) as progress:
        bar = progress.add_task(name, total=items, completed=len(outcomes))
        for outcome in run(llm, TASKS[name], items, seed=seed, skip=len(outcomes), **options):
            record.add(name, outcome)
            outcomes.append(outcome)
            passed = sum(o.passed for o in outcomes)
            progress.update(bar, advance=1, description=f"{name} {passed / len(outcomes):.1%}")
    return summarise(name, outcomes[:items])


def show(accuracy: "Accuracy", as_json: bool) -> None:
    """One line a task on stdout."""
    import json
    from dataclasses import asdict

    if as_json:
        print(json.dumps(asdict(accuracy) | {"share": accuracy.share, "interval": accuracy.interval}), flush=True)
    else:
        per = f"{accuracy.forwards:.1f} forwards and {accuracy.tokens:.1f} tokens an item"
        print(f"{accuracy.task:<12} {accuracy}   {per}", flush=True)
