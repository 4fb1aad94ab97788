"""A disk that is full: exit code 2, with the path and a remedy, in every command that writes; nothing older is lost."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.data import TINY_LLADA

pytest.importorskip("resource", reason="no limits on files here")

ROOT = Path(__file__).parents[2]
Invoke = Callable[..., Any]
SHORT = ["--gen-length", "4", "--steps", "2"]
PERPLEXITY = [
    "eval",
    "ppl",
    "--data",
    "text.txt",
    "--documents",
    "1",
    "--length",
    "32",
    "--block",
    "8",
    "--samples",
    "1",
]
WRITERS: dict[str, tuple[list[str], str]] = {  # what is typed, and the file that cannot be written
    "run": (["run", "hi", *SHORT, "--trace", "t.jsonl"], "t.jsonl"),
    "run, overwriting": (["run", "hi", *SHORT, "--trace", "old.jsonl", "--overwrite"], "old.jsonl"),
    "infill": (["infill", "a {{1}}", "--trace", "i.jsonl"], "i.jsonl"),
    "explain": (["explain", "hi", "--gen-length", "2", "--html", "x.html"], "x.html"),
    "explain, picture": (["explain", "hi", "--gen-length", "2", "--svg", "x.svg"], "x.svg"),
    "trace view": (["trace", "view", "run.jsonl", "--html", "v.html"], "v.html"),
    "trace export": (["trace", "export", "run.jsonl", "-o", "e.svg"], "e.svg"),
    "trace export, JSON": (["trace", "export", "run.jsonl", "-o", "e.json"], "e.json"),
    "eval": (["eval", "sorting", "-n", "1", "--gen-length", "4", "--out", "eval.jsonl"], "eval.jsonl"),
    "bench": (
        ["bench", "llada", "-n", "1", "--rounds", "1", "--timed", "1", "--gen-length", "4", "-o", "b"],
        "b/record",
    ),
    "drift": (["drift", "hi", "--recipe", "fast", "--gen-length", "4", "--out", "d.jsonl"], "d.jsonl"),
    "ppl": ([*PERPLEXITY, "-o", "p"], "p/record"),
    "convert": (["models", "convert", TINY_LLADA, "c"], "c"),
    "convert, GGUF": (["models", "convert", TINY_LLADA, "c.gguf"], "c.gguf"),
    "chat": (["chat"], "talk.json"),
}
SCRIPT = """
import io, json, resource, sys
from remask.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (40, resource.RLIM_INFINITY))
for name, words in json.loads(sys.argv[1]).items():
    sys.stdin = io.TextIOWrapper(io.BytesIO(b"/system " + 60 * b"x" + b"\\n/save talk.json\\n"))
    print(f"<<{name}>>", file=sys.stderr)
    code = main(words)
    print(f"<<{code}>>", file=sys.stderr, flush=True)
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, int]]:
    """What each command says where no file may grow beyond 40 bytes, and its exit code."""
    folder = tmp_path_factory.mktemp("full")
    trace = (ROOT / "tests/data/esc-trace.jsonl").read_bytes()
    for name in ("run.jsonl", "old.jsonl"):
        (folder / name).write_bytes(trace)
    (folder / "text.txt").write_text("The cat sat on the mat. " * 20)
    environment = os.environ | {"REMASK_MODEL": TINY_LLADA, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    environment |= {"MPLCONFIGDIR": str(folder), "XDG_CONFIG_HOME": str(folder)}
    words = json.dumps({name: words for name, (words, _) in WRITERS.items()})
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    parts = done.stderr.split("<<")[1:]
    pairs = zip(parts[::2], parts[1::2], strict=True)
    left = [path.name for path in folder.iterdir() if path.name.endswith(".part")]
    assert not left, "temporaries stay"
    return {
        text.partition(">>")[0]: (text.partition(">>")[2].strip(), int(code.partition(">>")[0])) for text, code in pairs
    }


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_said_with_its_path_and_a_remedy(said: dict[str, tuple[str, int]], name: str) -> None:
    text, code = said[name]
    line = text.splitlines()[-1]
    assert code == 2 and line.startswith("remask: error: cannot write '") and WRITERS[name][1] in line, text
    assert "; free some space, or name another place" in line


def test_a_trace_takes_the_place_of_no_older_file(invoke: Invoke, tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    run = ("run", "Sort 3 1 2.", *SHORT, "-q", "--trace", file)
    file.touch()  # empty, so that nothing is lost
    assert invoke(*run).code == 0
    first = file.read_text(encoding="utf-8")
    refused = invoke(*run, "--seed", 3)
    assert refused.code == 2 and "is there already; give --trace another name, or --overwrite" in refused.err
    assert file.read_text(encoding="utf-8") == first
    assert invoke(*run, "--seed", 3, "--overwrite").code == 0 and file.read_text(encoding="utf-8") != first
    assert invoke("run", "hi", "--overwrite").code == 2
