"""The prior over positions: weights on the confidence that do not depend on the model."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..errors import bounded
from ..exactness import Exactness
from ..models.contract import Floats, Ints
from .canvas import Canvas
from .value import Value


class Prior(Value):
    """A value of the prior axis: one weight for each position."""

    @abstractmethod
    def weights(self, canvas: Canvas, window: Ints, positions: Ints) -> Floats:
        """Return a positive weight (R,) for each of `positions` (R,)."""


@dataclass(frozen=True)
class Flat(Prior):
    """The same weight for every position."""

    exactness: ClassVar[Exactness] = Exactness.EXACT

    def weights(self, canvas: Canvas, window: Ints, positions: Ints) -> Floats:
        return np.ones(len(positions), np.float32)


@dataclass(frozen=True)
class Leftward(Prior):
    """exp(-decay · offset in the window): the position prior of PC-Sampler (arXiv 2508.13021, §3.2), without its corpus
    frequencies. A decay of 0.25 is nearly left to right, 0 is flat."""

    decay: float = 0.25
    exactness: ClassVar[Exactness] = Exactness.OTHER_ORDER

    def __post_init__(self) -> None:
        bounded("prior.decay", self.decay, 0, 100, "PC-Sampler uses 0 to 0.5")

    def weights(self, canvas: Canvas, window: Ints, positions: Ints) -> Floats:
        """Return weights that fall from the first position of the window on, above float32's smallest normal number."""
        offset = np.maximum(positions - window[0], 0)
        return np.exp(-np.minimum(self.decay * offset, 80.0)).astype(np.float32)


@dataclass(frozen=True)
class Certain(Prior):
    """The share of a Gaussian of width `sigma` around the position that covers given and committed positions
    (certainty density, d²Cache, arXiv 2509.23094, §3.2)."""

    sigma: float = 10.0
    exactness: ClassVar[Exactness] = Exactness.OTHER_ORDER

    def __post_init__(self) -> None:
        bounded("prior.sigma", self.sigma, 1e-6, 1e6, "d2Cache uses 10")

    def weights(self, canvas: Canvas, window: Ints, positions: Ints) -> Floats:
        """Return weights from 1e-6, far from any given or committed position, to 1."""
        near = np.exp(-((positions[:, None] - np.arange(len(canvas))) ** 2) / (2 * self.sigma**2))
        density: Floats = ((near @ ~canvas.undecided) / near.sum(1)).astype(np.float32)
        return np.maximum(density, np.float32(1e-6))


PRIORS: dict[str, type[Prior]] = {"flat": Flat, "leftward": Leftward, "certain": Certain}
