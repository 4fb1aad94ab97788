"""Writing a file or a folder: all of it or nothing, whatever happens on the way."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import UsageError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name to write a file or a folder to; it becomes `path` only if the block ends without an error.

    What was at `path` stays until then, so a reader sees the old one or the new one. The folder of `path` is made if
    there is none. Permissions are those of any new file or folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    fresh, old = scratch / path.name, scratch / "old"
    try:
        yield fresh
        fresh.chmod((0o777 if fresh.is_dir() else 0o666) & ~_umask())
        if path.is_dir():  # a folder cannot be replaced in one call
            os.rename(path, old)
        try:
            os.replace(fresh, path)
        finally:
            if old.exists() and not path.exists():
                os.rename(old, path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write(path: Path, content: str | bytes) -> None:
    """Write one file whole. A link is followed; a device or a pipe is written to as it is.

    Raises UsageError, with the path and the reason, if it cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        target = path.resolve()
        if target.exists() and not target.is_file():
            target.write_bytes(data)
            return
        with replacing(target) as fresh:
            fresh.write_bytes(data)
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        raise UsageError(f"cannot write {str(path)!r}: {getattr(error, 'strerror', None) or error}") from None


def write_json(path: Path, value: Any) -> None:
    """Write one JSON file whole, indented, with a line break at the end."""
    write(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def check(path: Path | None) -> None:
    """Refuse a name that cannot be written, before the work whose result it is to hold. Raises UsageError."""
    if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
        why = "it is a folder" if path.is_dir() else "its folder does not exist"
        raise UsageError(f"cannot write {str(path)!r}: {why}; give a file in a folder that exists")


def make_folder(path: Path | None) -> None:
    """Make a folder to write into, if there is none. Raises UsageError if it cannot be made."""
    try:
        if path is not None:
            path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write into {str(path)!r}: {error.strerror}; name a folder") from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
