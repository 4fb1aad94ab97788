"""Measure a model of the package and write its card: `python scripts/model_card.py [--model NAME] --items 1000`.

Every figure in the card is one that this script prints: accuracy by task on held-out examples, one token a step,
greedy; for the bundled model also low-confidence order against random order on Sudoku, paired.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import remask
from remask.checkpoint.hub import SHIPPED
from remask.engine.host import keep_freed_memory
from remask.evals.accuracy import Accuracy, paired_difference, run, summarise
from remask.evals.items import Outcome
from remask.llm import LLM
from remask.tasks import TASKS, Stories, Sudoku, Task

GATES = {"sorting": 0.97, "recall": 0.97, "extraction": 0.97, "sudoku4": 0.95, "arithmetic": 0.90}
HARD = Sudoku(2, 2, blanks=(10, 12))


def outcomes(llm: LLM, task: Task, items: int, cache: Path | None, key: str, **options: object) -> list[Outcome]:
    """Outcomes of a task, kept in `cache` so that a second run measures only what is missing."""
    path = cache / f"{key}.json" if cache else None
    if path and path.exists():
        return [Outcome(**line) for line in json.loads(path.read_text())]
    found = list(run(llm, task, items, **options))
    print(f"{key:<24} {summarise(key, found)}", flush=True)
    if path:
        path.write_text(json.dumps([asdict(o) for o in found]))
    return found


def table(measured: dict[str, Accuracy], gates: dict[str, float]) -> str:
    """One line a task: what it asks, when it passes, how many did."""
    heads = ("task", "what it asks", "passes when", "held-out accuracy", "95 % interval", "gate")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name, accuracy in measured.items():
        task, (low, high) = TASKS[name], accuracy.interval
        gate = gates.get(name)
        verdict = "–" if gate is None else f"{gate:.0%}: {'met' if accuracy.share >= gate else 'not met'}"
        count = f"{accuracy.share:.1%} ({accuracy.passed}/{accuracy.items})"
        lines.append(f"| {name} | {task.description} | {task.rule} | {count} | {low:.1%} – {high:.1%} | {verdict} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and write the card between its markers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=SHIPPED, default="bundled")
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--tasks", nargs="*", default=sorted([*GATES, "stories"]))
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--no-write", action="store_true")
    asked = parser.parse_args()
    keep_freed_memory()
    if asked.cache:
        asked.cache.mkdir(parents=True, exist_ok=True)
    llm, card = remask.load(asked.model), SHIPPED[asked.model] / "README.md"
    measured = {}
    for name in asked.tasks:
        task = Stories(chat_share=0) if name == "stories" else TASKS[name]
        measured[name] = summarise(name, outcomes(llm, task, asked.items, asked.cache, name))
    body = table(measured, GATES if asked.model == "bundled" else {})
    if asked.model == "bundled":
        body += f"\n\n{order(llm, asked.items, asked.cache)}"
    print(body)
    if not asked.no_write:
        text = card.read_text(encoding="utf-8")
        start, stop = "<!-- measured -->", "<!-- /measured -->"
        before, rest = text.split(start)
        card.write_text(f"{before}{start}\n{body}\n{rest[rest.index(stop) :]}", encoding="utf-8")


def order(llm: LLM, items: int, cache: Path | None) -> str:
    """Low-confidence against random order, on puzzles with many blanks."""
    low = outcomes(llm, HARD, items, cache, "hard-low_confidence", remasking="low_confidence")
    random = outcomes(llm, HARD, items, cache, "hard-random", remasking="random")
    gain, least, most = paired_difference(low, random)
    return (
        f"On {len(low)} held-out 4×4 puzzles with 10 to 12 blanks, one token a step, low-confidence order solves "
        f"{summarise('', low).share:.1%} and random order {summarise('', random).share:.1%}: a paired difference of "
        f"{100 * gain:+.1f} points (95 % interval {100 * least:+.1f} to {100 * most:+.1f})."
    )


if __name__ == "__main__":
    main()
