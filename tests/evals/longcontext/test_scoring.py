"""Scores against cases worked by hand, and what holds for every string."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remask.evals.longcontext.scoring import (
    Score,
    edit_distance,
    exact_match,
    match_all,
    match_part,
    needlebench,
    token_f1,
)
from remask.evals.longcontext.suite import RULER, ruler_columns

NEEDLE = "Hidden on Phantom Island is the legendary Sun Stone."


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("It is the Sun Stone, I think.", 100.0),
        ("stone", 20 * 5 / 44),  # no keyword, for case counts; its letters all occur, in order
        ("", 0.0),
        (NEEDLE.replace("Sun", "Son"), 20 * (1 - 1 / 44)),
        ("x" * 88, 0.0),
    ],
)
def test_needlebench_gives_a_fifth_of_the_likeness_to_a_miss(output: str, expected: float) -> None:
    assert len("".join(NEEDLE.split())) == 44
    assert needlebench(output, NEEDLE, "Sun Stone") == pytest.approx(expected)


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [("kitten", "sitting", 3), ("", "abc", 3), ("abc", "", 3), ("flaw", "lawn", 2), ("a", "a", 0)],
)
def test_edit_distance_of_known_pairs(a: str, b: str, distance: int) -> None:
    assert edit_distance(a, b) == distance


@given(st.text(max_size=12), st.text(max_size=12), st.text(max_size=12))
def test_edit_distance_is_a_metric(a: str, b: str, c: str) -> None:
    assert edit_distance(a, b) == edit_distance(b, a) <= max(len(a), len(b))
    assert (edit_distance(a, b) == 0) == (a == b)
    assert edit_distance(a, c) <= edit_distance(a, b) + edit_distance(b, c)


def test_rulers_matches_look_for_references_anywhere_whatever_their_case() -> None:
    references = ["Alpha", "beta", "gamma", "delta"]
    assert match_all("ALPHA and betamax", references) == 0.5
    assert match_all("nothing", references) == 0.0
    assert match_part("the GAMMA ray", references) == 1.0
    assert match_part("the ray", references) == 0.0


@pytest.mark.parametrize(
    ("output", "references", "exact"),
    [
        (" 1234567.", ["1234567"], True),
        ("1234567 is it", ["1234567"], False),
        ("\n Sun  stone\nand more", ["Sun Stone"], True),
        ("A0 B1 C2 ;", ["A0 B1 C2 ;"], True),
        ("A0 B1 C3 ;", ["A0 B1 C2 ;"], False),
        ("b, a and c.", ["a", "b", "c"], True),
        ("b a", ["a", "b", "c"], False),
        ("a a b c", ["a", "b", "c"], False),
        ("", ["a"], False),
    ],
)
def test_an_exact_answer_says_the_references_and_nothing_else(output: str, references: list[str], exact: bool) -> None:
    assert exact_match(output, references) is exact


@pytest.mark.parametrize(
    ("output", "reference", "f1"),
    [("the Eiffel Tower.", "Eiffel tower", 1.0), ("a big red dog", "red dog", 0.8), ("cat", "dog", 0.0), ("", "", 1.0)],
)
def test_token_f1_of_known_pairs(output: str, reference: str, f1: float) -> None:
    assert token_f1(output, reference) == pytest.approx(f1)


@given(st.text(max_size=40), st.lists(st.text("abc ", min_size=1, max_size=5), min_size=1, max_size=3), st.booleans())
def test_every_string_has_scores_within_their_bounds(output: str, references: list[str], part: bool) -> None:
    found = Score.of(output, references, part=part, needle="a b c")
    assert 0 <= found.match <= 1 and 0 <= found.f1 <= 1 and 0 <= found.needlebench <= 100


def test_one_of_several_references_is_enough_where_a_part_is_asked_for() -> None:
    assert Score.of("Paris", ["Lyon", "Paris"], part=True).exact
    assert not Score.of("Paris", ["Lyon", "Paris"]).exact and Score.of("Paris", ["Lyon", "Paris"]).match == 0.5


def test_the_columns_weigh_as_in_the_papers_table() -> None:
    groups = {"NIAH": 99.7, "AGG": 65.2, "QA": 82.5}  # LLaDA-8B-Base at 4k; the paper's average is 89.1
    columns = ruler_columns({name: groups[task.group] for name, task in RULER.items()})
    assert {name: round(value, 1) for name, value in columns.items()} == groups | {"Avg": 89.1}
    assert ruler_columns({"vt": 1.0}) == {}
