"""`remask drift`: how far a recipe departs from exact decoding, on the user's own prompts or on a task."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument

from .. import __version__
from ..errors import UsageError
from .options import (
    FLAG,
    Data,
    GenLength,
    Items,
    Machine,
    Prompts,
    Seed,
    Settings,
    Tasks,
    at_least,
    decoding,
    output,
    tasks_named,
)
from .progress import carry_out
from .prompt import read_all
from .screen import TABLE, page, tell_json

if TYPE_CHECKING:
    from ..evals.bench import Bench
    from ..evals.drift import WorkloadDrift

SHOWN = 20  # prompts in the table
EXACT = "llada"
GIVEN = Argument(help="Without any, and without --prompts or --task, stdin has one a line.", metavar="PROMPT…")


@dataclass(frozen=True)
class Sides:
    """The two recipes that are compared."""

    recipe: Annotated[
        str | None, decoding("The recipe to look at: a name, a TOML file, or llada+select=threshold.", metavar="RECIPE")
    ] = None
    reference: Annotated[str, decoding("What it is compared to.", metavar="RECIPE", show_default=True)] = EXACT
    setting: Settings = None


def drift(
    texts: Annotated[list[str] | None, GIVEN] = None,
    prompts: Prompts = None,
    task: Tasks = None,
    data: Data = None,
    items: Items = 200,
    gen_length: GenLength = None,
    seed: Seed = 0,
    out: Annotated[
        Path | None,
        output("Record every answer here; a second run goes on from it.", "--out", "-o", metavar="FILE.jsonl"),
    ] = None,
    as_json: Annotated[bool, output("One JSON object: every prompt, and the sum.", "--json", metavar=FLAG)] = False,
    *,
    sides: Sides,
    machine: Machine,
) -> int:
    """Say how far a recipe departs from exact decoding: tokens changed, where and when first, answers changed."""
    at_least("items", items, 1)
    at_least("gen_length", gen_length, 1)
    if task and (prompts or texts):
        raise UsageError("--task and prompts are two workloads; give one of them")
    if sides.recipe is None and not sides.setting:
        raise UsageError(f"there is no recipe to compare to {sides.reference}; give --recipe or --set")
    from ..evals.contenders import contenders

    (reference,) = contenders([sides.reference], ())
    (other,) = contenders([sides.recipe or sides.reference], sides.setting or ())
    if reference.key == other.key:
        raise UsageError(f"{other.label} is the same recipe as the reference {reference.label}; change one of them")
    given = None if task else read_all(texts or (), prompts)
    meant = tasks_named(task or [], data)
    from ..evals.bench import Bench
    from ..evals.records import Record
    from ..evals.workloads import about, workloads

    llm = machine.load()
    works = workloads(llm, tasks=meant, prompts=given, items=items, seed=seed, gen_length=gen_length)
    whole = {"remask": __version__} | about(llm, works, seed=seed, gen_length=gen_length)
    bench = Bench(llm, (reference, other), works, Record.open(out, whole), seed=seed)
    for (_, key), why in bench.refused.items():
        raise UsageError(f"{other.label if key == other.key else reference.label} does not fit this model: {why}")
    if not carry_out(bench.answers(), out, llm.engine):
        return 130
    show(bench, as_json)
    return 0


def show(bench: "Bench", as_json: bool) -> None:
    """A table of prompts and the sum, or JSON, on stdout."""
    from ..evals.drift import WorkloadDrift

    reference, other = bench.contenders
    drifts = [WorkloadDrift.of(bench, work) for work in bench.workloads]
    if as_json:
        plain = {
            "about": bench.record.about,
            "recipe": other.recipe.tables(),
            "reference": reference.recipe.tables(),
            "exactness": str(other.recipe.exactness),
            "workloads": [drift.as_dict() for drift in drifts],
        }
        tell_json(plain)
        return
    console = page(widest=TABLE)
    for drift in drifts:
        console.print(f"{drift.name}: {other.label} against {reference.label}")
        console.print(table(drift))
        console.print(str(drift.total))


def table(drift: "WorkloadDrift") -> Any:
    """A line a prompt, as far as there is room; where there are many, those that changed."""
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    shown.add_column("", justify="right")
    shown.add_column("prompt", no_wrap=True, overflow="ellipsis", max_width=40)
    for name in ("tokens changed", "first position", "first step"):
        shown.add_column(name, justify="right")
    shown.add_column("answer")
    rows = list(zip(drift.prompts, drift.departures, strict=True))
    changed = rows if len(rows) <= SHOWN else [row for row in rows if row[1].changed]
    for prompt, d in changed[:SHOWN]:
        counted = f"{d.changed} of {d.tokens}"
        first = ("–" if d.position is None else str(d.position), "–" if d.step is None else str(d.step))
        shown.add_row(str(d.index + 1), Text(" ".join(prompt.split())), counted, *first, d.verdict)
    if len(changed) > SHOWN:
        shown.add_row("", f"… and {len(changed) - SHOWN} more that changed; --json has all", style="dim")
    return shown
