"""Same answer: at temperature 0 the default recipe commits, step by step, what the authors' own generate.py commits.

The goldens are their runs, written by `tests/golden/make/llada.py` on a forward of its own; docs/golden.md says what
"same" means, and `tests/helpers/goldens.py` how a row is held beside its golden.
"""

from functools import cache
from typing import Any, TypeVar

import numpy as np
import pytest

from remask.decoding.canvas import Canvas
from remask.decoding.recipe import Recipe
from remask.engine.row import Row
from remask.models.contract import Floats, Ints
from tests.helpers.goldens import (
    EXEMPT,
    FOLDERS,
    GOLDEN,
    TIE,
    Compat,
    Followed,
    Ran,
    Verdict,
    check,
    decoded,
    judge,
    loaded,
    read,
    recipe,
)

AGAIN = "python -m tests.golden.make.llada DIR, with DIR a checkout of github.com/ML-GSAI/LLaDA"

every_checkpoint = pytest.mark.parametrize("name", FOLDERS)


# --- the laws ---


@every_checkpoint
def test_the_golden_is_of_these_weights(name: str) -> None:
    check(stored(name), FOLDERS[name], AGAIN)


@every_checkpoint
def test_every_step_is_the_authors(name: str) -> None:
    verdicts = compare(name)
    wrong = [verdict for verdict in verdicts if verdict.outcome == "other"]
    assert not wrong, "\n".join(f"{v.case}, row {v.row}: step {v.step} differs at a gap of {v.gap}" for v in wrong)
    ties, steps = sum(len(v.ties) for v in verdicts), sum(v.steps for v in verdicts)
    print(f"\n{name}: {sum(v.outcome == 'same' for v in verdicts)} of {len(verdicts)} rows agree to the very end")
    for v in (v for v in verdicts if v.ties):
        print(f"  exempt: {v.case}, row {v.row}: steps {', '.join(map(str, v.ties))} of {v.steps}")
    assert ties < EXEMPT * steps


@every_checkpoint
def test_the_default_stop_agrees_up_to_the_first_ending(name: str) -> None:
    contract = loaded(name).predictor.contract
    endings = {*contract.eos_ids, *contract.eot_ids}
    verdicts, stopped = iter(compare(name)), 0
    for number, case in enumerate(stored(name)["cases"]):
        runs = zip(decode(name, number, stop=True), filled(name, number), case["rows"], strict=True)
        for run, whole, golden in runs:
            prompt, tokens = len(golden["prompt"]), run.row.canvas.tokens
            same = next(verdicts).outcome == "same"  # where it is not, what counts is our own run without the stop
            final = golden["final"] if same else whole.row.canvas.tokens[prompt:].tolist()
            first = next((i for i, token in enumerate(final) if token in endings), None)
            end = prompt + (len(final) if first is None else first)
            assert tokens[prompt : end + 1].tolist() == final[: end + 1 - prompt]
            assert run.row.canvas.committed[prompt : end + 1].all()
            assert run.row.end == end
            assert run.row.finish_reason == ("length" if first is None else "stop")
            stopped += bool(run.row.canvas.undecided.any())
    assert stopped, "no row stopped early, so this test shows nothing"


@every_checkpoint
def test_a_padded_row_is_the_row_alone(name: str) -> None:
    padded = [i for i, case in enumerate(stored(name)["cases"]) if len(case["rows"]) > 1]
    assert padded
    for number in padded:
        together = filled(name, number)  # equal to the authors' padded rows, by the test above
        for i, run in enumerate(together):
            (alone,) = decode(name, number, only=i)
            assert run.steps == alone.steps


@every_checkpoint
def test_random_remasking_is_the_authors_with_their_scores(name: str) -> None:
    """Committed positions then hang on the scores alone, and those are exact: no row is exempt."""
    verdicts = [v for v in compare(name) if v.case.startswith("random")]
    assert len(verdicts) >= 4
    assert {v.outcome for v in verdicts} <= {"same", "forbidden"}


def test_the_eos_flag_repeats_the_authors_rather_than_what_they_intended() -> None:
    """Their line ranks endings last, but also takes them out of the normaliser; `compat` says which one is wanted."""
    flagged = differ = 0
    for name in FOLDERS:
        for number, case in enumerate(stored(name)["cases"]):
            if case["params"]["confidence_eos_eot_inf"]:
                pairs = zip(filled(name, number), decode(name, number, compat="intended"), strict=True)
                flagged += 1
                differ += any(theirs.steps != intended.steps for theirs, intended in pairs)
    assert flagged >= 6
    assert differ, "the flag never mattered; store a case in which an ending is guessed early"


