"""The tree has floors: a file imports only from lower ones. `ls remask` is the life of a request, bottom to top.

The tables below are the whole rule. A new top-level module gets a floor in FLOORS; a same-floor import that the design
really wants gets a line in PAIRS, and with it a reader who asks why.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).parent.parent / "remask"
FRONT_DOOR = "__init__"

FLOORS = {
    # 0: what is refused, what a run may claim, and how a file is written
    "errors": 0,
    "exactness": 0,
    "files": 0,
    "validation": 0,
    # 1: text to ids, ids to logits, and tasks with exact answers
    "models": 1,
    "tasks": 1,
    "text": 1,
    # 2: files to models, and the paper
    "checkpoint": 2,
    "decoding": 2,
    # 3: requests in, steps and completions out
    "engine": 3,
    "options": 3,
    # 4: what `load` returns, a run as a file, and fakes for the tests of users
    "llm": 4,
    "testing": 4,
    "trace": 4,
    # 5: consumers, none of which knows another, and the front door
    FRONT_DOOR: 5,
    "evals": 5,
    "render": 5,
    "training": 5,
    # 6: one file a command
    "__main__": 6,
    "cli": 6,
}

# (who, whom) on one floor; "models.kv" means that module and nothing else of its package.
PAIRS = {
    ("files", "errors"),
    ("llm", "trace"),
    ("validation", "errors"),
    ("__main__", "cli"),
}

# All that one module may see of a package. The loop knows no model, no cache and no rule by name.
NARROW: dict[tuple[str, str], set[str]] = {
    ("decoding.scan", "models"): {"models.contract", "models.tiles"},
    ("decoding.scan", "decoding.caches"): set(),
    ("decoding.settle", "decoding.caches"): set(),
    ("decoding.settle", "decoding.revision"): set(),
    ("decoding.settle", "decoding.selection"): {"decoding.selection.select"},
    ("engine.step", "models"): {"models.contract"},
    ("engine.step", "decoding.caches"): {"decoding.caches.Cache", "decoding.caches.contract"},
}


class Import(NamedTuple):
    """Line `line` of the module `importer` imports `imported`; both are dotted and relative to the package."""

    importer: str
    line: int
    imported: str


def test_the_tree_keeps_its_floors() -> None:
    assert list(PACKAGE.rglob("*.py")), f"no Python files in {PACKAGE}"
    assert not (found := violations(PACKAGE)), "\n" + "\n".join(found)


def test_no_pair_lets_one_consumer_import_another() -> None:
    assert not [(who, whom) for who, whom in PAIRS if FLOORS[unit_of(who)] == FLOORS[FRONT_DOOR]]


def test_pairs_are_for_one_floor_only() -> None:
    assert not [(who, whom) for who, whom in PAIRS if FLOORS[unit_of(who)] != FLOORS[unit_of(whom)]]


# --- the checker ---


def violations(package: Path) -> list[str]:
    """One line for each broken rule, in the order of the files."""
    names = modules_of(package)
    unknown = sorted({unit_of(name) for name in names} - FLOORS.keys())
    told = [f"{package.name}.{unit} is on no floor: add it to FLOORS in tests/test_floors.py" for unit in unknown]
    for path in sorted(package.rglob("*.py")):
        for found in imports_of(path, package, names):
            reason = broken_rule(found)
            if reason:
                told.append(f"{path.relative_to(package.parent).as_posix()}:{found.line}: {reason}")
    return told


def broken_rule(found: Import) -> str | None:
    """Why this import is wrong, or None."""
    who, whom = unit_of(found.importer), unit_of(found.imported)
    for (narrow, package), allowed in NARROW.items():
        if (within(found.importer, narrow) and within(found.imported, package)) and not any(
            within(found.imported, name) for name in allowed
        ):
            return (
                f"{narrow} may import {' and '.join(sorted(allowed)) or 'nothing'} of {package}, not {found.imported}"
            )
    if who == whom or who not in FLOORS:
        return None
    if whom not in FLOORS:
        return f"imports {found.imported}, which is on no floor: add {whom!r} to FLOORS in tests/test_floors.py"
    if FLOORS[whom] > FLOORS[who]:
        return f"{who} (floor {FLOORS[who]}) imports {found.imported} from above (floor {FLOORS[whom]})"
    if FLOORS[whom] == FLOORS[who] and not any(who == a and within(found.imported, b) for a, b in PAIRS):
        return (
            f"{who} imports {found.imported} from its own floor ({FLOORS[who]}): move one of them, or, if the design "
            "wants it, add the pair to PAIRS in tests/test_floors.py"
        )
    return None


def imports_of(path: Path, package: Path, names: set[str]) -> Iterator[Import]:
    """Every import of this package's own modules in a file, also inside functions and under TYPE_CHECKING."""
    importer = name_of(path, package)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for full in imported_by(node, path, package):
                if within(full, package.name):
                    yield Import(importer, node.lineno, inside(full, package.name, names))


