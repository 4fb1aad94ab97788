"""The split into train and held-out examples: by solution and by wording, not by surface."""

from collections.abc import Iterator
from functools import lru_cache
from hashlib import blake2b
from random import Random
from typing import Literal

from .example import Example, FixedTask, Task
from .natural import PROMPTS

Split = Literal["train", "heldout"]
HELDOUT_FRAMES = 0.15  # share of the wordings of a task that training never sees


def split_of(task: Task, solution: str) -> Split:
    """Return the split of `solution`, by a hash of the task's name and the solution: the same on every machine."""
    return "heldout" if _place(f"{task.name}:{solution}") < task.heldout_share else "train"


def split_of_frame(task: Task, frame: str) -> Split:
    """Return the split of a wording; case, spaces and the marks at its end make no other one."""
    return "heldout" if _place_of_frame(task.name, frame) < HELDOUT_FRAMES else "train"


def frame_of(task: Task, *wordings: str) -> str:
    """Return the frame of an example made of several wordings: one that is held out, if any is.

    So training sees no held-out part, and not only no held-out combination of parts.
    """
    return next((wording for wording in wordings if split_of_frame(task, wording) == "heldout"), wordings[0])


def belongs(task: Task, example: Example, split: Split) -> bool:
    """Return whether `example` may be drawn for `split`: its solution, and its wording if it names one, are of it.

    The prompts of `natural.py` belong to neither.
    """
    return (
        split_of(task, example.solution) == split
        and (not example.frame or split_of_frame(task, example.frame) == split)
        and _skeleton(example.prompt) not in NATURAL
    )


def examples(task: Task, split: Split, seed: int) -> Iterator[Example]:
    """Draw from `task` for ever, skipping what is not of `split`: held-out solutions come in held-out wordings.

    The sequence is a function of the task, the split and the seed. It can repeat: a small task, such as 4x4 Sudoku,
    draws the same solution again. A fixed set comes once, in its order.
    """
    if isinstance(task, FixedTask):
        yield from task.items
        return
    rng = Random(f"{task.name}:{split}:{seed}")
    while True:
        example = task.draw(rng)
        if belongs(task, example, split):
            yield example


@lru_cache(1 << 16)  # a frame is asked for again and again
def _place_of_frame(name: str, frame: str) -> float:
    return _place(f"{name}:frame:{_skeleton(frame)}")


def _skeleton(text: str) -> str:
    """Return `text` without its case, its spaces and the marks at its end; marks alone stay."""
    spaced = " ".join(text.lower().split())
    return spaced.rstrip(".!? ") or spaced


def _place(key: str) -> float:
    """Return a number in [0, 1) that depends on `key` alone."""
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest()) / 2**64


NATURAL = frozenset(map(_skeleton, PROMPTS))
