"""Writing a file whole or not at all."""

import os
import tempfile
from pathlib import Path

from ..errors import UsageError


def check(path: Path | None) -> None:
    """Refuse a name that cannot be written, before the work whose result it is to hold."""
    if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
        why = "it is a folder" if path.is_dir() else "its folder does not exist"
        raise UsageError(f"cannot write {str(path)!r}: {why}; give a file in a folder that exists")


def folder(path: Path | None) -> None:
    """Make a folder to write into, if there is none. Raises UsageError if it cannot be."""
    try:
        if path is not None:
            path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write into {str(path)!r}: {error.strerror}; name a folder") from None


def write(path: Path, content: str | bytes) -> None:
    """Write beside `path`, then rename: a reader sees the old file or the new one. Raises UsageError if it cannot.

    A link is followed; a device or a pipe is written to as it is.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        target = path.resolve()
        if target.exists() and not target.is_file():
            target.write_bytes(data)
        else:
            _replace(target, data)
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        raise UsageError(f"cannot write {str(path)!r}: {getattr(error, 'strerror', None) or error}") from None


def _replace(path: Path, data: bytes) -> None:
    handle, scratch = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(handle, "wb") as file:
            file.write(data)
        os.chmod(scratch, 0o666 & ~_umask())
        os.replace(scratch, path)
    except BaseException:
        os.unlink(scratch)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
