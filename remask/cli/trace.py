"""`remask trace view | export`: a recorded run, without a model."""

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UsageError
from .options import FLAG, at_least
from .screen import is_terminal, say, tell_json
from .screen import page as page_on

if TYPE_CHECKING:
    from ..trace.format import Trace

group = typer.Typer(name="trace", help="Look at a recorded run, without a model.", no_args_is_help=True)
OUTPUT = "A name that ends in .html, .svg or .json."
FILE = Annotated[Path, typer.Argument(help="What `remask run --trace` wrote.", metavar="FILE", show_default=False)]


@group.command()
def view(
    file: FILE,
    step: Annotated[int | None, typer.Option(help="Only the canvas after this step; 0 is the start.")] = None,
    pace: Annotated[float, typer.Option(help="Seconds a step, on a terminal.", metavar="SECONDS")] = 0.15,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a step, with the canvas.", metavar=FLAG)
    ] = False,
    html: Annotated[Path | None, typer.Option(help="Write one self-contained page instead.", metavar="FILE")] = None,
) -> None:
    """Replay a run in the terminal."""
    at_least("step", step, 0)
    at_least("pace", pace, 0)
    if html is not None and (as_json or step is not None):
        raise UsageError("--html writes the whole run; leave out --json and --step")
    trace = read(file)
    if step is not None and step > len(trace.steps):
        raise UsageError(f"{file} has {len(trace.steps)} steps, there is no step {step}; 0 is the start")
    if html is not None:
        save(trace, html)
    elif as_json:
        from ..trace.board import frames

        for line in frames(trace):
            if step is None or line["step"] == step:
                tell_json(line)
    elif step is not None:
        still(trace, step)
    else:
        replay(trace, pace)


@group.command()
def export(
    file: FILE,
    output: Annotated[Path, typer.Option("--output", "-o", help=OUTPUT, metavar="FILE", show_default=False)],
) -> None:
    """Write a run as a page (.html), a picture (.svg), or its canvases (.json)."""
    save(read(file), output)


def read(file: Path) -> "Trace":
    """The trace in a file. Raises UsageError if there is none."""
    from ..trace.board import checked
    from ..trace.format import read as parse

    try:
        with file.open("rb") as lines:
            return checked(parse(lines))
    except OSError as error:
        raise UsageError(f"cannot read {str(file)!r}: {error.strerror}") from None
    except UsageError as error:
        raise UsageError(f"{file}: {error}") from None


def save(trace: "Trace", path: Path) -> None:
    """Write a page, a picture or the canvases, by the name's ending."""
    from ..files import write
    from ..trace.board import frames, text_of

    kind = path.suffix.lower()
    if kind in (".html", ".htm"):
        from ..render.html import page

        text = page(trace, text=text_of(trace))
    elif kind == ".svg":
        from ..render.svg import picture

        text = picture(trace)
    elif kind == ".json":
        whole = {**trace.header, "frames": list(frames(trace)), "end": trace.end}
        text = json.dumps(whole, ensure_ascii=False) + "\n"
    else:
        raise UsageError(f"cannot tell what to write as {path.name!r}; end the name in .html, .svg or .json")
    write(path, text)
    say(f"wrote {path}")


def still(trace: "Trace", number: int) -> None:
    """The canvas after one step, on stdout."""
    from ..render.ansi import legend, status, window
    from ..trace.board import board, edges, steps, unused

    canvas, console = board(trace), page_on()
    for _, step in zip(range(number), steps(trace), strict=False):
        canvas.take(step)
    if number == len(trace.steps):
        canvas.finish(unused(trace))
    console.print(window(canvas, console, len(canvas.token), edges(trace)))
    console.print(status(canvas, len(trace.steps)), legend(), sep="\n")


def replay(trace: "Trace", pace: float) -> None:
    """Step through the run on a terminal; elsewhere, the grid of steps and positions. Then the text."""
    from ..render.ansi import Look, grid, live
    from ..trace.board import board, edges, steps, text_of, unused

    console = page_on()
    if is_terminal(sys.stdout):
        from rich.live import Live

        canvas = board(trace)
        look = Look(str(trace.header.get("model", "")), len(trace.steps), edges(trace))
        with Live(console=console, auto_refresh=False, transient=True) as region:
            for step in steps(trace):
                canvas.take(step)
                region.update(live(canvas, console, look), refresh=True)
                time.sleep(pace)
    canvas = board(trace)
    console.print(grid(canvas, list(steps(trace)), console.width))
    canvas.finish(unused(trace))
    console.print()
    console.print(text_of(trace), soft_wrap=True)
    if trace.end is None:
        say(f"the run was interrupted after {len(trace.steps)} steps")
