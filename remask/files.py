"""Write a file or a folder whole: after an error, a kill or a full disk there is the old one or the new one.

While `NAME` is written there is a folder `.NAME.XXXXXXXX.part` beside it:

    lock          held by the writer for as long as it lives
    new/NAME      not complete
    whole/NAME    complete, and about to take the place of NAME
    old/          what was at NAME

What a killed writer left is finished or removed by the next one (`recover`); what was not complete, by the next writer
of any name in that folder (`sweep`).
"""

import errno
import glob
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from .errors import UsageError

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
TAKEN = (errno.EEXIST, errno.ENOTEMPTY)  # by another writer, in the meantime
NO_RIGHT = (errno.EACCES, errno.EPERM, errno.EROFS)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name to write a file or a folder to; it becomes `path` only if the block ends without an error.

    A link is followed; the folder of `path` is made if there is none. What was at `path` stays until the end, and its
    permissions are kept; those of new files and folders are the usual ones, whatever the block gave them. Of two
    writers the last one wins. A reader sees the old file or the new one; of a folder, for a moment, perhaps none.
    Raises UsageError, with a remedy, if something cannot be written.
    """
    with writing(path), ExitStack() as stack:
        target = Path(os.path.realpath(path))
        if _is_special(path):
            raise UsageError(f"cannot write {str(path)!r}: it is neither a file nor a folder; name another place")
        target.parent.mkdir(parents=True, exist_ok=True)
        recover(target)
        sweep(target.parent)
        scratch = _scratch(target, stack)
        yield scratch / "new" / target.name
        _seal(scratch / "new", target)
        os.rename(scratch / "new", scratch / "whole")
        _place(scratch, target)


def write(path: Path, content: str | bytes) -> None:
    """Write one file whole; a device or a pipe is written to as it is. Raises UsageError as `replacing` does."""
    data = content.encode() if isinstance(content, str) else content
    with writing(path):
        if _is_special(path):
            path.write_bytes(data)
            return
    with replacing(path) as fresh:
        fresh.write_bytes(data)


def write_json(path: Path, value: Any) -> None:
    """Write one JSON file whole, indented, with a line break at the end. Raises UsageError as `replacing` does."""
    write(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an operating system's error within the block into a UsageError with the path, the reason and a remedy.

    Wrap each write of a file that grows line by line in it. An error that names another file is left as it is.
    """
    try:
        yield
    except UsageError:
        raise
    except Exception as error:
        number = _number(error)
        if number is None or not _concerns(error, path):
            raise
        reason = getattr(error, "strerror", None) or (str(error) if isinstance(error, OSError) else os.strerror(number))
        raise UsageError(f"cannot write {str(path)!r}: {reason}; {_remedy(number)}") from error


def recover(path: Path) -> None:
    """Put in place what a killed writer of `path` had complete, and remove the rest of what it left.

    A writer at work is left alone, and so is what somebody else's left. Raises UsageError if what is complete cannot
    be put in place.
    """
    target = Path(os.path.realpath(path))
    with writing(path):
        for scratch in target.parent.glob(f".{glob.escape(target.name)}.????????.part"):
            if not os.access(scratch, os.W_OK):
                continue
            with suppress(FileNotFoundError), locked(scratch / "lock") as free:  # gone: another one removed it
                if free and (scratch / "whole" / target.name).exists():
                    _place(scratch, target)
                if free:
                    _remove(scratch, target)


