"""The chi-square test that the laws of chance use. All seeds are fixed, so none of them fails now and then."""

import numpy as np
import numpy.typing as npt


def fits(counts: npt.ArrayLike, probabilities: npt.ArrayLike, z: float = 4.0) -> bool:
    """Whether `counts` could come from `probabilities`: chi-square below its quantile at z standard deviations.

    Cells of probability 0 must be empty, and cells expected fewer than 5 times are taken together. The quantile is
    Wilson and Hilferty's, good to a percent from two degrees of freedom on.
    """
    counted, expected = np.asarray(counts, float), np.asarray(probabilities, float)
    expected = expected / expected.sum() * counted.sum()
    if counted[expected == 0].any():
        return False
    rare = expected < 5
    counted = np.append(counted[~rare], counted[rare].sum())
    expected = np.append(expected[~rare], expected[rare].sum())
    counted, expected = counted[expected > 0], expected[expected > 0]
    freedom = len(expected) - 1
    chi_square = float(((counted - expected) ** 2 / expected).sum())
    bound = freedom * (1 - 2 / (9 * freedom) + z * (2 / (9 * freedom)) ** 0.5) ** 3 if freedom else 1e-9
    return chi_square <= bound
