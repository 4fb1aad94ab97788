"""Evaluation: counts, intervals, and a record that a kill cannot spoil."""

import shutil
from itertools import islice
from pathlib import Path

import pytest
import torch

from remask.decoding.recipe import Recipe
from remask.errors import UsageError
from remask.evals.accuracy import paired_difference, run, summarise
from remask.evals.cost import timed
from remask.evals.items import Outcome, gen_length, template
from remask.evals.records import Record, fingerprint
from remask.llm import LLM
from remask.tasks import TASKS, Stories, examples
from remask.text.holes import template_parts


def test_a_paired_difference_counts_only_items_that_differ() -> None:
    def outcomes(passed: list[int]) -> list[Outcome]:
        return [Outcome(i, bool(p), "", 0, 0) for i, p in enumerate(passed)]

    mean, low, high = paired_difference(outcomes([1, 1, 0, 1] * 25), outcomes([1, 0, 0, 1] * 25))
    assert mean == 0.25 and 0.15 < low < 0.25 < high < 0.35
    assert paired_difference(outcomes([1, 0]), outcomes([1, 0]))[0] == 0.0


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


def test_a_recipe_is_run_as_it_is_and_without_one_a_token_a_step(llm: LLM) -> None:
    def one(**options: object) -> Outcome:
        (outcome,) = run(llm, TASKS["sorting"], 1, gen_length=16, **options)
        return outcome

    plain = one()
    assert (plain.forwards, one(recipe=Recipe(steps=4)).forwards) == (16, 4)
    assert one(recipe=Recipe.of(steps=2, temperature=9.0)).output != one(recipe=Recipe.of(steps=2)).output
    assert len(plain.ids) == len(plain.ages) == plain.tokens + 1 and plain.ids[-1] in llm.stop_ids
    assert llm.text.decode(list(plain.ids[:-1])) == plain.output and max(plain.ages) < plain.forwards


def test_a_row_whose_logits_break_has_not_passed_and_stops_nobody(llm: LLM, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llm.model, "logits", lambda hidden: torch.full((len(hidden), 1024), torch.nan))
    outcomes = list(run(llm, TASKS["sorting"], 2, gen_length=8))
    assert [(o.passed, o.forwards) for o in outcomes] == [(False, 1)] * 2
    assert all("are NaN" in (o.error or "") for o in outcomes)
    timing = timed(llm, [llm.request("Sort 94.", gen_length=8)], 1)
    assert timing.tokens == 0 and 0 < timing.first < 60


def test_a_record_goes_on_after_a_cut_line_and_refuses_another_work(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    about = {"model": "m", "seed": 3}
    record = Record.open(path, about)
    kept = [Outcome(i, i == 0, "x", 1, 1, (1, 2), (0, 0)) for i in range(3)]
    for outcome in kept[:2]:
        record.keep(outcome, task="sorting")
    record.add({"task": "sorting", "memory": 7})
    path.write_text(path.read_text() + '{"task": "sor')
    again = Record.open(path, about)
    assert again.outcomes(task="sorting") == kept[:2] and again.outcomes(task="recall") == []
    again.keep(kept[2], task="sorting")
    assert Record.open(path, about).outcomes(task="sorting") == again.outcomes(task="sorting") == kept
    assert Record.open(path, about).find(memory=7) == [{"task": "sorting", "memory": 7}]
    with pytest.raises(UsageError, match="records another work: seed is 3 there and 4 here; name another file"):
        Record.open(path, about | {"seed": 4})


@pytest.mark.parametrize("cut", [0, 1, 10])
def test_a_record_whose_first_line_was_cut_begins_again(tmp_path: Path, cut: int) -> None:
    about, path = {"model": "m"}, tmp_path / "record.jsonl"
    Record.open(path, about)
    whole = path.read_bytes()
    path.write_bytes(whole[:cut])
    assert Record.open(path, about).lines == [] and path.read_bytes() == whole


@pytest.mark.parametrize("content", [b"hello\n", b"hello", b"[1]\n", b"\xff\n", b"{}\n{\n", b"3\n"])
def test_a_file_that_is_no_record_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="not a record of measurements; name another file"):
        Record.open(path, {"model": "m"})
    assert path.read_bytes() == content


def test_a_checkpoint_with_other_weights_has_another_fingerprint(llm: LLM, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(llm.loaded.folder, copy)
    assert fingerprint(copy) == fingerprint(llm.loaded.folder)
    weights = copy / "model.safetensors"
    raw = bytearray(weights.read_bytes())
    raw[-1] ^= 1
    weights.write_bytes(raw)
    assert fingerprint(copy) != fingerprint(llm.loaded.folder)
