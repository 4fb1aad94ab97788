"""Look-up of pairs by their keys, and of facts by what they are about."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from string import ascii_uppercase
from typing import ClassVar

from .example import Example
from .phrases.recall import LAYOUTS, PAIR_ASKS, PAIR_FORMS, PAIR_LAYOUTS, TOPICS
from .split import frame_of
from .wording import casual, fill, frame, sentence


@dataclass(frozen=True)
class Recall:
    """`Remember K4 B7 Q2 M0. What are Q K B?` has the answer `Q2 K4 B7`.

    Half of the questions ask for every key, the others for any number of them, always in a random order.

    In a share `drill` of the examples only the digits are learned, and the letters are visible.

    Split key: the pairs of the question, sorted. The order of the question and the other pairs are surface: they do
    not change the answer.
    """

    min_pairs: int = 4
    max_pairs: int = 12
    drill: float = 0.0

    name: ClassVar[str] = "recall"
    description: ClassVar[str] = "recall the digits of 4 to 12 letters, in the order asked"
    rule: ClassVar[str] = "the output is the pairs that were asked for, in the order asked"
    heldout_share: ClassVar[float] = 0.1

    def draw(self, rng: Random) -> Example:
        count = rng.randint(self.min_pairs, self.max_pairs)
        pairs = [key + rng.choice("0123456789") for key in rng.sample(ascii_uppercase, count)]
        answers = rng.sample(pairs, count if rng.random() < 0.5 else rng.randint(1, count))
        keys = " ".join(pair[0] for pair in answers)
        prompt = f"Remember {' '.join(pairs)}. What are {keys}?"
        answer, solution = " ".join(answers), " ".join(sorted(answers))
        if not self.drill or rng.random() >= self.drill:
            return Example(prompt, answer, solution)
        digits = tuple((place, place + 1) for place in range(1, len(answer), 3))
        return Example(prompt, answer, solution, digits, learned="holes")

    def passes(self, example: Example, output: str) -> bool:
        return output.split() == example.answer.split()


@dataclass(frozen=True)
class RewordedRecall:
    """The same in any wording, and facts in words: `Tom likes plums. Ann likes pears. What does Ann like?` → `pears`.

    An answer about letters is pairs, as of `Recall`; one about facts has the words of the fact.

    Split key: the pairs of the question, as of `Recall`; of a fact, what it is about, and its two ends.
    """

    name: ClassVar[str] = Recall.name
    description: ClassVar[str] = "recall digits of letters, or one of 2 to 6 facts in words, asked in any wording"
    rule: ClassVar[str] = "the output is what was asked for, in the order asked; case and articles do not matter"
    heldout_share: ClassVar[float] = Recall.heldout_share

    def draw(self, rng: Random) -> Example:
        return self._pairs(rng) if rng.random() < 0.35 else self._fact(rng)

    def passes(self, example: Example, output: str) -> bool:
        if PAIRS.fullmatch(example.answer):
            said = _bare(output).replace("=", "").replace(",", " ").split()
            right = _bare(example.answer).split()
            return said == right or (len(right) == 1 and said == [right[0][1:]])
        return _bare(output).removeprefix("the ") == _bare(example.answer).removeprefix("the ")

    def _pairs(self, rng: Random) -> Example:
        count = rng.randint(2, 12)
        pairs = [key + rng.choice("0123456789") for key in rng.sample(ascii_uppercase, count)]
        asked = rng.sample(pairs, 1 if rng.random() < 0.4 else rng.randint(1, count))
        form, ask, layout = rng.choice(PAIR_FORMS), frame(rng, PAIR_ASKS), frame(rng, PAIR_LAYOUTS)
        separator = ", " if " " in form else rng.choice((", ", " ", ", "))
        shown = separator.join([form.replace("{k}", pair[0]).replace("{v}", pair[1]) for pair in pairs])
        question = fill(ask, keys=_series(rng, [pair[0] for pair in asked]))
        question = question + "?" if layout.startswith("if") else sentence(question)
        text = fill(layout, pairs=shown, question=question)
        prompt = casual(rng, sentence(text + "." if layout.endswith("{pairs}") else text))
        whole = frame_of(self, f"{layout} {form}", ask)
        return Example(prompt, " ".join(asked), " ".join(sorted(asked)), frame=whole)

    def _fact(self, rng: Random) -> Example:
        number = rng.randrange(len(TOPICS))
        topic = TOPICS[number]
        count = rng.randint(2, min(6, len(topic.keys), len(topic.values)))
        facts = list(zip(rng.sample(topic.keys, count), rng.sample(topic.values, count), strict=True))
        key, value = rng.choice(facts)
        form, layout = frame(rng, topic.facts), frame(rng, LAYOUTS)
        ask, answer = rng.choice(topic.asks)
        ask = frame(rng, (ask,))
        text, question = (
            _told(rng, [form.replace("{k}", k).replace("{v}", v) for k, v in facts], layout),
            fill(ask, k=key, v=value),
        )
        question = question + "?" if layout.startswith(CONDITIONS) else sentence(question)
        prompt = layout.replace("{facts}", text).replace("{question}", question)
        prompt = casual(rng, prompt[0].upper() + prompt[1:])
        reply = fill(answer, k=key, v=value)
        reply = reply.lower() if prompt.islower() else reply
        return Example(prompt, reply, f"{number} {key} {value}", frame=frame_of(self, form, ask, layout))


def _told(rng: Random, facts: Sequence[str], layout: str) -> str:
    """Return the facts as sentences, or as one sentence where the layout goes on with it."""
    clause = layout.startswith(CONDITIONS)
    if clause or "that {facts}" in layout or rng.random() < 0.25:
        *others, last = facts
        joined = f"{', '.join(others)}{rng.choice((' and ', ', and ', ', '))}{last}"
        return joined + ("," if clause else ".")
    return " ".join([sentence(fact) for fact in facts])


def _series(rng: Random, keys: Sequence[str]) -> str:
    """Write the keys as `Q K B`, `Q, K, B` or `Q, K and B`."""
    separator = rng.choice((" ", ", "))
    if len(keys) > 1 and rng.random() < 0.4:
        return f"{', '.join(keys[:-1])} and {keys[-1]}"
    return separator.join(keys)


def _bare(output: str) -> str:
    return output.strip().rstrip(".").lower()


CONDITIONS = ("If ", "Given that ")
PAIRS = re.compile(r"[A-Z]\d( [A-Z]\d)*")
