"""Make the tables of the pages from the figures in benchmarks/results.

    python scripts/pages.py                      write every table anew
    python scripts/pages.py --check              say which pages hold other tables than the figures give, and end with 1
    python scripts/pages.py --bench DIR…         first take over what `remask bench --out DIR` measured, for decoders.md

A table stands between `<!-- measured: FILE NAME -->` and `<!-- /measured -->`: the figures called NAME in FILE.json.
Their fields say what they are: a table as it stands (`columns`, `rows`), a comparison of recipes (`recipes`), or what a
model of the package answers (`tasks`). `<!-- measured: recipes -->` is the list of recipes that ship.

The figures for decoders.md:

    remask bench --out runs/decoders --task sorting --task sudoku4 --task extraction --items 100
    remask bench --out runs/decoders-blockwise -m bundled-blockwise --task sorting --task sudoku4 --task extraction \\
        llada+blocks=auto llada+blocks=auto+cache=block_causal sdar llada2 llada2.1 fast-dllm-v2 --items 100
    python scripts/pages.py --bench runs/decoders runs/decoders-blockwise
"""

import argparse
import json
import re
import sys
import tomllib
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

from remask import files
from remask.decoding.recipe import Recipe
from remask.evals.statistics import wilson
from remask.tasks import TASKS
from remask.tasks.corpus import Cloze, Questions

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGES = (*sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "remask" / "bundled").glob("*/README.md")))
TABLE = re.compile(r"(<!-- measured: (.+?) -->\n).*?(<!-- /measured -->)", re.DOTALL)
ALL = "all tasks"  # the workload of a comparison on several tasks that stands for them all


def page(text: str) -> str:
    """The text of a page with every table made anew."""
    return TABLE.sub(lambda match: f"{match[1]}{table(match[2])}\n{match[3]}", text)


def table(name: str) -> str:
    """The table called `FILE NAME`, in Markdown."""
    if name == "recipes":
        return recipes()
    file, _, part = name.partition(" ")
    figures = json.loads((RESULTS / f"{file}.json").read_text(encoding="utf-8"))[part]
    if "recipes" in figures:
        return comparison(figures)
    return card(figures) if "tasks" in figures else markdown(figures["columns"], figures["rows"], figures["align"])


def markdown(columns: list[str], rows: list[list[str]], align: str = "") -> str:
    """A table; `align` has a letter a column, r for right."""
    marks = ["---:" if letter == "r" else "---" for letter in align.ljust(len(columns), "l")]
    lines = [" | ".join(columns), *(" | ".join(row) for row in rows)]
    head, *body = (re.sub(r" {2,}", " ", f"| {line} |") for line in lines)
    return "\n".join([head, f"|{'|'.join(marks)}|", *body])


# --- recipes ---


def recipes() -> str:
    """One line a recipe that ships: its own first comment, the axes that it sets, its source and its class."""
    rows = []
    for name in Recipe.shipped():
        text = resources("remask.decoding.recipes").joinpath(f"{name}.toml").read_text(encoding="utf-8")
        rule, recipe, axes = text.splitlines()[0].lstrip("# "), Recipe.load(name), tomllib.loads(text)
        values = "; ".join(f"{axis} {brief(v)}" for axis, v in axes.items() if axis not in ("name", "citation"))
        rows.append([f"`{name}`", rule, values, recipe.citation, str(recipe.exactness)])
    return markdown(["recipe", "rule", "values", "source", "class"], rows)


def brief(value: Any) -> str:
    """An axis value in a few words."""
    if not isinstance(value, dict):
        return str(value)
    parts = [f"{k} {v!r}" if isinstance(v, list) else f"{k} {v}" for k, v in value.items() if k != "by"]
    return " ".join([str(value.get("by", "")), f"({', '.join(parts)})" if parts else ""]).strip()


# --- comparisons of recipes ---


def comparison(figures: dict[str, Any]) -> str:
    """The heading, the table and who was refused."""
    columns = ["recipe", "accuracy", "95 %", "against the first", "worst task", "forwards", "tokens/forward", "×"]
    ranked = sorted(figures["recipes"], key=lambda figure: -float(figure["tokens_per_forward"]))
    lines = [f"## Measured: {figures['model']}, {', '.join(figures['items_of'])}", ""]
    lines += [markdown(columns, [comparison_row(figure) for figure in ranked])]
    if figures["refused"]:
        lines += ["", f"Refused by this model: {', '.join(figures['refused'])}."]
    return "\n".join(lines)


