"""`remask eval compare`: a recorded run beside the published figures of LongLLaDA."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from .options import FLAG
from .screen import tell, tell_json


def compare(
    file: Annotated[Path, Argument(help="record.jsonl of a run.", metavar="FILE", show_default=False)],
    anchor: Annotated[str, Option("--with", help="Whose figures.", metavar="MODEL")] = "LLaDA-8B-Base",
    scale: Annotated[float, Option("--lambda", help="At which λ.", metavar="N")] = 1,
    as_json: Annotated[bool, Option("--json", help="One JSON object a line.", metavar=FLAG)] = False,
) -> None:
    """Put a run beside LongLLaDA's figures, at equal lengths in units of the training length."""
    from ..evals.longcontext.anchors import anchors, comparisons, kind_of

    lines = comparisons(file, anchor, scale)
    if as_json:
        for line in lines:
            tell_json(asdict(line))
        return
    kind = kind_of(file)
    tell(f"{anchor}, λ = {scale:g}: {anchors()[kind]['score']}")
    tell(f"{'length':>7}   {'column':<9}   {'published':>9}   {'this run':>9}   difference")
    for line in lines:
        difference = line.ours - line.published
        tell(f"{line.length:6g}x   {line.column:<9}   {line.published:9.1f}   {line.ours:9.1f}   {difference:+10.1f}")
    tell(f"source: {anchors()['source']['paper']}")
