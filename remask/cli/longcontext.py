"""`remask eval niah | kv | ruler | longqa`: grids of prompts of exact lengths, on record, with figures."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from ..errors import UsageError
from .options import FLAG, Decoding, Machine, at_least
from .progress import progress
from .screen import say, tell_json

if TYPE_CHECKING:
    from ..evals.longcontext.cliff import Cliff, Found
    from ..evals.longcontext.grid import Result, Settings
    from ..evals.longcontext.suite import LongTask
    from ..llm import LLM
    from ..models.rotary import Extent

MOST = 10_000  # cells of one grid


def grid(help: str, *names: str, metavar: str, show_default: bool = True) -> Any:
    """An option on what is asked."""
    return Option(*names, help=help, metavar=metavar, rich_help_panel="Grid", show_default=show_default)


LENGTHS = "Tokens of the canvases, as in 2048,4k or 0.5x,1x,2x (of the training length)."
DEPTHS = "Where the needle is, in percent of the haystack."
Depths = Annotated[str, grid(DEPTHS, "--depths", metavar="N,…")]
EVERY_TENTH = "0,10,20,30,40,50,60,70,80,90,100"


@dataclass(frozen=True)
class Grid:
    """What a grid has in common, whatever is asked."""

    lengths: Annotated[str, grid(LENGTHS, "--lengths", metavar="N,…")] = "0.5x,1x"
    repeats: Annotated[int, grid("Prompts a cell.", "--repeats", "-n", metavar="N")] = 10
    batch: Annotated[int, grid("Prompts decoded side by side.", "--batch", metavar="N")] = 8
    gen_length: Annotated[
        int | None, grid("Answer positions; else as long as answers are.", metavar="N", show_default=False)
    ] = None
    haystack: Annotated[
        Path | None, grid("Text for the haystack, a file or folder; else stories.", metavar="PATH", show_default=False)
    ] = None
    raw: Annotated[bool, grid("Ask without the chat template.", "--raw", metavar=FLAG)] = False
    out: Annotated[
        Path | None,
        Option("--out", "-o", help="Record and figures go here; the same command goes on.", metavar="DIR"),
    ] = None
    as_json: Annotated[bool, Option("--json", help="One JSON object.", metavar=FLAG)] = False

    def settings(self, decoding: Decoding) -> "Settings":
        """How the grid is run. Raises UsageError for what is out of range."""
        from ..evals.longcontext.corpora import texts
        from ..evals.longcontext.grid import Settings
        from ..evals.longcontext.haystack import essays, stories

        filler = stories if self.haystack is None else essays("\n".join(texts(self.haystack)))
        options = {k: v for k, v in decoding.options().items() if not (k == "stop" and not v)}
        return Settings(self.repeats, decoding.seed, self.batch, self.raw, self.gen_length, filler, options)

    def about(self, llm: "LLM", kind: str, settings: "Settings") -> dict[str, Any]:
        """What makes two runs the same one. Lengths, depths and tasks may grow."""
        from ..evals.records import fingerprint

        return {
            "kind": kind,
            "model": llm.loaded.source,
            "weights": fingerprint(llm.loaded.folder),
            "dtype": str(llm.loaded.predictor.dtype).removeprefix("torch."),
            "trained": trained(llm),
            "repeats": settings.repeats,
            "seed": settings.seed,
            "raw": settings.raw,
            "gen_length": settings.gen_length,
            "haystack": None if self.haystack is None else str(self.haystack),
            "options": {name: str(value) for name, value in sorted(settings.options.items()) if name != "seed"},
        }


def niah(decoding: Decoding, machine: Machine, grid: Grid, depths: Depths = EVERY_TENTH) -> None:
    """Needle in a haystack: one sentence to be found, at each length and depth."""
    from ..evals.longcontext.suite import NIAH

    measure("niah", {"niah": NIAH}, numbers("depths", depths, 100), decoding, machine, grid)


def kv(
    decoding: Decoding,
    machine: Machine,
    grid: Grid,
    depths: Depths = EVERY_TENTH,
    language: Annotated[
        str, Option(help="Of keys and values: recall, symbols, or auto (what the tokenizer knows).", metavar="NAME")
    ] = "auto",
) -> None:
    """Key-value recall by distance: one of several pairs is asked for, in words that small models know."""
    from ..evals.longcontext.suite import KV, language_of

    if language not in ("auto", *KV):
        raise UsageError(f"language must be auto, {' or '.join(KV)}, got {language!r}")

    def choose(llm: "LLM") -> "dict[str, LongTask]":
        return {"kv": KV[language_of(llm.text) if language == "auto" else language]}

    measure("kv", choose, numbers("depths", depths, 100), decoding, machine, grid)


def ruler(
    decoding: Decoding,
    machine: Machine,
    grid: Grid,
    tasks: Annotated[
        list[str] | None, Argument(help="Tasks; all if none is named.", metavar="TASK…", show_default=False)
    ] = None,
) -> None:
    """Thirteen tasks in the style of RULER: needles, variable tracking, word counts, questions."""
    from ..evals.longcontext.suite import RULER

    measure("ruler", chosen(tasks, RULER), [None], decoding, machine, grid)


def longqa(
    decoding: Decoding,
    machine: Machine,
    grid: Grid,
    tasks: Annotated[
        list[str] | None, Argument(help="facts, hops; both if none is named.", metavar="TASK…", show_default=False)
    ] = None,
    data: Annotated[
        Path | None, Option(help="Questions of a LongBench or SQuAD file instead.", metavar="FILE", show_default=False)
    ] = None,
) -> None:
    """Questions on long documents, scored by match, exact match and F1."""
    from ..evals.longcontext.corpora import task
    from ..evals.longcontext.suite import LONGQA

    if data is not None and tasks:
        raise UsageError(f"--data brings its own task; leave out {tasks[0]}, or --data")
    wanted = chosen(tasks, LONGQA) if data is None else {(made := task(data)).name: made}
    measure("longqa", wanted, [None], decoding, machine, grid)


def chosen(names: list[str] | None, known: "dict[str, LongTask]") -> "dict[str, LongTask]":
    """The tasks of these names, all if there are none. Raises UsageError for a name that is not known."""
    if unknown := [name for name in names or () if name not in known]:
        raise UsageError(f"unknown task {unknown[0]!r}; known: {', '.join(known)}")
    return {name: known[name] for name in names} if names else known


def measure(
    kind: str, tasks: Any, depths: "list[float] | list[None]", decoding: Decoding, machine: Machine, options: Grid
) -> None:
    """Run a grid behind a progress bar, going on from what is on record; then figures, and a table on stdout."""
    from ..evals.longcontext.grid import Cell, Record
    from ..evals.longcontext.grid import run as results

    at_least("repeats", options.repeats, 1)
    at_least("batch", options.batch, 1)
    at_least("gen_length", options.gen_length, 1)
    settings = options.settings(decoding)
    lengths(options.lengths, 4096)  # refused before the model is loaded
    llm = machine.load(quiet=options.as_json)
    known: dict[str, LongTask] = tasks(llm) if callable(tasks) else tasks
    cells = [
        Cell(name, length, depth)
        for name in known
        for length in lengths(options.lengths, trained(llm))
        for depth in depths
    ]
    if len(cells) > MOST:
        raise UsageError(f"the grid has {len(cells):,} cells, the limit is {MOST:,}; name fewer lengths or depths")
    record = Record.open(folder(options.out, "cells.json"), options.about(llm, kind, settings))
    done = sum(cell.key in record.results for cell in cells)
    if done:
        say(f"going on from {done} of {len(cells)} cells")
    with progress(kind, len(cells), done) as advance:
        for result in results(llm, cells, known, settings, record.results):
            record.add(result)
            advance(brief(result))
    found = [record.results[cell.key] for cell in cells]
    report(kind, llm, found, settings, options)


def folder(out: Path | None, name: str) -> Path | None:
    """The file `name` in the folder `out`, which is made. Raises UsageError if it cannot be."""
    if out is None:
        return None
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make the folder {str(out)!r}: {error.strerror}") from None
    return out / name


def trained(llm: "LLM") -> int:
    """The length that the model was trained on, in tokens."""
    contract = llm.model.contract
    return contract.max_positions if contract.rotary is None else contract.rotary.trained


def lengths(text: str, whole: int) -> list[int]:
    """`128,4k,0.5x` as tokens, each once; x is `whole`. Raises UsageError for anything else."""
    units = {"k": 1024, "x": whole}
    found = []
    for part in text.split(","):
        number, unit = part.strip().lower(), 1
        if number[-1:] in units:
            number, unit = number[:-1], units[number[-1]]
        try:
            tokens = float(number) * unit
        except ValueError:
            tokens = 0.0
        if not 1 <= tokens < 2**31:
            raise UsageError(f"cannot read {part!r} as a length; write tokens as 2048 or 2k, or 0.5x of training")
        found.append(round(tokens))
    return list(dict.fromkeys(found))


def numbers(name: str, text: str, most: float) -> list[float]:
    """Numbers from 0 to `most`, each once. Raises UsageError for anything else."""
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = [-1.0]
    if not all(0 <= number <= most for number in found):
        raise UsageError(f"{name} must be numbers from 0 to {most:g} with commas between, got {text!r}")
    return list(dict.fromkeys(found))


def brief(result: "Result") -> str:
    """A cell and what was found, in a few words."""
    return f"{result.cell.key} found {result.found}/{len(result.outcomes)}"


def report(kind: str, llm: "LLM", found: "list[Result]", settings: "Settings", options: Grid) -> None:
    """The figures if there is a folder for them, and a line for each task, length and scaling on stdout."""
    from ..evals.longcontext.positions import extents
    from ..evals.longcontext.suite import ruler_columns

    rows = merged(found)
    reach = extents(llm, settings.options, sorted({result.cell.length for result in found}))
    scalings = by_scaling(found, reach) if kind in ("niah", "kv") else {}
    columns = {
        length: ruler_columns({row.cell.task: 100 * row.mean("match") for row in rows if row.cell.length == length})
        for length in sorted({row.cell.length for row in rows})
    }
    if options.out is not None:
        draw(kind, llm, found, scalings, options.out)
    if options.as_json:
        said = {
            "kind": kind,
            "rows": [row.summary() for row in rows],
            "cells": [result.summary() for result in found],
            "reach": {length: asdict(extent) for length, extent in reach.items()},
            "cliffs": {name: one.cliff and asdict(one.cliff) for name, one in scalings.items()},
            "columns": {length: column for length, column in columns.items() if column},
        }
        tell_json(said)
        return
    width = max(len(row.cell.task) for row in rows)
    for row in rows:
        summary = row.summary()
        low, high = summary["exact_interval"]
        print(
            f"{row.cell.task:<{width}} {row.cell.length:>7,} tokens   exact {row.exact / len(row.outcomes):6.1%} "
            f"({row.exact}/{len(row.outcomes)}; {low:.1%} to {high:.1%})   match {summary['match']:6.1%}"
            + (f"   needlebench {summary['needlebench']:5.1f}" if kind == "niah" else "")
            + (f"   F1 {summary['f1']:6.1%}" if kind == "longqa" else "")
        )
    for length, column in columns.items():
        if kind == "ruler" and column:
            print(f"{length:>7,} tokens   " + "   ".join(f"{name} {value:.1f}" for name, value in column.items()))
    for extent in {extent.rope: extent for extent in reach.values()}.values():
        print(f"{extent.rope}: λ = {extent.factor:g}, d_extra = {extent.d_extra}, T = {extent.trained:,}")
        print(f"  predicted reach: {extent.reach:,} tokens")
        if extent.rope in scalings:
            print(f"  measured cliff: {scalings[extent.rope]}")


@dataclass(frozen=True)
class Scaling:
    """What was found by distance under one rotary scaling, how far that reaches, and where it was seen to end."""

    found: "list[Found]"
    reach: int | None
    cliff: "Cliff | None"

    def __str__(self) -> str:
        if (step := self.cliff) is None:
            return f"none up to {self.found[-1][0]:,} tokens"
        return (
            f"{step.distance:,.0f} tokens ({step.low:,} to {step.high:,}); found {step.inside:.0%} before it, "
            f"{step.outside:.0%} behind"
        )


def by_scaling(found: "list[Result]", reach: "dict[int, Extent]") -> dict[str, Scaling]:
    """The outcomes of all lengths that share a scaling, as one; a model without rotary positions has one, `found`."""
    from ..evals.longcontext.cliff import cliff, points

    outcomes: dict[str, list[Any]] = {}
    reaches: dict[str, int] = {}
    for result in found:
        extent = reach.get(result.cell.length)
        name = "found" if extent is None else extent.rope
        outcomes.setdefault(name, []).extend(result.outcomes)
        if extent is not None:
            reaches[name] = extent.reach
    near = {name: points(some) for name, some in outcomes.items()}
    return {name: Scaling(some, reaches.get(name), cliff(some)) for name, some in near.items() if some}


def merged(found: "list[Result]") -> "list[Result]":
    """Results of one task and length as one, over all depths."""
    from ..evals.longcontext.grid import Cell, Result

    by: dict[tuple[str, int], list[Any]] = {}
    for result in found:
        by.setdefault((result.cell.task, result.cell.length), []).extend(result.outcomes)
    return [Result(Cell(task, length), tuple(outcomes)) for (task, length), outcomes in by.items()]


def draw(kind: str, llm: "LLM", found: "list[Result]", scalings: dict[str, Scaling], out: Path) -> None:
    """Figures beside the record."""
    from ..evals.longcontext import figures

    name = f"{kind} · {Path(llm.loaded.source).name}"
    if scalings:
        figures.heat_map(found, out / "heatmap", f"{name}: match by length and depth")
        if kind == "niah":
            figures.heat_map(found, out / "needlebench", f"{name}: needlebench_score", "needlebench", 100)
        figures.by_distance(
            {scaling: one.found for scaling, one in scalings.items()},
            out / "distance",
            f"{name}: found by distance",
            reach={scaling: one.reach for scaling, one in scalings.items() if one.reach is not None},
            cliffs={scaling: one.cliff for scaling, one in scalings.items()},
        )
    else:
        series: dict[str, list[Result]] = {}
        for result in found:
            series.setdefault(result.cell.task, []).append(result)
        figures.by_length(series, out / "lengths", f"{name}: match by length", trained(llm))
    say(f"wrote {out}")
