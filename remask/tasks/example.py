"""The contract of a task: it draws examples, and it judges an output by a stated rule."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Literal, Protocol


@dataclass(frozen=True)
class Example:
    """One exercise with its reference answer.

    A chat example has a `prompt` and an `answer`. A raw document has an empty `prompt`, and `answer` is its whole
    text. `holes` are character spans [start, stop) of `answer`: in a document those to fill, in a chat those to learn.
    """

    prompt: str
    answer: str
    solution: str
    """The canonical form of the solution: one solution is never in both splits."""
    holes: tuple[tuple[int, int], ...] = ()
    learned: Literal["all", "holes"] = "all"
    """The part of the answer that training masks: all of it, or its holes alone."""
    frame: str = ""
    """The wording with the slots unfilled, if it has rivals: one frame is never in both splits either."""


@dataclass(frozen=True)
class FixedTask:
    """A finite test set, all of it held out, in its own order. Answers have up to `gen_length` tokens."""

    name: str
    description: str
    rule: str
    items: tuple[Example, ...]
    judge: Callable[[Example, str], bool]
    gen_length: int
    heldout_share: float = 1.0

    def draw(self, rng: Random) -> Example:
        """Draw one of the items."""
        return rng.choice(self.items)

    def passes(self, example: Example, output: str) -> bool:
        """Apply the rule."""
        return self.judge(example, output)


class Task(Protocol):
    """An endless source of examples with exact answers."""

    @property
    def name(self) -> str:
        """The short name. Easier or harder variants of a task have its name, and so share its split."""

    @property
    def description(self) -> str:
        """The exercise of the task, in one line."""

    @property
    def rule(self) -> str:
        """The condition under which an output passes, in one line."""

    @property
    def heldout_share(self) -> float:
        """The share of the solutions that training never sees."""

    def draw(self, rng: Random) -> Example:
        """Draw one example of either split; equal states of `rng` give equal examples."""

    def passes(self, example: Example, output: str) -> bool:
        """Apply `rule`. Accepts every string and never raises; `example` is one that this task drew."""
