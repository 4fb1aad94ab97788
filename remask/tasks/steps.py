"""Worked answers: one equation a line, and the spans and results that are read from them."""

import re
from collections.abc import Iterator

from .example import Example

FINAL = "The answer is "
NUMBER = re.compile(r"\d+")


def written(steps: list[str]) -> str:
    """Return the answer: one equation a line, then the result of the last."""
    return "\n".join([*steps, f"{FINAL}{steps[-1].rpartition('=')[2]}."])


def worked_out(answer: str) -> Iterator[tuple[int, int]]:
    """Yield the spans of the results in an answer, and of their repetitions in later lines."""
    results = set()
    for number in NUMBER.finditer(answer):
        if answer.endswith(("=", "=-", "remainder "), 0, number.start()):
            results.add(number.group())
        if number.group() in results:
            yield number.span()


def same_result(example: Example, output: str) -> bool:
    """Return whether both texts end in `The answer is` and the same integer."""
    result = closing_result(output)
    return result is not None and result == closing_result(example.answer)


def closing_result(text: str) -> str | None:
    """Return the integer behind the last `The answer is`, as text; None if there is none, or if more text follows."""
    _, marker, tail = text.rpartition(FINAL)
    number = re.fullmatch(r"(-?[0-9]+)\.?\s*", tail) if marker else None
    return number[1] if number else None


def product(left: int, right: int) -> list[str]:
    """Return the lines of `left*right`: at once where one factor is a digit, else part by part.

    `41*23` is `41*20=820`, `41*3=123`, `820+123=943`, `41*23=943`. Three digits times one are cut at the hundreds.
    """
    whole = f"{left}*{right}={left * right}"
    small, large = sorted((left, right))
    once = small < 2 or large <= 12 or not large % 100
    if once or (large < 100 and (small < 10 or not left % 10 or not right % 10)):
        return [whole]
    if small < 10:
        top = large // 100 * 100
        parts = [(top, small), (large - top, small)] if left == large else [(small, top), (small, large - top)]
    else:
        top = right // 10 * 10
        parts = [(left, top), (left, right - top)]
    first, second = (one * other for one, other in parts)
    lines = [f"{one}*{other}={one * other}" for one, other in parts]
    return [*lines, f"{first}+{second}={left * right}", whole]


def division(left: int, right: int) -> list[str]:
    """Return the lines of `left/right`, digit by digit as on paper; `right` is not 0.

    Up to 12 the divisor is in the times tables, and a digit takes one line: `9/7=1 remainder 2`, `24/7=3 remainder 3`.
    Beyond, it takes a product and a difference: `41*2=82`, `94-82=12`. The last line is the whole.
    """
    whole = f"{left}/{right}={quotient(left, right)}"
    if left < right or (right <= 12 and left // right <= 12) or right == 1:
        return [whole]
    lines: list[str] = []
    rest = 0
    for digit in str(left):
        rest = rest * 10 + int(digit)
        if not lines and rest < right:
            continue
        times = rest // right
        if right <= 12:
            lines.append(f"{rest}/{right}={quotient(rest, right)}")
        else:
            lines += [f"{right}*{times}={right * times}", f"{rest}-{right * times}={rest - right * times}"]
        rest -= right * times
    return [*lines, whole]


def quotient(left: int, right: int) -> str:
    """Return `3` or `3 remainder 2`."""
    times, rest = divmod(left, right)
    return f"{times} remainder {rest}" if rest else str(times)
