"""A golden as a file: what every kind of it states of its checkpoint, and how it is written."""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch

from remask.checkpoint import Description


def golden(
    name: str, described: Description, reference: dict[str, Any], cases: list[dict[str, Any]], **more: Any
) -> dict[str, Any]:
    """What is stored of one checkpoint: its weights, whose code ran (`reference`), and every case with its rows."""
    return {
        "format": "remask-golden",
        "version": 1,
        "checkpoint": name,
        "sha256": digest((described.folder / "model.safetensors").read_bytes()),
        "reference": reference,
        "torch": torch.__version__,
        "dtype": "float32",
        **more,
        "cases": cases,
    }


def digest(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def first_forbidden(described: Description, steps: list[list[list[int]]]) -> int | None:
    """The first step that commits a forbidden id: the mask, or a row without a token."""
    forbidden = {described.config.mask_id, *range(described.known_tokens, described.config.vocab_size)}
    return next((i for i, made in enumerate(steps) if any(token in forbidden for _, token in made)), None)


def write(path: Path, stored: dict[str, Any]) -> None:
    """JSON with a line for each row, so that a changed one shows as one line."""
    compact = json.JSONEncoder(separators=(",", ":")).encode
    lines = []
    for case in stored["cases"]:
        rows = ",\n  ".join(map(compact, case["rows"]))
        about = compact({k: v for k, v in case.items() if k != "rows"})
        lines.append(f'{about[:-1]},"rows":[\n  {rows}]}}')
    header = json.dumps({k: v for k, v in stored.items() if k != "cases"}, indent=1)
    path.write_text(header[:-2] + ',\n "cases":[\n' + ",\n".join(lines) + "]}\n", encoding="utf-8")
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")
