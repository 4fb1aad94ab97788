"""A lesson told chapter by chapter: words, formulas, tables and rows of tokens, for any view to draw."""

from ..figures import Chapter
from .contents import Lesson
from .one_step import canvas, confidence, keeping, logits, noise, updating
from .whole_run import blocks, guidance, loop, schedule

IN_ORDER = (canvas, logits, noise, confidence, keeping, updating, loop, blocks, schedule, guidance)


def chapters(lesson: Lesson) -> list[Chapter]:
    """The ten chapters, in the order in which the numbers arise."""
    return [tell(lesson) for tell in IN_ORDER]
