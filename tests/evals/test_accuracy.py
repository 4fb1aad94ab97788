"""Evaluation: counts, intervals, and a record that a kill cannot spoil."""

from itertools import islice
from pathlib import Path

import pytest

import remask
from remask.errors import UsageError
from remask.evals.accuracy import Outcome, gen_length, paired_difference, run, summarise, template, wilson
from remask.evals.record import Record
from remask.llm import LLM
from remask.tasks import TASKS, Stories, examples
from remask.text import template_parts


@pytest.fixture(scope="module")
def llm() -> LLM:
    return remask.load()


def test_wilson_intervals_hold_known_values_and_stay_in_the_unit_interval() -> None:
    low, high = wilson(50, 100)
    assert (round(low, 4), round(high, 4)) == (0.4038, 0.5962)
    assert wilson(0, 10)[0] == 0.0 and wilson(10, 10)[1] == 1.0
    assert wilson(0, 0) == (0.0, 1.0)


def test_a_paired_difference_counts_only_items_that_differ() -> None:
    def outcomes(passed: list[int]) -> list[Outcome]:
        return [Outcome(i, bool(p), "", 0, 0) for i, p in enumerate(passed)]

    mean, low, high = paired_difference(outcomes([1, 1, 0, 1] * 25), outcomes([1, 0, 0, 1] * 25))
    assert mean == 0.25 and 0.15 < low < 0.25 < high < 0.35
    assert paired_difference(outcomes([1, 0]), outcomes([1, 0])) == (0.0, 0.0, 0.0)


def test_a_document_with_its_holes_refilled_is_the_document(llm: LLM) -> None:
    for example in islice(examples(Stories(chat_share=0), "heldout", 3), 40):
        parts = template_parts(template(llm, example))
        ids = llm.text.encode(example.answer)
        rebuilt: list[int] = []
        for part in parts:
            size = part if isinstance(part, int) else len(llm.text.encode(part))
            rebuilt += ids[len(rebuilt) : len(rebuilt) + size]
            if isinstance(part, str):
                assert rebuilt[-size:] == llm.text.encode(part), "what is given is cut where tokens are cut"
        assert rebuilt == ids


def test_gen_length_is_a_multiple_of_32_that_holds_every_answer(llm: LLM) -> None:
    for name in ("sorting", "sudoku4"):
        length = gen_length(llm, TASKS[name])
        assert length % 32 == 0
        for example in islice(examples(TASKS[name], "heldout", 5), 200):
            assert len(llm.text.encode(example.answer)) < length


def test_a_run_taken_up_half_way_gives_the_same_outcomes(llm: LLM) -> None:
    whole = list(run(llm, TASKS["sorting"], 6))
    assert [o.index for o in whole] == list(range(6))
    assert whole[3:] == list(run(llm, TASKS["sorting"], 6, skip=3, window=2))
    assert summarise("sorting", whole).items == 6


def test_a_record_goes_on_after_a_cut_line_and_refuses_another_evaluation(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    about = {"model": "m", "items": 3}
    record = Record.open(path, about)
    for i in range(2):
        record.add("sorting", Outcome(i, i == 0, "x", 1, 1))
    path.write_text(path.read_text() + '{"task": "sor')
    again = Record.open(path, about)
    assert [o.passed for o in again.outcomes("sorting")] == [True, False]
    again.add("sorting", Outcome(2, True, "x", 1, 1))
    assert len(Record.open(path, about).outcomes("sorting")) == 3
    with pytest.raises(UsageError, match="another evaluation"):
        Record.open(path, about | {"items": 4})
    (tmp_path / "other").write_text("hello\n")
    with pytest.raises(UsageError, match="not a record"):
        Record.open(tmp_path / "other", about)
