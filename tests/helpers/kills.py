"""Commands that are killed at random moments and then go on: `python -m tests.helpers.kills NAME SEED COUNT`.

Each command runs in a fork of this process, which has imported everything, so that kills hit its work.
"""

import importlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import remask
from remask.cli import main
from remask.trace.format import read
from remask.training import tokenizer as bpe
from remask.training.config import Mixture
from tests.helpers.data import TINY_BLOCKWISE, TINY_LLADA

MODULES = ("training.run", "evals.bench", "evals.accuracy", "checkpoint.conversion", "evals.frontier", "cli.train")
OUT = "out"
CONFIG = """
name = "tiny"
seed = 3
save_every = 1
log_every = 1
evaluate_every = 8
model = { vocab_size = 320, d_model = 32, n_layers = 2, n_heads = 2, d_ff = 64, max_positions = 128 }
optimisation = { steps = 16, tokens_per_step = 256, warmup = 2 }
data = { groups = 1, longest_canvas = 48, tasks = { sorting = 1 } }
"""


@dataclass(frozen=True)
class Work:
    """A command that writes OUT. `result` says what must not depend on kills; `between` raises AssertionError for what
    a kill may not leave; `begin` makes a folder in which it starts."""

    words: str
    result: Callable[[], Any]
    begin: Callable[[], object] = lambda: None
    between: Callable[[Any], object] = lambda result: None


def files(path: Path) -> dict[str, bytes]:
    """The content of a file, or of all in a folder."""
    if path.is_file():
        return {"": path.read_bytes()}
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


def answers() -> Any:
    """The answers of a bench in the order of its record, each once, and what else there is."""
    lines = [json.loads(line) for line in (Path(OUT) / "record.jsonl").read_text().splitlines()[1:]]
    kinds = [sorted(set(line) & {"round", "memory"}) for line in lines]
    assert json.loads((Path(OUT) / "results.json").read_text())["results"]
    return [line for line in lines if "output" in line], kinds, sorted(path.name for path in Path(OUT).iterdir())


def old_or_new(new: Any) -> None:
    assert files(Path(OUT)) in (new, files(Path("old"))), "neither the old checkpoint nor the new one"


def begun() -> None:
    """A training folder with its tokenizer."""
    Path(OUT).mkdir()
    shutil.copy("tokenizer.json", OUT)
    Path("tiny.toml").write_text(CONFIG)


def text() -> str:
    """The answer of a recorded run, gone on with where it was cut."""
    with Path(OUT).open("rb") as lines:
        trace = read(lines)
    return trace.end["text"] if trace.end else remask.load(TINY_LLADA, device="cpu").fork(OUT).result().text


def readable(whole: Any) -> None:
    """A trace that was cut is empty, or can be gone on with to the same answer."""
    if Path(OUT).exists() and b"\n" in Path(OUT).read_bytes():
        assert text() == whole, "another answer"
    Path(OUT).unlink(missing_ok=True)  # no trace takes the place of an older one


WORKS = {
    "train": Work(f"train -c tiny.toml -o {OUT}", lambda: files(Path(OUT) / "checkpoint"), begun),
    "eval": Work(f"eval sorting -n 24 --gen-length 8 --out {OUT}", lambda: files(Path(OUT))),
    "bench": Work(f"bench llada fast -n 6 --rounds 2 --timed 2 --gen-length 8 -o {OUT}", answers),
    "convert": Work(
        f"models convert {TINY_BLOCKWISE} {OUT} --dtype float32 --force",
        lambda: files(Path(OUT)),
        lambda: shutil.copytree("old", OUT),
        old_or_new,
    ),
    "record": Work(f"run Sort --gen-length 32 --steps 32 -q --trace {OUT}", text, between=readable),
}


def run(words: str, seconds: float | None) -> int | None:
    """The exit code of a command, or None where it was killed after so many seconds."""
    if (child := os.fork()) == 0:
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        os._exit(main(words.split()))
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)  # it may have ended, but nobody has asked for its code yet
    _, status = os.waitpid(child, 0)
    return None if os.WIFSIGNALED(status) else os.waitstatus_to_exitcode(status)


def kills(work: Work, random: Random, count: int) -> int:
    """Kill the command so many times, beginning anew when it came to its end; returns how often it did.

    Raises AssertionError if a result differs from an undisturbed one, or something is left over.
    """
    work.begin()
    began = time.monotonic()
    assert run(work.words, None) == 0
    seconds, whole = time.monotonic() - began, work.result()
    killed = ends = 0
    fresh()
    work.begin()
    while killed < count:
        code = run(work.words, seconds * random.uniform(0.05, 1.0))
        assert code in (None, 0), f"exit code {code} after {killed} kills"
        killed += code is None
        if code == 0:
            ends += 1
            assert work.result() == whole, f"another result after {killed} kills"
            fresh()
            work.begin()
        else:
            work.between(whole)
    assert run(work.words, None) == 0
    assert work.result() == whole, "another result at the end"
    assert not list(Path.cwd().rglob("*.part")), "temporaries stay"
    return ends + 1


def fresh() -> None:
    if Path(OUT).is_dir():
        shutil.rmtree(OUT)
    else:
        Path(OUT).unlink(missing_ok=True)


if __name__ == "__main__":
    name, seed, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    for module in MODULES:
        importlib.import_module(f"remask.{module}")
    importlib.import_module("matplotlib.pyplot")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ |= {"REMASK_MODEL": TINY_LLADA, "TOKENIZERS_PARALLELISM": "false", "XDG_CONFIG_HOME": folder}
        bpe.build(320, Mixture(), None, examples_per_task=20).save("tokenizer.json")
        shutil.copytree(TINY_LLADA, "old")
        print(f"{name}: {count} kills, came to its end {kills(WORKS[name], Random(f'{name} {seed}'), count)} times")
        os.chdir("/")
