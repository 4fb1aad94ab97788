"""Recipes side by side: the figures are those of each recipe alone, and work that was cut goes on."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remask.decoding.recipe import Recipe
from remask.evals.accuracy import Accuracy, evaluate
from remask.evals.bench import Bench, Clock
from remask.evals.contenders import Contender
from remask.evals.cost import Timing
from remask.evals.drift import Departure, Drift
from remask.evals.frontier import plot
from remask.evals.items import Outcome, of_prompts, of_task
from remask.evals.records import Record
from remask.evals.results import Result, frontier, pace, quality, summed
from remask.evals.workloads import Workload
from remask.llm import LLM
from remask.tasks import TASKS, Stories

SPECS = ("llada+steps=8", "llada+select=threshold", "llada+steps=2")
LENGTH, ITEMS = 16, 6


@pytest.fixture(scope="module")
def work(llm: LLM) -> Workload:
    return Workload("sorting", of_task(llm, TASKS["sorting"], ITEMS), LENGTH)


def contenders(specs: Sequence[str] = SPECS) -> list[Contender]:
    return [Contender(spec, Recipe.load(spec)) for spec in specs]


def carry_out(bench: Bench, answers_only: bool = False) -> Bench:
    for stage in bench.answers() if answers_only else chain(bench.answers(), bench.costs()):
        assert stage.done + sum(1 for _ in stage.work) == stage.total
    return bench


@pytest.fixture(scope="module")
def whole(llm: LLM, work: Workload, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A finished comparison with its record."""
    record = Record.open(tmp_path_factory.mktemp("bench") / "record.jsonl", {"model": "m"})
    return carry_out(Bench(llm, contenders(), [work], record, Clock(2, 2, 2)))


def test_a_recipe_among_others_is_measured_as_if_alone(llm: LLM, whole: Bench) -> None:
    for contender, result in zip(whole.contenders, whole.results(), strict=True):
        alone = Accuracy.of(
            "", list(evaluate(llm, TASKS["sorting"], ITEMS, recipe=contender.recipe, gen_length=LENGTH))
        )
        assert (result.items, result.passed) == (ITEMS, alone.passed)
        assert (result.forwards, result.tokens) == (alone.forwards, alone.tokens)
        assert result.tokens_per_forward == pytest.approx(alone.tokens / alone.forwards)


def test_every_figure_is_there_and_the_first_recipe_is_the_measure(whole: Bench) -> None:
    first, *others = whole.results()
    assert first.ratio == 1.0 and first.difference is None and first.loss is None
    for result in (first, *others):
        assert result.tokens_per_second and result.first_token and result.memory and result.interval
    for result in others:
        mean, low, high = result.difference or (0.0, 0.0, 0.0)
        assert mean == pytest.approx((result.quality or 0.0) - (first.quality or 0.0)) and low < mean < high
        assert result.loss is not None and max(0.0, -mean) <= result.loss <= -low


@pytest.mark.parametrize("keep", [0, 1, 2, 5, 19])
def test_work_that_was_cut_goes_on_to_the_same_results(whole: Bench, tmp_path: Path, keep: int) -> None:
    assert whole.record.path is not None
    lines = whole.record.path.read_text().splitlines(keepends=True)
    assert len(lines) == 1 + len(SPECS) * ITEMS + len(SPECS) + 2
    path = tmp_path / "record.jsonl"
    path.write_text("".join(lines[: keep + 1]) + lines[keep + 1][:9])
    again = replace(whole, record=Record.open(path, {"model": "m"}))
    carry_out(again, answers_only=True)
    settled = [(r.label, r.items, r.passed, r.forwards, r.tokens, r.difference) for r in whole.results()]
    assert [(r.label, r.items, r.passed, r.forwards, r.tokens, r.difference) for r in again.results()] == settled


def test_what_is_finished_is_not_done_again_and_more_may_be_asked_for(llm: LLM, work: Workload, whole: Bench) -> None:
    lines = list(whole.record.lines)
    carry_out(whole)
    assert whole.record.lines == lines
    fewer = replace(whole, contenders=whole.contenders[:2], workloads=[replace(work, items=work.items[:4])])
    assert [r.items for r in fewer.results()] == [4, 4]
    assert [r.tokens_per_second for r in fewer.results()] == [None, None], "rounds with other rivals do not compare"
    more = replace(whole, record=Record(None, {}, lines[:3]), workloads=[work])
    (stage,) = more.answers()
    assert (stage.done, stage.total) == (3, len(SPECS) * ITEMS)


