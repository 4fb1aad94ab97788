"""A token as visible text: no control character reaches a terminal or a page."""

import re
import unicodedata

_SPECIAL = re.compile(r"<\|(\w+)\|>")
_NAMES = {"endoftext": "end", "eot_id": "turn", "startoftext": "start", "start_header_id": "‹", "end_header_id": "›"}
_NAMES |= {"mdm_mask": "mask", "role_end": "turn"}
_PICTURES = {"\n": "⏎", "\t": "⇥", "\r": "␍"}


def glyph(text: str) -> str:
    """Return `text` in one line: line breaks and controls as pictures, special tokens by a short name; never empty."""
    if special := _SPECIAL.fullmatch(text):
        return f"⟨{_NAMES.get(special[1], special[1])}⟩"
    return clean("".join(_PICTURES.get(c, c) for c in text)) or "∅"


def clean(text: str) -> str:
    """Return `text` with controls and direction marks as pictures; line breaks and tabs stay."""
    return "".join(c if c in "\n\t" else _picture(c) for c in text)


def chip(text: str) -> str:
    """Return the glyph of `text`, with visible leading and trailing spaces."""
    symbol = glyph(text)
    inner = symbol.strip(" ")
    if not inner:
        return "␣" * len(symbol)
    lead, tail = len(symbol) - len(symbol.lstrip(" ")), len(symbol) - len(symbol.rstrip(" "))
    return "␣" * lead + inner + "␣" * tail


def _picture(character: str) -> str:
    if unicodedata.category(character) not in ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"):
        return character
    code = ord(character)
    return chr(0x2400 + code) if code < 32 else f"⟨U+{code:04X}⟩"
