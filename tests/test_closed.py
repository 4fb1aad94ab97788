"""The object model is closed: rows, batches and live canvases are the engine's, everybody else holds a `Handle`.

Rows change between two steps, and a server's thread may step while others read: what is outside `engine/` would see
half a step. So no file outside imports their modules, and none reaches for them through an engine or a handle.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.test_floors import PACKAGE, imported_by, within

INSIDE = "engine"
MODULES = {"engine.row", "engine.batch", "engine.step"}
INSTEAD = "use what Handle offers: its steps, pieces(), result(), cancel(), and its snapshots of canvas and blocks"

# What an engine or a handle keeps to itself. A name holds one of them if it is `handle`, `engine`, or ends in that.
OF_HANDLE = {"row"}
OF_ENGINE = {"batch", "live", "waiting", "row"}
OF_ROW = {"canvas"}  # `row.canvas`, whoever holds the row: live, where a handle's snapshot is not
TYPES = {"Row", "Batch"}  # of the engine


class Reach(NamedTuple):
    """Line `line` of a file reaches for `what`."""

    line: int
    what: str


def test_nothing_outside_the_engine_touches_its_rows() -> None:
    assert not (found := violations(PACKAGE)), "\n" + "\n".join(found)


# --- the checker ---


def violations(package: Path) -> list[str]:
    """One line for each reach into the engine, in the order of the files."""
    found = []
    for path in sorted(package.rglob("*.py")):
        if path.relative_to(package).parts[0] != INSIDE:
            where = path.relative_to(package.parent).as_posix()
            found += [f"{where}:{reach.line}: reaches for {reach.what}; {INSTEAD}" for reach in reaches(path, package)]
    return found


def reaches(path: Path, package: Path) -> list[Reach]:
    """Every reach of a file, also inside functions and under TYPE_CHECKING, in the order of its lines."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))))
    return sorted({reach for node in nodes for reach in (*imported(node, path, package), *attribute(node))})


def imported(node: ast.AST, path: Path, package: Path) -> Iterator[Reach]:
    """What an import takes of the modules that are the engine's own, or of their classes through `engine` itself."""
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        for full in imported_by(node, path, package):
            name = full.removeprefix(package.name + ".")
            own = any(within(name, module) for module in MODULES) or name in {f"{INSIDE}.{kind}" for kind in TYPES}
            if name != full and own:
                yield Reach(node.lineno, f"{name} by import")


def attribute(node: ast.AST) -> Iterator[Reach]:
    """`handle.row`, `self.handle.row`, `llm.engine.batch`, `row.canvas`: what is taken, by whose name it hangs on."""
    if not isinstance(node, ast.Attribute):
        return
    holder, taken = last_name(node.value), node.attr.lstrip("_")  # `_row` is no less the engine's
    if (
        (is_a(holder, "handle") and taken in OF_HANDLE)
        or (is_a(holder, "engine") and taken in OF_ENGINE)
        or (holder == "row" and taken in OF_ROW and not any(attribute(node.value)))  # else it is reported there
    ):
        yield Reach(node.lineno, f"`{ast.unparse(node)}`")


def last_name(node: ast.expr) -> str:
    """The name under which an expression is known here: of `self.handle` and of `handles[0]` it is the last one."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Subscript(value=value) | ast.NamedExpr(target=value):
            return last_name(value)
    return ""


def is_a(name: str, kind: str) -> bool:
    """`handle`, `_handle`, `first_handle`, and `handles` of `handles[0]`."""
    return name.removesuffix("s").split("_")[-1] == kind


# --- the checker can fail ---


def reached(tmp_path: Path, source: str, file: str = "evals/bench.py") -> list[str]:
    path = tmp_path / "remask" / file
    path.parent.mkdir(parents=True)
    path.write_text(source)
    return violations(tmp_path / "remask")


@pytest.mark.parametrize(
    "source",
    [
        "from ..engine.handle import Handle\nfrom ..engine.requests import Step\n",
        "from ..engine import Engine\nfrom ..engine.engine import Engine\n",
        "from ..models.batch import Batch\nfrom other.engine.row import Row\n",  # of no engine of ours
        "def f(handle):\n    return handle.blocks, handle.canvas, handle.result().text, handle.rows\n",
        "def f(engine):\n    engine.step()\n    return engine.submit(1), engine.max_rows\n",
        "def f(table, args):\n    return [row.cells for row in table.rows], args.batch, args.live, table.row\n",
        "def f(self):\n    return self.row, self.batch, self.canvas, self.live\n",  # its own, be they what they may
        '"""As `handle.row` says."""\n',
    ],
)
def test_what_a_handle_offers_passes(tmp_path: Path, source: str) -> None:
    assert reached(tmp_path, source) == []


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("from ..engine.row import Row\n", "evals/bench.py:1: reaches for engine.row.Row by import; use what Handle"),
        ("from ..engine import batch\n", "reaches for engine.batch by import"),
        ("from ..engine import Row\n", "reaches for engine.Row by import"),
        ("import remask.engine.step\n", "reaches for engine.step by import"),
        ("def f():\n    from remask.engine.step import denoise\n", "bench.py:2: reaches for engine.step.denoise"),
        ("if TYPE_CHECKING:\n    from ..engine.batch import Batch\n", "reaches for engine.batch.Batch by import"),
        ("def f(handle):\n    return handle.row\n", "bench.py:2: reaches for `handle.row`"),
        ("def f(self):\n    return self.handle.row.forwards\n", "reaches for `self.handle.row`"),
        ("def f(handle):\n    return handle._row\n", "reaches for `handle._row`"),
        ("def f(handle):\n    return handle.row.canvas\n", "reaches for `handle.row`"),
        ("def f(handles):\n    return handles[0].row\n", "reaches for `handles[0].row`"),
        ("def f(first_handle):\n    first_handle.row = 1\n", "reaches for `first_handle.row`"),
        ("def f(llm):\n    return llm.engine.batch\n", "reaches for `llm.engine.batch`"),
        ("def f(llm):\n    return llm.engine.live\n", "reaches for `llm.engine.live`"),
        ("def f(engine, request):\n    return engine.row(request)\n", "reaches for `engine.row`"),
        ("def f(row):\n    return row.canvas\n", "reaches for `row.canvas`"),
    ],
)
def test_a_reach_into_the_engine_is_reported(tmp_path: Path, source: str, what: str) -> None:
    (found,) = reached(tmp_path, source)
    assert what in found


def test_the_engine_may_hold_its_own_rows(tmp_path: Path) -> None:
    assert reached(tmp_path, "from .row import Row\nx = handle.row\n", "engine/engine.py") == []
