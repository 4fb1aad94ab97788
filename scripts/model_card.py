"""Measure a model of the package for its card.

    python scripts/model_card.py --data CORPUS --items 1000                    the model in the package
    python scripts/model_card.py --model runs/bundled/checkpoint --cache DIR  one that may become it

Accuracy by task on held-out examples, one token a step, greedy; for the bundled model also low-confidence order
against random order on Sudoku, paired, refusals inside and outside, and empty answers. Every outcome is kept in
`--cache`, so that tasks can be measured apart and side by side (`--tasks`). The counts go to
benchmarks/results/cards.json, and `scripts/pages.py` makes the tables of the card from them.
"""

import argparse
import json
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from random import Random
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
from remask.tasks import TASKS, Example, Stories, Sudoku, Sums, Task, examples
from remask.tasks.corpus import corpus_tasks, overlap
from remask.tasks.sums import PLAIN as PLAIN_WORDING

OLD = dict.fromkeys(("sorting", "recall", "extraction", "sudoku4"), 0.98) | {"arithmetic": 0.92}
NEW = dict.fromkeys(("sorting_reworded", "recall_reworded", "extraction_reworded", "sudoku4_reworded"), 0.95)
GATES = OLD | NEW | {"problems": 0.75, "dialogue": 0.95, "outside": 0.90, "stories-cloze": 0.25}
PARTS = {"sums + - to 100": 0.95, "sums + - to 999": 0.85, "sums *": 0.85, "sums /": 0.85}
LENGTHS = {
    **dict.fromkeys(("sorting_reworded", "recall_reworded", "reading", "words", "numbers", "qa"), 64),
    **dict.fromkeys(("extraction_reworded", "dialogue", "outside", "sudoku4_reworded", "problems"), 64),
    **dict.fromkeys(("sums", "sums_plain", "stories_reworded"), 128),
}  # more than the longest answers; to look for the longest held-out one takes long
HARD = Sudoku(2, 2, blanks=(10, 12))
PLAIN = re.compile(r"(\d+)([-+*/])(\d+)=(\d+)")
REFUSAL = re.compile(r"\bvery small\b.*\b(do not know|cannot)\b")


class PlainSums(Sums):
    """Sums in signs alone or the plainest words, which training has seen: what is new are the numbers."""

    def draw(self, rng: Random) -> Example:
        while (example := super().draw(rng)).frame != PLAIN_WORDING:
            pass
        return replace(example, frame="")


def part_of_sum(example: Example) -> str:
    """The gate that a sum belongs to."""
    found = PLAIN.fullmatch(example.answer.rpartition("\n")[2])
    if found is None:
        return "sums, other"
    if (sign := found[2]) in "*/":
        return f"sums {sign}"
    return f"sums + - to {100 if max(int(found[k]) for k in (1, 3, 4)) <= 100 else 999}"


GROUPS: dict[str, Callable[[Example], str]] = {"sums": part_of_sum, "sums_plain": part_of_sum}


def measure(llm: LLM, task: Task, items: int, cache: Path | None, key: str, **options: Any) -> list[Outcome]:
    """Outcomes of a task, on record in `cache` so that a second run measures only what is missing."""
    record = Record.open(cache / f"{key}.jsonl" if cache else None, subject(llm) | {"task": key})
    done = outcomes(record)
    if len(done) < items:
        for outcome in evaluate(llm, task, items, skip=len(done), **options):
            record.add(asdict(outcome))
            done.append(outcome)
    print(f"{key:<24} {Accuracy.of(key, done[:items])}", flush=True)
    return done[:items]


def counted(done: list[Outcome], gate: float | None) -> dict[str, Any]:
    """How many passed, with the gate that there is."""
    figure = {"passed": sum(bool(o.passed) for o in done), "items": len(done)}
    return figure if gate is None else figure | {"gate": gate}


def tasks(
    llm: LLM, wanted: dict[str, Task], items: int, cache: Path | None, gated: bool, window: int
) -> dict[str, Any]:
    """How many of the held-out items of each task passed, in all and by group; and what was said of refusals."""
    figures: dict[str, Any] = {}
    refused = asked = empty = 0
    for name, task in wanted.items():
        done = measure(llm, task, items, cache, name, window=window, gen_length=LENGTHS.get(name))
        figures[name] = counted(done, GATES.get(name) if gated else None)
        drawn = list(islice(examples(task, "heldout", 0), items))
        if name in GROUPS:
            groups: dict[str, list[Outcome]] = {}
            for example, outcome in zip(drawn, done, strict=True):
                groups.setdefault(GROUPS[name](example), []).append(outcome)
            figures[name]["groups"] = {
                group: counted(those, PARTS.get(group) if gated and name == "sums_plain" else None)
                for group, those in sorted(groups.items())
            }
        if name == "qa":
            figures[name]["f1"] = sum(overlap(o.output, e.answer) for o, e in zip(done, drawn, strict=True)) / len(done)
        if name not in ("outside", "dialogue") and not any(e.holes for e in drawn):
            refused += sum(bool(REFUSAL.search(o.output)) for o in done)
            asked += len(done)
            empty += sum(not o.output.strip() for o in done)
    return figures | (
        {"refused inside": {"passed": refused, "items": asked, "empty": empty}} if gated and asked else {}
    )


def orders(llm: LLM, items: int, cache: Path | None, window: int) -> dict[str, Any]:
    """Low-confidence against random order, on puzzles with many blanks; the difference in points."""
    low = measure(llm, HARD, items, cache, "hard-low_confidence", remasking="low_confidence", window=window)
    random = measure(llm, HARD, items, cache, "hard-random", remasking="random", window=window)
    return {
        "items": len(low),
        "low_confidence": sum(bool(o.passed) for o in low),
        "random": sum(bool(o.passed) for o in random),
        "difference": [100 * share for share in paired_difference(low, random)],
    }


def main() -> None:
    """Measure, print the table, and keep the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--data", type=Path, help="the corpus, for the tasks of real text")
    parser.add_argument("--tasks", nargs="*", help="all by default; 'orders' are the two orders on hard Sudoku")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--window", type=int, default=64, help="items that are decoded side by side")
    parser.add_argument("--no-write", action="store_true")
    asked = parser.parse_args()
    keep_freed_memory()
    files.make_folder(asked.cache)
    known: dict[str, Task] = TASKS | {"stories": Stories(chat_share=0), "sums_plain": PlainSums()}
    known |= corpus_tasks(asked.data, "test") if asked.data else {}
    names = asked.tasks or [
        name for name in [*known, "orders"] if name not in ("recall_short", "sudoku6", "continuation")
    ]
    llm = remask.load(asked.model, device=asked.device, dtype=asked.dtype)
    gated = asked.model not in set(SHIPPED) - {"bundled"}
    figures = {
        "tasks": tasks(
            llm, {n: known[n] for n in names if n != "orders"}, asked.items, asked.cache, gated, asked.window
        )
    }
    if gated and "orders" in names:
        figures["orders"] = orders(llm, asked.items, asked.cache, asked.window)
    if asked.no_write:
        return
    print(card(figures))
    path, name = RESULTS / "cards.json", asked.model if asked.model in SHIPPED else "bundled"
    files.write_json(path, json.loads(path.read_text(encoding="utf-8")) | {name: figures})
    print("the table of its card: python scripts/pages.py")


if __name__ == "__main__":
    main()