def test_after_a_cut_the_recipes_have_the_same_items(whole: Bench) -> None:
    partial = replace(whole, record=Record(None, {}, whole.record.lines[: 3 * len(SPECS)]))
    assert [r.items for r in partial.results()] == [3] * len(SPECS)


def test_recipes_that_do_not_fit_are_refused_with_the_reason_and_the_others_run(llm: LLM, work: Workload) -> None:
    specs = ("llada+blocks=blocks+blocks.length=4+steps=2", "llada+revise=edit", "llada+steps=2")
    bench = carry_out(Bench(llm, contenders(specs), [work], Record(None, {}, []), Clock(1, 1, 1)))
    blocks, edit, good = bench.results()
    assert "steps must be at least the number of blocks, got 2 for 4" in (blocks.refused or "")
    assert "this model was not trained to rewrite what it sees" in (edit.refused or "")
    assert edit.quality is None and edit.forwards is None and edit.tokens_per_second is None
    assert good.passed is not None and good.ratio == 1.0, "the first that fits is the measure"


def test_prompts_that_nobody_judges_are_compared_to_the_first_recipe(llm: LLM) -> None:
    prompts = Workload("prompts", of_prompts(llm, ["Sort 5380217.", "Sort 94.", "Sort 11."], {}), LENGTH)
    bench = carry_out(Bench(llm, contenders(), [prompts], Record(None, {}, []), Clock(1, 1, 1)), answers_only=True)
    answers = [[o.output for o in bench.outcomes([prompts], c).values()] for c in bench.contenders]
    first, *others = bench.results()
    assert first.passed is None and not first.judged
    assert [r.passed for r in others] == [
        sum(a == b for a, b in zip(mine, answers[0], strict=True)) for mine in answers[1:]
    ]


def test_several_workloads_are_also_counted_together(llm: LLM, work: Workload, whole: Bench) -> None:
    other = replace(work, name="reversed", items=work.items[:2])
    lines = [line | {"task": "reversed"} for line in whole.record.lines if line.get("index", 0) < 2]
    both = replace(whole, workloads=[work, other], record=Record(None, {}, whole.record.lines + lines))
    results = both.results()
    assert [r.workload for r in results[:: len(SPECS)]] == ["sorting", "reversed", "all tasks"]
    for one, two, together in zip(results[:3], results[3:6], results[6:], strict=True):
        differences = [r.difference[0] for r in (one, two) if r.difference]
        assert together.worst is None if not differences else together.worst[0] == min(differences)  # type: ignore[index]
        assert together.items == one.items + two.items and together.passed == (one.passed or 0) + (two.passed or 0)


def test_rounds_over_several_workloads_add_up() -> None:
    one, two = {"a": Timing(1.0, 5, 0.2)}, {"a": Timing(3.0, 6, 0.4)}
    assert summed([one, two]) == {"a": Timing(4.0, 11, pytest.approx(0.3))}


def test_the_ratio_is_taken_within_each_round() -> None:
    """A machine that halves its speed between rounds changes nothing about who is faster."""
    rounds = [{k: Timing(s * mood, 10, 0.1) for k, s in (("a", 4.0), ("b", 1.0))} for mood in (1, 2, 9)]
    assert pace(rounds, "b", "a")["ratio"] == 4.0 and pace(rounds, "a", "a")["ratio"] == 1.0
    assert pace(rounds, "b", "a")["tokens_per_second"] == 5.0
    assert pace([], "b", "a") == {}


