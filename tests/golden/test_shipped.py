"""The models of the package: each works at once, and the default one commits what the authors' generate.py commits.

Nothing here knows a size, a tokenizer or an answer. New weights need AGAIN, and nothing else.
"""

from functools import cache
from typing import Any

import pytest

import remask
from remask.checkpoint import load, locate
from remask.checkpoint.hub import SHIPPED
from remask.decoding.canvas import Canvas
from remask.engine.row import Row
from tests.helpers.goldens import EXEMPT, Followed, Verdict, check, decoded, judge, read, recipe

AGAIN = "python -m tests.golden.make.shipped DIR, with DIR a checkout of github.com/ML-GSAI/LLaDA"


def test_the_golden_is_of_these_weights() -> None:
    check(stored(), locate("bundled"), AGAIN)


def test_every_step_is_the_authors() -> None:
    verdicts = compare()
    wrong = [verdict for verdict in verdicts if verdict.outcome == "other"]
    assert not wrong, "\n".join(f"{v.case}: step {v.step} differs at a gap of {v.gap}" for v in wrong)
    assert sum(len(v.ties) for v in verdicts) < EXEMPT * sum(v.steps for v in verdicts)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_model_of_the_package_answers(name: str) -> None:
    llm = remask.load(name)
    done = llm.generate("Hello.", gen_length=16, steps=4)
    assert llm.text.eot_ids and done.finish_reason in ("length", "stop") and done.forwards <= 4


def test_the_second_model_has_a_grid_and_may_edit() -> None:
    contract = remask.load("bundled-blockwise").model.contract
    assert contract.block_size and contract.editable


@cache
def stored() -> dict[str, Any]:
    return read("shipped", AGAIN)


@cache
def compare() -> list[Verdict]:
    """Our run of all stored cases in one batch, beside theirs."""
    model, cases = load("bundled", device="cpu", dtype="float32", weights="packed").predictor, stored()["cases"]
    rows: list[Row] = []
    for case in cases:
        (golden,), contract = case["rows"], model.contract
        canvas = Canvas.after(golden["prompt"], case["params"]["gen_length"], contract.mask_id)
        row = Followed(canvas, recipe(case["params"]), contract, stop_ids=(*contract.eos_ids, *contract.eot_ids))
        row.follow(golden)
        rows.append(row)
    runs = zip(decoded(model, rows), cases, strict=True)
    return [judge(case["name"], 0, run, case["rows"][0]) for run, case in runs]
