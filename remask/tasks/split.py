"""The split into train and held-out examples: by solution, not by surface."""

from collections.abc import Iterator
from hashlib import blake2b
from random import Random
from typing import Literal

from .example import Example, Task

Split = Literal["train", "heldout"]


def split_of(task: Task, solution: str) -> Split:
    """Return the split of `solution`, by a hash of the task's name and the solution: the same on every machine."""
    digest = blake2b(f"{task.name}:{solution}".encode(), digest_size=8).digest()
    return "heldout" if int.from_bytes(digest) < task.heldout_share * 2**64 else "train"


def examples(task: Task, split: Split, seed: int) -> Iterator[Example]:
    """Draw from `task` for ever, skipping the other split.

    The sequence is a function of the task, the split and the seed. It can repeat: a small task, such as 4x4 Sudoku,
    draws the same solution again.
    """
    rng = Random(f"{task.name}:{split}:{seed}")
    while True:
        example = task.draw(rng)
        if split_of(task, example.solution) == split:
            yield example
