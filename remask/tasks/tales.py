"""Short stories in better English than `stories`, asked for in any wording."""

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from .example import Example
from .phrases import tales
from .phrases.plots import PLOTS
from .stories import Stories
from .wording import casual, fill, frame, sentence


@dataclass(frozen=True)
class Tales:
    """`make up a story about a bird and a key`, `story please`: a tale with a beginning, a small problem and an end.

    Many answers are right. A prompt asks for a hero, at times with a name, a thing or a place, or for any story.

    Split key: the facts (hero, name, place, thing, friend).
    """

    name: ClassVar[str] = Stories.name
    description: ClassVar[str] = "tell a story of 5 to 8 sentences about what is asked for, in any wording"
    rule: ClassVar[str] = (
        "3 to 12 sentences of words, each with its mark and none twice; they name all that was asked for"
    )
    heldout_share: ClassVar[float] = Stories.heldout_share

    def draw(self, rng: Random) -> Example:
        facts = _facts(rng)
        plot = rng.choice(PLOTS)
        uses = {slot for part in plot for slot in ("friend", "thing") if f"{slot}}}" in part}
        asked = rng.random() < 0.8
        request = frame(rng, tales.ABOUT if asked else tales.ANY)
        about = _about(rng, facts, uses) if asked else ""
        begun = next((start for start in BEGUN if request.startswith(start)), "")
        opening = rng.choice(OPENINGS[begun])
        endings = tales.ENDINGS if "friend" in uses else ALONE
        text = sentence(
            fill(" ".join([frame(rng, (form,)) for form in (opening, *plot, rng.choice(endings))]), **facts)
        )
        prompt = casual(rng, sentence(fill(request, about=about)))
        solution = SEPARATOR.join(facts[fact] for fact in ("hero", "name", "place", "thing", "friend"))
        return Example(prompt, text, solution, frame=request)

    def passes(self, example: Example, output: str) -> bool:
        text = output.strip()
        if len(text) > LONGEST or not TEXT.fullmatch(text):
            return False
        sentences = SENTENCE.findall(text)
        named = re.findall(r"\w+", text.lower())
        return (
            3 <= len(sentences) <= 12
            and len(set(sentences)) == len(sentences)
            and set(asked_for(example)) <= set(named)
        )


def asked_for(example: Example) -> list[str]:
    """Return the words of the facts that the prompt names, in small letters."""
    words = set(re.findall(r"\w+", example.prompt.lower()))
    facts = example.solution.lower().split(SEPARATOR)
    return [fact.split()[-1] for fact in facts if fact.split()[-1] in words]


def _facts(rng: Random) -> dict[str, str]:
    """Choose the words of a story; the pronouns agree with the name."""
    hero = rng.choice(tales.HEROES)
    male = hero not in tales.ONLY_FEMALE and (hero in tales.ONLY_MALE or rng.random() < 0.5)
    friend = rng.choice(tales.FRIENDS)
    while friend == hero:
        friend = rng.choice(tales.FRIENDS)
    facts = {slot: rng.choice(words) for slot, words in tales.SLOT_WORDS.items()}
    place, thing = rng.choice(tales.PLACES), rng.choice(tales.THINGS)
    he, his, him = ("he", "his", "him") if male else ("she", "her", "her")
    return facts | {
        "hero": hero,
        "name": rng.choice(tales.MALE if male else tales.FEMALE),
        "he": he,
        "his": his,
        "him": him,
        "adjective": rng.choice(tales.ADJECTIVES),
        "friend": friend,
        "a_friend": _article(friend),
        "thing": thing,
        "a_thing": _article(thing),
        "in_place": place,
        "place": place.split(" ", 1)[1],
    }


def _about(rng: Random, facts: Mapping[str, str], uses: Container[str]) -> str:
    """Say what the story is to be about: the hero, and something else at times."""
    hero = _article(facts["hero"]) if rng.random() < 0.85 else f"a little {facts['hero']}"
    more = rng.random()
    if more < 0.2 and "thing" in uses:
        return f"{hero} {rng.choice(('and', 'with'))} {facts['a_thing']}"
    if more < 0.35:
        return f"{hero} {rng.choice(('called', 'named'))} {facts['name']}"
    if more < 0.5:
        return f"{hero} {facts['in_place']}"
    if more < 0.6 and "friend" in uses:
        return f"{hero} and {facts['a_friend']}"
    return hero


def _article(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" and not noun.startswith("uni") else f"a {noun}"


ALONE = tuple(ending for ending in tales.ENDINGS if not any(word in ending for word in tales.TOGETHER))
BEGUN = ("once upon a time", "there was once", "once there was")  # a request of these is the story's first words
OPENINGS = {start: tuple(form for form in tales.OPENINGS if form.startswith(start)) for start in (*BEGUN, "")}
SEPARATOR = "; "
LONGEST = 2000  # characters
SENTENCE = re.compile(r"[^.!?\s][^.!?]*[.!?]")
TEXT = re.compile(r"(?:[A-Za-z ,;:'\"\n-]+[.!?][\"']?)+")
