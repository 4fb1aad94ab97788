"""How many positions leave [MASK] at each step: the token-transfer schedule."""

from collections.abc import Callable, Sequence

from .errors import RecipeError

Schedule = Callable[[int, int], list[int]]


def even(count: int, steps: int) -> list[int]:
    """`count` positions over `steps` steps, as evenly as whole numbers allow, the larger shares first.

    LLaDA's `get_num_transfer_tokens`: 10 over 4 is 3, 3, 2, 2. Steps that would commit nothing are left out, since
    they change nothing.
    """
    base, extra = divmod(count, steps)
    return [n for n in [base + 1] * extra + [base] * (steps - extra) if n]


SCHEDULES: dict[str, Schedule] = {"even": even}


def share_steps(sizes: Sequence[int], steps: int) -> list[int]:
    """Divide `steps` among blocks in proportion to their `sizes`, by largest remainder, at least one each.

    Equal blocks and a divisible number give LLaDA's steps // num_blocks. Raises RecipeError if there are more blocks
    than steps.
    """
    if steps < len(sizes):
        raise RecipeError(
            f"steps must be at least the number of blocks, got {steps} for {len(sizes)} blocks; "
            f"give --steps {len(sizes)} or a larger --block-length"
        )
    total = sum(sizes)
    shares = [max(1, steps * size // total) for size in sizes]
    whole = [i for i, size in enumerate(sizes) if steps * size >= total]  # the others were rounded up already
    by_remainder = sorted(whole, key=lambda i: (-(steps * sizes[i] % total), i))
    for i in by_remainder[: max(0, steps - sum(shares))]:
        shares[i] += 1
    while sum(shares) > steps:  # "at least one" took too many: the largest shares give them back
        shares[max(range(len(shares)), key=lambda i: (shares[i], i))] -= 1
    return shares
