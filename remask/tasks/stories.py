"""Short stories, whole or with holes."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import ClassVar, NamedTuple

from .example import Example

WORDS: Mapping[str, tuple[str, ...]] = {
    "animal": (
        *("cat", "dog", "fox", "hen", "pig", "cow", "goat", "bear"),
        *("rabbit", "mouse", "horse", "sheep", "lion", "monkey", "tiger", "wolf"),
    ),
    "place": (
        *("mat", "bed", "rug", "chair", "box", "hill", "rock", "bench"),
        *("table", "wall", "roof", "sofa", "log", "bridge", "boat", "cart"),
    ),
    "name": (
        *("Bo", "Lulu", "Max", "Mimi", "Nino", "Pip", "Rex", "Coco"),
        *("Toto", "Zaza", "Fifi", "Gus", "Kiki", "Dodo", "Momo", "Sunny"),
    ),
    "colour": ("red", "blue", "green", "yellow", "white", "black", "brown", "pink"),
    "thing": (
        *("ball", "leaf", "hat", "book", "flower", "shoe", "bell", "key"),
        *("cake", "stick", "coin", "spoon", "ring", "cup", "drum", "kite"),
    ),
    "friend": ("bird", "bee", "frog", "duck", "fish", "snail", "crab", "swan"),
    "feeling": ("happy", "sad", "tired", "proud", "calm", "brave", "glad", "sleepy"),
}
"""The words of each fact. No word is in two lists, so a word identifies its fact."""


class Beat(NamedTuple):
    """One sentence of a plot: it states the facts `new`, and may repeat earlier ones."""

    new: frozenset[str]
    sentences: tuple[str, ...]


def _beat(new: str, *sentences: str) -> Beat:
    return Beat(frozenset(new.split()), sentences)


OPENING = _beat(
    "animal place",
    "The {animal} sat on the {place}.",
    "A {animal} sat on the {place}.",
    "One day the {animal} sat on the {place}.",
    "Once upon a time, a {animal} sat on the {place}.",
)
NAMING = _beat(
    "name",
    "The {animal} was called {name}.",
    "The name of the {animal} was {name}.",
    "Everyone called the {animal} {name}.",
)
PAINTING = _beat(
    "colour",
    "The {place} was {colour}.",
    "It was a {colour} {place}.",
    "The {animal} liked the {colour} {place}.",
)
FINDING = _beat(
    "thing",
    "Then the {animal} saw a {thing}.",
    "Soon the {animal} found a {thing} near the {place}.",
    "Then {name} saw a {thing} next to the {place}.",
    "Then {name} found a {thing}.",
)
TAKING = _beat(
    "",
    "The {animal} wanted to play with the {thing}.",
    "The {animal} put the {thing} on the {place}.",
    "{name} took the {thing} to the {colour} {place}.",
    "{name} put the {thing} on the {colour} {place}.",
)
MEETING = _beat(
    "friend",
    "Then the {animal} saw a {friend}.",
    "Soon a {friend} came to the {place}.",
    "Then {name} met a {friend}.",
    "Then a {friend} came to the {colour} {place}.",
)
PLAYING = _beat(
    "",
    "The {animal} and the {friend} played on the {place}.",
    "The {friend} asked the {animal} to play.",
    "{name} and the {friend} sat on the {colour} {place}.",
    "{name} showed the {colour} {place} to the {friend}.",
)
FEELING = _beat(
    "feeling",
    "The {animal} was {feeling}.",
    "Now {name} was a {feeling} {animal}.",
    "That day {name} the {animal} was very {feeling}.",
)
KEEPING = _beat(
    "",
    "At night the {animal} slept next to the {thing}.",
    "In the end the {thing} stayed on the {place} with the {animal}.",
    "In the end the {feeling} {animal} slept next to the {thing}.",
    "In the end {name} kept the {thing} on the {colour} {place}.",
)
PARTING = _beat(
    "",
    "At night the {animal} and the {friend} went home.",
    "In the end the {friend} stayed on the {place} with the {animal}.",
    "In the end the {feeling} {animal} went home with the {friend}.",
    "In the end {name} and the {friend} slept on the {colour} {place}.",
)
PLOTS: tuple[tuple[Beat, ...], ...] = (
    (OPENING, FINDING, KEEPING),
    (OPENING, MEETING, PARTING),
    (OPENING, PAINTING, FINDING, TAKING),
    (OPENING, NAMING, MEETING, PLAYING),
    (OPENING, NAMING, PAINTING, FINDING, TAKING),
    (OPENING, NAMING, PAINTING, MEETING, PLAYING),
    (OPENING, NAMING, PAINTING, FINDING, KEEPING),
    (OPENING, NAMING, PAINTING, MEETING, PARTING),
    (OPENING, NAMING, PAINTING, FINDING, FEELING, KEEPING),
    (OPENING, NAMING, PAINTING, MEETING, FEELING, PARTING),
    (OPENING, NAMING, PAINTING, FINDING, TAKING, FEELING),
    (OPENING, NAMING, PAINTING, MEETING, PLAYING, FEELING),
)
SLOT = re.compile(r"\{(\w+)\}")
CHAT = "Tell me a story about a "


@dataclass(frozen=True)
class Stories:
    """Stories of 3 to 6 sentences: `The cat sat on the mat. The mat was red. Then the cat saw a bird. …`

    A story is a raw document with 1 to 3 holes, or, for `chat_share` of the draws, the answer to `Tell me a story
    about a cat.` `Stories(chat_share=0)` draws documents with holes only. A hole is one word that states a fact; the
    fact is stated again outside the holes, so that exactly one filling is a story of this grammar.

    Split key: the facts (animal, place, name, colour, thing or friend, feeling). The sentences that tell them and
    the choice of holes are surface.
    """

    chat_share: float = 0.3

    name: ClassVar[str] = "stories"
    description: ClassVar[str] = "fill 1 to 3 holes in a short story, or tell one about a given animal"
    rule: ClassVar[str] = "holes: every word is the reference's; chat: a story of the grammar about that animal"
    heldout_share: ClassVar[float] = 0.1

    def draw(self, rng: Random) -> Example:
        plot = rng.choice(PLOTS)
        facts: dict[str, str] = {}
        sentences: list[str] = []
        for beat in plot:
            sentences.append(rng.choice(list(_tellable(beat, facts))))
            facts |= {fact: rng.choice(WORDS[fact]) for fact in sorted(beat.new)}
        text, statements = _tell(" ".join(sentences), facts)
        solution = " ".join(facts.get(fact, "-") for fact in WORDS)
        if rng.random() < self.chat_share:
            return Example(f"{CHAT}{facts['animal']}.", text, solution)
        return Example("", text, solution, holes=_choose_holes(rng, statements))

    def passes(self, example: Example, output: str) -> bool:
        if example.holes:
            return output.split() == example.answer.split()
        sentences = [f"{sentence}." for sentence in output.strip().removesuffix(".").split(". ")]
        animal = example.prompt.removeprefix(CHAT).removesuffix(".")
        return output.rstrip().endswith(".") and any(
            _reads_as(plot, sentences, {"animal": animal}) for plot in PLOTS if len(plot) == len(sentences)
        )


class Statement(NamedTuple):
    """A word of the text that states a fact, at characters [start, stop)."""

    fact: str
    start: int
    stop: int


def _tellable(beat: Beat, known: Mapping[str, str]) -> Iterator[str]:
    """Yield the sentences of `beat` that state all its new facts, and otherwise only the facts in `known`."""
    for sentence in beat.sentences:
        slots = frozenset(SLOT.findall(sentence))
        if beat.new <= slots <= beat.new | known.keys():
            yield sentence


def _tell(template: str, facts: Mapping[str, str]) -> tuple[str, list[Statement]]:
    """Put the facts into the slots; return the text and its statements."""
    text = ""
    statements = []
    for position, piece in enumerate(SLOT.split(template)):
        if position % 2:
            statements.append(Statement(piece, len(text), len(text) + len(facts[piece])))
            text += facts[piece]
        else:
            text += piece
    return text, statements


def _choose_holes(rng: Random, stated: Sequence[Statement]) -> tuple[tuple[int, int], ...]:
    """Choose up to 1, 2 or 3 statements as holes; each of their facts is stated again outside the holes."""
    count = rng.randint(1, 3)
    left = [statement.fact for statement in stated]
    holes: list[tuple[int, int]] = []
    for fact, start, stop in rng.sample(stated, len(stated)):
        if len(holes) < count and left.count(fact) > 1:
            left.remove(fact)
            holes.append((start, stop))
    return tuple(sorted(holes))


def _reads_as(plot: Sequence[Beat], sentences: Sequence[str], facts: Mapping[str, str]) -> bool:
    """Return True if `sentences` tell `plot`, one per beat, and contradict neither `facts` nor each other."""
    known: dict[str, str] = {}
    for beat, sentence in zip(plot, sentences, strict=True):
        reading = next(
            (read for form in _tellable(beat, known) if (read := _read(form, sentence, known)) is not None), None
        )
        if reading is None:
            return False
        known |= reading
    return all(known.get(fact) == word for fact, word in facts.items())


def _read(form: str, sentence: str, known: Mapping[str, str]) -> dict[str, str] | None:
    """Return the facts that `sentence` states if it has the words of `form` and agrees with `known`, else None."""
    pattern = SLOT.sub(r"(?P<\1>\\w+)", form.replace(".", r"\."))
    match = re.fullmatch(pattern, sentence)
    if match is None:
        return None
    words = match.groupdict()
    return words if all(word in WORDS[fact] and known.get(fact, word) == word for fact, word in words.items()) else None
