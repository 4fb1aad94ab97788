"""What other numbers cost: the bundled model's accuracy in bf16 and 8 bits, paired with float32 on the same items.

    python benchmarks/quality.py                             100 held-out items a task: a first look
    python benchmarks/quality.py --items 4000 --json FILE    what a claim needs

Prints, task by task, how many items pass, the paired difference to float32 with its one-sided 95 % bound, and how many
answers differ at all; the worst task stands last, beside the mean.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from common import print_row, print_table, save

import remask
from remask.engine.host import keep_freed_memory
from remask.evals.accuracy import evaluate, paired_difference
from remask.evals.items import Outcome
from remask.evals.statistics import ONE_SIDED, Z
from remask.tasks import TASKS

KINDS: dict[str, dict[str, str]] = {
    "float32": {"dtype": "float32"},
    "bfloat16": {"dtype": "bfloat16"},
    "int8": {"dtype": "float32", "quantize": "int8"},
    "int8-dynamic": {"dtype": "float32", "quantize": "int8-dynamic"},
}


@dataclass(frozen=True)
class Compared:
    """One kind of numbers on one task, beside float32; `worst` is the one-sided 95 % bound of the difference."""

    kind: str
    task: str
    items: int
    passed: int
    difference: float
    worst: float
    changed: int  # answers that are not the same text

    def print(self) -> None:
        """Print its line of the table."""
        points = (f"{100 * self.difference:+.2f}", f"{100 * self.worst:+.2f}")
        print_row([self.task, self.kind, f"{self.passed}/{self.items}", *points, self.changed])


def compare(kind: str, task: str, mine: Sequence[Outcome], base: Sequence[Outcome]) -> Compared:
    """`mine` against `base` on the same items."""
    difference, low, _ = paired_difference(mine, base)
    changed = sum(a.output != b.output for a, b in zip(mine, base, strict=True))
    worst = difference - (difference - low) * ONE_SIDED / Z
    return Compared(kind, task, len(mine), sum(o.passed for o in mine), difference, worst, changed)


def main() -> None:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--items", type=int, default=100)
    parser.add_argument("--tasks", nargs="*", default=list(TASKS), choices=TASKS)
    parser.add_argument("--kinds", nargs="*", default=[kind for kind in KINDS if kind != "float32"], choices=KINDS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    keep_freed_memory()
    models = {kind: remask.load(asked.model, device="cpu", **KINDS[kind]) for kind in ("float32", *asked.kinds)}
    print_table(["task", "numbers", "passed", "difference, points", "95 % bound", "answers changed"])
    outcomes: dict[str, list[Outcome]] = {kind: [] for kind in models}
    compared: list[Compared] = []
    for task in asked.tasks:
        for kind, llm in models.items():
            mine = list(evaluate(llm, TASKS[task], asked.items, seed=asked.seed))
            outcomes[kind] += mine
            compared.append(compare(kind, task, mine, outcomes["float32"][-len(mine) :]))
            compared[-1].print()
    for kind in asked.kinds:
        worst = min((c for c in compared if c.kind == kind), key=lambda c: c.difference)
        compare(kind, "all", outcomes[kind], outcomes["float32"]).print()
        print(f"\nWorst for {kind}: {worst.task}, {100 * worst.difference:+.2f} points.\n")
    save(asked.json, {"torch": torch.__version__, "compared": [vars(one) for one in compared]})


if __name__ == "__main__":
    main()
