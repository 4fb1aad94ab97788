"""Batches of one fixed shape, made by worker processes: what a GPU can compile once and is never kept waiting for.

Every batch has the same rows of the same lengths. Some hold examples of tasks, each in the shortest row that it fits,
with end-of-sequence tokens behind it; all others hold running text. Batch i is a function of (seed, i).
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from random import Random

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from ..files import replacing
from ..tasks import DRILLS, TASKS, Example, Task, examples
from ..tasks.corpus import CORPUS, LEVELS, corpus_tasks, stories
from ..text.tokenizer import Text
from . import tokenizer as bpe
from .config import Mixture

Ids = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]
AHEAD = 4  # batches that each worker may be ahead
LONGER_ROW = 0.15  # share of the examples that get the next longer row: answers of any canvas


@dataclass(frozen=True)
class Batch:
    """Rows end to end: `tokens` (N,) with the mask token where something is to be learned, and what stands there.

    `reads` (M,) are places in `tokens`, `targets` (M,) the tokens there, or IGNORED for the rest up to the fixed M.
    """

    tokens: Ids
    reads: Ids
    targets: Ids


IGNORED = -100


@dataclass(frozen=True)
class Row:
    """Ids of one example, and which of them may be masked."""

    ids: Sequence[int]
    maskable: Sequence[bool]


@dataclass(frozen=True)
class Shape:
    """`groups` of (rows, length), the shortest first; `learned` tokens of a batch are predicted at most."""

    groups: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, rows: Mapping[str, int]) -> "Shape":
        """The shape with `rows[length]` rows of each length."""
        return cls(tuple(sorted(((count, int(length)) for length, count in rows.items()), key=lambda g: g[1])))

    @property
    def tokens(self) -> int:
        """The tokens of a batch."""
        return sum(rows * length for rows, length in self.groups)

    @property
    def learned(self) -> int:
        """Fewer than half of the tokens, because prompts are never masked."""
        return int(0.44 * self.tokens) // 64 * 64


class Maker:
    """Makes batches; one in each worker."""

    def __init__(self, text: Text, mixture: Mixture, seed: int, corpus: Path | None, tokens: Path | None) -> None:
        self.text, self.mixture, self.seed = text, mixture, seed
        self.shape = Shape.of(mixture.rows)
        self.tasks: dict[str, Task] = {**TASKS, **DRILLS}
        if corpus is not None and set(CORPUS) & set(mixture.tasks):
            self.tasks |= corpus_tasks(corpus, "train")
        self.names, self.weights = list(mixture.tasks), list(mixture.tasks.values())
        self.streams = [] if tokens is None else [np.load(tokens / f"{level}.npy", mmap_mode="r") for level in LEVELS]
        self.levels = [mixture.text.get(level, 0.0) for level in LEVELS]
        self.turn = Turn(text)

    def __call__(self, index: int) -> Batch:
        """Batch number `index`."""
        rng, noise = Random(f"{self.seed}:{index}"), np.random.default_rng((self.seed, index))
        placed = self.place(rng)
        tokens, reads, targets, start = [], [], [], 0
        for (count, length), rows in zip(self.shape.groups, placed, strict=True):
            ids = np.full((count, length), self.text.eos_id, np.int32)
            maskable = np.zeros((count, length), bool)
            for at, row in enumerate(rows):
                ids[at, : len(row.ids)] = row.ids
                maskable[at, : len(row.ids)] = row.maskable
                maskable[at, len(row.ids) :] = all(row.maskable[-2:])  # the end is learned behind what is learned
            for at in range(len(rows), count if self.streams else 0):
                ids[at], maskable[at] = self.passage(rng, length), True
            masked = _mask(maskable, noise)
            places = np.flatnonzero(masked)
            tokens.append(np.where(masked, self.text.mask_id, ids).ravel())
            reads.append(places + start)
            targets.append(ids.ravel()[places])
            start += count * length
        return self.fixed(np.concatenate(tokens), np.concatenate(reads), np.concatenate(targets), noise)

    def fixed(self, tokens: Ids, reads: Ids, targets: Ids, noise: np.random.Generator) -> Batch:
        """Cut what is learned to the shape's number at random, or fill it up."""
        most = self.shape.learned
        if len(reads) > most:
            kept = np.sort(noise.permutation(len(reads))[:most])
            reads, targets = reads[kept], targets[kept]
        lacking = (0, most - len(reads))
        return Batch(
            tokens.astype(np.int32), np.pad(reads, lacking).astype(np.int32),
            np.pad(targets, lacking, constant_values=IGNORED).astype(np.int32),
        )  # fmt: skip

    def place(self, rng: Random) -> list[list[Row]]:
        """Examples for each group of rows: about the mixture's share of the tokens, and not all rows of any length."""
        groups = self.shape.groups
        placed: list[list[Row]] = [[] for _ in groups]
        left = self.shape.tokens * (1 - self.mixture.text_share if self.streams else 1.0)
        failures = 0
        while left > 0 and failures < 200:
            for row in self.draw(rng, 64):
                at = next((i for i, (_, length) in enumerate(groups) if length >= len(row.ids)), len(groups))
                at += rng.random() < LONGER_ROW
                while at < len(groups) and len(placed[at]) >= groups[at][0]:
                    at += 1
                if at < len(groups) and left > 0:
                    placed[at].append(row)
                    left -= groups[at][1]
                else:
                    failures += 1
        return placed

    def draw(self, rng: Random, count: int) -> list[Row]:
        """`count` examples of the mixture; some are the second turn of a talk, after an example of another task."""
        drawn = [self.example(rng) for _ in range(count)]
        encoded = self.turn.encode(drawn)
        rows = []
        for example, row in zip(drawn, encoded, strict=True):
            if example.prompt and rng.random() < self.mixture.turns:
                at = rng.randrange(count)
                if drawn[at].prompt and len(encoded[at].ids) + len(row.ids) < 400:
                    row = self.turn.after(drawn[at], row)
            rows.append(row)
        return rows

    def example(self, rng: Random) -> Example:
        """One example of the mixture."""
        name = rng.choices(self.names, self.weights)[0]
        return next(examples(self.tasks[name], "train", rng.getrandbits(48)))

    def passage(self, rng: Random, length: int) -> npt.NDArray[np.uint16]:
        """Running text from a random place."""
        stream = rng.choices(self.streams, self.levels)[0]
        start = rng.randrange(len(stream) - length)
        return np.asarray(stream[start : start + length])


