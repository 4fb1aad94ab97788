"""What was measured, on disk, one JSON object a line, so that killed work goes on where it was."""

import hashlib
import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from ..errors import UsageError
from .items import Outcome

ENDS = 2**20  # bytes at either end of a file that tell it from another
FIELDS = {f.name for f in fields(Outcome)}


class Record:
    """What has been measured so far: `lines` of plain values. Without a path it keeps them in memory only."""

    def __init__(self, path: Path | None, lines: list[dict[str, Any]]) -> None:
        self.path, self.lines = path, lines

    @classmethod
    def open(cls, path: Path | None, about: dict[str, Any]) -> "Record":
        """Take up `path` if it is of the same work `about`, else begin it. Raises UsageError if it is of another."""
        if path is None:
            return cls(None, [])
        header = json.dumps(about) + "\n"
        try:
            whole = path.read_text(encoding="utf-8") if path.exists() else ""
            kept = [line for line in whole.splitlines(keepends=True) if line.endswith("\n")]
            found = [json.loads(line) for line in kept]
            if not kept and header.startswith(whole):
                kept, found = [header], [json.loads(header)]
            if not found or not all(isinstance(line, dict) for line in found):
                raise ValueError
            if different := [k for k, v in json.loads(header).items() if found[0].get(k) != v]:
                name = different[0]
                raise UsageError(
                    f"{path} records another work: {name} is {found[0].get(name)!r} there and {about[name]!r} here; "
                    "name another file"
                )
            if "".join(kept) != whole:  # a line that a kill cut, or no line yet
                scratch = path.with_name(f".{path.name}")
                scratch.write_text("".join(kept), encoding="utf-8")
                scratch.replace(path)
        except OSError as error:
            raise UsageError(f"cannot use {str(path)!r} as a record: {error.strerror}") from None
        except UsageError:
            raise
        except ValueError:
            raise UsageError(f"{path} is not a record of measurements; name another file") from None
        return cls(path, found[1:])

    def add(self, line: dict[str, Any]) -> None:
        """Append one line."""
        self.lines.append(line)
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    def find(self, **of: Any) -> list[dict[str, Any]]:
        """The lines that say `of`, in order."""
        return [line for line in self.lines if all(line.get(name) == value for name, value in of.items())]

    def keep(self, outcome: Outcome, **of: Any) -> None:
        """Append an outcome `of` something."""
        self.add(of | asdict(outcome))

    def outcomes(self, **of: Any) -> list[Outcome]:
        """The outcomes kept `of` something, by their index."""
        lines = [line for line in self.find(**of) if "index" in line]
        return sorted(map(_outcome, lines), key=lambda outcome: outcome.index)


def _outcome(line: dict[str, Any]) -> Outcome:
    values: dict[str, Any] = {name: value for name, value in line.items() if name in FIELDS}
    return Outcome(**values | {name: tuple(values.get(name, ())) for name in ("ids", "ages")})


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
