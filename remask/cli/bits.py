"""`remask eval bits-per-byte`: how well a model knows real text."""

from pathlib import Path
from typing import Annotated

from typer import Option

from .options import DATA, FLAG, Machine, Seed, at_least
from .progress import progress
from .screen import tell, tell_json


def bits_per_byte(
    machine: Machine,
    data: Annotated[Path, Option("--data", help=DATA, metavar="DIR", show_default=False)],
    length: Annotated[int, Option(help="Tokens of a window.", metavar="N")] = 256,
    samples: Annotated[int, Option(help="Maskings of a window.", metavar="N")] = 16,
    as_json: Annotated[bool, Option("--json", help="One JSON object.", metavar=FLAG)] = False,
    seed: Seed = 0,
) -> None:
    """Bits per byte of the corpus' test tales: a bound for a masked model, exact for a causal one."""
    at_least("length", length, 16)
    at_least("samples", samples, 1)
    from ..evals.bits import bits, together, windows
    from ..tasks.corpus import stories

    texts = [story.text for story in stories(data, "test")]
    llm = machine.load(quiet=as_json)
    parts = []
    with progress("bits-per-byte", len(windows(llm, texts, length)), 0) as advance:
        for part in bits(llm, texts, length=length, samples=samples, seed=seed):
            parts.append(part)
            advance(f"{together(parts).per_byte:.3f}")
    found = together(parts)
    low, high = found.interval
    if as_json:
        tell_json({"bits_per_byte": found.per_byte, "interval": [low, high], "windows": len(parts)})
    else:
        tell(f"{found.per_byte:.3f} bits per byte ({low:.3f} to {high:.3f}; {len(parts)} windows of {length} tokens)")