def _mask(maskable: Mask, noise: np.random.Generator) -> Mask:
    """Mask a number of each row's maskable tokens, uniform on 1..all, spread evenly over the rows (LLaDA, §2.2)."""
    rows, totals = len(maskable), maskable.sum(1)
    share = (noise.random() + np.arange(rows) / rows) % 1.0
    counts = np.minimum((noise.permutation(share) * totals).astype(np.int64) + 1, totals)
    order = np.where(maskable, noise.random(maskable.shape, dtype=np.float32), np.float32(2.0))
    bounds = np.take_along_axis(np.sort(order, 1), np.maximum(counts - 1, 0)[:, None], 1)
    return np.asarray((order <= bounds) & maskable)


class Turn:
    """Examples as ids, as the chat template lays them out: the template's own text is encoded once.

    Spaces between the template and a message are encoded with the message, because they can be one token with it.
    """

    def __init__(self, text: Text) -> None:
        mark = "\x00"
        self.text = text
        talk = [{"role": role, "content": mark} for role in ("user", "assistant", "user")]
        first, second, third, last = text.chat(talk).split(mark)
        self.space = first[len(first.rstrip()) :]
        self.before, self.between, self.again = (text.encode(part.rstrip()) for part in (first, second, third))
        self.behind = text.encode(last)

    def encode(self, drawn: Sequence[Example]) -> list[Row]:
        """The ids of each example; a raw document has no prompt."""
        said = self.text.tokenizer.encode_batch_fast([self.message(e.prompt) for e in drawn], add_special_tokens=False)
        answers = self.text.tokenizer.encode_batch([e.answer for e in drawn], add_special_tokens=False)
        rows = []
        for example, prompt, answer in zip(drawn, said, answers, strict=True):
            learned = [True] * len(answer.ids)
            if example.learned == "holes":
                spans = example.holes
                learned = [any(a < stop and b > start for start, stop in spans) for a, b in answer.offsets]
            if not example.prompt:
                rows.append(Row(answer.ids, learned))
                continue
            head = [*self.before, *prompt.ids, *self.behind]
            ends = self.text.eot_ids
            rows.append(Row([*head, *answer.ids, *ends], [False] * len(head) + learned + [True] * len(ends)))
        return rows

    def after(self, past: Example, now: Row) -> Row:
        """The second turn of a talk, to be learned; the first one stands before it."""
        asked, answered = (self.text.encode(self.message(part)) for part in (past.prompt, past.answer))
        history = [*self.before, *asked, *self.between, *answered, *self.again]
        skipped = len(self.before)
        return Row([*history, *now.ids[skipped:]], [False] * len(history) + list(now.maskable[skipped:]))

    def message(self, content: str) -> str:
        """A message with the space that the template has before it."""
        return self.space + content.strip()


def tokenise(text: Text, corpus: Path, out: Path) -> Path:
    """Write the training stories as `out/tokens/LEVEL.npy`, uint16, each ended by the end of sequence; return it."""
    if (folder := out / "tokens").exists():
        return folder
    with replacing(folder) as fresh:
        fresh.mkdir()
        told = stories(corpus, "train")
        for level in LEVELS:
            texts = [story.text for story in told if story.level == level]
            encoded = text.tokenizer.encode_batch_fast(texts, add_special_tokens=False)
            parts = [np.array([*one.ids, text.eos_id], np.uint16) for one in encoded]
            np.save(fresh / f"{level}.npy", np.concatenate(parts))
    return folder


_maker: Maker | None = None


def _begin(tokenizer: str, mixture: Mixture, seed: int, corpus: Path | None, tokens: Path | None) -> None:
    global _maker
    _maker = Maker(bpe.wrap(Tokenizer.from_str(tokenizer)), mixture, seed, corpus, tokens)


def _make(index: int) -> Batch:
    assert _maker is not None
    return _maker(index)


@contextmanager
def batches(
    text: Text, mixture: Mixture, seed: int, corpus: Path | None, tokens: Path | None, *, first: int, workers: int
) -> Iterator[Iterator[Batch]]:
    """The batches from number `first` on, made by `workers` processes ahead of time, or here if there are none."""
    if not workers:
        maker = Maker(text, mixture, seed, corpus, tokens)
        yield map(maker, iter(range(first, 2**31)))
        return
    how = (text.tokenizer.to_str(), mixture, seed, corpus, tokens)
    with get_context("spawn").Pool(workers, _begin, how) as pool:

        def ahead() -> Iterator[Batch]:
            index = first + AHEAD * workers
            waiting = deque(pool.apply_async(_make, (i,)) for i in range(first, index))
            while True:
                yield waiting.popleft().get()
                waiting.append(pool.apply_async(_make, (index,)))
                index += 1

        yield ahead()
