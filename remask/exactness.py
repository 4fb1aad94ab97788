"""How far a run may depart from the authors' own code. Every recipe value states its class; the weakest one holds."""

from enum import IntEnum


class Exactness(IntEnum):
    """Ordered from the strongest claim to the weakest."""

    EXACT = 0
    OWN_ATTENTION = 1
    OTHER_ORDER = 2
    OTHER_CANVAS = 3
    APPROXIMATE = 4
    OTHER_NUMBERS = 5

    def __str__(self) -> str:
        return {
            Exactness.EXACT: "exact",
            Exactness.OWN_ATTENTION: "exact for its own attention",
            Exactness.OTHER_ORDER: "same network, other order",
            Exactness.OTHER_CANVAS: "same network, other canvas",
            Exactness.APPROXIMATE: "approximate network",
            Exactness.OTHER_NUMBERS: "other numbers",
        }[self]
