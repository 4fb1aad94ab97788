"""`remask models list | show | pull | rm | convert`: what can be loaded, what it is, and in which format."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import UsageError
from . import completion
from .loading import told
from .options import FLAG, MODEL, Adapter, Family, Fields
from .screen import TABLE, WIDEST, label, say, size, tell, visible
from .screen import page as page_on

if TYPE_CHECKING:
    from rich.table import Table

    from ..checkpoint import Description
    from ..models.rotary import Rotary

group = typer.Typer(name="models", help="What can be loaded, what it is, and in which format.", no_args_is_help=True)
NAME = Annotated[str, typer.Argument(help=MODEL, metavar="NAME", show_default=False, autocompletion=completion.models)]

CARD = ("task", "group", "what it asks", "held-out accuracy")  # columns of a model card that are shown


@group.command("list")
def list_models() -> None:
    """The models inside the package, and those in the hub's cache that can be loaded."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    from ..checkpoint import list_models as known
    from ..render.glyph import clean

    rows: list[list[Text]] = []
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for column in ("model", "family", "size", "licence", "folder"):
        table.add_column(column, justify="right" if column == "size" else "left", overflow="fold")
    for entry in known():
        row = (entry.name, entry.family, size(entry.size), entry.licence or "not stated", str(entry.path))
        cells = [Text(clean(cell)) for cell in row]  # a licence is a stranger's text, not markup
        rows.append(cells)
        table.add_row(*cells)
    console = page_on()
    wide = console.measure(table, options=console.options.update(max_width=10 * TABLE)).maximum
    if console.width >= min(wide, WIDEST):
        console.print(table)
        return
    for model, *about, folder in rows:  # a block each, whose names can be copied
        console.print(model, soft_wrap=True)
        console.print(Padding(Text(", ").join(about), (0, 0, 0, 2)), style="dim")
        console.print(Text("  ") + folder, style="dim", soft_wrap=True)


@group.command()
def show(name: NAME, adapter: Adapter = None, family: Family = None, field: Fields = None) -> None:
    """What a checkpoint says of itself, its weights unread."""
    from ..checkpoint import find, inspect
    from ..checkpoint.hub import SHIPPED

    place = find(name, adapter, weights=False)
    found = inspect(place.folder, adapter=place.adapter, outline=True, **told(family, field))
    console = page_on()
    for heading, value in described(name, found).items():
        console.print(label(heading, 14), end="")
        console.print(value, soft_wrap=True)
    if name in SHIPPED and (rows := abilities((found.folder / "README.md").read_text(encoding="utf-8"))):
        console.print()
        console.print(card_table(rows))
        console.print(f"what to type: remask examples{'' if name == 'bundled' else f' {name}'}", style="dim")


def abilities(card: str) -> list[list[str]]:
    """The cells of a card's first table that begins with the column `task`, its header first; nothing without one."""
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in card.splitlines() if line[:1] == "|"]
    first = next((i for i, row in enumerate(rows) if row[0] == "task"), len(rows))
    last = next((i for i in range(first + 2, len(rows)) if len(rows[i]) != len(rows[first])), len(rows))
    return rows[first : first + 1] + rows[first + 2 : last]  # between them is a line of dashes


def card_table(rows: list[list[str]]) -> "Table":
    """The columns of a card that say what the model can do, and how well."""
    from rich.table import Table

    head, *tasks = rows
    shown = [i for i, name in enumerate(head) if name in CARD] or [*range(len(head))]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for i in shown:
        table.add_column(head[i], overflow="fold")
    for task in tasks:
        table.add_row(*(task[i] for i in shown))
    return table


def described(name: str, found: "Description") -> dict[str, str]:
    """The lines of `show`."""
    config = found.config
    heads = f"{config.n_heads} heads" + (
        f", {config.n_kv_heads} of keys and values" if config.n_kv_heads != config.n_heads else ""
    )
    lines = {
        "model": name,
        "folder": str(found.folder),
        "family": found.family.name,
        "parameters": f"{found.parameters:,}",
        "weights": weights(found),
        "layers": f"{config.n_layers} of width {config.d_model}, {heads}",
        "vocabulary": f"{config.vocab_size:,} rows, {tokens(found)}",
        "head": found.head,
        "context": f"{config.context:,} positions",
        "rope": rope(config.rotary),
        "attention": config.attention + (f", blocks of {config.block_size}" if config.block_size else ""),
        "mask": f"id {config.mask_id}, from {found.mask_source}",
        "end": ", ".join(f"id {token}" for token in config.eos_ids),
        "chat template": "yes" if found.text.template else "no",
        "recipe": recipe(found),
        "licence": found.licence or "not stated",
    }
    if found.adapter is not None:
        lines["adapter"] = str(found.adapter)
    if (moe := config.moe) is not None:
        lines["layers"] += f", {moe.top_k} of {moe.n_experts} experts a token"
    return lines


