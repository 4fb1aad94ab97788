"""A record of measurements: JSON lines, appended, so that work that was killed goes on where it was.

The first line says what the work is (`about`), each further line is one measurement. A record holds no dates: the same
work ends in the same bytes, whether or not it was killed on the way, if what it measures is the same each time.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, TypeVar

from .. import files
from ..errors import UsageError, printable, quoted
from ..llm import LLM
from ..validation import check_fields

VERSION = 1
ENDS = 2**20  # bytes at either end of a file that tell it from another
T = TypeVar("T")


class Record:
    """The measurements so far: `lines` of plain values, about one work. Without a path they are kept in memory only."""

    def __init__(self, path: Path | None, about: Mapping[str, Any], lines: list[dict[str, Any]]) -> None:
        self.path, self.about, self.lines = path, about, lines

    @classmethod
    def open(cls, path: Path | None, about: Mapping[str, Any]) -> "Record":
        """Go on from `path` if it is about the same work, else begin it; drop a last line that was cut by a kill.

        A file without any measurement is begun anew. Raises UsageError, and leaves the file as it is, if it is about
        another work or no record.
        """
        if path is None:
            return cls(None, about, [])
        header = json.dumps({"version": VERSION, "about": about}) + "\n"
        if path.is_dir() or not path.parent.is_dir():
            files.check(path)
        text = _text(path) if path.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        kept = whole or (header if header.startswith(text) else text)
        record = _parse(path, kept)
        if not record.lines:
            kept = header
        elif difference := _difference(record.about, json.loads(header)["about"]):
            raise UsageError(f"{path} records another work: {difference}; name another file")
        if kept != text:
            files.write(path, kept)
        return cls(path, about, record.lines)

    @classmethod
    def read(cls, path: Path) -> "Record":
        """The record in a file, whatever it is about. Raises UsageError if there is none."""
        text = _text(path)
        return _parse(path, text[: text.rfind("\n") + 1])

    def add(self, line: dict[str, Any]) -> None:
        """Append one measurement. Raises UsageError if the file cannot be written."""
        self.lines.append(line)
        if self.path is None:
            return
        with files.writing(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def find(self, **of: Any) -> list[dict[str, Any]]:
        """The lines that have these values, in order."""
        return [line for line in self.lines if all(line.get(name) == value for name, value in of.items())]

    def values(self, kind: type[T], key: str, **of: Any) -> list[T]:
        """The lines that have a `key`, and these values, each as the dataclass `kind`, in order.

        Raises UsageError, with the number of the line, for one that is not whole.
        """
        return [self.value(kind, line, line) for line in self.find(**of) if key in line]

    def value(self, kind: type[T], part: Any, line: Mapping[str, Any]) -> T:
        """`part` of a line of this record as the dataclass `kind`; other names in it are left out.

        Raises UsageError, with the number of the line, if a field is missing or of another type.
        """

        try:
            return _built(kind, part)
        except TypeError as error:
            number = 2 + next(i for i, one in enumerate(self.lines) if one is line)
            where = f"{self.path or 'the record'}, line {number}"
            raise UsageError(f"{where} holds no {kind.__name__}: {error}; name another file") from None


def _built(kind: type[T], values: Any) -> T:
    """Plain values as the dataclass `kind`. Raises TypeError if a field is missing or of another type."""
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    if not isinstance(values, dict):
        raise TypeError(f"it must be a table, got {quoted(values)}")
    for name, f in known.items():
        if name not in values and f.default is MISSING and f.default_factory is MISSING:
            raise TypeError(f"{name} is missing")
    built = kind(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items() if name in known})
    check_fields(built, TypeError)
    return built


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot read {str(path)!r}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise _no_record(path) from None


def _parse(path: Path, text: str) -> Record:
    """Whole lines as a record. Raises UsageError if they are none."""
    try:
        head, *lines = [json.loads(line) for line in text.split("\n") if line]
    except (ValueError, RecursionError):
        raise _no_record(path) from None
    if not all(isinstance(line, dict) for line in (head, *lines)) or not isinstance(head.get("about"), dict):
        raise _no_record(path)
    if head.get("version") != VERSION:
        raise UsageError(f"{path} is a record of version {quoted(head.get('version'))}, this program reads {VERSION}")
    return Record(path, head["about"], lines)


def _no_record(path: Path) -> UsageError:
    return UsageError(f"{str(path)!r} is not a record of measurements; name another file")


def _difference(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """The first thing that two works do not share, in words; nothing if they are one."""
    for name in dict.fromkeys((*here, *there)):
        if there.get(name) != here.get(name):
            return f"{printable(name)} is {quoted(there.get(name))} there and {quoted(here.get(name))} here"
    return ""


def subject(llm: LLM) -> dict[str, Any]:
    """What a measurement of a model is about: its name, a digest of its weights, the type it computes in."""
    adapter = llm.loaded.adapter
    changed = {} if adapter is None else {"adapter": fingerprint(adapter.folder)}
    return {
        "model": llm.loaded.source,
        "weights": fingerprint(llm.loaded.folder),
        **changed,
        "dtype": str(llm.model.dtype).removeprefix("torch."),
    }


def fingerprint(folder: Path) -> str:
    """A short digest of a checkpoint: names, sizes and both ends of its files. Weights that changed change it."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.iterdir() if p.suffix in (".json", ".safetensors")):
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(ENDS)
            file.seek(max(0, size - ENDS))
            digest.update(f"{path.name} {size} ".encode() + head + file.read(ENDS))
    return digest.hexdigest()[:16]