def sweep(folder: Path) -> None:
    """Remove what killed writers of any name left in `folder` and had not complete; all else waits for `recover`."""
    for scratch in folder.glob(".*.????????.part"):
        is_ours = (scratch / "lock").is_file() and os.access(scratch, os.W_OK)
        if not is_ours or any((scratch / "whole").glob("*")) or any((scratch / "old").glob("*/*")):
            continue
        with suppress(OSError), locked(scratch / "lock") as free:  # gone: another one removed it
            if free:
                shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Hold the lock `path`, a file that is made if there is none. False if somebody else holds it; a kill frees it.

    True also where the system or the file system has no locks.
    """
    with path.open("a") as file:
        yield _lock(file)


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


# --- the steps of a replacement ---


def _scratch(target: Path, stack: ExitStack) -> Path:
    """A new folder to work in, locked; `stack` removes it."""
    while True:
        scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
        with suppress(FileNotFoundError):  # another writer took it for a leftover before it was locked
            if stack.enter_context(locked(scratch / "lock")):
                (scratch / "new").mkdir()
                stack.callback(_remove, scratch, target)
                return scratch


def _seal(new: Path, target: Path) -> None:
    """Give everything in `new` its permissions, and have it on the disk before it gets its name.

    Without that the name may survive a power cut, and its content not.
    """
    usual = stat.S_IMODE(new.stat().st_mode)  # of any new folder here
    for path in new.rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.chmod(usual & 0o666)
            with path.open("r+b") as file:
                os.fsync(file.fileno())
    fresh = new / target.name
    if target.exists():
        fresh.chmod(stat.S_IMODE(target.stat().st_mode))
    elif fresh.is_dir():
        fresh.chmod(usual)


def _place(scratch: Path, path: Path) -> None:
    """Rename what is whole to `path`. No folder can be renamed over: the one that is there makes room first."""
    whole, old = scratch / "whole" / path.name, scratch / "old"
    if not whole.is_dir():
        os.replace(whole, path)
        return
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "a file is there, and not a folder", str(path))
    old.mkdir(exist_ok=True)
    while whole.exists():
        aside = Path(tempfile.mkdtemp(dir=old)) / path.name
        try:
            with suppress(FileNotFoundError):
                os.rename(path, aside)
            os.rename(whole, path)
        except OSError as error:
            if error.errno not in TAKEN:
                raise
        finally:
            if aside.exists() and not path.exists():
                _give_back(aside, path)


def _give_back(aside: Path, path: Path) -> None:
    try:
        os.rename(aside, path)
    except OSError as error:
        if error.errno not in TAKEN:
            raise


def _remove(scratch: Path, path: Path) -> None:
    """Delete what is left of a replacement, unless the only copy of what was at `path` is in it."""
    if not path.exists() and any((scratch / "old").glob("*/*")):
        return
    with suppress(FileNotFoundError):
        os.rename(scratch / "whole", scratch / "new")  # half deleted, it must not be taken for complete
    shutil.rmtree(scratch, ignore_errors=True)


def _lock(file: IO[str]) -> bool:
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        pass
    return True


def _is_special(path: Path) -> bool:
    """Whether there is something that is neither a file nor a folder. Raises OSError for links in a circle."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


# --- what an error says ---


def _number(error: Exception) -> int | None:
    """The system's number of an error; libraries in Rust (safetensors, tokenizers) give it in words.

    numpy gives none for a write that was cut short: the disk is full then.
    """
    if isinstance(error, OSError):
        return error.errno or errno.ENOSPC
    found = re.search(r"\(os error (\d+)\)", str(error))
    return int(found[1]) if found else None


def _concerns(error: Exception, path: Path) -> bool:
    """Whether an error is about `path`: it names no file, or one beside or below `path`, or a folder above it."""
    names = [name for name in (getattr(error, "filename", None), getattr(error, "filename2", None)) if name]
    places = [Path(os.path.abspath(name)) for name in names if isinstance(name, str)]
    homes = (Path(os.path.abspath(path)).parent, Path(os.path.realpath(path)).parent)
    return not places or any(p.is_relative_to(home) or home.is_relative_to(p) for p in places for home in homes)


def _remedy(number: int) -> str:
    if number in NO_SPACE:
        return "free some space, or name another place"
    if number in NO_RIGHT:
        return "name a place that you may write to"
    return "name another place"
