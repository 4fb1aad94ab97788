"""Laws of word problems in many wordings."""

import random
import re
from itertools import chain, islice

import pytest

from remask.tasks import DRILLS, TASKS, examples, split_of
from remask.tasks.problems import Family, drawn_numbers, families, inflected, phrases, posed, solved, words
from remask.tasks.split import split_of_frame
from remask.tasks.wording import in_words

PROBLEMS = TASKS["problems"]


def family(name: str) -> Family:
    return next(one for one in families() if one.name == name)


def test_there_are_many_families_wordings_and_words() -> None:
    frames = [pattern for one in families() for pattern in one.patterns]
    assert len(families()) >= 60 and len(set(frames)) >= 500 and sum(map(len, phrases().values())) >= 180
    assert len({one.name for one in families()}) == len(families())
    assert len(words().people) >= 120 and len(words().singular) >= 200


@pytest.mark.parametrize("one", families(), ids=lambda one: one.name)
def test_every_wording_states_every_number(one: Family) -> None:
    rng = random.Random(one.name)
    for pattern in one.patterns:
        numbers = drawn_numbers(rng, one)
        _, prompt = posed(rng, one._replace(patterns=[pattern]), numbers)
        assert not re.search(r"[][{}<>]|  |\.\.", prompt) and len(prompt.split()) < 90, prompt
        said = prompt.lower()
        for number in numbers.values():
            assert number <= 10 or re.search(rf"\b{number}\b", said) or in_words(number) in said, prompt


@pytest.mark.parametrize("one", families(), ids=lambda one: one.name)
def test_every_step_is_true_and_the_last_one_is_the_answer(one: Family) -> None:
    rng = random.Random(one.name)
    for _ in range(100):
        lines = solved(one, drawn_numbers(rng, one))
        for line in lines:
            left, sign, right, result, rest = re.fullmatch(  # type: ignore[union-attr]
                r"(\d+)([-+*/])(\d+)=(\d+)(?: remainder (\d+))?", line
            ).groups()
            times = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__, "/": int.__floordiv__}[sign]
            assert times(int(left), int(right)) == int(result)
            assert sign != "/" or int(left) % int(right) == int(rest or 0)
        assert "remainder" not in lines[-1] and 1 <= int(lines[-1].rpartition("=")[2]) <= 999


@pytest.mark.parametrize(
    ("name", "numbers", "lines"),
    [
        ("gain-loss", {"a": 12, "b": 5, "c": 3}, "12+5=17 17-3=14"),
        ("less-together", {"a": 26, "b": 8}, "26-8=18 26+18=44"),
        ("each-then-left", {"a": 3, "b": 6, "c": 48}, "3*6=18 48-18=30"),
        ("share-of", {"a": 48, "b": 4}, "48/4=12"),
        ("price-of-some", {"a": 11, "b": 14}, "11*10=110 11*4=44 110+44=154 11*14=154"),
    ],
)
def test_the_steps_are_those_of_a_school_book(name: str, numbers: dict[str, int], lines: str) -> None:
    assert solved(family(name), numbers) == lines.split()


def test_answers_and_prompts_are_short() -> None:
    rng = random.Random(5)
    drawn = [PROBLEMS.draw(rng) for _ in range(3000)]
    assert max(len(one.answer) for one in drawn) <= 130
    assert sum(len(one.answer) for one in drawn) / len(drawn) < 50
    assert sum(int(one.answer.rpartition(" ")[2][:-1]) <= 200 for one in drawn) > 0.9 * len(drawn)


def test_a_verb_is_trained_or_held_out_never_both() -> None:
    patterns = chain(*(one.patterns for one in families()), *phrases().values())
    verbs = set(re.findall(r"[\[<](\w+)[\]>]", " ".join(patterns))) - words().basic
    rare = [verb for verb in verbs if split_of_frame(PROBLEMS, f"verb {verb}") == "heldout"]
    forms = {inflected(verb, past, single) for verb in rare for past in (False, True) for single in (False, True)}
    assert len(rare) >= 0.08 * len(verbs) and len(rare) <= 0.25 * len(verbs)
    for one in islice(examples(PROBLEMS, "train", 0), 5000):
        assert not forms & set(re.findall(r"\w+", one.prompt.lower())), one.prompt


def test_the_drill_leaves_no_worked_out_number_in_sight() -> None:
    rng = random.Random(6)
    for _ in range(1000):
        one = DRILLS["problems_drill"].draw(rng)
        hidden = {place for start, stop in one.holes for place in range(start, stop)}
        assert one.prompt and one.learned == "holes"
        for result in re.finditer(r"(?:=|remainder |answer is )(\d+)", one.answer):
            assert set(range(*result.span(1))) <= hidden


@pytest.mark.parametrize(
    ("verb", "forms"),
    [
        ("give", "gives give gave"),
        ("carry", "carries carry carried"),
        ("have", "has have had"),
        ("be", "is are was"),
        ("push", "pushes push pushed"),
        ("play", "plays play played"),
        ("share", "shares share shared"),
        ("plan", "plans plan planned"),
    ],
)
def test_verbs_are_inflected(verb: str, forms: str) -> None:
    assert forms.split() == [inflected(verb, False, True), inflected(verb, False, False), inflected(verb, True, True)]
    assert inflected("be", False, False, first=True) == "am"


def test_plurals_have_the_right_singular() -> None:
    plurals = ("cookies", "cherries", "boxes", "scarves", "stuffed animals", "pies", "loaves", "sheets of paper")
    assert [words().singular[word] for word in plurals] == [
        *("cookie", "cherry", "box", "scarf", "stuffed animal", "pie", "loaf", "sheet of paper")
    ]


def test_the_split_is_by_family_and_numbers() -> None:
    for one in islice(examples(PROBLEMS, "heldout", 0), 200):
        assert split_of(PROBLEMS, one.solution) == "heldout"
        assert split_of_frame(PROBLEMS, one.frame) == "heldout"
