"""What fills the slots of the books of phrases: topics and names from lists, and words and numbers made on the spot."""

import tomllib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from random import Random

from .split import Split

ROWS = ("qwrtzpqwrt", "asdfghjkl", "xcvbnmxcv", "sdfkjhgqwlkj", "jklasdfqp")
NOUNS = (
    *("apple", "banana", "cat", "dog", "house", "tree", "river", "stone", "moon", "star", "cloud", "bread", "butter"),
    *("cheese", "window", "door", "garden", "flower", "bird", "horse", "cow", "sheep", "mouse", "fox", "bear", "wolf"),
    *("lion", "tiger", "rabbit", "duck", "fish", "boat", "ship", "car", "train", "road", "bridge", "hill", "mountain"),
    *(
        "lake",
        "sea",
        "island",
        "forest",
        "leaf",
        "seed",
        "egg",
        "milk",
        "water",
        "tea",
        "cake",
        "cookie",
        "soup",
        "spoon",
    ),
    *(
        "fork",
        "knife",
        "cup",
        "plate",
        "table",
        "chair",
        "bed",
        "lamp",
        "candle",
        "fire",
        "snow",
        "rain",
        "wind",
        "sun",
    ),
    *("book", "pen", "paper", "letter", "box", "bag", "hat", "coat", "shoe", "sock", "ring", "key", "clock", "bell"),
    *("drum", "song", "story", "king", "queen", "robot", "friend", "baby", "teacher", "farmer", "baker", "doctor"),
    *("pencil", "orange", "lemon", "potato", "carrot", "onion", "pumpkin", "spider", "bee", "frog", "snail", "dragon"),
)
ADJECTIVES = (
    *(
        "red",
        "blue",
        "green",
        "yellow",
        "white",
        "black",
        "big",
        "small",
        "old",
        "new",
        "young",
        "happy",
        "sad",
        "kind",
    ),
    *("brave", "quiet", "loud", "fast", "slow", "warm", "cold", "soft", "hard", "sweet", "funny", "clever", "tired"),
    *("hungry", "round", "long", "short", "tall", "dark", "bright", "clean", "little", "strange", "lucky", "golden"),
)
VERBS = (
    *(
        "sat",
        "slept",
        "ran",
        "jumped",
        "walked",
        "danced",
        "sang",
        "hid",
        "fell",
        "stood",
        "waited",
        "played",
        "laughed",
    ),
    *("looked", "flew", "swam", "stopped", "smiled", "worked", "lived"),
)
PLACES = ("on", "under", "behind", "near", "beside", "over", "in front of", "next to", "above", "below")
SYLLABLES = (
    *("ba", "be", "bo", "da", "di", "do", "fa", "fi", "ga", "go", "ka", "ki", "ko", "la", "le", "li", "lo", "lu", "ma"),
    *("me", "mi", "mo", "na", "ne", "ni", "no", "pa", "pi", "po", "ra", "ri", "ro", "sa", "si", "so", "ta", "ti", "to"),
    *("tu", "va", "vi", "wa", "wi", "za", "zo", "zu", "ble", "dri", "fro", "gli", "kra", "plo", "sna", "tre", "sti"),
)


def fillings(rng: Random, slots: Sequence[str], side: Callable[[str], Split]) -> dict[str, str]:
    """Fill each slot once, in order: topics all differ, and those after the first are on the first one's `side`.

    A slot `country2` is a second one of `country`.
    """
    values: dict[str, str] = {}
    for slot in dict.fromkeys(slots):
        kind = slot.rstrip("2")
        if kind in MAKERS:
            values[slot] = MAKERS[kind](rng)
            continue
        pool = lists()[kind]
        for _ in range(40):  # the side of the first may have no other one: then any will do
            values[slot] = rng.choice(pool)
            first = next(iter(values.values()))
            if len(values) == 1 or (values[slot] not in [*values.values()][:-1] and side(values[slot]) == side(first)):
                break
    return values


@cache
def lists() -> dict[str, tuple[str, ...]]:
    """The lists of `phrases/topics.toml`; one whose items have commas is parted by semicolons."""
    text = (Path(__file__).parent / "phrases" / "topics.toml").read_text(encoding="utf-8")
    return {kind: _items(items) for kind, items in tomllib.loads(text).items()}


def _items(items: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(item.strip() for item in items.split(";" if "; " in items else ",")))


def _mash(rng: Random) -> str:
    """Keys at random, or a bare number or so: nothing that means anything."""
    if rng.random() < 0.15:
        return "".join(rng.choices("0123456789", k=rng.randint(1, 7)))
    row = rng.choice(ROWS)
    return " ".join("".join(rng.choices(row, k=rng.randint(3, 9))) for _ in range(rng.choice((1, 1, 1, 2, 3))))


def _phrase(rng: Random) -> str:
    """One to seven words to repeat: real ones, and some that nobody has seen."""
    noun, other = rng.choice(NOUNS), rng.choice(NOUNS)
    kind = rng.randrange(9)
    if kind < 3:
        return noun
    if kind == 3:
        return "".join(rng.choices(SYLLABLES, k=rng.randint(2, 4)))
    if kind == 4:
        return " ".join(rng.sample(NOUNS, rng.randint(2, 5)))
    if kind == 5:
        return f"the {rng.choice(ADJECTIVES)} {noun} {rng.choice(VERBS)} {rng.choice(PLACES)} the {other}"
    if kind == 6:
        return f"the {noun} {rng.choice(VERBS)}"
    if kind == 7:
        return f"{rng.choice(('my', 'your', 'the', 'our', 'her', 'his'))} {noun} is {rng.choice(ADJECTIVES)}"
    return f"{rng.choice(ADJECTIVES)} {noun}"


MAKERS: dict[str, Callable[[Random], str]] = {
    "mash": _mash,
    "phrase": _phrase,
    "root": lambda rng: str(rng.randint(2, 999)),
    "percent": lambda rng: str(rng.randint(2, 100)),
}
