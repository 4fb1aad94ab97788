"""Talk: who the model is and what it can do, small talk, and what it must decline."""

from dataclasses import dataclass
from random import Random
from typing import ClassVar

from . import chat
from .example import Example


@dataclass(frozen=True)
class Dialogue:
    """`who r u` → `I am Remask's small built-in model. I sort, calculate, solve Sudokus and tell stories.`

    Every intent of `phrases/dialogue.toml` has one answer. Some copy a part of the prompt: a name, or words to repeat.

    Split key: the wording, or what is copied (and then the wording too). What everyone types is never held out.
    """

    name: ClassVar[str] = "dialogue"
    description: ClassVar[str] = "talk: greet, say who it is and what it can do, repeat, be kind"
    rule: ClassVar[str] = "the output has the words that the intent needs, and none that no answer has"
    heldout_share: ClassVar[float] = 0.15

    def draw(self, rng: Random) -> Example:
        return chat.draw(self, chat.book(self.name), rng)

    def passes(self, example: Example, output: str) -> bool:
        return chat.passes(chat.book(self.name), example, output)


@dataclass(frozen=True)
class Outside:
    """`What is the capital of France?` → `I am a very small model and do not know that. I can sort, …`

    The kinds of refusal, in `phrases/outside.toml`: it does not know, cannot do, cannot advise, will not help.

    Split key: the topic (and the wording too), or the wording of a question without one.
    """

    name: ClassVar[str] = "outside"
    description: ClassVar[str] = "decline what a very small model cannot know or do"
    rule: ClassVar[str] = "the output declines for the right reason, with no word that no answer has"
    heldout_share: ClassVar[float] = 0.15

    def draw(self, rng: Random) -> Example:
        return chat.draw(self, chat.book(self.name), rng)

    def passes(self, example: Example, output: str) -> bool:
        return chat.passes(chat.book(self.name), example, output)


def declines(output: str) -> bool:
    """Return whether `output` declines for any reason: for counting the refusals of what the model could do."""
    said = f" {' '.join(chat.words(output))} "
    return any(
        f" {phrase} " in said
        for intent in chat.book(Outside.name).intents
        for group in intent.needs
        for phrase in group
    )
