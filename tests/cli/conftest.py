"""Runs the program in this process, on the model of the tests, which is loaded once."""

import io
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import remask
from remask.cli import main
from remask.llm import LLM
from tests.helpers.data import TINY_LLADA


class Result(NamedTuple):
    """What one command did."""

    code: int
    out: str
    err: str


class Stdin(io.TextIOWrapper):
    """Bytes as stdin; `terminal` says that somebody types them."""

    def __init__(self, data: bytes, terminal: bool) -> None:
        super().__init__(io.BytesIO(data), encoding="utf-8")
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.fixture(scope="session")
def load_once() -> Callable[..., LLM]:
    return cache(remask.load)


@pytest.fixture(scope="session")
def llm(load_once: Callable[..., LLM]) -> LLM:
    """The model of the tests, as the commands load it."""
    return load_once(TINY_LLADA, adapter=None, device="auto", dtype="auto", quantize=None, threads=None)


@pytest.fixture
def invoke(
    load_once: Callable[..., LLM],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> Callable[..., Result]:
    """`invoke("run", "hi", stdin=b"…")` as `remask run hi` would go in a pipe."""
    monkeypatch.setattr(remask, "load", load_once)
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    for name in ("RECIPE", "DEVICE", "DTYPE", "THREADS"):
        monkeypatch.delenv(f"REMASK_{name}", raising=False)
    monkeypatch.setenv("REMASK_MODEL", TINY_LLADA)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no configuration"))

    def run(*arguments: Any, stdin: bytes = b"", terminal: bool = False) -> Result:
        monkeypatch.setattr(sys, "stdin", Stdin(stdin, terminal))
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return run
