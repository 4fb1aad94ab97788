"""`remask models list | show | pull`: what can be loaded."""

from typing import TYPE_CHECKING, Annotated

import typer

from .options import MODEL
from .screen import page as page_on
from .screen import say

if TYPE_CHECKING:
    from ..rotary import Rotary

group = typer.Typer(name="models", help="What can be loaded, and what it is.", no_args_is_help=True)
NAME = Annotated[str, typer.Argument(help=MODEL, metavar="NAME", show_default=False)]


@group.command("list")
def list_models() -> None:
    """The model inside the package, and those in the hub's cache that can be loaded."""
    from rich.table import Table

    from ..checkpoint import list_models as known

    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    table.add_column("model")
    table.add_column("size", justify="right")
    table.add_column("folder", overflow="fold")
    for entry in known():
        table.add_row(entry.name, size(entry.size), str(entry.path))
    page_on().print(table)


@group.command()
def show(name: NAME) -> None:
    """What a checkpoint says of itself, its weights unread."""
    from ..checkpoint.description import inspect
    from ..checkpoint.hub import locate

    found = inspect(locate(name))
    config = found.config
    lines = {
        "model": name,
        "folder": str(found.folder),
        "family": found.family.name,
        "parameters": f"{found.parameters:,}",
        "weights": f"{str(found.dtype).removeprefix('torch.')}, {size(found.bytes)}",
        "layers": f"{config.n_layers} of width {config.d_model}, {config.n_heads} heads",
        "vocabulary": f"{config.vocab_size:,} rows, {found.known_tokens:,} tokens",
        "context": f"{config.context:,} positions",
        "rope": rope(config.rotary),
        "attention": config.attention + (f", blocks of {config.block_size}" if config.block_size else ""),
        "mask": f"id {config.mask_id}, from {found.mask_source}",
        "end": ", ".join(f"id {token}" for token in config.eos_ids),
        "chat template": "yes" if found.text.template else "no",
        "defaults": ", ".join(f"{k} {v}" for k, v in found.defaults.items()),
        "licence": found.licence or "not stated",
    }
    console = page_on()
    for label, value in lines.items():
        console.print(f"[dim]{label:<14}[/dim]", end="")
        console.print(value, markup=False, soft_wrap=True)


@group.command()
def pull(name: NAME) -> None:
    """Download a model of the hub into its cache; what has come already is kept."""
    from ..checkpoint.description import inspect
    from ..checkpoint.hub import locate

    folder = locate(name)
    found = inspect(folder)
    print(folder)
    say(f"{name}: {found.parameters:,} parameters, {size(found.bytes)}; remask run -m {name} …")


def rope(rotary: "Rotary") -> str:
    """Rotary positions, and what λ lets them reach."""
    from ..rotary import STOPS, Extent, Rope

    extent = Extent.of(Rope(), rotary)
    stops = [Rope("ntk").fit(rotary, times * rotary.trained) for times in STOPS] if extent.factor == 1 else []
    reaches = [f"{stop} {Extent.of(stop, rotary).reach:,}" for stop in dict.fromkeys(stops)]
    own = "" if rotary.scaling == Rope() else f" with {rotary.scaling}"
    return (
        f"θ {rotary.base:g} on {rotary.dim} features, {extent.d_extra} seen whole in {extent.trained:,} tokens{own}; "
        f"reaches {', '.join([f'{extent.reach:,}', *reaches])}"
    )


def size(number: int) -> str:
    """Bytes as a person reads them."""
    value, units = float(number), ["B", "kB", "MB", "GB", "TB"]
    while value >= 1000 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.0f} {units[0]}" if value >= 10 or units[0] == "B" else f"{value:.1f} {units[0]}"
