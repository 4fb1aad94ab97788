"""`remask eval niah | kv | ruler | longqa`: sweeps over prompts of exact lengths, on record, with figures."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from .. import files
from ..errors import UsageError
from .options import FLAG, Decoding, Machine, at_least
from .progress import progress
from .screen import say, tell, tell_json

if TYPE_CHECKING:
    from ..evals.longcontext.suite import LongTask
    from ..evals.longcontext.sweep import Sweep
    from ..llm import LLM


def sweep_option(help: str, *names: str, metavar: str, show_default: bool = True) -> Any:
    """An option on what is asked."""
    return Option(*names, help=help, metavar=metavar, rich_help_panel="Grid", show_default=show_default)


LENGTHS = "Tokens of the canvases, as in 2048,4k or 0.5x,1x,2x (of the training length)."
DEPTHS = "Where the needle is, in percent of the haystack."
Depths = Annotated[str, sweep_option(DEPTHS, "--depths", metavar="N,…")]
EVERY_TENTH = "0,10,20,30,40,50,60,70,80,90,100"


@dataclass(frozen=True)
class SweepOptions:
    """The options of a sweep, whatever is asked."""

    lengths: Annotated[str, sweep_option(LENGTHS, "--lengths", metavar="N,…")] = "0.5x,1x"
    repeats: Annotated[int, sweep_option("Prompts a cell.", "--repeats", "-n", metavar="N")] = 10
    batch: Annotated[int, sweep_option("Prompts decoded side by side.", "--batch", metavar="N")] = 8
    gen_length: Annotated[
        int | None, sweep_option("Answer positions; else as long as answers are.", metavar="N", show_default=False)
    ] = None
    haystack: Annotated[
        Path | None,
        sweep_option("Text for the haystack, a file or folder; else stories.", metavar="PATH", show_default=False),
    ] = None
    raw: Annotated[bool, sweep_option("Ask without the chat template.", "--raw", metavar=FLAG)] = False
    out: Annotated[
        Path | None,
        Option("--out", "-o", help="Record and figures go here; the same command goes on.", metavar="DIR"),
    ] = None
    as_json: Annotated[bool, Option("--json", help="One JSON object.", metavar=FLAG)] = False

    def sweep(self, decoding: Decoding) -> "Sweep":
        """How the probes are run. Raises UsageError for what is out of range."""
        from ..evals.longcontext.corpora import texts
        from ..evals.longcontext.haystack import essays, stories
        from ..evals.longcontext.sweep import Sweep

        filler = stories if self.haystack is None else essays("\n".join(texts(self.haystack)))
        options = {k: v for k, v in decoding.options().items() if not (k == "stop" and not v)}
        return Sweep(self.repeats, decoding.seed, self.batch, self.raw, self.gen_length, filler, options)


def niah(decoding: Decoding, machine: Machine, options: SweepOptions, depths: Depths = EVERY_TENTH) -> None:
    """Needle in a haystack: one sentence to be found, at each length and depth."""
    from ..evals.longcontext.suite import NIAH

    measure("niah", {"niah": NIAH}, percentages("depths", depths), decoding, machine, options)


def kv(
    decoding: Decoding,
    machine: Machine,
    options: SweepOptions,
    depths: Depths = EVERY_TENTH,
    language: Annotated[
        str, Option(help="Of keys and values: recall, symbols, or auto (what the tokenizer knows).", metavar="NAME")
    ] = "auto",
) -> None:
    """Key-value recall by distance: one of several pairs is asked for, in words that small models know."""
    from ..evals.longcontext.suite import KV, language_of

    if language not in ("auto", *KV):
        raise UsageError(f"language must be auto, {' or '.join(KV)}, got {language!r}")

    def choose(llm: "LLM") -> "Mapping[str, LongTask]":
        return {"kv": KV[language_of(llm.text) if language == "auto" else language]}

    measure("kv", choose, percentages("depths", depths), decoding, machine, options)


def ruler(
    decoding: Decoding,
    machine: Machine,
    options: SweepOptions,
    tasks: Annotated[
        list[str] | None, Argument(help="Tasks; all if none is named.", metavar="TASK…", show_default=False)
    ] = None,
) -> None:
    """Thirteen tasks in the style of RULER: needles, variable tracking, word counts, questions."""
    from ..evals.longcontext.suite import RULER, tasks_named

    measure("ruler", tasks_named(tasks or (), RULER), [None], decoding, machine, options)


def longqa(
    decoding: Decoding,
    machine: Machine,
    options: SweepOptions,
    tasks: Annotated[
        list[str] | None, Argument(help="facts, hops; both if none is named.", metavar="TASK…", show_default=False)
    ] = None,
    data: Annotated[
        Path | None, Option(help="Questions of a LongBench or SQuAD file instead.", metavar="FILE", show_default=False)
    ] = None,
) -> None:
    """Questions on long documents, scored by match, exact match and F1."""
    from ..evals.longcontext.corpora import task
    from ..evals.longcontext.suite import LONGQA, tasks_named

    if data is not None and tasks:
        raise UsageError(f"--data brings its own task; leave out {tasks[0]}, or --data")
    known = tasks_named(tasks or (), LONGQA) if data is None else {(made := task(data)).name: made}
    measure("longqa", known, [None], decoding, machine, options)


def measure(
    kind: str,
    tasks: "Mapping[str, LongTask] | Callable[[LLM], Mapping[str, LongTask]]",
    depths: "list[float] | list[None]",
    decoding: Decoding,
    machine: Machine,
    options: SweepOptions,
) -> None:
    """Run a sweep behind a progress bar, going on from what is on record; then figures, and a table on stdout."""
    from ..evals.longcontext.conditions import conditions, lengths, trained_length
    from ..evals.longcontext.report import report
    from ..evals.longcontext.sweep import resume, tallies
    from ..evals.records import Record

    at_least("repeats", options.repeats, 1)
    at_least("batch", options.batch, 1)
    at_least("gen_length", options.gen_length, 1)
    sweep = options.sweep(decoding)
    lengths(options.lengths, 4096)  # refused before the model is loaded
    llm = machine.load(quiet=options.as_json)
    known = tasks(llm) if callable(tasks) else tasks
    every = conditions(known, lengths(options.lengths, trained_length(llm)), depths)
    files.make_folder(options.out)
    about = sweep.about(llm, kind, None if options.haystack is None else str(options.haystack))
    record = Record.open(options.out / "record.jsonl" if options.out else None, about)
    done = len(tallies(record).keys() & set(every))
    if done:
        say(f"going on from {done} of {len(every)} cells")
    with progress(kind, len(every), done, llm.engine) as advance:
        for tally in resume(llm, every, known, sweep, record):
            advance(str(tally))
    on_record = tallies(record)
    result = report(llm, kind, [on_record[condition] for condition in every], sweep)
    if options.out is not None:
        result.plot(options.out)
        say(f"wrote {options.out}")
    if options.as_json:
        tell_json(result.as_dict())
    else:
        tell(str(result))


def percentages(name: str, text: str) -> list[float]:
    """Numbers from 0 to 100 with commas between, each once. Raises UsageError for anything else."""
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = [-1.0]
    if not all(0 <= number <= 100 for number in numbers):
        raise UsageError(f"{name} must be numbers from 0 to 100 with commas between, got {text!r}")
    return list(dict.fromkeys(numbers))
