"""`remask trace`: a recorded run without a model, and files that are not one."""

import json
import math
import tracemalloc
from collections.abc import Callable
from io import StringIO
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from remask.cli import main
from remask.errors import RequestError
from remask.trace.format import read

Invoke = Callable[..., Any]


@pytest.fixture(scope="module")
def kept() -> dict[str, str]:
    """The one run of this module."""
    return {}


@pytest.fixture
def recorded(invoke: Invoke, kept: dict[str, str], tmp_path: Path) -> tuple[Path, str]:
    """A trace and the text that the run gave."""
    file = tmp_path / "run.jsonl"
    if not kept:
        options = ("--gen-length", 8, "--steps", 4, "--block-length", 4, "--trace", file)
        kept["text"] = invoke("run", "Tell me a story about a cat.", *options).out
        kept["trace"] = file.read_text(encoding="utf-8")
    file.write_text(kept["trace"], encoding="utf-8")
    return file, kept["text"]


def test_view_ends_with_the_text(invoke: Invoke, recorded: tuple[Path, str]) -> None:
    file, text = recorded
    result = invoke("trace", "view", file)
    assert result.code == 0 and result.out.endswith("\n" + text) and "\x1b" not in result.out


def test_replay_ends_in_the_same_tokens(invoke: Invoke, recorded: tuple[Path, str]) -> None:
    file, _ = recorded
    trace = read(StringIO(file.read_text(encoding="utf-8")))
    frames = [json.loads(line) for line in invoke("trace", "view", file, "--json").out.splitlines()]
    assert [frame["step"] for frame in frames] == list(range(len(trace.steps) + 1))
    assert frames[0]["tokens"] == trace.header["tokens"] and "[MASK]" in frames[0]["text"]
    assert frames[-1]["tokens"] == trace.final().tolist()
    (third,) = invoke("trace", "view", file, "--json", "--step", 3).out.splitlines()
    assert json.loads(third) == frames[3]


def test_one_step(invoke: Invoke, recorded: tuple[Path, str]) -> None:
    file, _ = recorded
    assert "░░░░┊░░░░" in invoke("trace", "view", file, "--step", 0).out
    assert "step 2/" in invoke("trace", "view", file, "--step", 2).out
    result = invoke("trace", "view", file, "--step", 99)
    assert result.code == 2 and "there is no step 99" in result.err


@pytest.mark.parametrize("name", ["run.html", "run.svg", "run.json"])
def test_export_goes_by_the_name(invoke: Invoke, recorded: tuple[Path, str], tmp_path: Path, name: str) -> None:
    file, text = recorded
    result = invoke("trace", "export", file, "-o", tmp_path / name)
    assert result.code == 0 and (tmp_path / name).stat().st_size > 500
    if name == "run.json":
        whole = json.loads((tmp_path / name).read_text())
        assert whole["end"]["text"] + "\n" == text and len(whole["frames"]) > 1


def test_export_to_an_unknown_kind_is_refused(invoke: Invoke, recorded: tuple[Path, str], tmp_path: Path) -> None:
    result = invoke("trace", "export", recorded[0], "-o", tmp_path / "run.gif")
    assert result.code == 2 and "end the name in .html, .svg or .json" in result.err
    result = invoke("trace", "view", recorded[0], "--html", tmp_path / "x.html", "--json")
    assert result.code == 2 and "leave out --json and --step" in result.err


def test_an_interrupted_run_can_be_viewed(invoke: Invoke, recorded: tuple[Path, str]) -> None:
    file, _ = recorded
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    file.write_text("".join(lines[:3]) + lines[3][:20], encoding="utf-8")
    result = invoke("trace", "view", file)
    assert result.code == 0 and "[MASK]" in result.out and "the run was interrupted after 2 steps" in result.err


def test_a_run_cut_within_a_character_can_be_viewed(invoke: Invoke, recorded: tuple[Path, str]) -> None:
    file, _ = recorded
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:3]) + lines[3][:20] + "é".encode()[:1])
    result = invoke("trace", "view", file)
    assert result.code == 0 and "the run was interrupted after 2 steps" in result.err
    file.write_bytes(b"".join(lines[:2]) + b'{"key":"\xc3"}\n' + lines[2])
    result = invoke("trace", "view", file)
    assert result.code == 2 and "line 3 is not a trace record" in result.err


def edited(file: Path, at: int, **changes: Any) -> None:
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    lines[at] |= changes
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


