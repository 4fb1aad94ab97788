"""When a row is done."""

from dataclasses import dataclass

from ..exactness import Exactness
from .value import Value


@dataclass(frozen=True)
class Stop(Value):
    """When a row is done before its canvas is full.

    eos_prefix  when everything before the first committed end-of-sequence token is committed. Lossless: what lies
                behind is never shown. Off, every position is filled.
    """

    eos_prefix: bool = True
    exactness = Exactness.EXACT
