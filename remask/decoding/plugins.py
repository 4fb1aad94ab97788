"""What installed packages add to Remask, by their entry points; nothing is imported before it is asked for."""

from collections.abc import Collection
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from ..errors import RecipeError, printable


def offers(group: str, own: Collection[str]) -> dict[str, EntryPoint]:
    """The entry points of `group` by name. Raises RecipeError if one takes a name of `own`, or of another package."""
    by_name: dict[str, EntryPoint] = {}
    for point in entry_points(group=group):
        other = "remask" if point.name in own else _package(by_name[point.name]) if point.name in by_name else None
        if other is not None:
            raise RecipeError(
                f"the packages {other} and {_package(point)} both offer {printable(point.name)!r} in {group}; "
                "uninstall one of them"
            )
        by_name[point.name] = point
    return by_name


def load(point: EntryPoint) -> Any:
    """What the entry point names. Raises RecipeError if it cannot be imported."""
    try:
        return point.load()
    except Exception as error:  # noqa: BLE001 - a stranger's module
        reason = printable(f"{type(error).__name__}: {error}")
        raise RecipeError(f"{point.value} of the package {_package(point)} cannot be imported ({reason})") from None


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "?"
