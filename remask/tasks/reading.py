"""Questions about a short text that holds the answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import ClassVar, NamedTuple

from .example import Example
from .phrases.happenings import MIDDLES
from .phrases.people import NAMES, WOMEN
from .phrases.reading import HE, HEROES, LAYOUTS, SHE, SLOT_WORDS, Beat
from .phrases.scenes import ENDINGS, OPENINGS
from .split import frame_of
from .wording import SLOT, casual, fill, frame, sentence


@dataclass(frozen=True)
class Reading:
    """`Anna went to the zoo. She lost her hat on the road. What did Anna lose?` → `her hat`

    A text has 2 to 6 sentences about one hero, or about two. The answer is a phrase of the text.

    Split key: the sentence that holds the answer, by its kind and its facts, and the answer.
    """

    name: ClassVar[str] = "reading"
    description: ClassVar[str] = "answer a question about a text of 2 to 6 sentences with a phrase of it"
    rule: ClassVar[str] = "the output is the phrase of the answer; case, articles, `because` and `to` do not matter"
    heldout_share: ClassVar[float] = 0.1

    def draw(self, rng: Random) -> Example:
        told = _told(rng)
        asked = rng.choice(told)
        ask, answer = rng.choice(asked.beat.asks)
        ask, layout = frame(rng, (ask,)), frame(rng, LAYOUTS)
        text = " ".join([line.text for line in told])
        question = fill(ask, **asked.facts) + "?"
        question = question if layout.startswith("In ") else sentence(question)
        prompt = casual(rng, layout.replace("{text}", text).replace("{question}", question), share=0.3)
        reply = fill(answer, **asked.facts)
        reply = reply.lower() if prompt.islower() else reply
        solution = f"{asked.form} {' '.join(asked.facts.values())} {reply}".lower()
        return Example(prompt, reply, solution, frame=frame_of(self, ask, asked.form, layout))

    def passes(self, example: Example, output: str) -> bool:
        return _bare(output) == _bare(example.answer)


class Line(NamedTuple):
    """A sentence of a text: its kind, the form chosen, what its slots hold, and itself."""

    beat: Beat
    form: str
    facts: dict[str, str]
    text: str


def _bare(output: str) -> str:
    text = " ".join(output.strip().rstrip(".!").lower().split())
    for word in ("because ", "to ", "at ", "a ", "an ", "the "):
        text = text.removeprefix(word)
    return text


def _told(rng: Random) -> list[Line]:
    """Tell 2 to 6 sentences; no word fills two slots, so that no question has two answers."""
    hero, other = rng.sample(NAMES, 2)
    if rng.random() < 0.3:
        hero = rng.choice(HEROES)
    beats = [rng.choice(OPENINGS), *rng.sample(MIDDLES, rng.randint(1, 3))]
    beats += [rng.choice(ENDINGS)] if rng.random() < 0.5 else []
    second = rng.randint(1, len(beats)) if rng.random() < 0.35 else 0
    used = {hero, other}
    lines: list[Line] = []
    for place, beat in enumerate(beats):
        lines.append(_line(rng, beat, hero, named=place == 0 or 0 < second <= place or rng.random() < 0.35, used=used))
        if place + 1 == second:
            lines.append(_line(rng, rng.choice(MIDDLES), other, named=True, used=used))
    return lines


def _line(rng: Random, beat: Beat, hero: str, *, named: bool, used: set[str]) -> Line:
    he, his, him = _pronouns(hero)
    form = frame(rng, beat.forms)
    facts = {"hero": hero, "he": he, "his": his, "him": hero if named else him, "S": hero if named else he}
    for slot in SLOT.findall(form):
        if slot not in facts:
            facts[slot] = _unused(rng, SLOT_WORDS[slot], used)
    for slot in facts:
        if slot.endswith("_why"):
            facts[slot] = fill(facts[slot], he=he, his=his)
    text = sentence(fill(form, **facts))
    return Line(beat, form, facts, text)


def _unused(rng: Random, choices: Sequence[str], used: set[str]) -> str:
    """Choose a word that the text does not have yet."""
    while (word := rng.choice(choices)) in used:
        pass
    used.add(word)
    return word


def _pronouns(hero: str) -> tuple[str, str, str]:
    if hero in HE:
        return "he", "his", "him"
    if hero in SHE or hero in WOMAN:
        return "she", "her", "her"
    return ("it", "its", "it") if hero.startswith("the ") else ("he", "his", "him")


WOMAN = frozenset(WOMEN)
