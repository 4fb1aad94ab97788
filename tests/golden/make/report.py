"""Compare this repository's decoding with the stored goldens, on this machine, and mend the tables of docs/golden.md.

python -m tests.golden.make.report
"""

import re
from pathlib import Path
from typing import Any

import torch

from tests.golden import test_fast_dllm, test_golden

PAGE = Path(__file__).resolve().parents[3] / "docs" / "golden.md"


def tabulate(counts: dict[str, dict[str, Any]]) -> str:
    """A column for each checkpoint, a line for each count."""
    names = list(counts)
    lines = ["| | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
    labels = dict.fromkeys(label for column in counts.values() for label in column)
    lines += [f"| {label} | " + " | ".join(str(counts[name][label]) for name in names) + " |" for label in labels]
    return "\n".join(lines)


def main() -> None:
    torch.set_num_threads(1)
    tables = [tabulate(module.count_all()) for module in (test_golden, test_fast_dllm)]
    rest, page = iter(tables), PAGE.read_text(encoding="utf-8")
    PAGE.write_text(re.sub(r"(?s)\| \| .*?\n(?!\|)", lambda _: next(rest) + "\n", page), encoding="utf-8")
    print("\n\n".join(tables))


if __name__ == "__main__":
    main()