def weights(found: "Description") -> str:
    """In which numbers, of what size, and whether they are here."""
    if found.index is None:
        return f"{', '.join(kinds(found))}; {size(found.bytes)} on disk"
    by = f"{size(found.index.bytes)} by the index" if found.index.bytes else "of a size that no index states"
    return f"{str(found.dtype).removeprefix('torch.')}, {by}; they are not here"


def tokens(found: "Description") -> str:
    """How many of the rows mean something."""
    return f"{found.known_tokens:,} tokens" if found.whole_text else "their tokens not counted, without a tokenizer"


def kinds(found: "Description") -> list[str]:
    """In which numbers the weights are stored, those of most weights first."""
    from math import prod

    count: dict[str, int] = {}
    for stored in found.stored.values():
        count[stored.dtype] = count.get(stored.dtype, 0) + prod(stored.shape)
    return sorted(count, key=lambda kind: -count[kind])


def recipe(found: "Description") -> str:
    """What `run` does if nothing else is asked, and who says so: the checkpoint's file, or its authors."""
    block, said = found.config.block_size, dict[str, list[str]]()
    for name, value in found.defaults.values.items():
        if block is None or name != "block_length":
            said.setdefault(found.defaults.sources[name], []).append(f"{name} {value}")
    if block is not None:
        said["the model itself"] = [f"block_length {block}"]
    return "; ".join(f"{', '.join(values)} ({source})" for source, values in said.items())


@group.command()
def pull(name: NAME) -> None:
    """Download a model of the hub into its cache; what has come already is kept."""
    from ..checkpoint import find, inspect

    place = find(name)
    found = inspect(place.folder, adapter=place.adapter)
    tell(str(place.adapter or place.folder))
    say(f"{name}: {found.parameters:,} parameters, {size(found.bytes)}; remask run -m {name} …")


def rope(rotary: "Rotary") -> str:
    """Rotary positions, and what λ lets them reach."""
    from ..models.rotary import STOPS, Extent, Rope

    extent = Extent.of(Rope(), rotary)
    stops = [Rope("ntk").fit(rotary, times * rotary.trained) for times in STOPS] if extent.factor == 1 else []
    reaches = [f"{stop} {Extent.of(stop, rotary).reach:,}" for stop in dict.fromkeys(stops)]
    own = "" if rotary.scaling == Rope() else f" with {rotary.scaling}"
    return (
        f"θ {rotary.base:g} on {rotary.dim} features, {extent.d_extra} seen whole in {extent.trained:,} tokens{own}; "
        f"reaches {', '.join([f'{extent.reach:,}', *reaches])}"
    )


@group.command()
def rm(
    name: Annotated[str, typer.Argument(help="org/name\\[@revision], as `list` has it.", metavar="NAME")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.", metavar=FLAG)] = False,
) -> None:
    """Delete a model, or one revision of it, from the hub's cache. Folders and files of your own are never deleted."""
    from ..checkpoint.hub import removal

    doomed = removal(name)
    if not yes and not typer.confirm(visible(f"Delete {name} ({size(doomed.size)}) from {doomed.cache}?"), err=True):
        raise typer.Abort
    doomed.execute()
    say(f"{name}: {size(doomed.size)} freed")


@group.command()
def convert(
    name: NAME,
    target: Annotated[Path, typer.Argument(help="A new folder, or a file that ends in .gguf.", metavar="TARGET")],
    dtype: Annotated[
        str, typer.Option(help="auto, float32, bfloat16, float16, or q8_0 (GGUF alone).", metavar="NAME")
    ] = "auto",
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.", metavar=FLAG)] = False,
    adapter: Adapter = None,
    family: Family = None,
    field: Fields = None,
) -> None:
    """Write a checkpoint in another format or dtype: the Hugging Face layout, or GGUF for llama.cpp.

    What was there stays until the new one is whole.
    """
    from ..checkpoint import find, inspect
    from ..checkpoint.conversion import convert as write

    if target.exists() and not force:
        raise UsageError(f"{str(target)!r} is there already; give another name, or --force to replace it")
    place = find(name, adapter)
    write(inspect(place.folder, adapter=place.adapter, **told(family, field)), target, dtype)
    tell(str(target))
    say(f"{size(_bytes(target))}; remask run -m {target} …")


def _bytes(path: Path) -> int:
    files: list[Any] = [path] if path.is_file() else [file for file in path.iterdir() if file.is_file()]
    return sum(file.stat().st_size for file in files)
