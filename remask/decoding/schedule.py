"""The token-transfer schedule: how many positions leave [MASK] at each step."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import cos, pi

from ..errors import RecipeError

Schedule = Callable[[int, int], list[int]]


def even(count: int, steps: int) -> list[int]:
    """Divide `count` positions among `steps` steps, as evenly as whole numbers allow, larger shares first.

    This is LLaDA's `get_num_transfer_tokens`: 10 in 4 steps is 3, 3, 2, 2. Steps that would commit nothing are left
    out, since they change nothing.
    """
    base, extra = divmod(count, steps)
    return [n for n in [base + 1] * extra + [base] * (steps - extra) if n]


def linear_t(count: int, steps: int) -> list[int]:
    """Take the share 1 - s/t of the rest, rounded down, at each step as t falls from 1 to 1/1000; the last takes all.

    This is Dream's schedule (arXiv 2508.15487, `diffusion_generate`). If steps = count, rounding makes the first step
    commit nothing; steps that would commit nothing are left out.
    """
    times = [1 - (1 - 1e-3) * i / steps for i in range(steps + 1)]
    quotas, rest = [], count
    for t, s in pairwise(times):
        quotas.append(int(rest * (1 - s / t)))
        rest -= quotas[-1]
    quotas[-1] += rest
    return [n for n in quotas if n]


def cosine(count: int, steps: int) -> list[int]:
    """Leave count · cos(π/2 · i/steps), rounded down, after step i: few go at first, many at the end (MaskGIT, arXiv
    2202.04200, §3.3)."""
    rest = [int(count * cos(pi / 2 * i / steps) + 1e-9) for i in range(steps)] + [0]
    return [n for n in (a - b for a, b in pairwise(rest)) if n]


SCHEDULES: dict[str, Schedule] = {"even": even, "linear_t": linear_t, "cosine": cosine}


def share_steps(sizes: Sequence[int], steps: int) -> list[int]:
    """Divide `steps` among blocks in proportion to their `sizes`, by largest remainder, at least one for each.

    Equal blocks and a divisible number give LLaDA's steps // num_blocks. Raises RecipeError if there are more blocks
    than steps.
    """
    if steps < len(sizes):
        raise RecipeError(
            f"steps must be at least the number of blocks, got {steps} for {len(sizes)} blocks; "
            f"give steps {len(sizes)} or a larger block_length"
        )
    total = sum(sizes)
    shares = [max(1, steps * size // total) for size in sizes]
    whole = [i for i, size in enumerate(sizes) if steps * size >= total]  # the others were rounded up to 1
    by_remainder = sorted(whole, key=lambda i: (-(steps * sizes[i] % total), i))
    for i in by_remainder[: max(0, steps - sum(shares))]:
        shares[i] += 1
    while sum(shares) > steps:  # "at least one" gave out too many: take from the largest shares
        shares[max(range(len(shares)), key=lambda i: (shares[i], i))] -= 1
    return shares