def comparison_row(figure: dict[str, Any]) -> list[str]:
    """One recipe's figures; shares and differences in percent and points."""
    passed, items, difference, worst = (figure[name] for name in ("passed", "items", "difference", "worst"))
    return [
        f"`{figure['label']}`",
        *accuracy(passed, items),
        "–" if difference is None else "{:+.1f} ({:+.1f} to {:+.1f})".format(*difference),
        "–" if worst is None else f"{worst[0]:+.1f} ({worst[1]})",
        f"{figure['forwards']:.1f}",
        f"{figure['tokens_per_forward']:.2f}",
        "–" if figure["ratio"] is None else f"{figure['ratio']:.1f}",
    ]


def accuracy(passed: int, items: int) -> tuple[str, str]:
    """The share with its counts, and its 95 % Wilson interval."""
    low, high = wilson(passed, items)
    return f"{passed / items:.1%} ({passed}/{items})", f"{low:.1%} – {high:.1%}"


def comparison_figures(folder: Path) -> dict[str, Any]:
    """The figures of one `remask bench --out` folder that the page shows, as exact as they were measured."""
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    tasks = [name for name in dict.fromkeys(r["workload"] for r in results["results"]) if name != ALL]
    whole = [r for r in results["results"] if r["workload"] == (ALL if len(tasks) > 1 else tasks[0])]
    names = ("label", "passed", "items", "forwards", "tokens_per_forward", "ratio")
    return {
        "model": results["about"]["model"],
        "items_of": tasks,
        "recipes": [
            {name: r[name] for name in names}
            | {"difference": r["difference"] and [100 * share for share in r["difference"]]}
            | {"worst": r["worst"] and [100 * r["worst"][0], r["worst"][1]]}
            for r in whole
            if r["refused"] is None
        ],
        "refused": sorted({r["label"] for r in whole if r["refused"] is not None}),
    }


# --- models of the package ---


def card(figures: dict[str, Any]) -> str:
    """One line a task: what it asks, when it passes, how many did; below it what else was counted."""
    columns = ["task", "what it asks", "passes when", "held-out accuracy", "95 % interval", "gate"]
    known = {**TASKS, "sums_plain": TASKS["sums"], Cloze.name: Cloze, Questions.name: Questions}
    rows, below = [], []
    for name, figure in figures["tasks"].items():
        if name == "refused inside":
            below.append(refused(figure))
            continue
        task = known[name]
        rows.append([name, task.description, task.rule, *accuracy(figure["passed"], figure["items"]), verdict(figure)])
        for group, part in figure.get("groups", {}).items():
            rows.append([f"– {group}", "", "", *accuracy(part["passed"], part["items"]), verdict(part)])
        if "f1" in figure:
            below.append(
                f"The answers of {name} overlap with the reference answers by a mean F1 of {figure['f1']:.1%}."
            )
    if "orders" in figures:
        below.append(orders(figures["orders"]))
    return "\n\n".join([markdown(columns, rows), *below])


def verdict(figure: dict[str, Any]) -> str:
    """The gate, and whether it is met."""
    gate = figure.get("gate")
    if gate is None:
        return "–"
    return f"{gate:.0%}: {'met' if figure['passed'] >= gate * figure['items'] else 'not met'}"


def refused(figure: dict[str, Any]) -> str:
    """How often the model declines what it can do, or says nothing."""
    share, interval = accuracy(figure["passed"], figure["items"])
    empty, within = accuracy(figure["empty"], figure["items"])
    return (
        f"Of all these held-out questions inside its abilities the model declines {share}, 95 % interval {interval}; "
        f"its answer is empty for {empty}, {within}."
    )


def orders(figures: dict[str, Any]) -> str:
    """Low-confidence order against random order, in words."""
    items, (gain, least, most) = figures["items"], figures["difference"]
    return (
        f"On {items} held-out 4×4 puzzles with 10 to 12 blanks, one token a step, low-confidence order solves "
        f"{figures['low_confidence'] / items:.1%} and random order {figures['random'] / items:.1%}: "
        f"a paired difference of {gain:+.1f} points (95 % interval {least:+.1f} to {most:+.1f})."
    )


def main() -> None:
    """Read the arguments; write or check the pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("--bench", nargs="+", type=Path, default=[], metavar="DIR", help="folders of `remask bench`")
    asked = parser.parse_args()
    if asked.bench and not asked.check:
        path = RESULTS / "decoders.json"
        figures = json.loads(path.read_text(encoding="utf-8"))
        for one in map(comparison_figures, asked.bench):
            figures[one["model"]] = one
        files.write_json(path, figures)
    texts = {path: path.read_text(encoding="utf-8") for path in PAGES}
    stale = [path for path, text in texts.items() if page(text) != text]
    for path in stale:
        print(f"{path.relative_to(ROOT)} {'holds other tables than the figures give' if asked.check else 'is written'}")
        if not asked.check:
            files.write(path, page(texts[path]))
    sys.exit(f"{len(stale)} stale; run python scripts/pages.py" if stale and asked.check else 0)


if __name__ == "__main__":
    main()
