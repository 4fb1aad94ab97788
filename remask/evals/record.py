"""Outcomes on disk, one JSON object a line, so that a killed evaluation goes on where it was."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..errors import UsageError
from .accuracy import Outcome


class Record:
    """What an evaluation has found so far; without a path it keeps nothing."""

    def __init__(self, path: Path | None, lines: list[dict[str, Any]]) -> None:
        self.path, self.lines = path, lines

    @classmethod
    def open(cls, path: Path | None, about: dict[str, Any]) -> "Record":
        """Take up `path` if it holds the same evaluation, else begin it. Raises UsageError if it holds another."""
        if path is None:
            return cls(None, [])
        if not path.exists():
            path.write_text(json.dumps(about) + "\n", encoding="utf-8")
            return cls(path, [])
        whole = path.read_text(encoding="utf-8")
        lines = [line for line in whole.splitlines(keepends=True) if line.endswith("\n")]
        try:
            found = [json.loads(line) for line in lines]
        except ValueError:
            raise UsageError(f"{path} is not a record of an evaluation; name another file") from None
        if not found or found[0] != json.loads(json.dumps(about)):
            other = lines[0].strip() if lines else "empty"
            raise UsageError(f"{path} records another evaluation ({other}); name another file")
        if len("".join(lines)) < len(whole):  # a line that a kill cut
            scratch = path.with_name(f".{path.name}")
            scratch.write_text("".join(lines), encoding="utf-8")
            scratch.replace(path)
        return cls(path, found[1:])

    def outcomes(self, task: str) -> list[Outcome]:
        """What is known of a task, in order."""
        mine = [line for line in self.lines if line["task"] == task]
        return [Outcome(**{name: value for name, value in line.items() if name != "task"}) for line in mine]

    def add(self, task: str, outcome: Outcome) -> None:
        """Append one outcome."""
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"task": task} | asdict(outcome)) + "\n")
