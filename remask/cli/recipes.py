"""`remask recipes [show]`: how decoding can go, by name, and what one of them says on every axis."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from . import completion
from .screen import label, page

group = typer.Typer(name="recipes", help="The decoders by name, and what one of them is.")
NAME = Annotated[
    str,
    typer.Argument(
        help="A name, a TOML file, or either with settings, as in llada+select=threshold.",
        metavar="NAME",
        show_default=False,
        autocompletion=completion.recipes,
    ),
]


@group.callback(invoke_without_command=True)
def list_recipes(context: typer.Context) -> None:
    """List the recipes: what each claims, and where it is published."""
    if context.invoked_subcommand is not None:
        return
    from rich.table import Table

    from ..decoding.recipe import Recipe

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("recipe", "decoding", "source"):
        table.add_column(column, overflow="fold", no_wrap=column == "recipe")
    for name in Recipe.names():
        recipe = Recipe.load(name)
        table.add_row(name, str(recipe.exactness), recipe.citation)
    page().print(table)


@group.command()
def show(name: NAME) -> None:
    """Show a recipe: its value on every axis, what that value claims, and the source."""
    from rich.table import Table

    from ..decoding.confidence import CLAIMS
    from ..decoding.recipe import Recipe

    recipe = Recipe.load(name)
    paper, tables = page(), recipe.tables()
    for heading in ("name", "citation"):
        paper.print(label({"citation": "source"}.get(heading, heading), 10), end="")
        paper.print(tables.pop(heading))
    paper.print(label("decoding", 10), end="")
    paper.print(str(recipe.exactness))
    paper.print()
    claims = {axis: value.exactness for axis, value in recipe.values.items()}
    claims |= {"confidence": CLAIMS[recipe.confidence], "rope": recipe.rope.exactness}
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("axis", "value", "decoding"):
        shown.add_column(column, overflow="fold", no_wrap=column == "axis")
    for axis, value in tables.items():
        shown.add_row(axis, in_words(value), str(claims.get(axis, "")))
    paper.print(shown)
    paper.print(f"remask run --recipe {name} …", style="dim")


def in_words(value: Any) -> str:
    """A value of an axis, its settings behind it: `threshold: threshold 0.9, strict off`."""
    if not isinstance(value, Mapping):
        return str(value) if not isinstance(value, bool) else "on" if value else "off"
    settings = ", ".join(f"{key} {in_words(part)}" for key, part in value.items() if key != "by" and part != [])
    return f"{value.get('by', '')}: {settings}".strip(": ") if settings else str(value.get("by", ""))
