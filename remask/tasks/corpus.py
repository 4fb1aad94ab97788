"""Tasks over a folder of real text: `stories-{train,valid,test}.jsonl.xz` and `qa-….jsonl.xz`, a JSON object a line.

A story has `text` and `level`; a question has `context`, `question` and `answers`. The split is by tale, and the files
hold it; so a task over the training file has nothing held out, and one over another file nothing else.
"""

import json
import lzma
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, ClassVar, Literal

from ..errors import UsageError, printable
from .example import Example, Task
from .wording import fill, frame

Part = Literal["train", "valid", "test"]
LEVELS = ("simple", "children", "classic")
JUDGED = ("stories-cloze", "qa")
CORPUS = ("stories-cloze", "continuation", "qa")  # the tasks that need a folder
SENTENCE = re.compile(r"[^.!?]*[.!?]+[\"')]*\s*")
WORD = re.compile(r"[A-Za-z]+(?:'[a-z]+)?")
LONGEST_CONTEXT = 1100  # characters of a question's text: with the question about 350 tokens


@dataclass(frozen=True)
class Story:
    """A whole story or a chapter."""

    text: str
    level: str


@dataclass(frozen=True)
class Question:
    """A question about a text; any of `answers` is right, the first is the reference."""

    context: str
    question: str
    answers: tuple[str, ...]


@cache
def stories(folder: Path, part: Part) -> tuple[Story, ...]:
    """Return the stories of one part of the corpus. Raises UsageError if the file cannot be read."""
    return tuple(Story(str(row["text"]), str(row["level"])) for row in _rows(folder / f"stories-{part}.jsonl.xz"))


@cache
def questions(folder: Path, part: Part) -> tuple[Question, ...]:
    """Return the questions of one part of the corpus. Raises UsageError if the file cannot be read."""
    rows = _rows(folder / f"qa-{part}.jsonl.xz")
    return tuple(Question(row["context"], row["question"], tuple(row["answers"])) for row in rows)


def corpus_tasks(folder: Path, part: Part) -> dict[str, Task]:
    """Return the tasks of `CORPUS` over one part of the corpus in `folder`."""
    share = 0.0 if part == "train" else 1.0
    tales = tuple(story.text for story in stories(folder, part) if story.level != "classic")
    return {
        "stories-cloze": Cloze(tales, share),
        "continuation": Continuation(tales, share),
        "qa": Questions(questions(folder, part), share),
    }


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with lzma.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)
    except (OSError, ValueError, EOFError, lzma.LZMAError) as error:
        raise UsageError(f"cannot read the corpus file {str(path)!r}: {printable(str(error))}") from None


@cache
def _sentences(text: str) -> tuple[str, ...]:
    return tuple(SENTENCE.findall(text))


def _passage(rng: Random, texts: Sequence[str], characters: int) -> tuple[str, str]:
    """Draw whole sentences of at least `characters` in all from one text, and what follows them, as long at most."""
    while True:
        sentences = _sentences(rng.choice(texts))
        if len(sentences) < 3:
            continue
        first = 0 if rng.random() < 0.3 else rng.randrange(len(sentences) - 2)
        before, at = "", first
        while at < len(sentences) - 1 and (not before or len(before) < characters):
            before += sentences[at]
            at += 1
        behind = sentences[at]
        while at + 1 < len(sentences) and len(behind) + len(sentences[at + 1]) < min(characters, 220):
            at += 1
            behind += sentences[at]
        if len(before) < 3 * characters and len(behind) < 400:
            return before.strip(), behind.strip()


@dataclass(frozen=True)
class Cloze:
    """Some sentences of a real tale in which one to three words are holes, none of them next to another."""

    texts: Sequence[str]
    heldout_share: float

    name: ClassVar[str] = "stories-cloze"
    description: ClassVar[str] = "fill one to three missing words in sentences of a real tale"
    rule: ClassVar[str] = "every word is the tale's own"

    def draw(self, rng: Random) -> Example:
        text, _ = _passage(rng, self.texts, rng.randint(120, 500))
        words = list(WORD.finditer(text))
        step = max(2, len(words) // 3)
        first = rng.randrange(min(step, len(words)))
        holes = tuple(word.span() for word in words[first::step][: rng.randint(1, 3)])
        return Example("", text, text, holes)

    def passes(self, example: Example, output: str) -> bool:
        return output.split() == example.answer.split()


CONTINUE = (
    "(Continue|Go on with|Carry on) (this|the) story( please|)(:|.)( |\n\n){start}",
    "(Please |)(continue|finish|go on|carry on): {start}",
    "(What happens next|What comes next|How does (it|the story|this) go on)?( |\n\n){start}",
    "{start}( |\n\n)(What happens next|What comes next|And then|Continue|Go on|Continue the story)(?|.|)",
    "(Write|Give me|Tell me) (the next (sentence|part|lines)|what happens next)(:|.)( |\n){start}",
    "{start}",
)


@dataclass(frozen=True)
class Continuation:
    """The beginning of a passage of a real tale, to be continued by a sentence or a few. Many answers are right."""

    texts: Sequence[str]
    heldout_share: float

    name: ClassVar[str] = "continuation"
    description: ClassVar[str] = "continue a passage of a real tale"
    rule: ClassVar[str] = "it goes on in whole sentences, and not with those that were given"

    def draw(self, rng: Random) -> Example:
        start, rest = _passage(rng, self.texts, rng.randint(40, 400))
        return Example(fill(frame(rng, CONTINUE), start=start), rest, rest)

    def passes(self, example: Example, output: str) -> bool:
        said = output.strip()
        return bool(said) and said.rstrip("\"')")[-1:] in (".", "!", "?") and said not in example.prompt


ASK = (
    "{context}\n\n{question}",
    "{context}\n\nQuestion: {question}",
    "(Text|Story): {context}\n\nQuestion: {question}(\nAnswer:|)",
    "(Read (this|the text|the story)( and answer|)(:|.)|Here is a (text|story)(:|.))\n\n{context}\n\n{question}",
    "{question}\n\n{context}",
    "(Answer (this|the question)|Question): {question}\n\n(Text: |Story: |){context}",
)


@dataclass(frozen=True)
class Questions:
    """A question about a passage of a real tale."""

    items: Sequence[Question]
    heldout_share: float

    name: ClassVar[str] = "qa"
    description: ClassVar[str] = "answer a question about a passage of a real tale"
    rule: ClassVar[str] = "its words overlap with a reference answer's by an F1 of one half or more"

    def draw(self, rng: Random) -> Example:
        while True:
            item = rng.choice(self.items)
            if len(item.context) <= LONGEST_CONTEXT and len(item.answers[0]) <= 200:
                prompt = fill(frame(rng, ASK), context=item.context, question=item.question)
                return Example(prompt, item.answers[0], f"{item.question} {item.context[:80]}")

    def passes(self, example: Example, output: str) -> bool:
        return overlap(output, example.answer) >= 0.5


def overlap(output: str, reference: str) -> float:
    """Return the F1 of the words of two texts, case, marks and articles aside (SQuAD, arXiv 1606.05250, §6.1)."""
    said, meant = (Counter(_plain_words(text)) for text in (output, reference))
    shared = sum((said & meant).values())
    return 2 * shared / (sum(said.values()) + sum(meant.values())) if shared else 0.0


def _plain_words(text: str) -> list[str]:
    return [word for word in re.findall(r"[a-z0-9']+", text.lower()) if word not in ("a", "an", "the")]
