"""Downloaded corpora from local files: text for haystacks, questions on documents. Nothing here is needed.

essays      a text file, a folder of them, or JSON lines with a `text` (Paul Graham's essays as RULER gets them)
LongBench   JSON lines with `context`, `input` and `answers`
SQuAD       the published JSON: `data`, `paragraphs`, `qas`
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from ...errors import UsageError
from .haystack import Document, Filling, Hidden
from .layout import Form
from .suite import LongTask, Site

LARGEST = 2 << 30  # bytes of one file


@dataclass(frozen=True)
class Question:
    """A question on a document, and what counts as an answer; one of `answers` is enough."""

    context: str
    question: str
    answers: tuple[str, ...]


def texts(path: Path) -> list[str]:
    """The texts in a file (.txt, .md, .json, .jsonl) or in all such files of a folder, by name."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    readable = [file for file in files if file.suffix in (".txt", ".md", ".json", ".jsonl") or file == path]
    every = [text for file in readable if file.is_file() or file == path for text in _texts(file) if text.strip()]
    if not every:
        raise UsageError(f"{path} holds no text; give a .txt, .md or .jsonl file, or a folder with some")
    return every


def _texts(path: Path) -> Iterator[str]:
    if path.suffix not in (".json", ".jsonl"):
        yield read(path)
        return
    for line in objects(path):
        if not isinstance(text := line.get("text", line.get("context")), str):
            raise UsageError(f"{path} has an object without a `text`; it has {', '.join(sorted(line)) or 'nothing'}")
        yield text


def questions(path: Path) -> list[Question]:
    """The questions in a LongBench or SQuAD file. Raises UsageError naming what is missing."""
    every = [question for item in objects(path) for question in _questions(item, path)]
    if not every:
        raise UsageError(f"{path} holds no questions with answers")
    return every


def _questions(item: Mapping[str, Any], path: Path) -> Iterator[Question]:
    try:
        if "data" in item:
            for paragraph in (paragraph for article in item["data"] for paragraph in article["paragraphs"]):
                for qa in paragraph["qas"]:
                    if answers := tuple(dict.fromkeys(answer["text"] for answer in qa["answers"])):
                        yield Question(paragraph["context"], qa["question"], answers)
        elif answers := tuple(item["answers"]):
            yield Question(item["context"], item["input"], answers)
    except (KeyError, TypeError) as error:
        raise UsageError(f"{path} is neither LongBench nor SQuAD: an item lacks {error}") from None


def task(path: Path) -> LongTask:
    """The task that a file of questions makes: SQuAD's paragraphs hide among others, LongBench's documents stand alone
    and lose their middle where they are too long."""
    every = questions(path)
    contexts = list(dict.fromkeys(question.context for question in every))
    scattered = max(map(len, contexts)) < 8000 and len(contexts) > 1  # paragraphs, not documents

    def others(but: str) -> Any:
        def endless(rng: Random) -> Iterator[str]:
            while True:
                if (context := rng.choice(contexts)) != but:
                    yield context

        return endless

    def draw(rng: Random, site: Site) -> Form:
        one = rng.choice(every)
        body: Filling = Document(one.context)
        if scattered:
            body = Hidden((one.context,), (site.depth,), others(one.context))
        return Form(
            body=body,
            intro="Answer the question from the text.\n\n",
            question=one.question,
            stem="",
            references=one.answers,
            needle=one.context if scattered else "",
            part=True,
        )

    return LongTask(path.stem, f"{len(every)} questions of {path.name}", draw)


def objects(path: Path) -> Iterator[dict[str, Any]]:
    """The JSON objects of a file: the only one, or one a line."""
    text = read(path)
    try:
        try:
            every = [json.loads(text)]
        except ValueError:
            every = [json.loads(line) for line in text.split("\n") if line.strip()]
    except ValueError as error:
        raise UsageError(f"{path} is not JSON: {error}") from None
    for item in every[0] if len(every) == 1 and isinstance(every[0], list) else every:
        if not isinstance(item, dict):
            raise UsageError(f"{path} must hold JSON objects, found {str(item)[:40]!r}")
        yield item


def read(path: Path) -> str:
    """A text file of bounded size. Raises UsageError if it cannot be read."""
    try:
        if (size := path.stat().st_size) > LARGEST:
            raise UsageError(f"{path} has {size:,} bytes; the limit is {LARGEST:,}")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot read {str(path)!r}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}") from None
