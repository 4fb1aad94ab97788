"""Key-value pairs scattered in filler, in a small language of its own: the task of the long-context study.

Every word is one token of a word-level tokenizer: 256 filler words, 256 symbols for keys and values, three marks. Every
example has new random keys and values, so a model cannot memorise them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from random import Random
from string import ascii_uppercase
from typing import ClassVar

from .example import Example

SYLLABLES = tuple(a + b for a, b in product("bdln", "aeio"))
FILLER = tuple(a + b for a, b in product(SYLLABLES, SYLLABLES))
SYMBOLS = tuple(letter + digit for letter, digit in product(ascii_uppercase, "0123456789"))[:256]
PAIR, END, ASK = "=", ";", "?"
WORDS = (*FILLER, *SYMBOLS, PAIR, END, ASK)
LIKELY = (8, 13, 15, 16)  # of 16: the chance of the first, of the first two, … followers of two words
VALUE = 3  # symbols of a value; a key has two


@dataclass(frozen=True)
class Pair:
    """`K7 M3 = A0 B1 C2 ;`, and the question `? K7 M3 =` with the answer `A0 B1 C2 ;`."""

    key: tuple[str, str]
    value: tuple[str, ...]

    @property
    def text(self) -> str:
        """The text that states the pair."""
        return f"{' '.join(self.key)} {PAIR} {self.answer}"

    @property
    def question(self) -> str:
        """The question, which the answer follows."""
        return f"{ASK} {' '.join(self.key)} {PAIR}"

    @property
    def answer(self) -> str:
        """The value, and the mark that ends it."""
        return f"{' '.join(self.value)} {END}"


def pairs(rng: Random, count: int) -> list[Pair]:
    """Draw `count` pairs with different keys."""
    keys: dict[tuple[str, str], None] = {}
    while len(keys) < count:
        keys[rng.choice(SYMBOLS), rng.choice(SYMBOLS)] = None
    return [Pair(key, tuple(rng.choices(SYMBOLS, k=VALUE))) for key in keys]


def filler(rng: Random) -> Iterator[str]:
    """Draw words of an order-2 Markov chain, without end: four followers of 1,024 states, 1.6 bits a word."""
    a, b = rng.randrange(256), rng.randrange(256)
    while True:
        draw = rng.randrange(16)
        follower = next(i for i, bound in enumerate(LIKELY) if draw < bound)
        a, b = b, (a % 4 * 37 + b * 101 + follower * 53) % 256
        yield FILLER[b]


@dataclass(frozen=True)
class Haystack:
    """`… bade nilo K7 M3 = A0 B1 C2 ; lodi … ? K7 M3 = A0 B1 C2 ;` of at most `longest` words.

    Half of the examples have `longest` words, the others any number from `shortest` on. Each has some pairs at uniform
    places and some questions. The questions are at the end, or, for the share `ahead`, anywhere, even before their
    pair. A share `whole` of the examples is learned in full; of the others only the answers are learned.

    Split key: the pairs of the questions, sorted.
    """

    longest: int = 127  # with the end of the sequence, 128 tokens
    shortest: int = 32
    max_pairs: int = 16
    max_questions: int = 8
    min_questions: int = 1
    room: int = 3  # words of a canvas for every word that a question could ask for
    ahead: float = 0.25
    whole: float = 0.3

    name: ClassVar[str] = "haystack"
    description: ClassVar[str] = "recall values of keys that are scattered in filler"
    rule: ClassVar[str] = "every word of every answer is the reference's"
    heldout_share: ClassVar[float] = 0.1
    words: ClassVar[tuple[str, ...]] = WORDS

    def draw(self, rng: Random) -> Example:
        length = self.longest if rng.random() < 0.5 else rng.randint(self.shortest, self.longest)
        span = len(pairs(Random(0), 1)[0].text.split())  # words of a pair; a question and its answer have one more
        most = max(1, min(self.max_questions, (length - span) // (self.room * span)))
        count = rng.randint(min(self.min_questions, most), most)
        most = (length - count * (span + 1)) // span
        all_pairs = pairs(rng, rng.randint(min(count, most), max(count, min(self.max_pairs, most))))
        questions = rng.sample(all_pairs, count)
        at_end = rng.random() >= self.ahead
        free = length - len(all_pairs) * span - count * (span + 1)
        spans = [(rng.randint(0, free), pair.text, False) for pair in all_pairs]
        spans += [(free if at_end else rng.randint(0, free), pair.question, True) for pair in questions]
        spans.sort(key=lambda span: (span[0], span[2] and at_end))
        text, holes = assemble(spans, {pair.question: pair.answer for pair in questions}, filler(rng), free)
        whole = rng.random() < self.whole
        solution = " ".join(sorted(pair.text for pair in questions))
        return Example("", text, solution, holes, learned="all" if whole else "holes")

    def passes(self, example: Example, output: str) -> bool:
        return output.split() == example.answer.split()


def assemble(
    spans: list[tuple[int, str, bool]], answers: dict[str, str], words: Iterator[str], free: int
) -> tuple[str, tuple[tuple[int, int], ...]]:
    """Put each span behind its number of filler words, `free` of them in all; return the text and the spans of the
    answers."""
    parts: list[str] = []
    holes: list[tuple[int, int]] = []
    before = size = 0

    def add(part: str) -> None:
        nonlocal size
        size += len(part) + bool(parts)
        parts.append(part)

    for place, text, is_question in [*spans, (free, "", False)]:
        for _ in range(place - before):
            add(next(words))
        before = place
        if text:
            add(text)
        if is_question:
            add(answers[text])
            holes.append((size - len(answers[text]), size))
    return " ".join(parts), tuple(holes)
