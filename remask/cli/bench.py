"""`remask bench`: recipes side by side, quality and speed on the same items."""

from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from .. import __version__, files
from ..errors import UsageError
from . import completion
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
    output,
    tasks_named,
)
from .progress import carry_out
from .prompt import read_all
from .screen import TABLE, page, say, tell_json

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from ..evals.bench import Bench
    from ..evals.results import Result

RECIPES = "Names, TOML files, or either with settings, as in llada+select=threshold. Default: all that ship."
OUT = "Keep everything here: record, results and pictures. The same command goes on from it."

QUALITY = 5  # columns that say how good a recipe is; the others say what it costs


def bench(
    recipes: Annotated[
        list[str] | None,
        Argument(help=RECIPES, metavar="RECIPE…", show_default=False, autocompletion=completion.recipes),
    ] = None,
    task: Tasks = None,
    prompts: Prompts = None,
    items: Items = 200,
    rounds: Annotated[int, Option(help="Times that each recipe is timed, in turn with the others.", metavar="N")] = 5,
    timed: Annotated[int, Option(help="Items that are timed.", metavar="N")] = 8,
    rows: Annotated[int, Option(help="Items side by side while timing.", metavar="N")] = 1,
    setting: Settings = None,
    data: Data = None,
    gen_length: GenLength = None,
    seed: Seed = 0,
    out: Annotated[Path | None, output(OUT, "--out", "-o", metavar="DIR")] = None,
    as_json: Annotated[bool, output("One JSON object instead of tables.", "--json", metavar=FLAG)] = False,
    *,
    machine: Machine,
) -> int:
    """Compare recipes: accuracy with its interval, forwards, tokens a second, the first token, memory.

    The first recipe is what the others are compared to, on the same items. Without --task or --prompts: sorting.
    """
    counts = {"items": items, "rounds": rounds, "timed": timed, "rows": rows, "gen_length": gen_length}
    for name, value in counts.items():
        at_least(name, value, 1)
    if task and prompts:
        raise UsageError("--task and --prompts are two workloads; give one of them")
    from ..evals.contenders import contenders, shipped

    rivals = contenders(recipes or shipped(), setting or ())
    meant = tasks_named(task or ["sorting"], data)
    files.make_folder(out)
    texts = None if prompts is None else read_all((), prompts)
    from ..evals.bench import Bench, Clock
    from ..evals.records import Record
    from ..evals.workloads import about, workloads

    llm = machine.load()
    works = workloads(llm, tasks=meant, prompts=texts, items=items, seed=seed, gen_length=gen_length)
    whole = {"remask": __version__} | about(llm, works, seed=seed, gen_length=gen_length)
    record = Record.open(out / "record.jsonl" if out else None, whole)
    compared = Bench(llm, rivals, works, record, Clock(rounds, timed, rows), seed)
    if not carry_out(chain(compared.answers(), compared.costs()), out, llm.engine):
        return 130
    if out is not None:
        compared.save(out)
        say(f"wrote {out}/results.json, frontier.png and frontier.svg")
    show(compared, as_json)
    return 0


def show(bench: "Bench", as_json: bool) -> None:
    """Tables or JSON on stdout."""
    from ..evals.results import remarks

    if as_json:
        tell_json(bench.as_dict())
        return
    console, results = page(widest=TABLE), bench.results()
    for name in dict.fromkeys(result.workload for result in results):
        mine = [result for result in results if result.workload == name]
        console.print(*fitting(mine, console), sep="\n\n")
        for line in remarks(mine):
            console.print(line, style="dim")
        console.print()
    console.print(bench.caption, style="dim")


def fitting(results: "list[Result]", console: "Console") -> "list[Table]":
    """One table; where that is too wide, quality above cost; else a block a recipe: no column is lost."""
    names, title = columns(results[0].judged), f"{results[0].workload}: {max(r.items for r in results)} items"
    cells, unbounded = [table_row(result) for result in results], console.options.update(max_width=10 * TABLE)
    for parts in ([range(len(names))], [range(QUALITY), (0, *range(QUALITY, len(names)))]):
        tables = [table(names, cells, part) for part in parts]
        if all(console.measure(one, options=unbounded).maximum <= console.width for one in tables):
            tables[0].title = title
            return tables
    return [block(names, row, title if row is cells[0] else None) for row in cells]


def columns(judged: bool) -> list[str]:
    """The names of the columns, quality first; without a judge there is no difference of accuracies."""
    quality = ["accuracy, %", "− first"] if judged else ["same answer, %", ""]
    return ["recipe", *quality, "tokens/\nforward", "forwards", "tokens/s", "×", "first\nms", "MB"]


def table(names: list[str], cells: "list[tuple[str | Text, ...]]", part: "Iterable[int]") -> "Table":
    """One workload: a line a recipe, and below it what it claims to be; of the columns those in `part`."""
    from rich.table import Table

    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", title_justify="left")
    chosen = list(part)
    for i in chosen:
        shown.add_column(names[i], justify="right" if i else "left", overflow="fold", vertical="top")
    for row in cells:
        shown.add_row(*(row[i] for i in chosen if i < len(row)))
    return shown


def block(names: list[str], row: "tuple[str | Text, ...]", title: str | None) -> "Table":
    """One recipe, a line a figure."""
    from rich.table import Table

    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False, title_justify="left", title=title)
    for name, cell in zip(names, row, strict=False):
        shown.add_row(name.replace("/\n", "/").replace("\n", " "), cell)
    return shown


def table_row(result: "Result") -> "tuple[str | Text, ...]":
    """A line of the table; the second row of a cell holds its interval, dim."""
    from rich.text import Text

    from ..evals.statistics import in_points

    label, claim = result.label.replace("+", "\n +"), str(result.recipe.exactness)
    if claim.startswith("exact"):  # which alone would read as "right"
        claim = f"decoding: {claim}"
    if result.refused:
        return label, "refused"
    quality = Text("–")
    if result.quality is not None and result.interval is not None:
        low, high = result.interval
        quality = Text.assemble(f"{100 * result.quality:.1f}\n", (f"{100 * low:.1f} to {100 * high:.1f}", "dim"))
    difference = Text("")
    if result.difference is not None:
        gain, least, most = map(in_points, result.difference)
        difference = Text.assemble(f"{gain}\n", (f"{least} to {most}", "dim"))
    return (
        Text.assemble(f"{label}\n", (claim, "dim")),
        quality,
        difference,
        number(result.tokens_per_forward, 2),
        number(result.forwards, 1),
        number(result.tokens_per_second, 1),
        number(result.ratio, 2),
        number(result.first_token, 0, 1000),
        number(result.memory, 2, 1e-6),
    )


def number(value: float | None, digits: int, scale: float = 1.0) -> str:
    """A figure, or a dash where there is none."""
    return "–" if value is None else f"{value * scale:,.{digits}f}"
