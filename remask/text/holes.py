"""Templates with holes, for infilling."""

import re
from collections.abc import Sequence

from ..errors import RequestError

_HOLE = re.compile(r"\\\{\{|\{\{([^{}]*)\}\}")
_LENGTH = re.compile(r"(?:\s*[A-Za-z_]\w*\s*:)?\s*(0*[1-9]\d{0,2}|0*[1-3]\d{3}|0*40[0-8]\d|0*409[0-6])\s*")


def template_parts(template: str) -> list[str | int]:
    """Split an infilling template into texts and hole lengths: `"A {{3}} sat on {{place:2}}."` has two holes.

    `{{n}}` or `{{name:n}}` is a hole of n tokens; `\\{{` writes two braces as text. Raises RequestError if there is no
    hole, or a hole is malformed.
    """
    parts: list[str | int] = []
    at = 0
    for hole in _HOLE.finditer(template):
        parts.append(template[at : hole.start()])
        at = hole.end()
        if hole[0].startswith("\\"):
            parts.append("{{")
        elif not (length := _LENGTH.fullmatch(hole[1])):
            raise RequestError(f"{hole[0]!r} is not a hole; write {{{{n}}}} or {{{{name:n}}}} with n from 1 to 4096")
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
    """Return the template with one of `fills` in each hole; adjacent holes count as one.

    The given text does not change. A hole without a text is empty.
    """
    texts, parts = iter(fills), template_parts(template)
    return "".join(
        part if isinstance(part, str) else next(texts, "") if i == 0 or isinstance(parts[i - 1], str) else ""
        for i, part in enumerate(parts)
    )
