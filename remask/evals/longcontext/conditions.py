"""The conditions of a sweep: a task at a length and a depth."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated

from ...errors import UsageError
from ...llm import LLM
from ...validation import Range

LIMIT = 10_000  # conditions of one sweep


@dataclass(frozen=True)
class Condition:
    """A task, the tokens of its canvases, and the needle's depth in percent (None: another one each time)."""

    task: str
    length: Annotated[int, Range(1, 2**31)]
    depth: Annotated[float | None, Range(0, 100)] = None

    @property
    def key(self) -> str:
        """Its name, as in `niah/4096/50`."""
        return f"{self.task}/{self.length}" + ("" if self.depth is None else f"/{self.depth:g}")


def conditions(tasks: Iterable[str], lengths: Sequence[int], depths: Sequence[float | None]) -> list[Condition]:
    """Every task at every length and depth. Raises UsageError if they are too many."""
    every = [Condition(task, length, depth) for task in tasks for length in lengths for depth in depths]
    if len(every) > LIMIT:
        raise UsageError(f"the grid has {len(every):,} cells, the limit is {LIMIT:,}; name fewer lengths or depths")
    return every


def lengths(text: str, trained: int) -> list[int]:
    """`128,4k,0.5x` in tokens, each once; x is the length of the training. Raises UsageError for anything else."""
    units = {"k": 1024, "x": trained}
    every = []
    for part in text.split(","):
        number, unit = part.strip().lower(), 1
        if number[-1:] in units:
            number, unit = number[:-1], units[number[-1]]
        try:
            tokens = float(number) * unit
        except ValueError:
            tokens = 0.0
        if not 1 <= tokens < 2**31:
            raise UsageError(f"cannot read {part!r} as a length; write tokens as 2048 or 2k, or 0.5x of training")
        every.append(round(tokens))
    return list(dict.fromkeys(every))


def trained_length(llm: LLM) -> int:
    """The length that the model was trained on, in tokens."""
    contract = llm.model.contract
    return contract.max_positions if contract.rotary is None else contract.rotary.trained
