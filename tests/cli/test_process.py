"""The program as a process: what only a real one shows. Each start costs seconds, so there are few."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path

from remask.trace.format import read
from tests.helpers.data import TINY_LLADA

PROGRAM = [sys.executable, "-m", "remask"]
SHORT = ["--gen-length", "8", "--steps", "4", "--threads", "1"]
PLAIN = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR")}
PLAIN["REMASK_MODEL"] = TINY_LLADA


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, remask.cli\n"
        "for words in ([], ['run'], ['explain'], ['bench'], ['drift'], ['trace', 'view']):\n"
        "    assert remask.cli.main([*words, '--help']) == 0\n"
        "heavy = {'torch', 'numpy', 'tokenizers', 'matplotlib', 'jinja2'} & sys.modules.keys()\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_piped_output_has_no_escapes_and_streams_are_apart() -> None:
    done = subprocess.run(
        [*PROGRAM, "run", *SHORT], input=b"Sort 3 1 2.\n", capture_output=True, timeout=120, check=False,
        env=PLAIN | {"NO_COLOR": "1"},
    )  # fmt: skip
    assert done.returncode == 0
    assert b"\x1b" not in done.stdout + done.stderr
    assert b"forwards" in done.stderr and b"forwards" not in done.stdout and done.stdout.endswith(b"\n")


def test_colour_is_forced_only_where_it_belongs() -> None:
    done = subprocess.run(
        [*PROGRAM, "run", ""], capture_output=True, timeout=120, check=False,
        env=PLAIN | {"FORCE_COLOR": "1"},
    )  # fmt: skip
    assert done.returncode == 2 and b"\x1b[" in done.stderr and done.stdout == b""


def test_a_closed_pipe_ends_quietly() -> None:
    process = subprocess.Popen(
        [*PROGRAM, "run", "Tell me a story.", *SHORT, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=PLAIN,
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    said = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait(timeout=120) == 1
    assert "Traceback" not in said and "BrokenPipe" not in said


def test_json_is_json_also_where_stderr_is_closed_and_stdout_is_ascii() -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" 2>&-', "sh", *PROGRAM, "infill", "é {{1}}", "--threads", "1", "--json"],
        stdout=subprocess.PIPE, timeout=120, check=True,
        env=PLAIN | {"PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert json.loads(done.stdout)["text"].startswith("é ")


def test_a_program_without_any_output_still_ends_well() -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" >&- 2>&-', "sh", *PROGRAM, "--version"], timeout=120, check=False
    )
    assert done.returncode == 0


def test_interrupting_keeps_the_trace_and_gives_the_terminal_back(tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    master, slave = pty.openpty()
    words = ["run", "Tell me a story.", "--gen-length", "32", "--pace", "0.1", "--threads", "1", "--trace", str(file)]
    process = subprocess.Popen(
        [*PROGRAM, *words],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=PLAIN | {"TERM": "xterm"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores ^C
    )
    os.close(slave)
    shown = drain(master, until=rb"step [3-9]/")
    process.send_signal(signal.SIGINT)
    shown += drain(master)
    assert process.wait(timeout=60) == 130
    os.close(master)
    assert shown.rindex(b"\x1b[?25h") > shown.rindex(b"\x1b[?25l"), "the cursor stays hidden"
    assert re.search(rb"stopped after \d+ of 32 steps", shown) and shown.rindex(b"still [MASK]") > shown.rindex(
        b"[?25l"
    )
    assert b"interrupted; the trace so far is in " in shown and b"Traceback" not in shown
    trace = read(StringIO(file.read_text(encoding="utf-8")))
    assert len(trace.steps) >= 3
    assert trace.end is not None and trace.end["finish_reason"] == "cancelled" and trace.end["seconds"] > 0
    assert not re.search(r"user|Tell me", trace.end["text"])


def drain(master: int, until: bytes | None = None) -> bytes:
    """What the terminal shows, up to a pattern or the end."""
    shown, deadline = b"", time.monotonic() + 120
    while time.monotonic() < deadline:
        if select.select([master], [], [], 1.0)[0]:
            try:
                got = os.read(master, 65536)
            except OSError:  # the other side is closed
                return shown
            if not got:
                return shown
            shown += got
            if until is not None and re.search(until, shown):
                return shown
    raise AssertionError(f"waited in vain; the terminal shows {shown[-500:]!r}")
