"""Short questions about numbers: which is larger, even or odd, what comes after, count from 3 to 8."""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from random import Random
from typing import ClassVar, NamedTuple

from .example import Example
from .wording import casual, fill, frame, in_words

LARGEST = 999
FACTS = "number facts"  # the key of small numbers, of the training split: everyone has to know what comes after 7
LISTS = (", ", ", ", " ", " ", ",", ", * and ", ", * or ", ", *, and ", " and ", "; ")
MOST = 15  # numbers that are counted


class Question(NamedTuple):
    """One question: which patterns ask it, what fills their slots, the answer, and the numbers that it is about."""

    kind: str
    slots: Mapping[str, object]
    answer: object
    key: str


@dataclass(frozen=True)
class Numbers:
    """Comparing, counting, even and odd, numbers in words; the answer is the bare number, word, or numbers in a row.

    Split key: the subject and its numbers. `Which is larger, 17 or 25?` and `Is 25 less than 17?` share one.
    """

    name: ClassVar[str] = "numbers"
    description: ClassVar[str] = "compare numbers, count, say even or odd, write numbers in words"
    rule: ClassVar[str] = "the output is the right number, word or row of numbers; commas and a full stop are ignored"
    heldout_share: ClassVar[float] = 0.1

    def draw(self, rng: Random) -> Example:
        asked = rng.choice(KINDS)(rng)
        chosen = frame(rng, wordings()[asked.kind])
        prompt = casual(rng, fill(chosen, **asked.slots).strip()).strip()
        return Example(prompt, str(asked.answer), asked.key, frame=f"{asked.kind}: {chosen}")

    def passes(self, example: Example, output: str) -> bool:
        return _plain(output) == _plain(example.answer)


@cache
def wordings() -> Mapping[str, Sequence[str]]:
    """Return the patterns by the kind of question."""
    return tomllib.loads(files(__package__).joinpath("phrases/numbers.toml").read_text("utf-8"))


def _plain(text: str) -> list[str]:
    return text.lower().strip().removesuffix(".").replace(",", " ").split()


def _order(rng: Random) -> Question:
    one, two = _pair(rng)
    kind = rng.choice(("larger", "larger", "smaller", "compare", "below"))
    holds = one > two if kind == "compare" else one < two
    answers = {"larger": max(one, two), "smaller": min(one, two)}
    answer = answers.get(kind, "Yes." if holds else "No.")
    said = _said(rng, one, two)
    return Question(kind, {"a": said[0], "b": said[1]}, answer, f"order {min(one, two)} {max(one, two)}")


def _extreme(rng: Random) -> Question:
    numbers = rng.sample(range(_top(rng) + 1), rng.randint(3, 7))
    kind = rng.choice(("largest", "smallest"))
    answer = max(numbers) if kind == "largest" else min(numbers)
    return Question(kind, {"list": _listed(rng, numbers)}, answer, " ".join(["list", *map(str, sorted(numbers))]))


def _single(rng: Random) -> Question:
    number = rng.randint(1, _top(rng) - 1)
    kind = rng.choice(("parity", "parity", "after", "before"))
    answers = {"parity": "odd" if number % 2 else "even", "after": number + 1, "before": number - 1}
    key = FACTS if number <= 20 else f"{'parity' if kind == 'parity' else 'next'} {number}"
    return Question(kind, {"n": _said(rng, number)[0]}, answers[kind], key)


def _between(rng: Random) -> Question:
    number = rng.randint(1, _top(rng) - 1)
    said = _said(rng, number - 1, number + 1)
    return Question("between", {"a": said[0], "b": said[1]}, number, FACTS if number <= 20 else f"next {number}")


def _count(rng: Random) -> Question:
    kind = rng.choice(("up", "up", "up", "one", "down", "back"))
    first = 1 if kind in ("one", "down") else rng.choice((rng.randint(0, 12), rng.randint(0, 90), rng.randint(0, 900)))
    last = first + rng.randint(2, MOST - 1)
    row = list(range(first, last + 1))
    said = _said(rng, first, last)
    key = FACTS if kind in ("one", "down") else f"count {first} {last}"
    return Question(kind, {"a": said[0], "b": said[1]}, _row(row[::-1] if kind in ("down", "back") else row), key)


def _skip(rng: Random) -> Question:
    step = rng.choice((2, 2, 2, 3, 4, 5, 5, 5, 10, 10, 10, 20, 100))
    first = rng.choice((0, step, step, rng.randint(1, 20)))
    last = first + step * rng.randint(3, 8)
    said, many = _said(rng, first, last), f"{in_words(step)}s".replace("xs", "xes").replace("tys", "ties")
    by = rng.choice((many, many, f"{step}s", str(step)))
    slots = {"a": said[0], "b": said[1], "step": by.replace("one hundreds", "hundreds")}
    return Question("skip", slots, _row(range(first, last + 1, step)), f"skip {step} {first} {last}")


def _series(rng: Random) -> Question:
    step, length = rng.choice((1, 1, 2, 2, 2, 3, 3, 4, 5, 5, 6, 7, 8, 9, 10, 10, 20)), rng.randint(3, 6)
    first = rng.randint(0, rng.choice((10, 10, 50, 300)))
    row = [first + step * place for place in range(length + 1)]
    if rng.random() < 0.2:
        row.reverse()
    text = rng.choice((", ", ", ", " ", ",")).join(map(str, row[:-1]))
    return Question("series", {"list": text}, row[-1], f"series {step} {first} {length}")


def _spelled(rng: Random) -> Question:
    number = rng.randint(0, rng.choice((20, 100, LARGEST)))
    words, key = in_words(number), FACTS if number <= 20 else f"words {number}"
    if rng.random() < 0.6:
        return Question("words", {"n": number}, words, key)
    return Question("digits", {"words": rng.choice((words, words.replace("-", " ")))}, number, key)


def _pair(rng: Random) -> tuple[int, int]:
    """Two numbers, often near each other or of the same digits."""
    top = _top(rng)
    one = rng.randint(0, top)
    near = rng.choice((rng.randint(0, top), rng.randint(0, top), one + rng.randint(1, 9), int(str(one)[::-1])))
    return (one, near) if near != one and near <= LARGEST else _pair(rng)


def _top(rng: Random) -> int:
    return rng.choice((10, 20, 100, 100, LARGEST, LARGEST))


def _said(rng: Random, *numbers: int) -> list[str]:
    spelled = rng.random() < 0.15
    return [in_words(number) if spelled else str(number) for number in numbers]


def _listed(rng: Random, numbers: Sequence[int]) -> str:
    comma, _, last = rng.choice(LISTS).partition("*")
    texts = _said(rng, *numbers)
    if not comma.strip() and not texts[0].isdecimal():
        comma = ", "  # words of several numbers need a mark between
    if not last:
        return comma.join(texts)
    return comma.join(texts[:-1]) + last + texts[-1]


def _row(numbers: Sequence[int]) -> str:
    return " ".join(map(str, numbers))


KINDS: tuple[Callable[[Random], Question], ...] = (
    *(_order, _order, _order, _extreme, _extreme, _single, _single, _single),
    *(_between, _count, _count, _count, _skip, _series, _series, _spelled, _spelled),
)