BROKEN: list[tuple[int, dict[str, Any], str]] = [
    (0, {"format": "music"}, "line 1 is not the header of a remask trace"),
    (0, {"version": 99}, "the trace has version 99"),
    (0, {"given": 3}, "malformed list of positions"),
    (0, {"blocks": [1, 2]}, "malformed list of positions"),
    (1, {"changes": [[999, 1, "committed", 3, 0.0]]}, "line 2 changes a position outside the canvas"),
    (1, {"changes": [[20, 1, "lost", 3, 0.0]]}, "step 0 of the trace is malformed"),
    (1, {"window": "wide"}, "step 0 of the trace is malformed"),
    (1, {"guesses": [[999, 1, 3]]}, "step 0 of the trace is malformed"),
    (1, {"top": {"5": [[1]]}}, "step 0 of the trace is malformed"),
    (1, {"block": None}, "step 0 of the trace is malformed"),
    (0, {"given": [[5, 10**30]]}, "malformed list of positions"),
    (0, {"given": [[5, 9], [7, 12]]}, "malformed list of positions"),
    (0, {"tokens": [10**30]}, "or one is no whole number from 0 to 2147483647"),
    (0, {"mask_id": -1}, "or one is no whole number from 0 to 2147483647"),
    (0, {"seed": math.inf}, "line 1 holds a number that is not finite"),
    (1, {"t_ms": math.nan}, "line 2 holds a number that is not finite"),
    (1, {"changes": [[math.inf, 1, "committed", 3, 0.0]]}, "line 2 holds a number that is not finite"),
    (1, {"changes": [[20.5, 1, "committed", 3, 0.0]]}, "line 2 changes a position outside the canvas"),
    (1, {"changes": [[20, 10**30, "committed", 3, 0.0]]}, "line 2 changes a position outside the canvas"),
    (1, {"changes": [[20, 1, "committed", 10**400, 0.0]]}, "step 0 of the trace is malformed"),
    (1, {"block": 10**18}, "step 0 of the trace is malformed"),
    (1, {"step": "x" * 10_000}, "of the trace is malformed"),
    (1, {"t_ms": 10**400}, "step 0 of the trace is malformed"),
    (-1, {"end": {"unused": [[0, -5]]}}, "malformed list of positions"),
    (-1, {"end": [1]}, "the end of the trace is malformed"),
]


@pytest.mark.parametrize(("at", "changes", "message"), BROKEN, ids=lambda value: str(value)[:40])
@pytest.mark.parametrize(
    "command", [["view"], ["view", "--json"], ["export", "-o", "x.html"], ["export", "-o", "x.svg"]]
)
def test_a_broken_file_is_refused_in_one_line(
    recorded: tuple[Path, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    command: list[str], at: int, changes: dict[str, Any], message: str,
) -> None:  # fmt: skip
    file, _ = recorded
    monkeypatch.chdir(file.parent)
    edited(file, at, **changes)
    assert main(["trace", command[0], str(file), *command[1:]]) == 2
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.count("\n") == 1 and len(captured.err) < 900
    assert not list(file.parent.glob("x.*"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the trace is empty"),
        (b"hello\n", "line 1 is not a trace record"),
        (b"\xff\xfe", "line 1 is not a trace record"),
    ],
)
def test_a_file_that_is_no_trace(invoke: Invoke, tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "x.jsonl"
    file.write_bytes(content)
    result = invoke("trace", "view", file)
    assert result.code == 2 and message in result.err and str(file) in result.err


def test_a_number_too_large_for_a_float_is_not_finite(invoke: Invoke, recorded: tuple[Path, str]) -> None:
    file, _ = recorded
    file.write_text(file.read_text(encoding="utf-8").replace('"seed":', '"more":1e999,"seed":', 1), encoding="utf-8")
    result = invoke("trace", "view", file)
    assert result.code == 2 and "line 1 holds a number that is not finite" in result.err


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no such device here")
def test_no_file_is_read_without_end(invoke: Invoke) -> None:
    tracemalloc.start()
    result = invoke("trace", "view", "/dev/zero")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert result.code == 2 and "line 1 has more than 16,777,216 characters; this is no trace" in result.err
    assert peak < 100 << 20


def test_no_trace_is_read_without_end() -> None:
    line = json.dumps({"format": "x" * (1 << 20)})
    with pytest.raises(RequestError, match="is not the header"):
        read(line for _ in iter(int, 1))
    header = json.dumps({"format": "remask-trace", "version": 1, "tokens": [1], "mask_id": 1})
    with pytest.raises(RequestError, match="has more than 536,870,912 characters"):
        read(chain([header], (line for _ in iter(int, 1))))