def imported_by(node: ast.Import | ast.ImportFrom, path: Path, package: Path) -> list[str]:
    """The absolute dotted names that one statement imports; `from a import b` gives `a.b`, be b a module or not."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    base = node.module or ""
    if node.level:
        folder = path.parent
        for _ in range(node.level - 1):
            folder = folder.parent
        parts = [*folder.relative_to(package.parent).parts, *(base.split(".") if base else [])]
        base = ".".join(parts)
    return [f"{base}.{alias.name}" for alias in node.names]


def inside(full: str, package: str, names: set[str]) -> str:
    """`remask.models.kv.KVStore` -> `models.kv.KVStore`. A name that is no module is the front door's own."""
    rest = full[len(package) + 1 :]
    unit = rest.split(".")[0]
    known = unit in FLOORS or any(unit_of(name) == unit for name in names)
    if rest and (known or "." in rest):
        return rest
    return FRONT_DOOR


def modules_of(package: Path) -> set[str]:
    return {name_of(path, package) for path in package.rglob("*.py")}


def name_of(path: Path, package: Path) -> str:
    """`remask/models/kv.py` -> `models.kv`; `remask/models/__init__.py` -> `models`; the front door -> `__init__`."""
    parts = path.relative_to(package).with_suffix("").parts
    if len(parts) > 1 and parts[-1] == "__init__":
        parts = parts[:-1]
    return ".".join(parts)


def unit_of(name: str) -> str:
    return name.split(".")[0]


def within(name: str, module: str) -> bool:
    return name == module or name.startswith(module + ".")


# --- the checker can fail: every rule on a tree of a few lines ---


def tree(tmp_path: Path, files: dict[str, str]) -> Path:
    package = tmp_path / "remask"
    for name, source in files.items():
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return package


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("decoding/canvas.py", "import torch\nfrom ..errors import RemaskError\n"),
        ("decoding/caches/prefix.py", "from .contract import Cache\nfrom . import none\n"),  # its own package
        ("decoding/caches/prefix.py", "from ...models.kv import KVStore\n"),
        ("decoding/caches/prefix.py", "from ...models import kv\n"),
        ("tasks/__init__.py", "from remask.tasks.sorting import Sorting\n"),
        ("engine/step.py", "from ..decoding.caches import Cache\nfrom ..models.contract import Plan\n"),
        ("__init__.py", "from .engine import load\n"),
        ("cli/run.py", "def main():\n    from remask import load\n    from ..render import ansi\n"),
        ("__main__.py", "from .cli import main\n"),  # a pair
        ("decoding/canvas.py", "from remasked import x\nimport remask_tools\n"),  # not this package
    ],
)
def test_a_good_import_passes(tmp_path: Path, file: str, source: str) -> None:
    assert violations(tree(tmp_path, {file: source})) == []


@pytest.mark.parametrize(
    ("file", "source", "reason"),
    [
        ("text/chat.py", "from ..decoding.recipe import Recipe\n", "chat.py:1: text (floor 1) imports decoding.recipe"),
        ("text/chat.py", "import remask.engine.row\n", "text (floor 1) imports engine.row from above"),
        ("text/chat.py", "from remask import engine\n", "text (floor 1) imports engine from above"),
        ("text/chat.py", "\ndef f():\n    from .. import llm\n", "text/chat.py:3: text (floor 1) imports llm"),
        ("llm.py", "if TYPE_CHECKING:\n    from .evals import bench\n", "llm (floor 4) imports evals.bench"),
        ("llm.py", "import remask\n", "llm (floor 4) imports __init__ from above"),
        ("llm.py", "from remask import load\n", "llm (floor 4) imports __init__ from above"),
        ("llm.py", "from . import load\n", "llm (floor 4) imports __init__ from above"),
        ("models/deep/x.py", "from ...engine import Engine\n", "models (floor 1) imports engine.Engine from above"),
        ("text/chat.py", "from ..models.llada import LLADA\n", "from its own floor (1)"),
        ("text/chat.py", "from ..models import LLADA\n", "from its own floor (1)"),
        ("evals/bench.py", "from ..render import ansi\n", "evals imports render.ansi from its own floor (5)"),
        ("training/loop.py", "from remask import load\n", "training imports __init__ from its own floor (5)"),
        ("engine/step.py", "from ..models.kv import KVStore\n", "engine.step may import models.contract of models"),
        ("engine/step.py", "from ..models import kv\n", "engine.step may import models.contract of models"),
        ("engine/step.py", "from ..decoding.caches.dual import Dual\n", "engine.step may import"),
        ("decoding/scan.py", "from .caches.dual import Dual\n", "decoding.scan may import nothing of decoding.caches"),
        ("decoding/settle.py", "from .selection import TopK\n", "may import decoding.selection.select of decoding"),
        ("surprise.py", "", "remask.surprise is on no floor: add it to FLOORS in tests/test_floors.py"),
        ("surprise/part.py", "", "remask.surprise is on no floor"),
        ("text/chat.py", "from ..gone.away import x\n", "imports gone.away.x, which is on no floor"),
    ],
)
def test_a_bad_import_is_told(tmp_path: Path, file: str, source: str, reason: str) -> None:
    (found,) = violations(tree(tmp_path, {file: source}))
    assert reason in found


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    bad = {"llm.py": "from .cli import a, b\n", "errors.py": "import remask.text, os\n", "new.py": ""}
    assert len(violations(tree(tmp_path, bad))) == 4
