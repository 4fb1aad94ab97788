"""Laws of plain arithmetic and of questions about numbers."""

import operator
import random
import re
from collections.abc import Callable, Iterator
from itertools import islice

import pytest

from remask.tasks import DRILLS, TASKS, Example, examples, split_of
from remask.tasks.split import split_of_frame
from remask.tasks.steps import division, product
from remask.tasks.sums import BEYOND, FACTS, FRACTION, PLAIN, SENTENCES, TOO_LARGE, ZERO

SUMS, NUMBERS = TASKS["sums"], TASKS["numbers"]
EXACT: dict[str, Callable[[int, int], int]] = {"+": operator.add, "-": operator.sub, "*": operator.mul}


def drawn(count: int, task: str = "sums") -> Iterator[Example]:
    rng = random.Random(7)
    return (TASKS[task].draw(rng) for _ in range(count))


def value(expression: str) -> str:
    """The result of an expression as it is written, whatever its brackets."""
    if division := re.fullmatch(r"(\d+)/(\d+)", expression):
        times, rest = divmod(int(division[1]), int(division[2]))
        return f"{times} remainder {rest}" if rest else str(times)
    assert re.fullmatch(r"[-+*()\d]+", expression)
    return str(eval(expression, {}))


def test_every_line_is_true() -> None:
    for example in drawn(5000):
        if example.answer not in SENTENCES:
            for line in example.answer.split("\n"):
                left, _, right = line.rpartition("=")
                assert value(left) == right, example


def test_a_step_is_one_operation_and_an_answer_is_short() -> None:
    for example in drawn(5000):
        *steps, _ = example.answer.split("\n")
        for step in steps:
            assert re.fullmatch(r"\d+[-+*/]\d+=\d+( remainder \d+)?", step)
        assert len(example.answer) <= 90


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (product(12, 12), "12*12=144"),
        (product(7, 48), "7*48=336"),
        (product(41, 20), "41*20=820"),
        (product(41, 23), "41*20=820 41*3=123 820+123=943 41*23=943"),
        (product(142, 7), "100*7=700 42*7=294 700+294=994 142*7=994"),
        (product(7, 142), "7*100=700 7*42=294 700+294=994 7*142=994"),
        (division(84, 7), "84/7=12"),
        (division(943, 41), "41*2=82 94-82=12 41*3=123 123-123=0 943/41=23"),
        (division(17, 5), "17/5=3|2"),
        (division(943, 7), "9/7=1|2 24/7=3|3 33/7=4|5 943/7=134|5"),
        (division(5, 9), "5/9=0|5"),
    ],
)
def test_what_is_long_is_worked_in_one_form(lines: list[str], expected: str) -> None:
    assert [line.replace(" remainder ", "|") for line in lines] == expected.split()


def test_held_out_numbers_share_a_key_in_any_operation() -> None:
    keys: dict[str, set[str]] = {}
    for example in drawn(10000):
        if found := re.fullmatch(r"(\d+)([-+*/])(\d+)=(\d+)", example.answer.split("\n")[-1]):
            left, sign, right, result = int(found[1]), found[2], int(found[3]), int(found[4])
            three = (left, right, result) if sign in "+*" else (result, right, left)
            keys.setdefault(f"{sign in '+-'} {sorted(three[:2])}", set()).add(example.solution)
    assert all(len(found) == 1 for found in keys.values())


def test_what_everyone_has_to_know_is_trained() -> None:
    assert split_of(SUMS, FACTS) == "train"
    assert split_of(NUMBERS, FACTS) == "train"
    assert split_of_frame(SUMS, PLAIN) == "train"
    facts = {example.answer for example in drawn(20000) if example.solution == FACTS}
    assert {f"{one}+{two}={one + two}" for one in range(5) for two in range(5)} <= facts
    assert {f"{one}*{two}={one * two}" for one in range(2, 7) for two in range(2, 7)} <= facts


def test_a_held_out_wording_is_never_trained_in_part() -> None:
    trained = {example.prompt for example in islice(examples(SUMS, "train", 0), 3000)}
    heldout = list(islice(examples(SUMS, "heldout", 0), 100))
    assert len({example.frame for example in heldout}) > 40
    assert not trained & {example.prompt for example in heldout}


def test_what_cannot_be_calculated_gets_a_sentence() -> None:
    found = {example.answer: example.prompt for example in drawn(5000)}
    assert {ZERO, BEYOND, FRACTION, TOO_LARGE} <= found.keys()
    for example in drawn(5000):
        beyond = any(int(number.replace(",", "")) > 999 for number in re.findall(r"\d[\d,]*\d", example.prompt))
        assert beyond == (example.answer == BEYOND)


@pytest.mark.parametrize(
    ("output", "right"),
    [
        ("17+25=42", True),
        ("17 + 25 = 42.", True),
        ("42", True),
        ("10+20=30\n42", True),
        ("17+25=43", False),
        ("42\n43", False),
        ("x=42", False),
        ("17+25=-42", False),
    ],
)
def test_the_last_line_counts(output: str, right: bool) -> None:
    assert SUMS.passes(Example("", "17+25=42", ""), output) is right


def test_a_drill_is_one_split_and_hides_what_is_worked_out() -> None:
    rng = random.Random(1)
    for _ in range(500):
        example = DRILLS["sums_drill"].draw(rng)
        assert not example.prompt and example.learned == "holes" and len(example.answer) < 450
        hidden = {place for start, stop in example.holes for place in range(start, stop)}
        for result in re.finditer(r"=-?(\d+)|remainder (\d+)", example.answer):
            group = 1 if result[1] else 2
            assert set(range(*result.span(group))) <= hidden


@pytest.mark.parametrize("task", ["sums", "numbers"])
def test_a_request_is_one_clean_line(task: str) -> None:
    for example in drawn(5000, task):
        assert example.prompt == example.prompt.strip() and "{" not in example.prompt and "\n" not in example.prompt
        assert example.frame and len(example.prompt) < 300 and len(example.answer) < 100


def test_numbers_are_compared_and_counted_rightly() -> None:
    for example in drawn(5000, "numbers"):
        subject, _, _ = example.frame.partition(":")
        numbers = [int(number) for number in re.findall(r"\d+", example.prompt)]
        if not numbers or len(numbers) < 2 or re.search(r"\b(one|twos|threes|fives|tens)\b", example.prompt):
            continue
        if subject in ("larger", "largest"):
            assert int(example.answer) == max(numbers)
        elif subject in ("smaller", "smallest"):
            assert int(example.answer) == min(numbers)
        elif subject in ("compare", "below"):
            assert (example.answer == "Yes.") == ((numbers[0] > numbers[1]) == (subject == "compare"))
        elif subject == "up":
            row = list(map(int, example.answer.split()))
            assert row == list(range(min(numbers), max(numbers) + 1))


def test_a_row_of_numbers_may_have_commas() -> None:
    example = Example("", "3 4 5", "")
    assert NUMBERS.passes(example, "3, 4, 5.") and not NUMBERS.passes(example, "3 4 5 6")
    assert NUMBERS.passes(Example("", "odd", ""), "Odd")
