"""Evaluation: counts, intervals, and a record that a kill cannot spoil."""

import shutil
from itertools import islice
from pathlib import Path

import pytest
import torch

from remask.decoding.recipe import Recipe
from remask.evals.accuracy import Accuracy, evaluate, paired_difference
from remask.evals.cost import timed
from remask.evals.items import Outcome, gen_length, template
from remask.evals.records import fingerprint
from remask.llm import LLM
from remask.options import apply
from remask.tasks import TASKS, Stories, examples
from remask.text.holes import template_parts


def test_a_paired_difference_counts_only_items_that_differ() -> None:
    def judged(passed: list[int]) -> list[Outcome]:
        return [Outcome(i, bool(p), "", 0, 0) for i, p in enumerate(passed)]

    mean, low, high = paired_difference(judged([1, 1, 0, 1] * 25), judged([1, 0, 0, 1] * 25))
    assert mean == 0.25 and 0.15 < low < 0.25 < high < 0.35
    assert paired_difference(judged([1, 0]), judged([1, 0]))[0] == 0.0


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
    whole = list(evaluate(llm, TASKS["sorting"], 6))
    assert [o.index for o in whole] == list(range(6))
    assert whole[3:] == list(evaluate(llm, TASKS["sorting"], 6, skip=3, window=2))
    assert Accuracy.of("sorting", whole).items == 6


def test_a_recipe_is_run_as_it_is_and_without_one_a_token_a_step(llm: LLM) -> None:
    def one(**options: object) -> Outcome:
        (outcome,) = evaluate(llm, TASKS["sorting"], 1, gen_length=16, **options)
        return outcome

    plain = one()
    assert (plain.forwards, one(recipe=Recipe(steps=4)).forwards) == (16, 4)
    assert one(recipe=apply(Recipe(), steps=2, temperature=9.0)).output != one(recipe=apply(Recipe(), steps=2)).output
    assert len(plain.ids) == len(plain.ages) == plain.tokens + 1 and plain.ids[-1] in llm.stop_ids
    assert llm.text.decode(list(plain.ids[:-1])) == plain.output and max(plain.ages) < plain.forwards


def test_a_row_whose_logits_break_has_not_passed_and_stops_nobody(llm: LLM, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llm.model, "logits", lambda hidden: torch.full((len(hidden), 1024), torch.nan))
    broken = list(evaluate(llm, TASKS["sorting"], 2, gen_length=8))
    assert [(o.passed, o.forwards) for o in broken] == [(False, 1)] * 2
    assert all("are NaN" in (o.error or "") for o in broken)
    timing = timed(llm, [llm.request("Sort 94.", gen_length=8)], 1)
    assert timing.tokens == 0 and 0 < timing.first < 60


def test_a_checkpoint_with_other_weights_has_another_fingerprint(llm: LLM, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(llm.loaded.folder, copy)
    assert fingerprint(copy) == fingerprint(llm.loaded.folder)
    weights = copy / "model.safetensors"
    raw = bytearray(weights.read_bytes())
    raw[-1] ^= 1
    weights.write_bytes(raw)
    assert fingerprint(copy) != fingerprint(llm.loaded.folder)
