"""Rows beside their goldens: what the authors' code decided at each step, stored in `tests/golden`.

A step is decided by rounding, not by the algorithm, if its deciding gap is below TIE, and rounding differs from
processor to processor: where ours parts at such a step, the step is counted as exempt and the row is put back on the
authors' path, so that every other step is compared.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from remask.checkpoint import Loaded, load
from remask.decoding.recipe import Recipe, Stop
from remask.engine.requests import Step
from remask.engine.row import Decision, Row
from remask.engine.step import denoise
from remask.models.contract import Plan
from remask.models.predictor import MaskPredictor
from remask.options import apply
from tests.helpers.data import TINY_LLADA

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
FOLDERS = {"tiny-llada": Path(TINY_LLADA), "random-a": GOLDEN / "random-a", "random-b": GOLDEN / "random-b"}
TIE = 1e-5  # a smaller deciding gap is rounding
EXEMPT = 0.05  # share of steps that may part from their golden at a tie

Compat = Literal["intended", "llada"]
Committed = set[tuple[int, int]]  # positions from the row's own start, with tokens


class Ran(NamedTuple):
    """A row after its run, and what each step committed."""

    row: Row
    steps: list[Committed]


class Followed(Row):
    """A row beside its golden: where a tie parts them it takes the authors' decision, and notes the step."""

    def follow(self, golden: dict[str, Any]) -> None:
        """What to stay beside."""
        self.theirs = [(made, gap) for made, gap in zip(golden["steps"], golden["gaps"], strict=True) if made]
        self.ties: list[int] = []

    def apply(self, plan: Plan, decision: Decision) -> Step | None:
        made, gap = self.theirs[self.forwards] if self.forwards < len(self.theirs) else ((), None)
        theirs = dict(made)
        taken = decision.reveal & self.canvas.undecided[plan.reads]
        ours = dict(zip(plan.reads[taken].tolist(), decision.guess[taken].tolist(), strict=True))
        if ours != theirs and gap is not None and self.excused(plan, decision, ours, theirs, gap):
            guess = [theirs.get(p, g) for p, g in zip(plan.reads.tolist(), decision.guess.tolist(), strict=True)]
            decision = replace(decision, guess=np.array(guess), reveal=np.isin(plan.reads, list(theirs)))
        return super().apply(plan, decision)

    def excused(self, plan: Plan, decision: Decision, ours: dict[int, int], theirs: dict[int, int], gap: float) -> bool:
        """Whether ours may part from theirs here: at a tie, which is noted."""
        if gap < TIE:
            self.ties.append(self.forwards)
        return gap < TIE


def read(name: str, again: str) -> dict[str, Any]:
    """A stored golden; `again` is the command that writes it."""
    path = GOLDEN / f"{name}.json"
    assert path.exists(), f"{path} is missing; run {again}"
    return dict(json.loads(path.read_text(encoding="utf-8")))


def check(golden: dict[str, Any], folder: Path, again: str) -> None:
    """The golden is of the weights that the checkpoint in `folder` has now."""
    now = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert golden["sha256"] == now, f"the weights in {folder} are not those of the golden; run {again}"
    assert golden["dtype"] == "float32"


def recipe(params: dict[str, Any], stop: bool = False, compat: Compat = "llada") -> Recipe:
    """The default recipe with the parameters of a golden of LLaDA; without `stop` the canvas is filled to its end."""
    options = {name: value for name, value in params.items() if name not in ("gen_length", "attention_mask")}
    return apply(Recipe(stop=Stop(eos_prefix=stop)), **options, compat=compat)


def decoded(model: MaskPredictor, rows: Sequence[Row]) -> list[Ran]:
    """Run `rows` in one batch."""
    steps: dict[int, list[Step]] = {id(row): [] for row in rows}
    for row, step in denoise(model, rows):
        steps[id(row)].append(step)
    return [Ran(row, [{(c.position, c.token) for c in step.changes} for step in steps[id(row)]]) for row in rows]


@cache
def loaded(name: str) -> Loaded:
    return load(str(FOLDERS[name]), device="cpu", dtype="float32", weights="packed")  # as the front door does


class Verdict(NamedTuple):
    """How a row compares with its golden.

    same       it agrees to the very end
    tie        it agrees at every step but `ties`, whose deciding gaps are below TIE: those are exempt
    forbidden  it agrees up to `step`, where the authors' run commits a forbidden id
    other      it parts at `step` though the gap is not a tie
    """

    case: str
    row: int
    outcome: Literal["same", "tie", "forbidden", "other"]
    steps: int
    ties: tuple[int, ...]
    step: int | None = None
    gap: float | None = None


def judge(case: str, number: int, run: Ran, golden: dict[str, Any]) -> Verdict:
    """Compare step by step. Steps of theirs that commit nothing are left out: ours has none."""
    assert isinstance(run.row, Followed)
    ties = tuple(run.row.ties)
    kept = [i for i, made in enumerate(golden["steps"]) if made]
    for step, (i, mine) in enumerate(zip_longest(kept, run.steps)):
        if i is not None and i == golden["forbidden"]:
            return Verdict(case, number, "forbidden", len(kept), ties, step)
        theirs = None if i is None else {(position, token) for position, token in golden["steps"][i]}
        if mine != theirs:
            return Verdict(case, number, "other", len(kept), ties, step, None if i is None else golden["gaps"][i])
    return Verdict(case, number, "tie" if ties else "same", len(kept), ties)
