"""Look-up of pairs by their keys."""

from dataclasses import dataclass
from random import Random
from string import ascii_uppercase
from typing import ClassVar

from .example import Example


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
