"""`remask eval ppl`: perplexity of long documents, block by block, with the context and without the far part of it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from .. import files
from .options import FLAG, Machine, Rope, Seed
from .progress import progress
from .screen import say, tell, tell_json

if TYPE_CHECKING:
    from ..evals.longcontext.perplexity import Estimator, Perplexity


@dataclass(frozen=True)
class PerplexityOptions:
    """Which blocks of which documents are scored, and how."""

    length: Annotated[str, Option(help="Tokens of a document, as in 16k or 1x (of training).", metavar="N")] = "1x"
    block: Annotated[int, Option(help="Tokens scored together.", metavar="N")] = 64
    samples: Annotated[int, Option(help="Maskings of a block.", metavar="N")] = 16
    documents: Annotated[int, Option(help="Documents.", metavar="N")] = 5
    recent: Annotated[
        str, Option(help="Tokens of the context that a block is also scored with alone.", metavar="N")
    ] = "1x"
    data: Annotated[
        Path | None, Option(help="Documents: a file or folder of texts; else generated.", metavar="PATH")
    ] = None

    def check(self) -> None:
        """Raise UsageError, before a model is loaded, for what no model could score."""
        from ..evals.longcontext.conditions import lengths
        from ..evals.longcontext.perplexity import Estimator

        length, recent = lengths(self.length, 4096)[0], lengths(self.recent, 4096)[0]
        Estimator(length, self.block, self.samples, self.documents, max(recent, self.block))

    def estimator(self, trained: int, seed: int = 0) -> "Estimator":
        """The estimator for a model trained on `trained` tokens. Raises UsageError for what is out of range."""
        from ..evals.longcontext.conditions import lengths
        from ..evals.longcontext.perplexity import Estimator

        length, recent = lengths(self.length, trained)[0], lengths(self.recent, trained)[0]
        return Estimator(length, self.block, self.samples, self.documents, recent, seed)


def ppl(
    machine: Machine,
    options: PerplexityOptions,
    out: Annotated[
        Path | None, Option("--out", "-o", help="Record and figures go here; the same command goes on.", metavar="DIR")
    ] = None,
    as_json: Annotated[bool, Option("--json", help="One JSON object.", metavar=FLAG)] = False,
    rope: Rope = None,
    seed: Seed = 0,
) -> None:
    """Perplexity by position: windowed, with an interval over documents, and cumulative."""
    from ..evals.longcontext import perplexity
    from ..evals.longcontext.conditions import trained_length
    from ..evals.longcontext.corpora import texts
    from ..evals.longcontext.positions import rope_of
    from ..evals.records import Record

    options.check()
    given = None if options.data is None else texts(options.data)
    llm = machine.load(quiet=as_json)
    trained = trained_length(llm)
    estimator = options.estimator(trained, seed)
    estimator = replace(estimator, rope=rope_of(llm, {} if rope is None else {"rope": rope}, estimator.length))
    rows = perplexity.documents(llm.text, estimator, given)
    files.make_folder(out)
    about = perplexity.about(llm, estimator, None if options.data is None else str(options.data))
    record = Record.open(out / "record.jsonl" if out else None, about)
    total = estimator.documents * len(estimator.starts)
    with progress("ppl", total, min(len(record.lines), total)) as advance:
        for _ in perplexity.resume(llm, rows, estimator, record):
            advance("blocks")
    positions = perplexity.by_position(perplexity.chunks_of(record))
    if out is not None:
        perplexity.plot(positions, out, model=llm.loaded.source, block=estimator.block, trained=trained)
        say(f"wrote {out}")
    if as_json:
        tell_json({"kind": "ppl", "about": record.about, "points": list(map(asdict, positions))})
    else:
        show(positions, estimator.block)


def show(positions: "Sequence[Perplexity]", block: int) -> None:
    """A table on stdout: a line a block."""
    tell(f"{'tokens':>13}   {'windowed':>9}   {'95 % interval':>19}   {'cumulative':>10}   gained by all the context")
    for one in positions:
        tell(
            f"{one.start:>6}–{one.start + block:<6}   {one.windowed:9.2f}   "
            f"{one.low:8.2f} to {one.high:8.2f}   {one.cumulative:10.2f}   {one.gained:+.4f} nats"
        )
