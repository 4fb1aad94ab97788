"""A run on disk: one JSON file of what was asked and what was found, replaced as a whole whenever more is known.

It holds no times, so a run that was killed and taken up again ends with the same bytes.
"""

import json
from pathlib import Path
from typing import Any

from ...errors import UsageError
from ...files import write_json

VERSION = 1


def read(path: Path, part: str) -> dict[str, Any]:
    """The record in a file that holds a `part` of that name. Raises UsageError if there is none."""
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {str(path)!r}: {error.strerror}") from None
    except ValueError:
        said = None
    if not isinstance(said, dict) or not isinstance(said.get(part), list) or not isinstance(said.get("about"), dict):
        raise UsageError(f"{path} is not a record of a long-context run with {part}; name another file")
    if said.get("version") != VERSION:
        raise UsageError(f"{path} is a record of version {said.get('version')}, this program reads {VERSION}")
    return said


def resumed(path: Path | None, about: dict[str, Any], part: str) -> list[dict[str, Any]]:
    """The `part` of the record that `path` holds, nothing if there is no file yet.

    Raises UsageError if it records a run that was asked for otherwise.
    """
    if path is None or not path.exists():
        return []
    said = read(path, part)
    found, wanted = said["about"], json.loads(json.dumps(about))
    if changed := sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name)):
        name = changed[0]
        raise UsageError(
            f"{path} records a run with {name} = {found.get(name)!r}, not {wanted.get(name)!r}; name another file, or "
            "ask as before"
        )
    lines: list[dict[str, Any]] = said[part]
    return lines


def write(path: Path | None, about: dict[str, Any], **parts: Any) -> None:
    """Replace the file; without a path nothing is kept."""
    if path is not None:
        write_json(path, {"version": VERSION, "about": about, **parts})
