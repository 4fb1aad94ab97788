"""scripts/pages.py: every table of the pages is what the committed figures give."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "pages.py"


@pytest.fixture(scope="module")
def pages() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pages", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_page_holds_the_tables_that_the_figures_give(pages: ModuleType) -> None:
    stale = [path.name for path in pages.PAGES if pages.page(text := path.read_text(encoding="utf-8")) != text]
    assert not stale, "run python scripts/pages.py"


def test_every_table_of_figures_stands_on_a_page(pages: ModuleType) -> None:
    shown = {match[2] for path in pages.PAGES for match in pages.TABLE.finditer(path.read_text(encoding="utf-8"))}
    kept = {
        f"{file} {name}"
        for file in {name.partition(" ")[0] for name in shown - {"recipes"}}
        for name in json.loads((pages.RESULTS / f"{file}.json").read_text(encoding="utf-8"))
    }
    assert shown == kept | {"recipes"}


def test_a_figure_that_was_changed_by_hand_is_put_right(pages: ModuleType) -> None:
    path = ROOT / "docs" / "decoders.md"
    text = path.read_text(encoding="utf-8")
    assert "95.3% (286/300)" in text and pages.page(text.replace("95.3% (286/300)", "99.9% (286/300)")) == text


def test_the_check_says_that_nothing_is_stale() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--check"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_figures_of_a_comparison_are_those_that_bench_measured(pages: ModuleType, tmp_path: Path) -> None:
    def result(label: str, passed: int, **other: Any) -> dict[str, Any]:
        plain = {"workload": "sorting", "label": label, "passed": passed, "items": 10, "refused": None, "worst": None}
        costs = {"forwards": 4.0, "tokens_per_forward": 2.0, "ratio": 1.0, "difference": None}
        return plain | costs | other

    results = [
        result("llada", 9),
        result("fast", 8, tokens_per_forward=4.0, difference=[-0.1, -0.3, 0.1], worst=[-0.1, "sorting"], ratio=2.5),
        result("sdar", 0, refused="it does not fit"),
    ]
    (tmp_path / "results.json").write_text(json.dumps({"about": {"model": "m"}, "results": results}))
    *_, first, second, _, refused = pages.comparison(pages.comparison_figures(tmp_path)).split("\n")
    assert first == (
        "| `fast` | 80.0% (8/10) | 49.0% – 94.3% | -10.0 (-30.0 to +10.0) | -10.0 (sorting) | 4.0 | 4.00 | 2.5 |"
    )
    assert second == "| `llada` | 90.0% (9/10) | 59.6% – 98.2% | – | – | 4.0 | 2.00 | 1.0 |"
    assert refused == "Refused by this model: sdar."
