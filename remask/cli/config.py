"""`remask config`: what is stated once for all commands, in `remask.toml` or in the environment, and who states it.

A flag comes before a variable of the environment, that before the file in the current folder, that before the user's
own. Only the current folder is looked at, and none above it: a file that a stranger left there has no say.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import typer

from ..errors import UsageError, printable, unknown_name
from ..validation import check
from .screen import label, page

FILE = "remask.toml"
DEFAULTS: dict[str, Any] = {"model": "bundled", "recipe": None, "device": "auto", "dtype": "auto", "threads": None}
UNSTATED = {"recipe": "the checkpoint's own", "threads": "one for a tiny model, else as many as torch has"}


class Setting(NamedTuple):
    """A value and who states it."""

    value: Any
    source: str


def variable(key: str) -> str:
    """The variable of the environment that states it."""
    return f"REMASK_{key.upper()}"


def places() -> list[Path]:
    """The files that are read, the last of which wins: the user's own, and that of the current folder."""
    return list(dict.fromkeys([Path(typer.get_app_dir("remask")) / FILE, Path.cwd() / FILE]))


def stated() -> dict[str, Setting]:
    """What the files state. Raises UsageError, with the file and the key, for what cannot be meant."""
    found: dict[str, Setting] = {}
    for path in places():
        if path.is_file():
            found |= {key: Setting(value, str(path)) for key, value in read(path).items()}
    return found


def read(path: Path) -> dict[str, Any]:
    """The values of one file; names of files in it are relative to its folder. Raises UsageError."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"cannot read {str(path)!r}: {printable(str(error))}; mend it, or remove it") from None
    for key, value in table.items():
        if key not in DEFAULTS:
            raise UsageError(f"{path}: {unknown_name('setting', key, DEFAULTS)}")
        check(f"{path}: {key}", value, int if key == "threads" else str, UsageError)
    return {key: _from(path.parent, key, value) for key, value in table.items()}


def in_force() -> dict[str, Setting]:
    """Every key with the value that holds where no flag is given."""
    from_files = stated()
    values = {}
    for key, default in DEFAULTS.items():
        if said := os.environ.get(variable(key)):
            values[key] = Setting(said, variable(key))
        else:
            values[key] = from_files.get(key, Setting(default, "default"))
    return values


def defaults_of(command: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """The default values of the parameters of a command, or of a group's commands by their names."""
    if commands := getattr(command, "commands", None):
        return {name: defaults_of(inner, values) for name, inner in commands.items()}
    return {one.name: values[one.name] for one in command.params if one.name in values}


def config() -> None:
    """Show the settings in force, and who states them: the environment, remask.toml here, or the user's own."""
    paper = page()
    for key, (value, source) in in_force().items():
        shown = UNSTATED.get(key, "none") if value is None else value
        paper.print(label(key, 10), end="")
        paper.print(f"{shown} ({source})", soft_wrap=True)
    for path in places():
        paper.print(f"{path}: {'read' if path.is_file() else 'not there'}", style="dim", soft_wrap=True)


def _from(folder: Path, key: str, value: Any) -> Any:
    """The value, a file or folder as seen from the folder of the file that names it."""
    is_file = (key == "recipe" and value.endswith(".toml")) or (key == "model" and value.startswith(("./", "../")))
    return str(folder / value) if is_file else value
