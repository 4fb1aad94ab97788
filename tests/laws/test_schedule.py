"""Laws of schedules: LLaDA's table, and steps shared fairly among blocks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remask.decoding.schedule import even, share_steps
from remask.errors import RecipeError


def authors(masks: int, steps: int) -> list[int]:
    """LLaDA's `get_num_transfer_tokens`, as documented: base = m // S, and the first m % S steps take one more."""
    base, remainder = masks // steps, masks % steps
    return [base + 1] * remainder + [base] * (steps - remainder)


@pytest.mark.parametrize(
    ("count", "steps", "shares"), [(10, 4, [3, 3, 2, 2]), (32, 5, [7, 7, 6, 6, 6]), (3, 5, [1, 1, 1])]
)
def test_even_gives_the_published_vectors(count: int, steps: int, shares: list[int]) -> None:
    assert even(count, steps) == shares


def test_even_is_the_authors_table_without_its_empty_steps() -> None:
    for count in range(41):
        for steps in range(1, 41):
            assert even(count, steps) == [n for n in authors(count, steps) if n]
            assert sum(even(count, steps)) == count


def test_equal_blocks_get_what_the_authors_give_them() -> None:
    """steps // num_blocks, where theirs runs: gen_length % block_length == steps % num_blocks == 0."""
    for blocks in range(1, 13):
        for per_block in range(1, 9):
            for length in (1, 3, 8, 32):
                assert share_steps([length] * blocks, per_block * blocks) == [per_block] * blocks


sizes_and_steps = st.lists(st.integers(1, 64), min_size=1, max_size=12).flatmap(
    lambda sizes: st.tuples(st.just(sizes), st.integers(len(sizes), 3 * sum(sizes)))
)


@given(sizes_and_steps)
def test_every_step_goes_to_a_block_and_every_block_has_one(drawn: tuple[list[int], int]) -> None:
    sizes, steps = drawn
    shares = share_steps(sizes, steps)
    assert len(shares) == len(sizes) and sum(shares) == steps and min(shares) >= 1


@given(sizes_and_steps)
def test_shares_are_proportional_within_one_step(drawn: tuple[list[int], int]) -> None:
    """Unless so many blocks need lifting to one step that others must pay for it."""
    sizes, steps = drawn
    ideals = [steps * size / sum(sizes) for size in sizes]
    if sum(max(1, int(ideal)) for ideal in ideals) <= steps:
        assert all(abs(share - ideal) < 1 for share, ideal in zip(share_steps(sizes, steps), ideals, strict=True))


def test_a_block_that_was_lifted_to_one_step_is_not_lifted_twice() -> None:
    """Ideals 0.9, 1.7, 1.7, 1.7: nobody gets two more than another of its size, and the smallest gets one."""
    assert share_steps([9, 17, 17, 17], 6) == [1, 2, 2, 1]


@pytest.mark.parametrize(("sizes", "steps"), [([4, 4], 1), ([1, 1, 1], 2), ([5], 0)])
def test_fewer_steps_than_blocks_are_refused_with_what_would_do(sizes: list[int], steps: int) -> None:
    with pytest.raises(RecipeError, match=f"got {steps} for {len(sizes)} blocks; give steps {len(sizes)}"):
        share_steps(sizes, steps)
