"""What the other tasks are made of, without their words: short documents in which much is to be learned per token.

Looking up and calculating are needed by several tasks and are rare in each; a model that meets them densely first
learns them in a fraction of the tokens. Drills are for training; nothing is claimed about them.
"""

from dataclasses import dataclass
from random import Random
from string import ascii_uppercase
from typing import ClassVar

from remask.tasks.arithmetic import FAMILIES, THINGS, TREES
from remask.tasks.example import Example
from remask.tasks.extraction import CITIES, JOBS, NAMES

WORDS = tuple(dict.fromkeys((*NAMES, *CITIES, *JOBS, *THINGS, *TREES)))


def document(parts: list[str], learned: set[int], separator: str) -> Example:
    """The parts in a row; those numbered in `learned` are its holes."""
    holes, start = [], 0
    for number, part in enumerate(parts):
        if number in learned:
            holes.append((start, start + len(part)))
        start += len(part) + len(separator)
    text = separator.join(parts)
    return Example("", text, text, tuple(holes), learned="holes")


@dataclass(frozen=True)
class Lookup:
    """`Anna pilot Rome pens. Rome pens Anna pilot`: pairs, and all of them again in another order.

    Keys and values are words, or keys are letters and values digits. The values of the second half are learned.

    Split key: the document.
    """

    min_pairs: int = 3
    max_pairs: int = 10

    name: ClassVar[str] = "lookup"
    description: ClassVar[str] = "repeat pairs in another order"
    rule: ClassVar[str] = "the output is the document"
    heldout_share: ClassVar[float] = 0.1

    def draw(self, rng: Random) -> Example:
        count = rng.randint(self.min_pairs, self.max_pairs)
        if rng.random() < 0.7:
            keys, values = rng.sample(WORDS, count), rng.choices(WORDS, k=count)
            pairs = [(f" {key}", f" {value}") for key, value in zip(keys, values, strict=True)]
        else:
            pairs = [(f" {key}", rng.choice("0123456789")) for key in rng.sample(ascii_uppercase, count)]
        parts = [part for pair in pairs for part in pair]
        again = [part for pair in rng.sample(pairs, count) for part in pair]
        first = len(parts) + 1
        return document([*parts, ".", *again], set(range(first + 1, first + len(again), 2)), "")

    def passes(self, example: Example, output: str) -> bool:
        return output.split() == example.answer.split()


@dataclass(frozen=True)
class Equations:
    """Steps of word problems, a line each, without the problems: `12*7=84`. What follows `=` is learned.

    Split key: the document.
    """

    lines: int = 8

    name: ClassVar[str] = "equations"
    description: ClassVar[str] = "calculate one step of a word problem a line"
    rule: ClassVar[str] = "the output is the document"
    heldout_share: ClassVar[float] = 0.1

    def draw(self, rng: Random) -> Example:
        parts = []
        for _ in range(self.lines):
            family = rng.choice(FAMILIES)
            left, _, right = rng.choice(family.steps(rng.choice(family.operands))).partition("=")
            parts += [f"{left}=", right, "\n"]
        return document(parts, set(range(1, len(parts), 3)), "")

    def passes(self, example: Example, output: str) -> bool:
        return output.split() == example.answer.split()
