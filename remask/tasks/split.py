"""Train and held-out examples, kept apart by solution and not by surface."""

from collections.abc import Iterator
from hashlib import blake2b
from random import Random
from typing import Literal

from .example import Example, Task

Split = Literal["train", "heldout"]


def split_of(task: Task, solution: str) -> Split:
    """The split that owns `solution`: a hash of the task's name and the solution, the same on every machine."""
    digest = blake2b(f"{task.name}:{solution}".encode(), digest_size=8).digest()
    return "heldout" if int.from_bytes(digest) < task.heldout_share * 2**64 else "train"


def examples(task: Task, split: Split, seed: int) -> Iterator[Example]:
    """Draw from `task` for ever, skipping the other split.

    The sequence is a function of the task, the split and the seed. It is not free of repeats: a small task, such as
    4x4 Sudoku, comes back to the same solution.
    """
    rng = Random(f"{task.name}:{split}:{seed}")
    while True:
        example = task.draw(rng)
        if split_of(task, example.solution) == split:
            yield example
