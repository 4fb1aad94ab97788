"""`remask run`: a prompt in, its answer out."""

from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from ..errors import RowError, UsageError
from .options import FLAG, Decoding, GenLength, Machine, System, at_least
from .output import Output, follow, show
from .screen import say, tell

if TYPE_CHECKING:
    from ..llm import LLM


PROMPT = "What to answer; words are joined; '-' or nothing reads stdin."


def run(
    prompt: Annotated[list[str] | None, Argument(help=PROMPT, metavar="PROMPT", show_default=False)] = None,
    system: System = None,
    raw: Annotated[bool, Option("--raw", help="Go on with plain text: no chat template.", metavar=FLAG)] = False,
    n: Annotated[int, Option("--n", "-n", help="Answers, with seeds that count up.", metavar="N")] = 1,
    gen_length: GenLength = None,
    *,
    decoding: Decoding,
    machine: Machine,
    output: Output,
) -> None:
    """Answer a prompt: text on stdout, the canvas and figures on stderr."""
    from . import prompt as prompts

    output.check()
    at_least("n", n, 1)
    if n > 1 and (output.trace or output.watch):
        raise UsageError(f"--{'trace' if output.trace else 'watch'} is for one answer, got --n {n}; leave one out")
    if raw and system is not None:
        raise UsageError("--system needs the chat template, which --raw leaves out; drop one of them")
    options = (
        decoding.options()
        | output.options()
        | {"raw": raw}
        | ({} if gen_length is None else {"gen_length": gen_length})
    )
    text: Any = prompts.read(prompts.joined(prompt), "prompt")
    if system is not None:
        text = [{"role": "system", "content": system}, {"role": "user", "content": text}]
    llm = output.introduced(machine.load(quiet=output.quiet))
    request = llm.request(text, **options)
    if n > 1:
        several(llm, request, n, output)
        return
    done, paused, shown = follow(llm.engine.submit(request), output)
    show(done, output, paused, shown=shown)


def several(llm: "LLM", request: Any, n: int, output: Output) -> None:
    """`n` answers, decoded side by side; a line `---` between them, or a JSON object each."""
    from ..engine.requests import samples

    failures: list[Exception] = []
    texts: list[str] = []
    try:
        with closing(llm.engine.run(samples(request, n))) as handles:
            for i, handle in enumerate(handles):
                if i and not output.as_json:
                    tell("---")
                try:
                    show(done := handle.result(), output)
                    texts.append(done.text)
                except RowError as broken:
                    failures.append(broken)  # the other answers are still worth having
    except KeyboardInterrupt:
        say(f"stopped after {len(texts)} of {n} answers")
        raise
    if len({*texts}) < len(texts) == n and request.recipe.process.temperature == 0 and not output.quiet:
        say("at temperature 0 a seed changes little or nothing; --temperature 0.7 draws other answers")
    if failures:
        raise failures[0]
