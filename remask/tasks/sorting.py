"""A few digits to sort or to reverse."""

from dataclasses import dataclass
from random import Random
from typing import ClassVar

from .example import Example


@dataclass(frozen=True)
class Sorting:
    """`Sort 5380217.`, `Sort 5380217 from high to low.` or `Reverse 5380217.`

    Split key: the digits in ascending order, whatever the instruction. The three instructions share one key, so a
    held-out set of digits was never sorted or reversed in training, in any order.
    """

    min_digits: int = 4
    max_digits: int = 10

    name: ClassVar[str] = "sorting"
    description: ClassVar[str] = "sort 4 to 10 digits, up or down, or reverse them"
    rule: ClassVar[str] = "the output is the right digits in the right order"
    heldout_share: ClassVar[float] = 0.1

    def draw(self, rng: Random) -> Example:
        digits = "".join(rng.choices("0123456789", k=rng.randint(self.min_digits, self.max_digits)))
        ascending = "".join(sorted(digits))
        prompt, answer = rng.choices(
            (
                (f"Sort {digits}.", ascending),
                (f"Sort {digits} from high to low.", ascending[::-1]),
                (f"Reverse {digits}.", digits[::-1]),
            ),
            weights=(2, 1, 1),
        )[0]
        return Example(prompt, answer, solution=ascending)

    def passes(self, example: Example, output: str) -> bool:
        return output.strip() == example.answer
