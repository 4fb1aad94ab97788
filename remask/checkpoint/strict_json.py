"""JSON that says each thing once."""

import json
from typing import Any

from ..errors import quoted


def parse(text: str) -> Any:
    """The value of a JSON text. Raises ValueError for a key that comes twice in one object, and for NaN or Infinity."""
    return json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name in fields:
            raise ValueError(f"{quoted(name, 120)} comes twice in one object")
        fields[name] = value
    return fields


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")
