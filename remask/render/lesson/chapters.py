"""The ten chapters of a lesson: words, formulas, tables and rows of tokens, which any view can draw."""

from ..figures import Chapter
from .contents import Lesson
from .one_step import canvas, confidence, keeping, logits, noise, updating
from .whole_run import blocks, guidance, loop, schedule

IN_ORDER = (canvas, logits, noise, confidence, keeping, updating, loop, blocks, schedule, guidance)


def chapters(lesson: Lesson) -> list[Chapter]:
    """Return the ten chapters, in the order of the computation."""
    return [chapter(lesson) for chapter in IN_ORDER]
