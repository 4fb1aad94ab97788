"""From task examples to batches of token ids. Batch number i is a function of (seed, i), so nothing needs saving."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from random import Random

import torch
from torch import Tensor

from ..tasks import Example, Split, Task, examples
from ..text.tokenizer import Text
from .config import KNOWN, Mixture


@dataclass(frozen=True)
class Rows:
    """Examples of one task, equally long: `tokens` (B, L) and which of them may be masked (B, L)."""

    task: str
    tokens: Tensor
    maskable: Tensor


def encode(text: Text, example: Example) -> tuple[list[int], list[int]]:
    """Prompt ids (never masked) and answer ids, ended as the chat template ends a turn."""
    if not example.prompt:
        return [], text.encode(example.answer)
    prompt = text.encode(text.chat([{"role": "user", "content": example.prompt}]))
    return prompt, [*text.encode(example.answer), *text.eot_ids]


def in_holes(text: Text, example: Example) -> list[bool]:
    """Which tokens of an answer lie in its holes."""
    spans = text.tokenizer.encode(example.answer, add_special_tokens=False).offsets
    return [any(first < stop and last > start for start, stop in example.holes) for first, last in spans]


def draw(
    text: Text, mixture: Mixture, split: Split, seed: int, index: int, tokens: int, known: Mapping[str, Task] = KNOWN
) -> list[Rows]:
    """Batch number `index`: about `tokens` ids over `mixture.groups` tasks, drawn in proportion to their weights.

    A task that starts later is left out of the batches before.
    """
    rng = Random(f"{seed}:{split}:{index}")
    begun = {name: weight for name, weight in mixture.tasks.items() if mixture.starts.get(name, 0) <= index}
    names = rng.choices(list(begun), list(begun.values()), k=mixture.groups)
    return [rows(text, mixture, known[name], split, rng, tokens // mixture.groups) for name in names]


def rows(text: Text, mixture: Mixture, task: Task, split: Split, rng: Random, tokens: int) -> Rows:
    """About `tokens` ids of one task; shorter rows end in end-of-sequence tokens, learned too (LLaDA §2.3)."""
    source = examples(task, split, rng.getrandbits(48))
    drawn = list(islice(source, 4))
    pairs = [encode(text, example) for example in drawn]
    longest = max(len(prompt) + len(answer) for prompt, answer in pairs)
    count = max(len(pairs), tokens // (longest + 2))
    drawn += islice(source, mixture.pool * count - len(drawn))
    pairs += [encode(text, example) for example in drawn[len(pairs) :]]
    if mixture.pool > 1:  # rows of about one length: little of a step is spent on the ends of short ones
        by_length = sorted(range(len(pairs)), key=lambda row: sum(map(len, pairs[row])))
        first = rng.randrange(mixture.pool) * count
        drawn = [drawn[row] for row in by_length[first : first + count]]
        pairs = [pairs[row] for row in by_length[first : first + count]]
    length = max(len(prompt) + len(answer) for prompt, answer in pairs) + 1
    if rng.random() < mixture.long_tail:
        reach = max(len(prompt) for prompt, _ in pairs) + mixture.longest_canvas
        length = rng.randint(length, max(length, reach))
        pairs = pairs[: max(4, tokens // length)]
    ids = torch.full((len(pairs), length), text.eos_id)
    maskable = torch.ones(len(pairs), length, dtype=torch.bool)
    for row, (prompt, answer) in enumerate(pairs):
        ids[row, : len(prompt) + len(answer)] = torch.tensor(prompt + answer)
        maskable[row, : len(prompt)] = False
        if drawn[row].learned == "holes":  # and the end behind them, if nothing else comes before it
            inside = [*[False] * len(prompt), *in_holes(text, drawn[row])]
            maskable[row] = torch.tensor([*inside, inside[-1], *[False] * (length - len(inside) - 1)])
    if rng.random() < mixture.random_length and not maskable[:, 0].all():
        first = int(maskable.float().argmax(1).max()) + 1  # every row keeps at least one token to learn
        length = rng.randint(min(first, length), length)
        ids, maskable = ids[:, :length], maskable[:, :length]
    return Rows(task.name, ids, maskable)
