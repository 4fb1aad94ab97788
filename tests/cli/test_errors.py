"""What cannot be done as asked: one line on stderr, exit code 2, nothing on stdout."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import remask
from remask.cli.loading import parse_fields
from remask.errors import BusyError
from tests.helpers.data import TINY_LLADA

Invoke = Callable[..., Any]

REFUSED = [
    (["run", ""], b"", "the prompt is empty"),
    (["run", " \n "], b"", "the prompt is empty"),
    (["run"], b"", "the prompt is empty"),
    (["run", "-"], b"", "the prompt is empty"),
    (["run"], b"\xff\xfe hello", "not valid UTF-8 (byte 0)"),
    (["run", "caf\udce9"], b"", "not valid UTF-8"),
    (["run", "hi", "--gen-length", "0"], b"", "--gen-length must be at least 1, got 0"),
    (["run", "hi", "--gen-length", "-1"], b"", "--gen-length must be at least 1, got -1"),
    (["run", "hi", "--gen-length", "many"], b"", "Invalid value for '--gen-length'"),
    (["run", "hi", "--steps", "0"], b"", "steps must lie in 1..1,048,576, got 0"),
    (["run", "hi", "--steps", "1" + "0" * 30], b"", "steps must lie in 1..1,048,576, got 1000"),
    (["run", "hi", "--block-length", "0"], b"", "--block-length must be at least 1, got 0"),
    (["run", "hi", "--temperature", "nan"], b"", "temperature must lie in [0, 1e+06]"),
    (["run", "hi", "--temperature", "-1"], b"", "temperature must lie in [0, 1e+06]"),
    (["run", "hi", "--cfg-scale", "inf"], b"", "--cfg-scale must lie in [0, 100]"),
    (["run", "hi", "--remasking", "best"], b"", "unknown remasking 'best'; known: entropy, low_confidence"),
    (["run", "hi", "--threshold", "2"], b"", "select.threshold must lie in [0, 1], got 2"),
    (["run", "hi", "--top-k", "0"], b"", "--top-k must be at least 1, got 0"),
    (["run", "hi", "--top-p", "0"], b"", "--top-p must lie in (0, 1], got 0"),
    (["run", "hi", "--compat", "old"], b"", "compat must be one of"),
    (["run", "hi", "--recipe", "fastest"], b"", "unknown recipe 'fastest'; known: "),
    (["run", "hi", "--recipe", "nowhere.toml"], b"", "cannot read the recipe 'nowhere.toml'"),
    (["run", "hi", "--recipe", "llada+speed=9"], b"", "unknown recipe axis 'speed'; known: "),
    (["run", "hi", "--fast", "--recipe", "llada"], b"", "--fast and --recipe llada are two recipes; leave one out"),
    (["run", "hi", "--set", "select=best"], b"", "unknown select 'best'; known: "),
    (
        ["run", "hi", "--set", "select.threshold=1"],
        b"",
        "select: top_k has no value 'threshold'; what has it: threshold",
    ),
    (["run", "hi", "--set", "steps=4", "--steps", "8"], b"", "--steps and --set steps both set steps; leave one out"),
    (
        ["run", "hi", "--set", "process.top_k=4", "--top-k", "8"],
        b"",
        "--top-k and --set process.top_k both set process",
    ),
    (["run", "hi", "-t", "1", "--set", "process={top_k=4}"], b"", "--temperature and --set process both set process"),
    (["run", "hi", "--lookahead", "4", "--set", "canvas=full"], b"", "--lookahead and --set canvas both set canvas"),
    (["infill", "a {{1}}", "--set", "steps"], b"", "'steps' is not a setting; write axis=value"),
    (["eval", "sorting", "--set", "confidence=luck"], b"", "unknown confidence 'luck'; known: "),
    (["chat", "--set", "steps=0"], b"", "steps must lie in 1..1,048,576, got 0"),
    (["run", "hi", "--stop", ""], b"", "a stop string is empty"),
    (["run", "word " * 400], b"", "the model's context is 256"),
    (["run", "hi", "--gen-length", "1000"], b"", "the model's context is 256"),
    (["run", "hi", "--gen-length", "1" + "0" * 30], b"", "the model's context is 256"),
    (["plan", TINY_LLADA, "--context", "1" + "0" * 30], b"", "the model's context is 256"),
    (["infill", "{{4096}}" * 99], b"", "405504 to decide), the model's context is 256"),
    (["run", "hi", "--system", "caf\udce9"], b"", "not valid UTF-8"),
    (["infill", "--prefix", "caf\udce9", "--length", "2"], b"", "not valid UTF-8"),
    (["run", "hi", "-n", "0"], b"", "n must be at least 1, got 0"),
    (["run", "hi", "-n", "2", "--trace", "x"], b"", "--trace is for one answer, got --n 2"),
    (["run", "hi", "-n", "2", "--watch"], b"", "--watch is for one answer, got --n 2"),
    (["run", "hi", "-q", "--watch"], b"", "--quiet and --watch contradict each other"),
    (["run", "hi", "--no-watch", "--pace", "1"], b"", "--pace is for watching"),
    (["run", "hi", "--raw", "--system", "be brief"], b"", "--system needs the chat template"),
    (["run", "hi", "--trace", "no/such/folder/t.jsonl"], b"", "cannot write 'no/such/folder/t.jsonl'"),
    (["run", "hi", "--trace", "/dev/full"], b"", "cannot write '/dev/full': "),
    (["run", "hi", "--threads", "0"], b"", "threads must be at least 1, got 0"),
    (["run", "hi", "--threads", "1000000000"], b"", "the cores of this machine, got 1000000000; leave it out"),
    (["train", "--config", "bundled", "--out", "x", "--threads", "1000000000"], b"", "the cores of this machine, got"),
    (["run", "hi", "-m", "no such model"], b"", "'no such model' names no model; give 'bundled'"),
    (["run", "hi", "-m", "./nowhere"], b"", "there is no folder './nowhere'"),
    (["run", "hi", "--device", "abacus"], b"", "unknown device 'abacus'"),
    (["run", "hi", "--dtype", "int3"], b"", "unknown dtype 'int3'"),
    (["run", "hi", "--stepps", "3"], b"", "No such option: --stepps"),
    (["run", "hi", "--temprature", "1"], b"", "No such option: --temprature; did you mean --temperature? (see remask"),
    (["run", "hi", "-m", "bundeld"], b"", "'bundeld' names no model; give"),
    (["run", "hi", "-m", "bundeld"], b"", "did you mean 'bundled'?"),
    (["run", "hi", "--recipe", "fastdllm"], b"", "did you mean 'fast-dllm'?"),
    (["recipes", "show", "fastdllm"], b"", "did you mean 'fast-dllm'?"),
    (["plan", TINY_LLADA, "--memory", "3"], b"", "a size below 1 MB is no memory, got '3'; give a unit, as in 24GB"),
    (["fly"], b"", "No such command 'fly'"),
    (["infill", "no holes"], b"", "the template has no hole"),
    (["infill", "{{0}}"], b"", "'{{0}}' is not a hole"),
    (["infill", ""], b"", "the template is empty"),
    (["infill", "a {{1}}", "--length", "3"], b"", "--length goes with --prefix or --suffix"),
    (["infill", "a {{1}}", "--prefix", "b"], b"", "but not both"),
    (["infill", "--prefix", "b"], b"", "need --length"),
    (["infill", "--prefix", "b", "--length", "0"], b"", "length must be at least 1, got 0"),
    (["explain", "hi", "--step", "99"], b"", "there is no step 99"),
    (["explain", "hi", "--step", "0"], b"", "step must be at least 1, got 0"),
    (["explain", "hi", "--gen-length", "0"], b"", "--gen-length must be at least 1, got 0"),
    (["explain", "hi", "--block-length", "0"], b"", "--block-length must be at least 1, got 0"),
    (["explain", "hi", "--steps", "0"], b"", "steps must lie in 1..1,048,576, got 0"),
    (["explain", "hi", "--top", "0"], b"", "top must be at least 1, got 0"),
    (["explain", "hi", "--html", "no/such/folder/x.html"], b"", "cannot write 'no/such/folder/x.html'"),
    (["chat", "--steps", "0"], b"", "steps must lie in 1..1,048,576, got 0"),
    (["trace", "view", "nowhere.jsonl"], b"", "cannot read 'nowhere.jsonl'"),
    (["models", "show", "../nowhere"], b"", "there is no folder '../nowhere'"),
    (["train", "--config", "huge", "--out", "x"], b"", "there is no configuration 'huge'; give blockwise, bundled"),
    (["train", "--config", "nowhere.toml", "--out", "x"], b"", "cannot read the training configuration"),
]


@pytest.mark.parametrize(("arguments", "stdin", "message"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_cannot_be_done_is_refused_in_one_line(
    invoke: Invoke, arguments: list[str], stdin: bytes, message: str
) -> None:
    result = invoke(*arguments, stdin=stdin)
    assert result.code == 2
    assert result.out == ""
    assert result.err.startswith("remask: error: ") and result.err.count("\n") == 1
    assert message in result.err


def test_a_prompt_is_not_waited_for_on_a_terminal(invoke: Invoke) -> None:
    result = invoke("run", terminal=True)
    assert result.code == 2 and "there is no prompt; give it as an argument, or pipe it in" in result.err


@pytest.mark.parametrize("group", ["eval", "trace", "models"])
def test_a_group_alone_shows_its_help_and_asks_for_a_command(invoke: Invoke, group: str) -> None:
    result = invoke(group)
    assert result.code == 2 and f"remask: error: name a command (see remask {group} --help)\n" in result.err
    assert f"remask {group}" in result.out + result.err


def test_an_unknown_key_in_a_recipe_file_is_named(invoke: Invoke, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('speed = "ludicrous"\n')
    result = invoke("run", "hi", "--recipe", file)
    assert result.code == 2 and "unknown recipe axis 'speed'; known: blocks" in result.err


def test_what_fails_in_spite_of_being_asked_well_is_one(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: object, **__: object) -> None:
        raise BusyError("too many requests wait")

    monkeypatch.setattr(remask, "load", busy)
    result = invoke("run", "hi")
    assert result.code == 1 and result.err == "remask: error: too many requests wait\n"


def test_a_surprise_is_one_line_and_its_traceback_on_demand(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("two\nlines [bold]")

    monkeypatch.setattr(remask, "load", broken)
    result = invoke("run", "hi")
    assert result.code == 1
    assert result.err == "remask: error: ZeroDivisionError: two lines [bold]; `remask --debug …` shows the traceback\n"
    result = invoke("--debug", "run", "hi")
    assert result.code == 1 and "Traceback" in result.err and "broken" in result.err


def test_what_config_json_leaves_open_is_stated_on_the_command_line(invoke: Invoke) -> None:
    result = invoke("run", "hi", "--field", "mask_token_id")
    assert result.code == 2 and "--field must be NAME=VALUE" in result.err
    result = invoke("run", "hi", "--family", "llama")
    assert result.code == 2 and "unknown family 'llama'; known: llada, " in result.err


def test_fields_of_config_json_are_read_as_json() -> None:
    assert parse_fields(["a=5", 'b="5"', "c=text", "d=null", "e=x=y"]) == {
        "a": 5, "b": "5", "c": "text", "d": None, "e": "x=y",
    }  # fmt: skip
