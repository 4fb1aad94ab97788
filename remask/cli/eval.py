"""`remask eval`: held-out accuracy by task, with counts and intervals."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from .options import Decoding, Items, Machine, at_least, task_names
from .progress import progress

if TYPE_CHECKING:
    from ..evals.accuracy import Accuracy
    from ..evals.record import Record
    from ..llm import LLM


def eval(  # noqa: A001 - the command's name
    decoding: Decoding,
    machine: Machine,
    tasks: Annotated[list[str], Argument(help="Task names, or 'all'.", metavar="TASK…")],
    items: Items = 1000,
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
    from ..evals.record import Record, fingerprint

    wanted = task_names(tasks)
    options = {k: v for k, v in decoding.options().items() if k not in ("seed", "stop")}
    llm = machine.load()
    about = {
        "model": llm.loaded.source,
        "weights": fingerprint(llm.loaded.folder),
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

    outcomes = record.outcomes(task=name)
    with progress(name, items, len(outcomes)) as advance:
        for outcome in run(llm, TASKS[name], items, seed=seed, skip=len(outcomes), **options):
            record.keep(outcome, task=name)
            outcomes.append(outcome)
            advance(f"{sum(bool(o.passed) for o in outcomes) / len(outcomes):.1%}")
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