def test_only_items_that_both_have_are_compared() -> None:
    def outcomes(passed: dict[int, int]) -> dict[tuple[str, int], Outcome]:
        return {("t", i): Outcome(i, bool(p), str(p), 1, 1) for i, p in passed.items()}

    found = quality(outcomes({0: 1, 1: 1, 2: 0}), outcomes({1: 0, 2: 0, 3: 1}), True, False)
    assert found["passed"] == 2 and found["difference"][0] == 0.5
    assert quality(outcomes({0: 1, 5: 1}), outcomes({0: 0, 5: 1}), False, False) == {"items": 2, "passed": 1}


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), max_size=12))
def test_the_frontier_holds_who_is_beaten_by_nobody(points: list[tuple[int, int]]) -> None:
    results = [made(str(i), passed, speed) for i, (passed, speed) in enumerate(points)]
    best = frontier(results, "tokens_per_second")
    for passed, speed in points:
        beaten = any((p >= passed and s >= speed and (p, s) != (passed, speed)) for p, s in points)
        assert beaten != any((r.passed, r.tokens_per_second) == (passed, speed) for r in best)
    assert [r.tokens_per_second for r in best] == sorted({r.tokens_per_second or 0.0 for r in best})


def made(label: str, passed: int | None, speed: float, workload: str = "sorting") -> Result:
    recipe = Recipe.load("llada")
    return Result(workload, label, recipe, items=9, passed=passed, forwards=2.0, tokens=speed, tokens_per_second=speed)


def test_the_picture_is_a_picture_in_both_formats_and_the_same_each_time() -> None:
    results = [
        made("one", 7, 10.0),
        made("two <&>", 5, 90.0),
        made("three", None, 20.0),
        made("one", 7, 10.0, "recall"),
    ]
    assert plot(results, "Recipes", "png").startswith(b"\x89PNG\r\n")
    svg = plot(results, "Recipes", "svg")
    assert ElementTree.fromstring(svg).tag.endswith("svg") and svg == plot(results, "Recipes", "svg")
    assert plot([made("none", None, 1.0)], "nothing to show", "svg")


# --- drift ---


def said(ids: Sequence[int], ages: Sequence[int] = (), **changes: Any) -> Outcome:
    plain = Outcome(0, None, str(ids), len(ids), 4, tuple(ids), tuple(ages or range(len(ids))))
    return replace(plain, **changes)


@pytest.mark.parametrize(
    ("reference", "other", "ages", "expected"),
    [
        ([5, 6, 7], [5, 6, 7], (), (3, 0, None, None)),
        ([5, 6, 7], [5, 9, 7], (0, 3, 1), (3, 1, 1, 4)),
        ([5, 6, 7], [9, 6, 8], (3, 0, 1), (3, 2, 0, 2)),  # the first in time is not the first in reading order
        ([5, 6, 7], [5, 6], (), (3, 1, 2, None)),  # ends earlier
        ([5, 6], [5, 6, 7], (0, 0, 2), (3, 1, 2, 3)),
        ([], [4], (1,), (1, 1, 0, 2)),
        ([], [], (), (0, 0, None, None)),
    ],
)
def test_a_departure_counts_positions(
    reference: list[int], other: list[int], ages: tuple[int, ...], expected: tuple[int | None, ...]
) -> None:
    found = Departure.of(said(reference), said(other, ages))
    assert (found.tokens, found.changed, found.position, found.step) == expected
    assert found.answer_changed == (reference != other)


def test_drift_sums_up_what_each_prompt_shows() -> None:
    references = [said([1, 2], passed=p) for p in (True, True, False, False)]
    others = [said(ids, passed=p) for ids, p in (([1, 2], True), ([1, 3], False), ([4, 3], True), ([1, 2], False))]
    total = Drift.of(references, others)
    assert (total.prompts, total.tokens, total.changed, total.answers_changed) == (4, 8, 3, 2)
    assert (total.gained, total.lost) == (1, 1) and total.difference and total.difference[0] == 0.0
    assert (total.position, total.step) == (0.5, 1.5)
    low, high = total.tokens_interval
    assert low < total.tokens_share == 3 / 8 < high and total.answers_share == 0.5


def test_a_recipe_does_not_drift_from_itself_and_a_hasty_one_does(llm: LLM) -> None:
    """On stories, of which many are as good as the reference: there the order of its guesses matters."""
    story = Stories(chat_share=1)
    slow, hasty = (list(evaluate(llm, story, ITEMS, steps=steps, gen_length=32)) for steps in (32, 2))
    assert Drift.of(slow, slow).changed == 0 and Drift.of(slow, slow).position is None
    total = Drift.of(slow, hasty)
    assert total.changed > 0 and total.step is not None and 1 <= total.step <= 2