def test_there_are_enough_goldens_of_every_kind() -> None:
    cases = [case for name in FOLDERS for case in stored(name)["cases"]]
    assert len(cases) >= 60
    params = [case["params"] for case in cases]
    assert {p["cfg_scale"] for p in params} >= {0, 0.5, 1, 2}
    assert {p["gen_length"] for p in params} >= {8, 16, 32, 64}
    assert {p["block_length"] for p in params} >= {4, 8, 16, 32, 64}
    assert {p["attention_mask"] for p in params if not p["cfg_scale"]} == {True, False}
    assert any(row["forbidden"] is not None for case in cases for row in case["rows"])
    assert sum(path.stat().st_size for path in GOLDEN.glob("*.json")) < 2_000_000


# --- ours ---


class Injected(Row):
    """A row whose random scores are those of the golden's table."""

    table: dict[str, int]

    def scores(self, positions: Ints) -> Floats:
        t = self.table
        return (((t["a"] * self.forwards + t["b"] * positions + t["c"]) % t["m"]) / t["m"]).astype(np.float32)


class Beside(Followed, Injected):
    """A row that follows its golden, with the golden's scores."""


Kind = TypeVar("Kind", bound=Injected)


@cache
def stored(name: str) -> dict[str, Any]:
    return read(name, AGAIN)


@cache
def follow(name: str, number: int) -> list[Ran]:
    """Our run of a stored case, all its rows in one batch, each put back on the authors' path at a tie."""
    case = stored(name)["cases"][number]
    rows = [start(name, case, golden, recipe(case["params"]), Beside) for golden in case["rows"]]
    for row, golden in zip(rows, case["rows"], strict=True):
        row.follow(golden)
    return decoded(loaded(name).predictor, rows)


@cache
def decode(
    name: str, number: int, *, stop: bool = False, compat: Compat = "llada", only: int | None = None
) -> list[Ran]:
    """Our own run of a stored case: all its rows in one batch, or `only` one of them."""
    case = stored(name)["cases"][number]
    goldens = case["rows"] if only is None else [case["rows"][only]]
    asked = recipe(case["params"], stop, compat)
    return decoded(loaded(name).predictor, [start(name, case, golden, asked, Injected) for golden in goldens])


@cache
def filled(name: str, number: int) -> list[Ran]:
    """Our own run of a stored case to the end of its canvas: the one beside theirs where no tie has parted them."""
    runs = follow(name, number)
    return decode(name, number) if any(run.row.ties for run in runs if isinstance(run.row, Followed)) else runs


def start(name: str, case: dict[str, Any], golden: dict[str, Any], asked: Recipe, kind: type[Kind]) -> Kind:
    """A row of a stored case before its first step."""
    contract = loaded(name).predictor.contract
    (Injected.table,) = stored(name)["patched"]["rand"].values()
    canvas = Canvas.after(golden["prompt"], case["params"]["gen_length"], contract.mask_id)
    return kind(canvas, asked, contract, stop_ids=(*contract.eos_ids, *contract.eot_ids))


# --- the comparison ---


@cache
def compare(name: str) -> list[Verdict]:
    return [
        judge(case["name"], i, run, golden)
        for number, case in enumerate(stored(name)["cases"])
        for i, (run, golden) in enumerate(zip(follow(name, number), case["rows"], strict=True))
    ]


def count_all() -> dict[str, dict[str, str]]:
    """The numbers of docs/golden.md, by checkpoint."""
    found = {}
    for name in FOLDERS:
        verdicts, cases = compare(name), stored(name)["cases"]
        rows = [row for case in cases for row in case["rows"]]
        gaps = [gap for row in rows for gap in row["gaps"] if gap is not None]
        outcomes = [verdict.outcome for verdict in verdicts]
        same_end = sum(
            run.row.canvas.tokens[len(golden["prompt"]) :].tolist() == golden["final"]
            for number, case in enumerate(cases)
            for run, golden in zip(filled(name, number), case["rows"], strict=True)
        )
        found[name] = {
            "cases": f"{len(cases)}",
            "rows": f"{len(rows)}",
            "steps": f"{sum(map(len, (row['steps'] for row in rows)))}",
            "tokens": f"{sum(len(row['final']) for row in rows)}",
            "steps that a gap below 1e-5 decides": f"{sum(gap < TIE for gap in gaps)}",
            "rows that agree at every step": f"{outcomes.count('same')}",
            "rows that part at such a gap": f"{outcomes.count('tie')}",
            "steps that do (exempt)": f"{sum(len(verdict.ties) for verdict in verdicts)}",
            "rows in which the authors' run commits a forbidden id": f"{outcomes.count('forbidden')}",
            "rows that part anywhere else": f"{outcomes.count('other')}",
            "rows with the same final tokens": f"{same_end}",
            "rows that the authors' unpatched run agrees on": f"{sum(case['unpatched_agrees'] for case in cases)}",
        }
    return found
