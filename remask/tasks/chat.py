"""What `Dialogue` and `Outside` share: books of phrases, drawn as people type them, and answers judged by their words.

A book is a file of intents in `phrases/`: each has one answer, and the wordings that ask for it.
"""

import re
import tomllib
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Any

from .example import Example, Task
from .split import split_of
from .topics import fillings
from .typist import typed
from .wording import SLOT, fill, frame, frames

PHRASES = Path(__file__).parent / "phrases"
COMMON = "what everyone types"  # the split key that all common wordings share: nobody's "hello" is held out
COMMON_SHARE = 0.07  # of the draws of an intent, for each of its common wordings,
MOST_COMMON = 0.35  # up to this
MOST_WORDS = 45  # in an output that can pass
SPARE_WORDS = frozenset(
    re.findall(
        r"\S+",
        "i i'm am a an the and or but to of in on with you your my me it its it's is are was be can do does don't not "
        "no yes please this that very just only so too for have will would",
    )
)


@dataclass(frozen=True)
class Intent:
    """One thing that people say in many wordings, and its answer, which may copy slots of the wording."""

    name: str
    answer: str
    needs: tuple[tuple[str, ...], ...]
    """Of each group, an output has one phrase at least; without groups, only the answer itself will do."""
    common: tuple[str, ...]
    patterns: tuple[str, ...]
    bare: bool
    weight: float

    @cached_property
    def common_share(self) -> float:
        """The share of the draws that take a common wording."""
        return min(COMMON_SHARE * len(self.common), MOST_COMMON) if self.patterns else 1.0


@dataclass(frozen=True)
class Book:
    """The intents of one task."""

    intents: tuple[Intent, ...]

    @cached_property
    def weights(self) -> list[float]:
        return list(accumulate(intent.weight for intent in self.intents))

    @cached_property
    def common(self) -> frozenset[str]:
        """The keys of all common wordings."""
        return frozenset(key(core) for intent in self.intents for line in intent.common for core in frames(line))

    @cached_property
    def words(self) -> frozenset[str]:
        """The words that an answer may have, beside those of the reference."""
        needs = (phrase for intent in self.intents for group in intent.needs for phrase in group)
        texts = (*(intent.answer for intent in self.intents), *needs)
        return SPARE_WORDS.union(*(words(SLOT.sub("", text)) for text in texts))

    @cached_property
    def by_answer(self) -> dict[str, Intent]:
        """The intents whose answers copy nothing, each under its answer."""
        return {intent.answer: intent for intent in self.intents if not SLOT.search(intent.answer)}

    @cached_property
    def copying(self) -> list[tuple[re.Pattern[str], Intent]]:
        """The intents whose answers copy, the longest answers first, with what reads the slots out of an answer."""
        intents = [intent for intent in self.intents if SLOT.search(intent.answer)]
        intents.sort(key=lambda intent: -len(intent.answer))
        return [
            (
                re.compile(SLOT.sub(r"(?P<\1>.+)", re.escape(intent.answer).replace(r"\{", "{").replace(r"\}", "}"))),
                intent,
            )
            for intent in intents
        ]

    def asked(self, answer: str) -> tuple[Intent, dict[str, str]]:
        """Return the intent that `answer` belongs to, and the slots that it copies."""
        if intent := self.by_answer.get(answer):
            return intent, {}
        for form, intent in self.copying:
            if match := form.fullmatch(answer):
                return intent, match.groupdict()
        raise ValueError(f"no intent of this book answers {answer!r}; judge an example that its task drew")


@cache
def book(name: str) -> Book:
    """Read the book `phrases/<name>.toml`."""
    entries = tomllib.loads((PHRASES / f"{name}.toml").read_text(encoding="utf-8"))
    kinds = entries.get("kinds", {})
    return Book(tuple(_intent({**kinds.get(entry.get("kind"), {}), **entry}) for entry in entries["intent"]))


def draw(task: Task, pages: Book, rng: Random) -> Example:
    """Draw an intent by its weight, a wording of it, and what fills its slots.

    Split key: the filling of the first slot, which every filling after it shares the side of; without slots, the
    wording. The common wordings share one key, so that none of them is held out.
    """
    intent = rng.choices(pages.intents, cum_weights=pages.weights)[0]
    core = frame(rng, intent.common if rng.random() < intent.common_share else intent.patterns)
    wording = key(core)
    common = wording in pages.common
    slots = fillings(rng, SLOT.findall(core), lambda value: split_of(task, value))
    shown = {slot: value.lower() if rng.random() < 0.15 else value for slot, value in slots.items()}
    return Example(
        prompt=fill(typed(rng, core, bare=intent.bare), **shown),
        answer=fill(intent.answer, **slots),
        solution=next(iter(slots.values())) if slots else COMMON if common else wording,
        frame=wording if slots and not common else "",
    )


def passes(pages: Book, example: Example, output: str) -> bool:
    """Judge `output` by the words that its intent needs; a word that no answer has fails it."""
    intent, slots = pages.asked(example.answer)
    spoken = words(output)
    if not intent.needs:
        return spoken == words(example.answer)
    text = f" {' '.join(spoken)} "
    return (
        len(spoken) <= MOST_WORDS
        and pages.words.union(words(example.answer)).issuperset(spoken)
        and all(any(f" {fill(phrase, **slots).lower()} " in text for phrase in group) for group in intent.needs)
    )


def words(text: str) -> list[str]:
    """The words of `text` in lower case, without the marks around them."""
    bare = (word.strip(".,!?:;\"'()").lower() for word in text.split())
    return [word for word in bare if word]


def key(core: str) -> str:
    """Return what makes one wording: its words, with neither marks nor case. A wording of marks alone is itself."""
    return " ".join(re.sub(r"[^\w{}\s]", "", core.lower()).split()) or core


def _intent(entry: dict[str, Any]) -> Intent:
    """Return the intent of an entry of a book; `do` and `of` are the words of an ability for the wordings it shares."""
    patterns = entry.get("patterns", "")
    for own in ("do", "of"):
        patterns = patterns.replace(f"{{{own}}}", entry.get(own, ""))
    return Intent(
        name=entry["name"],
        answer=entry["answer"],
        needs=tuple(tuple(group.split("|")) for group in entry.get("needs", ())),
        common=tuple(entry.get("common", "").split("\n")[:-1]),
        patterns=tuple(patterns.split("\n")[:-1]),
        bare=entry.get("bare", False),
        weight=entry.get("weight", 1.0),
    )
