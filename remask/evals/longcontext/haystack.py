"""What needles are hidden in: filler without end, and passages that fill an exact number of tokens."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import Protocol

from ...errors import RequestError
from ...tasks import Stories

Encode = Callable[[str], list[int]]
Filler = Callable[[Random], Iterator[str]]

NOISE = ("The grass is green.", "The sky is blue.", "The sun is yellow.", "Here we go.", "There and back again.")


class TooShort(RequestError):
    """What has to be hidden needs more tokens than there is room for; `needed` is how many."""

    def __init__(self, needed: int) -> None:
        super().__init__(f"what is hidden needs {needed} tokens")
        self.needed = needed


@dataclass(frozen=True)
class Passage:
    """The tokens of a haystack, and for each needle how many of them there are up to its end."""

    tokens: list[int]
    ends: Mapping[str, int] = field(default_factory=dict)


class Filling(Protocol):
    """What stands between the introduction and the question."""

    def fill(self, encode: Encode, room: int, rng: Random) -> Passage:
        """A passage of exactly `room` tokens. Raises TooShort if it cannot be so short."""


@dataclass(frozen=True)
class Hidden:
    """Needles between the sentences of a filler; `depths` (0 to 1, ascending) is the share of it before each needle.

    Needles are never cut, and each follows a whole sentence; the filler is cut behind a needle and at the very ends.
    """

    needles: tuple[str, ...]
    depths: tuple[float, ...]
    filler: Filler

    def fill(self, encode: Encode, room: int, rng: Random) -> Passage:
        hidden = [encode(" " + needle) for needle in self.needles]
        free = room - sum(map(len, hidden))
        if free < 0:
            raise TooShort(room - free)
        sentences = self.filler(rng)
        tokens: list[int] = []
        ends: dict[str, int] = {}
        before = 0
        for text, needle, depth in zip(self.needles, hidden, self.depths, strict=True):
            until = int(free * depth)
            tokens += last(stretch(sentences, encode, until - before), until - before)
            tokens += needle
            ends[text] = len(tokens)
            before = until
        tokens += stretch(sentences, encode, free - before)[: free - before]
        return Passage(tokens, ends)


@dataclass(frozen=True)
class Listed:
    """A numbered list: `common` words `often` times each among as many others, `seldom` times each, as there is room.

    The order is random; what is left of the room holds noise, before the list.
    """

    common: tuple[str, ...]
    often: int
    seldom: int
    word: Callable[[Random], str]

    def fill(self, encode: Encode, room: int, rng: Random) -> Passage:
        entries = [word for word in self.common for _ in range(self.often)]
        used = sum(len(encode(f" {i}.")) + len(encode(" " + word)) for i, word in enumerate(entries, 1))
        known = set(self.common)
        while used <= room:
            other = next(word for word in iter(lambda: self.word(rng), "") if word not in known)
            known.add(other)
            first = len(entries) + 1
            cost = sum(len(encode(f" {i}.")) + len(encode(" " + other)) for i in range(first, first + self.seldom))
            if used + cost > room:
                break
            entries += [other] * self.seldom
            used += cost
        if used > room:
            raise TooShort(used)
        rng.shuffle(entries)
        tokens = last(stretch(noise(rng), encode, room - used), room - used)
        for i, word in enumerate(entries, 1):
            tokens += encode(f" {i}.") + encode(" " + word)
        return Passage(tokens)


@dataclass(frozen=True)
class Frequent:
    """Words in random order whose counts fall as rank^-2, as many as there is room for; noise fills the rest.

    The first three of `words` occur strictly more often than all that come later.
    """

    words: tuple[str, ...]

    def fill(self, encode: Encode, room: int, rng: Random) -> Passage:
        costs = [len(encode(" " + word)) for word in self.words]

        def size(first: int) -> int:
            return sum(n * cost for n, cost in zip(self.counts(first), costs, strict=True))

        fewest = next(n for n in range(1, 1000) if strictly_falling(self.counts(n)[:4]))
        if size(fewest) > room:
            raise TooShort(size(fewest))
        low, high = fewest, fewest + room
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if size(middle) <= room else (low, middle - 1)
        text = [word for word, n in zip(self.words, self.counts(low), strict=True) for _ in range(n)]
        rng.shuffle(text)
        left = room - size(low)
        tokens = last(stretch(noise(rng), encode, left), left)
        for word in text:
            tokens += encode(" " + word)
        return Passage(tokens)

    def counts(self, first: int) -> list[int]:
        """How often each word occurs if the first one occurs `first` times."""
        return [first // rank**2 for rank in range(1, len(self.words) + 1)]


@dataclass(frozen=True)
class Document:
    """A given text; one that is too long loses its middle, as LongBench does it."""

    text: str

    def fill(self, encode: Encode, room: int, rng: Random) -> Passage:
        tokens = encode(self.text)
        if room < 2:
            raise TooShort(2)
        if len(tokens) > room:
            tokens = tokens[: room // 2] + last(tokens, room - room // 2)
        return Passage(tokens)


def stretch(sentences: Iterator[str], encode: Encode, length: int) -> list[int]:
    """Tokens of whole sentences, `length` of them or a few more."""
    tokens: list[int] = []
    while len(tokens) < length:
        sentence = next(sentences, None)
        if not (more := encode(f" {sentence}") if sentence else []):
            raise RequestError(f"the filler ended, or has no tokens, at {len(tokens)} of {length}; give more text")
        tokens += more
    return tokens


def last(tokens: list[int], count: int) -> list[int]:
    """The last `count` tokens; of 0, none."""
    return tokens[len(tokens) - count :]


def strictly_falling(numbers: Sequence[int]) -> bool:
    """Whether each number is above the next."""
    return all(a > b for a, b in pairwise(numbers))


def noise(rng: Random) -> Iterator[str]:
    """The sentences that RULER repeats for ever, in their order."""
    while True:
        yield from NOISE


def stories(rng: Random) -> Iterator[str]:
    """Sentences of generated stories: plain words, and never the same for long."""
    task = Stories(chat_share=0)
    while True:
        yield from _sentences(task.draw(rng).answer)


def essays(text: str) -> Filler:
    """The sentences of a given text, over and over, from a random one on."""
    sentences = _sentences(" ".join(text.split()))
    if not sentences:
        raise RequestError("the text for the haystack is empty; give a file with some sentences")

    def endless(rng: Random) -> Iterator[str]:
        at = rng.randrange(len(sentences))
        while True:
            yield sentences[at % len(sentences)]
            at += 1

    return endless


def _sentences(text: str) -> list[str]:
    parts = text.split(". ")
    return [f"{part.removesuffix('.')}." for part in parts if part.strip(". ")]
