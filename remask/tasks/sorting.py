"""A few digits, numbers or words to sort or to reverse."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import ClassVar, NamedTuple

from .example import Example
from .phrases.sorting import (
    BACK,
    BACK_LIST,
    CLAUSE_WORDS,
    CLAUSES,
    DOWN,
    GLUED_DOWN,
    GLUED_UP,
    SPELL,
    UP,
    WORDS,
    WORDS_BACK,
    WORDS_DOWN,
    WORDS_UP,
)
from .wording import casual, fill, frame, sentence


@dataclass(frozen=True)
class Sorting:
    """`Sort 5380217.`, `Sort 5380217 from high to low.` or `Reverse 5380217.`

    Split key: the digits in ascending order, whatever the instruction. The three instructions share one key, so a
    held-out set of digits was never sorted or reversed in training, in any order.
    """

    min_digits: int = 4
    max_digits: int = 10

    name: ClassVar[str] = "sorting"
    description: ClassVar[str] = "sort 4 to 10 digits, up or down, or reverse them"
    rule: ClassVar[str] = "the output is the right digits in the right order"
    heldout_share: ClassVar[float] = 0.1

    def draw(self, rng: Random) -> Example:
        digits = "".join(rng.choices("0123456789", k=rng.randint(self.min_digits, self.max_digits)))
        ascending = "".join(sorted(digits))
        prompt, answer = rng.choices(
            (
                (f"Sort {digits}.", ascending),
                (f"Sort {digits} from high to low.", ascending[::-1]),
                (f"Reverse {digits}.", digits[::-1]),
            ),
            weights=(2, 1, 1),
        )[0]
        return Example(prompt, answer, solution=ascending)

    def passes(self, example: Example, output: str) -> bool:
        return output.strip() == example.answer


@dataclass(frozen=True)
class RewordedSorting:
    """The same in any wording, and of numbers, words and letters: `8 3 5 backwards`, `spell cat backwards`.

    The answer separates its items as the question does.

    Split key: the digits in ascending order, as of `Sorting`; of other items, the items in ascending order.
    """

    name: ClassVar[str] = Sorting.name
    description: ClassVar[str] = "sort or reverse digits, numbers, words or letters, asked in any wording"
    rule: ClassVar[str] = "the output is the right items in the right order, whatever separates them"
    heldout_share: ClassVar[float] = Sorting.heldout_share

    def draw(self, rng: Random) -> Example:
        wording, shown, items, separator, solution = rng.choices(KINDS, weights=WEIGHTS)[0](rng)
        prompt = casual(rng, sentence(fill(wording.text, items=shown, nouns=wording.noun)))
        return Example(prompt, separator.join(items), solution, frame=wording.text)

    def passes(self, example: Example, output: str) -> bool:
        return _items(output) == _items(example.answer)


class Wording(NamedTuple):
    """A frame, and what its `{nouns}` are called."""

    text: str
    noun: str = ""


class Exercise(NamedTuple):
    """A wording, the items as it shows them, the items of the answer with their separator, and the split key."""

    wording: Wording
    shown: str
    items: Sequence[str]
    separator: str
    solution: str


def _items(text: str) -> list[str]:
    return text.lower().rstrip(" \n.").replace(",", " ").split()


def _ordered(
    rng: Random, items: Sequence[str], up: Sequence[str], down: Sequence[str], back: Sequence[str]
) -> tuple[str, Sequence[str]]:
    """Choose to sort `items` up or down or to reverse them; return the wording and the answer."""
    way = rng.random()
    if way < 0.45:
        return frame(rng, up), sorted(items, key=_rank)
    if way < 0.72:
        return frame(rng, down), sorted(items, key=_rank, reverse=True)
    return frame(rng, back), items[::-1]


def _rank(item: str) -> tuple[int, str]:
    """The place of a number by its value, and of a word by the alphabet."""
    return (int(item), "") if item.isdecimal() else (0, item)


def _listed(rng: Random, items: Sequence[str]) -> tuple[str, str]:
    """Return the items as a list, and the separator."""
    separator = rng.choice((" ", ", ", ", ", ","))
    if separator == ", " and rng.random() < 0.2:
        return f"{separator.join(items[:-1])} and {items[-1]}", separator
    return separator.join(items), separator


def _glued_digits(rng: Random) -> Exercise:
    digits = rng.choices("0123456789", k=rng.randint(3, 10))
    text, answer = _ordered(rng, digits, GLUED_UP, GLUED_DOWN, BACK)
    return Exercise(Wording(text), "".join(digits), answer, "", "".join(sorted(digits)))


def _digits(rng: Random) -> Exercise:
    digits = rng.choices("0123456789", k=rng.randint(3, 10))
    shown, separator = _listed(rng, digits)
    text, answer = _ordered(rng, digits, UP, DOWN, rng.choice((BACK, BACK_LIST)))
    return Exercise(Wording(text, rng.choice(("digits", "numbers"))), shown, answer, separator, "".join(sorted(digits)))


def _numbers(rng: Random) -> Exercise:
    below = rng.choice((20, 100, 100, 1000, 1000))
    numbers = [str(number) for number in rng.sample(range(below), rng.randint(3, 7))]
    shown, separator = _listed(rng, numbers)
    text, answer = _ordered(rng, numbers, UP, DOWN, BACK_LIST)
    return Exercise(Wording(text, "numbers"), shown, answer, separator, " ".join(sorted(numbers, key=int)))


def _words(rng: Random) -> Exercise:
    words = rng.sample(WORDS, rng.randint(3, 6))
    shown, separator = _listed(rng, words)
    text, answer = _ordered(rng, words, WORDS_UP, WORDS_DOWN, BACK_LIST)
    return Exercise(Wording(text, "words"), shown, answer, separator, " ".join(sorted(words)))


def _sentence(rng: Random) -> Exercise:
    words = fill(frame(rng, CLAUSES), **{slot: rng.choice(choices) for slot, choices in CLAUSE_WORDS.items()}).split()
    return Exercise(Wording(frame(rng, WORDS_BACK)), " ".join(words), words[::-1], " ", " ".join(sorted(words)))


def _letters(rng: Random) -> Exercise:
    word = rng.choice(SHORT_WORDS)
    return Exercise(Wording(frame(rng, SPELL)), word, word[::-1], "", word)


KINDS: tuple[Callable[[Random], Exercise], ...] = (_glued_digits, _digits, _numbers, _words, _sentence, _letters)
WEIGHTS = (5, 4, 4, 2, 1, 2)
SHORT_WORDS = tuple(word for word in WORDS if len(word) <= 6)
