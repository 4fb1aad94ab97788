"""Measure a model of the package for its card: `python scripts/model_card.py [--model NAME] --items 1000`.

Accuracy by task on held-out examples, one token a step, greedy; for the bundled model also low-confidence order
against random order on Sudoku, paired. The counts go to benchmarks/results/cards.json, and `scripts/pages.py` makes the
table of the card from them.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pages import RESULTS, card

import remask
from remask import files
from remask.checkpoint.hub import SHIPPED
from remask.engine.host import keep_freed_memory
from remask.evals.accuracy import Accuracy, evaluate, paired_difference
from remask.evals.items import Outcome, outcomes
from remask.evals.records import Record, subject
from remask.llm import LLM
from remask.tasks import TASKS, Stories, Sudoku, Task

GATES = {"sorting": 0.97, "recall": 0.97, "extraction": 0.97, "sudoku4": 0.95, "arithmetic": 0.90}
HARD = Sudoku(2, 2, blanks=(10, 12))


def measure(llm: LLM, task: Task, items: int, cache: Path | None, key: str, **options: Any) -> list[Outcome]:
    """Outcomes of a task, on record in `cache` so that a second run measures only what is missing."""
    record = Record.open(cache / f"{key}.jsonl" if cache else None, subject(llm) | {"task": key})
    done = outcomes(record)
    for outcome in evaluate(llm, task, items, skip=len(done), **options):
        record.add(asdict(outcome))
        done.append(outcome)
    print(f"{key:<24} {Accuracy.of(key, done[:items])}", flush=True)
    return done[:items]


def tasks(llm: LLM, names: list[str], items: int, cache: Path | None, gated: bool) -> dict[str, Any]:
    """How many of the held-out items of each task passed, with the gate that there is for it."""
    figures: dict[str, Any] = {}
    for name in names:
        task = Stories(chat_share=0) if name == "stories" else TASKS[name]
        done = measure(llm, task, items, cache, name)
        figures[name] = {"passed": sum(bool(o.passed) for o in done), "items": len(done)}
        if gated and name in GATES:
            figures[name]["gate"] = GATES[name]
    return figures


def orders(llm: LLM, items: int, cache: Path | None) -> dict[str, Any]:
    """Low-confidence against random order, on puzzles with many blanks; the difference in points."""
    low = measure(llm, HARD, items, cache, "hard-low_confidence", remasking="low_confidence")
    random = measure(llm, HARD, items, cache, "hard-random", remasking="random")
    return {
        "items": len(low),
        "low_confidence": sum(bool(o.passed) for o in low),
        "random": sum(bool(o.passed) for o in random),
        "difference": [100 * share for share in paired_difference(low, random)],
    }


def main() -> None:
    """Measure, print the table, and keep the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=SHIPPED, default="bundled")
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--tasks", nargs="*", default=sorted([*GATES, "stories"]))
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--no-write", action="store_true")
    asked = parser.parse_args()
    keep_freed_memory()
    files.make_folder(asked.cache)
    llm, is_bundled = remask.load(asked.model), asked.model == "bundled"
    figures = {"tasks": tasks(llm, asked.tasks, asked.items, asked.cache, is_bundled)}
    if is_bundled:
        figures["orders"] = orders(llm, asked.items, asked.cache)
    print(card(figures))
    if not asked.no_write:
        path = RESULTS / "cards.json"
        files.write_json(path, json.loads(path.read_text(encoding="utf-8")) | {asked.model: figures})
        print("the table of its card: python scripts/pages.py")


if __name__ == "__main__":
    main()
