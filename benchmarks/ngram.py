"""A Kneser-Ney 5-gram over the same tokens as a model, on the same text: what counting alone knows.

    python benchmarks/ngram.py --model DIR --data CORPUS [--items 1000] [--out FILE.json]

Interpolated modified Kneser-Ney (Chen and Goodman 1998, §3). It prints bits per byte of the corpus' test tales in the
windows of `remask eval bits-per-byte`, and how often it fills the one-word holes of `remask eval stories-cloze` with
the true word, from four tokens on either side, among the commonest words of the same number of tokens.
"""

import argparse
import re
from collections import Counter
from itertools import islice
from math import log
from pathlib import Path

import numpy as np
import numpy.typing as npt

import remask
from remask import files
from remask.evals.bits import windows
from remask.evals.statistics import wilson
from remask.llm import LLM
from remask.tasks import examples
from remask.tasks.corpus import WORD, corpus_tasks, stories

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
ORDER = 5
BITS = 12  # of a token in a key; five of them fit an int64
CANDIDATES = 4000  # words that are tried in a hole


class Counts:
    """The n-grams of one order: sorted keys, their counts, and what the smoothing needs of each context."""

    def __init__(self, keys: Ints, counts: Ints) -> None:
        self.keys, self.counts = keys, counts
        n = [int((counts == k).sum()) for k in (1, 2, 3, 4)]
        y = n[0] / (n[0] + 2 * n[1])
        self.discounts = np.array([0.0, *(k - (k + 1) * y * n[k] / n[k - 1] for k in (1, 2, 3))])
        contexts = keys >> BITS
        starts = np.flatnonzero(np.diff(contexts, prepend=-1))
        self.contexts = contexts[starts]
        self.totals = np.add.reduceat(counts, starts)
        self.kept = np.add.reduceat(self.discounts[np.minimum(counts, 3)], starts)

    def probability(self, grams: Ints, lower: Floats) -> Floats:
        """The probability of the last token of each n-gram, interpolated with that of the `lower` order."""
        at = np.minimum(np.searchsorted(self.keys, grams), len(self.keys) - 1)
        count = np.where(self.keys[at] == grams, self.counts[at], 0)
        context = np.minimum(np.searchsorted(self.contexts, grams >> BITS), len(self.contexts) - 1)
        known = self.contexts[context] == grams >> BITS
        total = np.where(known, self.totals[context], 1)
        own = np.maximum(count - self.discounts[np.minimum(count, 3)], 0) / total
        return np.where(known, own + self.kept[context] / total * lower, lower)


class KneserNey:
    """The model, from one stream of tokens."""

    def __init__(self, stream: Ints, vocabulary: int) -> None:
        self.vocabulary = vocabulary
        grams, found = packed(stream, ORDER), []
        for _ in range(ORDER):  # below the highest order, an n-gram counts the tokens that it is seen after
            keys, counts = np.unique(grams, return_counts=True)
            found.append(Counts(keys, counts))
            grams = keys & ((1 << BITS * (ORDER - len(found))) - 1)
        self.orders = found[::-1]

    def nats(self, tokens: Ints) -> Floats:
        """−ln p of every token (…, n) given the four before it."""
        values = np.full(tokens.shape, 1 / self.vocabulary)
        for order, counts in enumerate(self.orders, 1):
            if tokens.shape[-1] >= order:
                grams = packed(tokens, order)
                values[..., order - 1 :] = counts.probability(grams, values[..., order - 1 :])
        return np.asarray(-np.log(values))


def packed(tokens: Ints, order: int) -> Ints:
    """The keys (…, n − order + 1) of all n-grams of `tokens` (…, n)."""
    count = tokens.shape[-1] - order + 1
    return sum(tokens[..., i : i + count] << BITS * (order - 1 - i) for i in range(order))  # type: ignore[return-value]


def bits_per_byte(model: KneserNey, llm: LLM, texts: list[str]) -> float:
    """Over the windows of `remask eval bits-per-byte`."""
    nats = size = 0.0
    for ids in windows(llm, texts, 256):
        nats += float(model.nats(np.array(ids)).sum())
        size += len(llm.text.decode(ids).encode())
    return nats / log(2) / size


def cloze(model: KneserNey, llm: LLM, words: Counter[str], task: object, items: int) -> tuple[int, int]:
    """How many of the first holes of the items get the true word, and how many there are."""
    by_length: dict[int, list[list[int]]] = {}
    for word, _ in words.most_common(40_000):
        ids = llm.text.encode(" " + word)
        if len(by_length.setdefault(len(ids), [])) < CANDIDATES:
            by_length[len(ids)].append(ids)
    right = asked = 0
    for example in islice(examples(task, "heldout", 0), items):  # type: ignore[arg-type]
        start, stop = example.holes[0]
        lead = start - (start > 0 and example.answer[start - 1] == " ")
        left, true, after = (llm.text.encode(part) for part in (
            example.answer[:lead], example.answer[lead:stop], example.answer[stop:]))  # fmt: skip
        tried = np.array([true, *by_length.get(len(true), [])])
        before, behind = np.array(left[-4:], dtype=np.int64), np.array(after[:4], dtype=np.int64)
        rows = np.concatenate([np.tile(before, (len(tried), 1)), tried, np.tile(behind, (len(tried), 1))], 1)
        best = tried[model.nats(rows)[:, len(before) :].sum(1).argmin()]
        right += best.tolist() == true
        asked += 1
    return right, asked


def main() -> None:
    """Count, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    llm = remask.load(asked.model)
    if (vocabulary := llm.model.contract.vocab_size) > 1 << BITS:
        raise SystemExit(f"a vocabulary of {vocabulary} does not fit {BITS} bits")
    eos, told = llm.text.eos_id, stories(asked.data, "train")
    encoded = llm.text.tokenizer.encode_batch_fast([story.text for story in told], add_special_tokens=False)
    stream = np.concatenate([np.array([*one.ids, eos], np.int64) for one in encoded])
    model = KneserNey(stream, vocabulary)
    words = Counter(word for story in told if story.level != "classic" for word in re.findall(WORD, story.text))
    bits = bits_per_byte(model, llm, [story.text for story in stories(asked.data, "test")])
    right, items = cloze(model, llm, words, corpus_tasks(asked.data, "test")["stories-cloze"], asked.items)
    low, high = wilson(right, items)
    print(f"{len(stream):,} tokens · {bits:.3f} bits per byte · holes {right}/{items} ({low:.1%} to {high:.1%})")
    if asked.out is not None:
        files.write_json(asked.out, {"bits_per_byte": bits, "holes": right, "items": items, "tokens": len(stream)})


if __name__ == "__main__":
    main()
