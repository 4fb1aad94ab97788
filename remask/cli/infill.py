"""`remask infill`: a document with holes in, the whole document out."""

from typing import Annotated

from typer import Argument, Option

from ..errors import UsageError
from .options import Decoding, Machine, at_least
from .output import Output, follow, show

TEMPLATE = "Text in which {{3}} is a hole of three tokens; '-' or nothing reads stdin."


def infill(
    template: Annotated[list[str] | None, Argument(help=TEMPLATE, metavar="TEMPLATE", show_default=False)] = None,
    prefix: Annotated[str | None, Option(help="Text before one hole, without a template.", metavar="TEXT")] = None,
    suffix: Annotated[str | None, Option(help="Text after it.", metavar="TEXT")] = None,
    length: Annotated[int | None, Option(help="Tokens of the hole.", metavar="N")] = None,
    spaces_in_holes: Annotated[
        bool, Option(help="A space before a hole belongs to it, as to a word's token; or it is given text.")
    ] = True,
    *,
    decoding: Decoding,
    machine: Machine,
    output: Output,
) -> None:
    """Fill the holes of a text, as in "The {{1}} sat on the {{1}}."."""
    from .prompt import joined

    output.check()
    whole = template_of(joined(template), prefix, suffix, length)
    options = decoding.options() | output.options() | {"spaces_in_holes": spaces_in_holes}
    llm = output.introduced(machine.load(quiet=output.quiet))
    done, paused, _ = follow(llm.engine.submit(llm.infilling(whole, **options)), output, streams=False)
    show(done, output, paused)


def template_of(template: str | None, prefix: str | None, suffix: str | None, length: int | None) -> str:
    """The template, or the one that prefix, suffix and length spell."""
    from ..text.holes import template_parts
    from . import prompt as prompts

    if prefix is None and suffix is None:
        if length is not None:
            raise UsageError(
                "--length goes with --prefix or --suffix; in a template write {{n}} where n tokens are missing"
            )
        whole = prompts.read(template, "template")
    elif template is not None:
        raise UsageError("give a template, or --prefix and --suffix, but not both")
    elif length is None:
        raise UsageError("--prefix and --suffix need --length, the number of tokens between them")
    else:
        at_least("length", length, 1)
        before, after = ((part or "").replace("{{", r"\{{") for part in (prefix, suffix))
        whole = f"{before}{{{{{length}}}}}{after}"
    template_parts(whole)  # a malformed one is refused before the model is loaded
    return whole
