"""Many wordings of one request, from patterns: `(please |)sort {items}( from low to high|)`.

`(a|b|)` stands for one of its alternatives, also nested; `{name}` is a slot, filled later. A pattern with its choices
made is a frame: by frames, wordings are held out (`split_of_frame`).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import product
from random import Random

BEGINNING = re.compile(r'(?:^|[.?!] |\." )[a-z]')
SLOT = re.compile(r"\{(\w+)\}")
MACRO = re.compile(r"<(\w+)>")
MARKS = ".!?:_\"'"
ASKING = re.compile(
    r"(?:^|[.:,] )(?:can|could|would|will|do|does|did|is|are|was|were|what|which|who|whose|where|when|why|how)\b"
    r"|\b(?:in|on|to|of|with|from|two|has|is|comes|lives|after) (?:what|which|how|where)\b"
    r"|(?:yes or no|right|or not)$",
    re.IGNORECASE,
)
ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")

Node = str | tuple[tuple["Node", ...], ...]


def words(text: str) -> tuple[str, ...]:
    """Return the words of `text`."""
    return tuple(text.split())


def frame(rng: Random, patterns: Sequence[str]) -> str:
    """Choose a pattern, and one of each of its alternatives."""
    return _chosen(rng, _parsed(rng.choice(patterns)))


def frames(pattern: str) -> Iterator[str]:
    """Every frame of `pattern`; the count is the product of its alternatives."""
    return _each(_parsed(pattern))


def fill(frame: str, **slots: object) -> str:
    """Put the values in the slots. Raises KeyError for a slot without a value."""
    return SLOT.sub(lambda slot: str(slots[slot[1]]), frame)


def expanded(macros: Mapping[str, str], *patterns: str) -> tuple[str, ...]:
    """Write out every `<name>` of the patterns. Raises KeyError for a name that `macros` lacks."""
    return tuple(MACRO.sub(lambda found: macros[found[1]], pattern) for pattern in patterns)


def sentence(text: str) -> str:
    """Give the sentences of `text` capitals, and the last one a mark: a question mark if it asks."""
    if text[-1] not in MARKS:
        text += "?" if ASKING.search(text, max(text.rfind(". "), 0)) else "."
    return BEGINNING.sub(lambda found: found[0].upper(), text)


def casual(rng: Random, text: str, share: float = 0.4) -> str:
    """Write `text` as people type it: a `share` loses its capital, its last mark, or both; a few gain an odd space."""
    if rng.random() >= share:
        return text
    style = rng.randrange(5)
    if style in (0, 2) and not (text[:2].isupper() or text.startswith("I ")):
        text = text[:1].lower() + text[1:]
    if style in (1, 2):
        text = text.rstrip(".!? ") or text
    if style == 3:
        text = text.lower() if text.lower() != text and not re.search(r"[A-Z]\d", text) else text
    if style == 4:
        text = text.replace("?", " ?") if text.endswith("?") else re.sub(r"\.$", "!", text)
    return text


def in_words(number: int) -> str:
    """Write 0 to 999 in English: 342 is `three hundred and forty-two`. Raises ValueError beyond."""
    if not 0 <= number <= 999:
        raise ValueError(f"{number} has no words here; give 0 to 999")
    hundreds, rest = divmod(number, 100)
    tens, ones = divmod(rest, 10)
    below = ONES[rest] if rest < 20 else TENS[tens] + (f"-{ONES[ones]}" if ones else "")
    if not hundreds:
        return below
    return f"{ONES[hundreds]} hundred" + (f" and {below}" if rest else "")


def _chosen(rng: Random, node: Node) -> str:
    if isinstance(node, str):
        return node
    return "".join(_chosen(rng, part) for part in rng.choice(node))


def _each(node: Node) -> Iterator[str]:
    if isinstance(node, str):
        yield node
        return
    for option in node:
        yield from map("".join, product(*(tuple(_each(part)) for part in option)))


@cache
def _parsed(pattern: str) -> Node:
    """Return alternatives of sequences of parts. Raises ValueError for a bracket without its other one."""
    node, end = _alternatives(pattern, 0)
    if end != len(pattern):
        raise ValueError(f"the pattern {pattern!r} closes a bracket at {end} that it never opens")
    return node


def _alternatives(pattern: str, at: int) -> tuple[Node, int]:
    options: list[tuple[Node, ...]] = []
    parts: list[Node] = []
    text = ""
    while at < len(pattern) and pattern[at] != ")":
        mark = pattern[at]
        at += 1
        if mark not in "(|":
            text += mark
            continue
        parts += [text] if text else []
        text = ""
        if mark == "|":
            options.append(tuple(parts))
            parts = []
        else:
            inner, at = _alternatives(pattern, at)
            if at >= len(pattern):
                raise ValueError(f"the pattern {pattern!r} opens a bracket that it never closes")
            parts.append(inner)
            at += 1
    return (*options, (*parts, text) if text else tuple(parts)), at
