"""`remask explain`: one real step in full, then the whole loop, chapter by chapter."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from .. import files
from . import prompt as prompts
from .options import FLAG, Machine, at_least, option, output
from .screen import page as page_on
from .screen import say

if TYPE_CHECKING:
    from ..render.lesson.contents import Lesson

PROMPT = "The cat sat"


@dataclass(frozen=True)
class Loop:
    """The decoding options whose every number the chapters can show."""

    gen_length: Annotated[int, option("gen_length", show_default=True)] = 16
    steps: Annotated[int | None, option("steps", "Forward passes; half of gen-length if not given.")] = None
    block_length: Annotated[int | None, option("block_length", "Half of gen-length if not given.")] = None
    temperature: Annotated[float, option("temperature", show_default=True)] = 0.0
    cfg_scale: Annotated[float, option("cfg_scale", show_default=True)] = 0.0
    remasking: Annotated[str, option("remasking", show_default=True)] = "low_confidence"
    seed: Annotated[int, option("seed", "Of all random numbers.", show_default=True)] = 0

    def options(self) -> dict[str, Any]:
        """As keyword arguments of `LLM.generate`. The whole canvas is filled, as the authors do."""
        at_least("gen_length", self.gen_length, 1)
        half = -(-self.gen_length // 2)
        block = self.block_length or (half if self.steps is None or self.steps > 1 else self.gen_length)
        steps = max(half, -(-self.gen_length // block)) if block > 0 else half
        usual = {"block_length": block, "steps": steps}
        return usual | {k: v for k, v in asdict(self).items() if v is not None} | {"stop_ids": ()}


def explain(
    prompt: Annotated[
        list[str] | None,
        Argument(help="Text to go on with; '-' reads stdin.", metavar="PROMPT", show_default=PROMPT),
    ] = None,
    step: Annotated[int, Option(help="The step to look at closely, from 1.", metavar="N")] = 1,
    top: Annotated[int, Option(help="Candidates shown at each position.", metavar="N")] = 4,
    chat: Annotated[
        bool, Option("--chat", help="Read the prompt as a message, in the template.", metavar=FLAG)
    ] = False,
    html: Annotated[Path | None, output("Write one self-contained page.", metavar="FILE")] = None,
    svg: Annotated[Path | None, output("Write a picture of the run.", metavar="FILE")] = None,
    *,
    loop: Loop,
    machine: Machine,
) -> None:
    """Walk through one real step and the whole loop, with this run's own numbers."""
    text = prompts.read(prompts.joined(prompt) or PROMPT, "prompt")
    at_least("top", top, 1)
    at_least("step", step, 1)
    files.check(html)
    files.check(svg)
    options = loop.options() | {"raw": not chat}
    llm = machine.load()
    from ..render.lesson.gather import Asked, gather

    show(gather(llm, Asked(text, step, top, options)), html, svg)


def show(lesson: "Lesson", html: Path | None, svg: Path | None) -> None:
    """Write what was asked for; the chapters on stdout if that is nothing."""
    from ..render.lesson.chapters import chapters

    told = chapters(lesson)
    if html is not None:
        from ..render.html import page

        files.write(html, page(lesson.trace, told, text=lesson.text, step=lesson.step + 1))
        say(f"wrote {html}")
    if svg is not None:
        from ..render.svg import picture

        files.write(svg, picture(lesson.trace))
        say(f"wrote {svg}")
    if html is None and svg is None:
        from ..render.pages import pages

        console = page_on()
        for chapter in pages(told, console.width):
            console.print(chapter)
