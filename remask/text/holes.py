"""Templates with holes, for infilling.

A token of a word begins with the space before it. So in "The {{1}} sat" the model is to decide " cat", and reads "The"
before it; in the text the space stands once, whether or not the fill brought one of its own.
"""

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
        raise RequestError("the template has no hole; write {{n}} where n tokens are missing, as in 'The {{1}} sat'")
    merged: list[str | int] = []
    for part in parts:
        if isinstance(part, str) and merged and isinstance(merged[-1], str):
            merged[-1] += part
        elif part != "":
            merged.append(part)
    return merged


def without_spaces(parts: Sequence[str | int]) -> list[str | int]:
    """Return the parts as the model reads them where the space before a hole belongs to the hole: one space less."""
    shorter = (
        part[:-1] if isinstance(part, str) and isinstance(behind, int) and part.endswith(" ") else part
        for part, behind in zip(parts, (*parts[1:], ""), strict=True)
    )
    return [part for part in shorter if part != ""]


def hole_lengths(template: str) -> list[int]:
    """Return the tokens of each hole; adjacent holes count as one."""
    lengths: list[int] = []
    before: str | int = ""
    for part in template_parts(template):
        if isinstance(part, int) and isinstance(before, int):
            lengths[-1] += part
        elif isinstance(part, int):
            lengths.append(part)
        before = part
    return lengths


def fills_after_spaces(template: str, fills: Sequence[str]) -> tuple[str, ...]:
    """Return `fills`, less the space that a fill brings where the template has one before its hole."""
    parts = template_parts(template)
    before = [("", *parts)[i] for i, part in enumerate(parts) if isinstance(part, int)]
    spaced = [text.endswith(" ") for text in before if isinstance(text, str)]  # one a hole, adjacent ones as one
    return tuple(fill.removeprefix(" ") if space else fill for fill, space in zip(fills, spaced, strict=True))


def fill_holes(template: str, fills: Sequence[str]) -> str:
    """Return the template with one of `fills` in each hole; adjacent holes count as one.

    The given text does not change. A hole without a text is empty.
    """
    texts, parts = iter(fills), template_parts(template)
    return "".join(
        part if isinstance(part, str) else next(texts, "") if i == 0 or isinstance(parts[i - 1], str) else ""
        for i, part in enumerate(parts)
    )
