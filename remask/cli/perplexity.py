"""`remask eval ppl`: perplexity of long documents, block by block, with the context and without the far part of it."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from .longcontext import folder, lengths, trained
from .options import FLAG, Machine, Rope, Seed
from .progress import progress
from .screen import say, tell_json

if TYPE_CHECKING:
    from ..evals.longcontext.perplexity import PerplexityRecord, Sweep
    from ..llm import LLM


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
    from ..engine.host import thread_limit
    from ..evals.longcontext.corpora import texts
    from ..evals.longcontext.perplexity import PerplexityRecord, Sweep, blocks, generated, given, summarise
    from ..evals.longcontext.positions import rope_of
    from ..evals.longcontext.suite import prose

    tokens, near = lengths(length, 4096)[0], lengths(recent, 4096)[0]  # refused before the model is loaded
    Sweep(tokens, block, samples, documents, max(near, block))
    found = None if data is None else texts(data)
    llm = machine.load(quiet=as_json)
    whole = trained(llm)
    tokens, near = lengths(length, whole)[0], lengths(recent, whole)[0]
    turning = rope_of(llm, {} if rope is None else {"rope": rope}, tokens)
    grid = Sweep(tokens, block, samples, documents, near, seed, turning)
    if found is None:
        rows = generated(llm.text.encode, prose(llm.text), grid)
    else:
        rows = given(llm.text.encode, found, grid)
    record = PerplexityRecord.open(folder(out, "blocks.json"), about(llm, grid, data))
    with progress("ppl", grid.documents, min(record.done, grid.documents)) as advance:
        for document in range(record.done, grid.documents):
            with thread_limit(llm.engine.threads):
                record.add(list(blocks(llm.model, document, rows[document], grid)))
            advance("documents")
    points = summarise(record.blocks)
    if out is not None:
        draw(llm, record, out)
    if as_json:
        tell_json({"kind": "ppl", "about": record.about, "points": list(map(asdict, points))})
        return
    print(f"{'tokens':>13}   {'windowed':>9}   {'95 % interval':>19}   {'cumulative':>10}   gained by all the context")
    for point in points:
        print(
            f"{point.start:>6}–{point.start + block:<6}   {point.windowed:9.2f}   "
            f"{point.low:8.2f} to {point.high:8.2f}   {point.cumulative:10.2f}   {point.gained:+.4f} nats"
        )


def about(llm: "LLM", grid: "Sweep", data: Path | None) -> dict[str, Any]:
    """What makes two runs the same one."""
    from ..evals.records import fingerprint

    return {
        "kind": "ppl",
        "model": llm.loaded.source,
        "weights": fingerprint(llm.loaded.folder),
        "dtype": str(llm.loaded.predictor.dtype).removeprefix("torch."),
        "trained": trained(llm),
        "data": None if data is None else str(data),
        **{name: value for name, value in asdict(grid).items() if name not in ("rope", "documents")},
        "rope": str(grid.rope),
    }


def draw(llm: "LLM", record: "PerplexityRecord", out: Path) -> None:
    """The curves beside the record."""
    from ..evals.longcontext.figures import curves
    from ..evals.longcontext.perplexity import summarise

    points = summarise(record.blocks)
    middles = [point.start + record.about["block"] / 2 for point in points]
    lines = {
        "windowed": (middles, [point.windowed for point in points]),
        "cumulative": (middles, [point.cumulative for point in points]),
    }
    bands = {"windowed": [(point.low, point.high) for point in points]}
    title = f"perplexity · {Path(llm.loaded.source).name}"
    curves(lines, out / "perplexity", title, ylabel="perplexity", bands=bands, trained=trained(llm))
    say(f"wrote {out}")
