"""`remask drift`: how far a recipe departs from exact decoding, on the user's own prompts or on a task."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument

from ..errors import UsageError
from .measuring import about, carry_out, contenders, points, workloads
from .options import FLAG, GenLength, Items, Machine, Prompts, Seed, Settings, Tasks, at_least, decoding, output
from .prompt import read_all
from .screen import TABLE, page, tell_json

if TYPE_CHECKING:
    from ..evals.bench import Bench, Workload
    from ..evals.drift import Departure, Drift
    from ..evals.items import Outcome

SHOWN = 20  # prompts in the table
EXACT = "llada"
GIVEN = Argument(help="Without any, and without --prompts or --task, stdin has one a line.", metavar="PROMPT…")


@dataclass(frozen=True)
class Pair:
    """What is compared."""

    recipe: Annotated[
        str | None, decoding("The recipe to look at: a name, a TOML file, or llada+select=threshold.", metavar="RECIPE")
    ] = None
    reference: Annotated[str, decoding("What it is compared to.", metavar="RECIPE", show_default=True)] = EXACT
    setting: Settings = None


def drift(
    texts: Annotated[list[str] | None, GIVEN] = None,
    prompts: Prompts = None,
    task: Tasks = None,
    items: Items = 200,
    gen_length: GenLength = None,
    seed: Seed = 0,
    out: Annotated[
        Path | None,
        output("Record every answer here; a second run goes on from it.", "--out", "-o", metavar="FILE.jsonl"),
    ] = None,
    as_json: Annotated[bool, output("One JSON object: every prompt, and the sum.", "--json", metavar=FLAG)] = False,
    *,
    pair: Pair,
    machine: Machine,
) -> int:
    """Say how far a recipe departs from exact decoding: tokens changed, where and when first, answers changed."""
    at_least("items", items, 1)
    at_least("gen_length", gen_length, 1)
    if task and (prompts or texts):
        raise UsageError("--task and prompts are two workloads; give one of them")
    if pair.recipe is None and not pair.setting:
        raise UsageError(f"there is no recipe to compare to {pair.reference}; give --recipe or --set")
    (reference,) = contenders([pair.reference], ())
    (other,) = contenders([pair.recipe or pair.reference], pair.setting or ())
    if reference.key == other.key:
        raise UsageError(f"{other.label} is the same recipe as the reference {reference.label}; change one of them")
    given = None if task else read_all(texts or (), prompts)
    from ..evals.bench import Bench
    from ..evals.records import Record

    llm = machine.load()
    works = workloads(llm, task or (), given, items, seed, gen_length)
    said = about(llm, works, seed, gen_length)
    bench = Bench(llm, (reference, other), works, Record.open(out, said), seed=seed)
    for (_, key), why in bench.refused.items():
        raise UsageError(f"{other.label if key == other.key else reference.label} does not fit this model: {why}")
    if not carry_out(bench.answers(), out):
        return 130
    tell(bench, said, as_json)
    return 0


@dataclass(frozen=True)
class Found:
    """One workload under both recipes."""

    name: str
    prompts: tuple[str, ...]
    references: "tuple[Outcome, ...]"
    others: "tuple[Outcome, ...]"
    departures: "tuple[Departure, ...]"
    sum: "Drift"

    def told(self) -> dict[str, Any]:
        """As plain JSON values."""
        rows = zip(self.prompts, self.references, self.others, self.departures, strict=True)
        return {
            "workload": self.name,
            "prompts": [
                {"prompt": prompt, "reference": a.output, "answer": b.output} | asdict(departure)
                for prompt, a, b, departure in rows
            ],
            "sum": asdict(self.sum) | {"tokens_share": self.sum.tokens_share, "answers_share": self.sum.answers_share},
        }


def found(bench: "Bench", work: "Workload") -> Found:
    """What the record says of one workload."""
    from ..evals.drift import departure, summarise

    first, second = (tuple(bench.outcomes([work], c).values()) for c in bench.contenders)
    departures = tuple(departure(a, b) for a, b in zip(first, second, strict=True))
    return Found(
        work.name, tuple(item.prompt for item in work.items), first, second, departures, summarise(first, second)
    )


def tell(bench: "Bench", said: Mapping[str, Any], as_json: bool) -> None:
    """A table of prompts and the sum, or JSON, on stdout."""
    reference, other = bench.contenders
    everything = [found(bench, work) for work in bench.workloads]
    if as_json:
        whole = {
            "about": said,
            "recipe": other.recipe.tables(),
            "reference": reference.recipe.tables(),
            "exactness": str(other.recipe.exactness),
            "workloads": [one.told() for one in everything],
        }
        tell_json(whole)
        return
    console = page(widest=TABLE)
    for one in everything:
        console.print(f"{one.name}: {other.label} against {reference.label}", markup=False)
        console.print(table(one))
        for line in lines(one.sum):
            console.print(line, markup=False)


def table(one: Found) -> Any:
    """A line a prompt, as far as there is room; where there are many, those that changed."""
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    shown.add_column("", justify="right")
    shown.add_column("prompt", no_wrap=True, overflow="ellipsis", max_width=40)
    for name in ("tokens changed", "first position", "first step"):
        shown.add_column(name, justify="right")
    shown.add_column("answer")
    rows = list(zip(one.prompts, one.departures, strict=True))
    changed = rows if len(rows) <= SHOWN else [row for row in rows if row[1].changed]
    for prompt, d in changed[:SHOWN]:
        counted = f"{d.changed} of {d.tokens}"
        first = ("–" if d.position is None else str(d.position), "–" if d.step is None else str(d.step))
        shown.add_row(str(d.index + 1), Text(" ".join(prompt.split())), counted, *first, verdict(d))
    if len(changed) > SHOWN:
        shown.add_row("", f"… and {len(changed) - SHOWN} more that changed; --json has all", style="dim")
    return shown


def verdict(departure: "Departure") -> str:
    """What became of an answer."""
    if not departure.answer_changed:
        return "same"
    if departure.passed is None:
        return "changed"
    before, after = ("right" if p else "wrong" for p in (departure.reference_passed, departure.passed))
    return f"{before} → {after}" if before != after else f"changed, {after} as before"


def lines(drift: "Drift") -> list[str]:
    """The sum, with its 95 % intervals."""

    def share(part: int, whole: int, interval: tuple[float, float]) -> str:
        low, high = interval
        return f"{part:,} of {whole:,}: {part / max(1, whole):.1%} ({low:.1%} to {high:.1%})"

    told = [
        f"tokens changed   {share(drift.changed, drift.tokens, drift.tokens_interval)}",
        f"answers changed  {share(drift.answers_changed, drift.prompts, drift.answers_interval)}",
    ]
    if drift.position is not None:
        step = "" if drift.step is None else f", step {drift.step:g}"
        told.append(f"first divergence position {drift.position:g}{step} (medians where they differ)")
    if drift.difference is not None:
        mean, low, high = map(points, drift.difference)
        moved = f"{drift.lost} right → wrong, {drift.gained} wrong → right"
        told.append(f"accuracy         {mean} points ({low} to {high}); {moved}")
    told.append(f"forwards         {drift.forwards:.1f} an item, the reference {drift.reference_forwards:.1f}")
    return told
