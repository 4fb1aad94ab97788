"""What other busy processes cost an answer of the bundled model, with remask's default and with torch's own threads.

    python benchmarks/threads.py              # measures, writes results/threads.json and the table in docs/speed.md
    python benchmarks/threads.py --write      # writes the table again
    python benchmarks/threads.py --check      # fails if the page does not show what the file holds

Each time is of a fresh process, which imports, loads and answers once before; the two ways take turns, and the ratio is
of the two in one turn, so that what else goes on hits both.
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS, PAGE = ROOT / "benchmarks" / "results" / "threads.json", ROOT / "docs" / "speed.md"
BEGIN, END = "<!-- made by benchmarks/threads.py from results/threads.json -->", "<!-- end -->"
PROMPT = "Sort 5380217."
COMPETITORS = (0, 1, 2)
BUSY = "while True: pass"
WAYS = {
    "remask": "import remask; llm = remask.load(device='cpu')",
    "torch": "import torch, remask; llm = remask.load(device='cpu', threads=torch.get_num_threads())",
}
ANSWER = f"""
import time
llm.generate({PROMPT!r})
began = time.perf_counter()
llm.generate({PROMPT!r})
print(time.perf_counter() - began)
"""


def measure(turns: int) -> dict[str, Any]:
    """Seconds of an answer by competitors and way, a number for each turn."""
    import torch

    cells = []
    for competitors in COMPETITORS:
        cell: dict[str, Any] = {"competitors": competitors, "load": os.getloadavg()[0], **{way: [] for way in WAYS}}
        with busy(competitors):
            for turn in range(turns):
                for way in list(WAYS)[:: -1 if turn % 2 else 1]:
                    cell[way].append(round(seconds(way), 4))
        cells.append(cell)
        print(row(cell), flush=True)
    about = {"processor": processor(), "cores": os.cpu_count(), "torch": torch.__version__, "prompt": PROMPT}
    return about | {"turns": turns, "cells": cells}


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Other processes that compute without a pause."""
    running = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def seconds(way: str) -> float:
    """Wall seconds of one answer in a process of its own, which no variable of OpenMP reaches."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    command = [sys.executable, "-c", WAYS[way] + ANSWER]
    return float(subprocess.run(command, env=clean, check=True, capture_output=True, text=True).stdout)


def processor() -> str:
    """Its name, as Linux has it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def section(found: dict[str, Any]) -> str:
    """The table of what was measured."""
    about = f"{found['processor']}, {found['cores']} cores, torch {found['torch']}"
    return "\n".join(
        [
            BEGIN,
            f"`llm.generate({found['prompt']!r})` on {about}; medians of {found['turns']} pairs:",
            "",
            "| busy processes beside it | load average before | remask's default | torch's default threads | ratio |",
            "|---|---|---|---|---|",
            *map(row, found["cells"]),
            END,
        ]
    )


def row(cell: dict[str, Any]) -> str:
    """One line of the table."""
    mine, theirs = cell["remask"], cell["torch"]
    ratio = statistics.median(b / a for a, b in zip(mine, theirs, strict=True))
    times = (f"{statistics.median(times):.2f} s" for times in (mine, theirs))
    return f"| {cell['competitors']} | {cell['load']:.1f} | {' | '.join(times)} | {ratio:.1f} |"


def page(text: str, found: dict[str, Any]) -> str:
    """The page `text` with the table of `found` in its place."""
    return re.sub(f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: section(found), text, flags=re.DOTALL)


def main() -> int:
    """Measure, write or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=7, help="pairs for each number of competitors")
    parser.add_argument("--write", action="store_true", help="only write the table again")
    parser.add_argument("--check", action="store_true", help="only compare the page with the file")
    asked = parser.parse_args()
    if not (asked.write or asked.check):
        RESULTS.write_text(json.dumps(measure(asked.turns), indent=2) + "\n", encoding="utf-8")
    before = PAGE.read_text(encoding="utf-8")
    after = page(before, json.loads(RESULTS.read_text(encoding="utf-8")))
    if not asked.check:
        PAGE.write_text(after, encoding="utf-8")
    elif before != after:
        print(f"{PAGE} does not show {RESULTS}; run python {sys.argv[0]} --write")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
