"""Changes to what is valid: mild ones, which mostly leave it so, and rude ones."""

import json
import re
from collections.abc import Callable
from random import Random
from typing import Any

RAW = {  # what Python's writer of JSON does not write, by the text that stands for it
    "@deep@": "[" * 4000 + "]" * 4000, "@huge@": "1e999", "@long@": "9" * 5000, "@nan@": "NaN", "@half@": r"\ud800",
    "@minus@": "-Infinity",
}  # fmt: skip
RUDE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 3, 2**31, 2**63, 2**64, -(2**70), 0.5, -1.5, 1e308, 1e-308, "", "x", "2", "none",
    "a\x1b[2Jb", "\0", "\n", "x" * 3000, "../x", "/dev/zero", [], {}, [None], [[]], [[1, 2]], {"": 0}, [1, 2, 3],
    {"type": "x"}, {"by": []}, [{"content": 3}], *RAW,
)  # fmt: skip


def written(value: Any) -> str:
    """JSON text, with what `RAW` stands for."""
    text = json.dumps(value, ensure_ascii=False)
    for name, raw in RAW.items():
        text = text.replace(f'"{name}"', f'"{raw}"' if name == "@half@" else raw)
    return text


def altered(random: Random, value: Any, rude: float = 0.35) -> Any:
    """A copy of a JSON value of which one place is changed, rudely or mildly."""
    if isinstance(value, dict | list) and value and random.random() < 0.85:
        key = random.choice(list(value)) if isinstance(value, dict) else random.randrange(len(value))
        copy = value.copy()
        if random.random() < 0.8:
            copy[key] = altered(random, value[key], rude)
            return copy
        return _moved(random, copy, key, rude)
    if random.random() < rude:
        return random.choice(RUDE)
    return mild(random, value)


def _moved(random: Random, copy: Any, key: Any, rude: float) -> Any:
    """The object or list without an entry, with one more, or in another order."""
    if random.random() < rude:
        del copy[key]
    elif isinstance(copy, list):
        copy.insert(key, copy[random.randrange(len(copy))])
    elif random.random() < 0.3:
        copy[random.choice(["x", "_name_or_path", str(key) + "x"])] = random.choice(RUDE)
    else:
        copy = dict(random.sample(list(copy.items()), len(copy)))
    return copy


def mild(random: Random, value: Any) -> Any:
    """Another value of the same type, near to this one."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return random.choice([value + 1, value - 1, 2 * value, value // 2, value])
    if isinstance(value, float):
        return random.choice([value / 2, 2 * value, value + 0.01, value])
    if isinstance(value, str):
        return random.choice([value + "x", value[:-1], value.upper(), value + " é", value])
    return value


def damaged(random: Random, data: bytes) -> bytes:
    """Bytes of which a few are others, or some are gone or there twice."""
    at = random.randrange(len(data) + 1)
    size = random.choice([1, 2, 8, 200])
    match random.randrange(5):
        case 0 | 1:
            return data[:at] + random.randbytes(size) + data[at + size :]
        case 2:
            return data[:at] + data[at + size :]
        case 3:
            return data[:at] + data[max(0, at - size) : at] + data[at:]
        case _:
            return data[:at]


def reworded(random: Random, text: str, words: tuple[str, ...]) -> str:
    """Text of which a word or number is another; `words` are some that may stand there."""
    spans = [found.span() for found in re.finditer(r"[\w.]+|[^\w\s]", text)]
    numbers = [span for span in spans if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text[slice(*span)])]
    if numbers and random.random() < 0.5:
        start, stop = random.choice(numbers)
        other = str(mild(random, float(text[start:stop]) if "." in text[start:stop] else int(text[start:stop])))
        return text[:start] + other + text[stop:]
    if not spans:
        return text
    start, stop = random.choice(spans)
    other = text[slice(*random.choice(spans))]
    number = str(random.choice([0, 1, -1, 2, 3, 0.5, 10**9, 2**64, "nan", "1e999"]))
    return text[:start] + random.choice([other, other, number, "", *random.sample(words, 2)]) + text[stop:]


def of_lines(random: Random, lines: list[str], change: Callable[[str], str]) -> list[str]:
    """Lines of which one is changed, gone, there twice, or elsewhere."""
    copy, at = list(lines), random.randrange(len(lines))
    match random.randrange(10):
        case 0:
            del copy[at]
        case 1:
            copy.insert(random.randrange(len(copy)), copy[at])
        case 2:
            copy = copy[:at]
        case _:
            copy[at] = change(copy[at])
    return copy
