"""Seeded text tasks with exact answers, for training and for the measurement of quality.

Each task states its pass rule, and each solution belongs to one split only: `examples(task, "heldout", seed)` never
draws a solution that `examples(task, "train", seed)` can draw.
"""

from .arithmetic import Arithmetic, Equations
from .dialogue import Dialogue, Outside, declines
from .example import Example, FixedTask, Task
from .extraction import Extraction, RewordedExtraction
from .haystack import Haystack
from .numbers import Numbers
from .problems import Problems
from .reading import Reading
from .recall import Recall, RewordedRecall
from .sorting import RewordedSorting, Sorting
from .split import Split, examples, split_of
from .stories import Stories
from .sudoku import RewordedSudoku, Sudoku
from .sums import Sums
from .tales import Tales
from .words import Words

__all__ = [
    "DRILLS",
    "HAYSTACKS",
    "TASKS",
    "Arithmetic",
    "Dialogue",
    "Equations",
    "Example",
    "Extraction",
    "FixedTask",
    "Haystack",
    "Numbers",
    "Outside",
    "Problems",
    "Reading",
    "Recall",
    "RewordedExtraction",
    "RewordedRecall",
    "RewordedSorting",
    "RewordedSudoku",
    "Sorting",
    "Split",
    "Stories",
    "Sudoku",
    "Sums",
    "Tales",
    "Task",
    "Words",
    "declines",
    "examples",
    "split_of",
]

TASKS: dict[str, Task] = {
    "arithmetic": Arithmetic(),
    "dialogue": Dialogue(),
    "extraction": Extraction(),
    "numbers": Numbers(),
    "problems": Problems(),
    "extraction_reworded": RewordedExtraction(),
    "reading": Reading(),
    "outside": Outside(),
    "recall": Recall(),
    "recall_short": Recall(1, 4),  # the beginning of the curriculum of recall; both have the same split
    "recall_reworded": RewordedRecall(),
    "sorting": Sorting(),
    "sorting_reworded": RewordedSorting(),
    "stories": Stories(),
    "stories_reworded": Tales(),
    "sudoku4": Sudoku(2, 2, blanks=(4, 12)),
    "sudoku4_reworded": RewordedSudoku(),
    "sudoku6": Sudoku(2, 3, blanks=(8, 22)),
    "sums": Sums(),
    "words": Words(),
}

# The beginning of a curriculum: parts of the tasks above, with more to learn per token.
DRILLS: dict[str, Task] = {
    "arithmetic_drill": Arithmetic(drill=True),
    "equations": Equations(),
    "problems_drill": Problems(drill=True),
    "recall_drill": Recall(1, 12, drill=1.0),
    "sums_drill": Sums(drill=True),
}

# The training tasks of the long-context study, with a tokenizer for their words. `_dense` is nearly all pairs, which
# come before their questions. `_behind` asks only after the pair: a causal model cannot learn anything else.
HAYSTACKS: dict[str, Task] = {
    "haystack64": Haystack(longest=63, shortest=32),
    "haystack128": Haystack(),
    "haystack256": Haystack(longest=255),
    "haystack64_behind": Haystack(longest=63, shortest=32, ahead=0.0),
    "haystack128_behind": Haystack(ahead=0.0),
    "haystack256_behind": Haystack(longest=255, ahead=0.0),
    "haystack_dense": Haystack(longest=63, shortest=48, min_questions=3, room=2, ahead=0.0, whole=0.0),
}
