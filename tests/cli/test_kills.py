"""SIGKILL at random moments: nothing is lost, and what goes on ends as if nothing had happened."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("fcntl", reason="no forks and no locks there")

ROOT = Path(__file__).parents[2]
COMMANDS = ("train", "eval", "bench", "convert", "record")


@pytest.mark.parametrize("count", [2, pytest.param(30, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_killed_command_loses_nothing_and_goes_on(name: str, count: int) -> None:
    words = [sys.executable, "-W", "ignore", "-m", "tests.helpers.kills", name, "0", str(count)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and f"{count} kills" in done.stdout, done.stdout + done.stderr
