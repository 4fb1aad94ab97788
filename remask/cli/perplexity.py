"""`remask eval ppl`: perplexity of long documents, block by block, with the context and without the far part of it."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from .. import files
from .options import FLAG, Machine, Rope, Seed
from .progress import progress
from .screen import say, tell_json

if TYPE_CHECKING:
    from ..evals.longcontext.perplexity import Perplexity


def ppl(
    machine: Machine,
    length: Annotated[str, Option(help="Tokens of a document, as in 16k or 1x (of training).", metavar="N")] = "1x",
    block: Annotated[int, Option(help="Tokens scored together.", metavar="N")] = 64,
    samples: Annotated[int, Option(help="Maskings of a block.", metavar="N")] = 16,
    documents: Annotated[int, Option(help="Documents.", metavar="N")] = 5,
    recent: Annotated[
        str, Option(help="Tokens of the context that a block is also scored with alone.", metavar="N")
    ] = "1x",
    data: Annotated[
        Path | None, Option(help="Documents: a file or folder of texts; else generated.", metavar="PATH")
    ] = None,
    out: Annotated[
        Path | None, Option("--out", "-o", help="Record and figures go here; the same command goes on.", metavar="DIR")
    ] = None,
    as_json: Annotated[bool, Option("--json", help="One JSON object.", metavar=FLAG)] = False,
    rope: Rope = None,
    seed: Seed = 0,
) -> None:
    """Perplexity by position: windowed, with an interval over documents, and cumulative."""
    from ..evals.longcontext.conditions import lengths, trained_length
    from ..evals.longcontext.corpora import texts
    from ..evals.longcontext.perplexity import (
        Estimator,
        about,
        by_position,
        chunks_of,
        filler_documents,
        plot,
        resume,
        text_documents,
    )
    from ..evals.longcontext.positions import rope_of
    from ..evals.longcontext.suite import prose
    from ..evals.records import Record

    tokens, near = lengths(length, 4096)[0], lengths(recent, 4096)[0]  # refused before the model is loaded
    Estimator(tokens, block, samples, documents, max(near, block))
    given = None if data is None else texts(data)
    llm = machine.load(quiet=as_json)
    trained = trained_length(llm)
    tokens, near = lengths(length, trained)[0], lengths(recent, trained)[0]
    scaling = rope_of(llm, {} if rope is None else {"rope": rope}, tokens)
    estimator = Estimator(tokens, block, samples, documents, near, seed, scaling)
    encode = llm.text.encode
    rows = (
        filler_documents(encode, prose(llm.text), estimator)
        if given is None
        else text_documents(encode, given, estimator)
    )
    files.make_folder(out)
    record = Record.open(
        out / "record.jsonl" if out else None, about(llm, estimator, None if data is None else str(data))
    )
    total = documents * len(estimator.starts)
    with progress("ppl", total, min(len(record.lines), total)) as advance:
        for _ in resume(llm.model, rows, estimator, record):
            advance("blocks")
    positions = by_position(chunks_of(record))
    if out is not None:
        plot(positions, out, model=llm.loaded.source, block=block, trained=trained)
        say(f"wrote {out}")
    if as_json:
        tell_json({"kind": "ppl", "about": record.about, "points": list(map(asdict, positions))})
    else:
        show(positions, block)


def show(positions: "Sequence[Perplexity]", block: int) -> None:
    """A table on stdout: a line a block."""
    print(f"{'tokens':>13}   {'windowed':>9}   {'95 % interval':>19}   {'cumulative':>10}   gained by all the context")
    for one in positions:
        print(
            f"{one.start:>6}–{one.start + block:<6}   {one.windowed:9.2f}   "
            f"{one.low:8.2f} to {one.high:8.2f}   {one.cumulative:10.2f}   {one.gained:+.4f} nats"
        )
