"""Templates with holes, for infilling."""

import re
from collections.abc import Sequence

from ..errors import RequestError

_HOLE = re.compile(r"\\\{\{|\{\{([^{}]*)\}\}")
_LENGTH = re.compile(r"(?:\s*[A-Za-z_]\w*\s*:)?\s*(0*[1-9]\d{0,2}|0*[1-3]\d{3}|0*40[0-8]\d|0*409[0-6])\s*")


def template_parts(template: str) -> list[str | int]:
    """Given text and hole lengths of an infilling template: `"A {{3}} sat on {{place:2}}."` has two holes.

    `{{n}}` or `{{name:n}}` is a hole of n tokens; `\\{{` writes two braces as text. Raises RequestError if there is no
    hole, or a hole is malformed.
    """
    parts: list[str | int] = []
    at = 0
    for found in _HOLE.finditer(template):
        parts.append(template[at : found.start()])
        at = found.end()
        if found[0].startswith("\\"):
            parts.append("{{")
        elif not (length := _LENGTH.fullmatch(found[1])):
            raise RequestError(f"{found[0]!r} is not a hole; write {{{{n}}}} or {{{{name:n}}}} with n from 1 to 4096")
        else:
            parts.append(int(length[1]))
    parts.append(template[at:])
    if not any(isinstance(part, int) for part in parts):
        raise RequestError("the template has no hole; write {{n}} where n tokens are missing, as in 'A {{3}} sat'")
    merged: list[str | int] = []
    for part in parts:
        if isinstance(part, str) and merged and isinstance(merged[-1], str):
            merged[-1] += part
        elif part != "":
            merged.append(part)
    return merged


def fill_holes(template: str, fills: Sequence[str]) -> str:
    """The template with a text in each hole; what was given stays as it was written. Neighbouring holes are one.

    Holes without a text stay empty.
    """
    texts, parts = iter(fills), template_parts(template)
    return "".join(
        part if isinstance(part, str) else next(texts, "") if i == 0 or isinstance(parts[i - 1], str) else ""
        for i, part in enumerate(parts)
    )
