"""`remask explain`: one real step in full, then the whole loop, chapter by chapter."""

from pathlib import Path
from typing import Annotated, Any

import typer

from .options import DECODING, Machine, at_least

OUTPUT = "Output"


def explain(
    machine: Machine,
    prompt: Annotated[
        str | None, typer.Argument(help="Text to go on with; '-' reads stdin.", show_default="The cat sat")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Forward passes; half of gen-length if not given.", rich_help_panel=DECODING)] = None,
    gen_length: Annotated[int, typer.Option(help="Positions to fill.", rich_help_panel=DECODING)] = 16,
    block_length: Annotated[int | None, typer.Option(help="Positions of a block; half of gen-length if not given.", rich_help_panel=DECODING)] = None,
    temperature: Annotated[float, typer.Option("--temperature", "-t", help="Of the draw.", rich_help_panel=DECODING)] = 0.0,
    cfg_scale: Annotated[float, typer.Option(help="Classifier-free guidance.", rich_help_panel=DECODING)] = 0.0,
    remasking: Annotated[str, typer.Option(help="low_confidence, random, margin or entropy.", rich_help_panel=DECODING)] = "low_confidence",
    seed: Annotated[int, typer.Option(help="Of all random numbers.", rich_help_panel=DECODING)] = 0,
    step: Annotated[int, typer.Option(help="The step to look at closely, from 1.")] = 1,
    top: Annotated[int, typer.Option(help="Candidates shown at each position.")] = 4,
    chat: Annotated[bool, typer.Option("--chat", help="Read the prompt as a message, through the chat template.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write one self-contained page.", metavar="FILE", rich_help_panel=OUTPUT)] = None,
    svg: Annotated[Path | None, typer.Option(help="Write a picture of the run.", metavar="FILE", rich_help_panel=OUTPUT)] = None,
) -> None:
    """Walk through one real step and the whole loop, with this run's own numbers."""
    from . import prompt as prompts

    text = prompts.read("The cat sat" if prompt is None else prompt, "prompt")
    at_least("top", top, 1)
    at_least("step", step, 1)
    at_least("gen_length", gen_length, 1)
    options: dict[str, Any] = {
        "gen_length": gen_length,
        "steps": steps if steps is not None else -(-gen_length // 2),
        "block_length": block_length if block_length is not None else -(-gen_length // 2),
        "temperature": temperature,
        "cfg_scale": cfg_scale,
        "remasking": remasking,
        "seed": seed,
        "raw": not chat,
    }
    llm = machine.load()
    from .lesson import Asked, gather

    lesson = gather(llm, Asked(text, step, top, options))
    show(lesson, html, svg)


def show(lesson: Any, html: Path | None, svg: Path | None) -> None:
    """Write what was asked for; the chapters on stdout if that is nothing."""
    from ..render.chapters import chapters
    from ..render.pages import pages
    from .screen import page

    console = page()
    for chapter in pages(chapters(lesson), console.width):
        console.print(chapter)
