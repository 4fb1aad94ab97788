"""Small exercises with words, and the common knowledge of a child of five."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from typing import ClassVar, NamedTuple

from .example import Example
from .phrases import home, letters, words, world
from .phrases.sorting import WORDS
from .phrases.words import IRREGULAR, Lore, pairs
from .wording import casual, fill, frame, in_words, sentence


@dataclass(frozen=True)
class Words:
    """`What is the opposite of big?` → `small`; `first letter of cat` → `c`; `Is a dog an animal?` → `yes`.

    Split key: of exercises with the letters of a word, the exercise and the word. Of facts, the fact and its wording:
    no fact follows from the others, so a held-out example asks for a known fact in a wording that it never had.
    """

    name: ClassVar[str] = "words"
    description: ClassVar[str] = (
        "opposites, plurals, letters, colours, sounds and other common knowledge, in a word or two"
    )
    rule: ClassVar[str] = "the output is the answer; case does not matter unless asked for, nor do articles"
    heldout_share: ClassVar[float] = 0.1

    def draw(self, rng: Random) -> Example:
        question = rng.choices(KINDS, cum_weights=CUMULATIVE)[0](rng)
        prompt = casual(rng, sentence(fill(question.wording, **question.slots)))
        return Example(prompt, question.answer, question.key, frame=question.wording)

    def passes(self, example: Example, output: str) -> bool:
        if len(example.answer) > 1 and example.answer.isupper():
            return output.strip() == example.answer
        return _bare(output) == _bare(example.answer)


class Question(NamedTuple):
    """A frame with the values of its slots, the answer, and the split key."""

    wording: str
    slots: dict[str, str]
    answer: str
    key: str


def _bare(output: str) -> str:
    text = output.strip().rstrip(".!").lower().replace("gray", "grey")
    for article in ("a ", "an ", "the "):
        text = text.removeprefix(article)
    return NUMBERS.get(text, text)


def _slots(thing: str) -> dict[str, str]:
    article = _article(thing)
    return {"x": thing, "a_": article, "a_x": article + thing, "xs": PLURALS.get(thing, thing + "s")}


def _article(thing: str) -> str:
    if thing in world.UNCOUNTED:
        return ""
    return "an " if thing[0] in "aeiou" else "a "


def _fact(lore: Lore) -> Callable[[Random], Question]:
    things = tuple(lore.facts)

    def question(rng: Random) -> Question:
        thing, wording = rng.choice(things), frame(rng, lore.asks)
        return Question(wording, _slots(thing), lore.facts[thing], f"{wording} {thing}")

    return question


def _letters(name: str, asks: tuple[str, ...], answer: Callable[[str], str]) -> Callable[[Random], Question]:
    def question(rng: Random) -> Question:
        word = rng.choice(SHORT_WORDS)
        return Question(frame(rng, asks), {"x": word}, answer(word), f"{name} {word}")

    return question


def _kind(rng: Random) -> Question:
    thing, wording = rng.choice(THINGS), frame(rng, world.KIND.asks)
    kind = world.OF_KIND[thing]
    return Question(wording, _slots(thing), _article(kind) + kind, f"{wording} {thing}")


def _is_kind(rng: Random) -> Question:
    thing, wording = rng.choice(THINGS), frame(rng, letters.IS_KIND)
    right = world.OF_KIND[thing]
    kind = right if rng.random() < 0.5 else rng.choice(UNLIKELY_KINDS)
    answer = "yes" if kind == right else "no"
    return Question(wording, _slots(thing) | {"kind": _article(kind) + kind}, answer, f"{thing} {kind}")


def _sizes(rng: Random) -> Question:
    one, other = rng.sample(letters.SIZES, 2)
    first = letters.SIZES.index(one) > letters.SIZES.index(other)
    bigger = rng.random() < 0.6
    wording = frame(rng, letters.BIGGER if bigger else letters.SMALLER)
    answer = _article(answer := one if first == bigger else other) + answer
    return Question(wording, {"a_x": _article(one) + one, "a_y": _article(other) + other}, answer, f"{one} {other}")


def _next_number(rng: Random) -> Question:
    number, step = rng.randint(1, rng.choice((12, 99, 998))), rng.choice((1, 1, -1))
    wording = frame(rng, letters.NEXT_NUMBER if step == 1 else letters.PREVIOUS_NUMBER)
    if rng.random() < 0.3:
        return Question(wording, {"x": in_words(number)}, in_words(number + step), f"{number} {step}")
    return Question(wording, {"x": str(number)}, str(number + step), f"{number} {step}")


def _count(rng: Random) -> Question:
    last, wording = rng.randint(3, 15), frame(rng, letters.COUNT_TO)
    shown = in_words(last) if rng.random() < 0.4 else str(last)
    return Question(wording, {"x": shown}, " ".join(map(str, range(1, last + 1))), f"{wording} {last}")


SHORT_WORDS = tuple(word for word in WORDS if len(word) <= 8)
THINGS = tuple(world.OF_KIND)
UNLIKELY_KINDS = tuple(kind for kind in world.KINDS if kind not in ("colour", "toy"))  # a car is a toy at times
PLURALS = pairs(IRREGULAR)
NUMBERS = {in_words(number): str(number) for number in range(1000)}
LORE: tuple[tuple[Lore, int], ...] = (
    (words.OPPOSITE, 10),
    (words.PLURAL, 8),
    (words.PAST, 8),
    (words.SOUND, 5),
    (world.COLOUR, 7),
    (world.LEGS, 5),
    (world.HOW_MANY, 5),
    (world.AFTER, 2),
    (world.BEFORE, 2),
    (world.DAY_AFTER, 2),
    (world.DAY_BEFORE, 2),
    (world.MONTH_AFTER, 2),
    (world.MONTH_BEFORE, 1),
    (world.LETTER_AFTER, 2),
    (world.LETTER_BEFORE, 1),
    (home.BABY, 3),
    (home.DWELLING, 3),
    (home.MEAL, 3),
    (home.USE, 5),
    (home.SENSE, 2),
    (home.WORKER, 4),
    (home.SOURCE, 3),
    (home.SEASON, 1),
    (home.TODDLER, 9),
)
EXERCISES: tuple[tuple[Callable[[Random], Question], int], ...] = (
    *((_fact(lore), weight) for lore, weight in LORE),
    (_letters("first", letters.FIRST, lambda word: word[0]), 4),
    (_letters("last", letters.LAST, lambda word: word[-1]), 4),
    (_letters("second", letters.SECOND, lambda word: word[1]), 1),
    (_letters("length", letters.LENGTH, lambda word: str(len(word))), 5),
    (_letters("spelling", letters.SPELL, "-".join), 5),
    (_letters("capitals", letters.CAPITALS, str.upper), 2),
    (_letters("repeat", letters.REPEAT, str), 2),
    (_kind, 4),
    (_is_kind, 8),
    (_sizes, 3),
    (_next_number, 5),
    (_count, 3),
)
KINDS = tuple(exercise for exercise, _ in EXERCISES)
CUMULATIVE = tuple(accumulate(weight for _, weight in EXERCISES))
