"""Cases made from valid input and a seed: each works or is refused in one printable line that quotes what is wrong.

    python -m tests.fuzz.harness NAME SEED COUNT        one line of the table in docs/robustness.md

The cases run in a process of their own, which the system ends when one takes too long; a new one goes on behind it.
"""

import io
import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import remask
from remask.cli import main
from remask.errors import RemaskError
from remask.llm import LLM
from tests.helpers.data import TINY_LLADA

SECONDS, WALL = 10, 120  # of the processor, and of a clock for what waits, that a case may take
PEAK = 1 << 30  # bytes of the whole process, with torch and a model
LONGEST = 1000  # characters of a message; a path in it may be long
WORKED, REFUSED = "worked", "refused"
QUOTING = re.compile(r"""['"\d/(=]| -| got |: remask |: \w\.\w""")  # a value, bound, path, option, command or key
ROOT = Path(__file__).parents[2]

Case = Callable[[Random], object]
"""One case: returns if it worked, and raises RemaskError if it was refused."""
Fuzzer = Callable[[Path], Case]
"""Makes what the cases begin with in a folder."""


class Raw(Exception):
    """An exception that no user should see, as a command says it."""


@dataclass
class Tally:
    """How the cases of a fuzzer ended."""

    worked: int = 0
    refused: int = 0
    raw: list[str] = field(default_factory=list)
    crashed: list[int] = field(default_factory=list)
    hung: list[int] = field(default_factory=list)
    seconds: float = 0.0  # of the slowest
    peak: int = 0

    @property
    def cases(self) -> int:
        return self.worked + self.refused + len(self.raw) + len(self.crashed) + len(self.hung)

    def row(self, name: str) -> str:
        numbers = [self.cases, self.refused, self.worked, *map(len, (self.raw, self.crashed, self.hung))]
        return f"| {name} | {' | '.join(f'{n:,}' for n in numbers)} | {self.peak >> 20} MiB | {self.seconds:.1f} s |"


def largest() -> int:
    """The most bytes that this process has held. Its `ru_maxrss` would begin with what its parent holds."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) << 10


def tally(name: str, seed: int, count: int) -> Tally:
    """Run so many cases of a fuzzer."""
    found, first = Tally(), 0
    while first < count:
        command = [sys.executable, "-W", "ignore", "-m", "tests.fuzz.harness", name, str(seed), str(count), str(first)]
        with (
            tempfile.TemporaryFile("w+") as said,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True, cwd=ROOT) as process,
        ):
            assert process.stdout is not None
            for line in process.stdout:
                _count(found, json.loads(line))
                first += 1
            if process.wait() == 0:
                break
            said.seek(0)
            assert found.cases or first, f"the fuzzer does not start: {said.read()[-2000:]}"
            late = -process.returncode in (signal.SIGXCPU, signal.SIGALRM)
            (found.hung if late else found.crashed).append(first)
            first += 1
    return found


def _count(found: Tally, line: dict[str, Any]) -> None:
    found.worked += line["end"] == WORKED
    found.refused += line["end"] == REFUSED
    if line["end"] not in (WORKED, REFUSED):
        found.raw.append(f"{line['number']}: {line['end']}")
    found.seconds, found.peak = max(found.seconds, line["seconds"]), max(found.peak, line["peak"])


def ends(name: str, seed: int, numbers: range) -> Iterator[dict[str, Any]]:
    """How each case ends, and what it cost, in this process."""
    from tests.fuzz.fuzzers import FUZZERS

    llm = remask.load(TINY_LLADA, device="cpu")
    reference = answer(llm)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ |= {"XDG_CONFIG_HOME": folder, "MPLCONFIGDIR": folder, "HF_HUB_OFFLINE": "1", "HF_HOME": folder}
        case = FUZZERS[name](Path(folder))
        for number in numbers:
            began = time.process_time()
            resource.setrlimit(resource.RLIMIT_CPU, (int(began) + SECONDS + 1, resource.RLIM_INFINITY))
            signal.alarm(WALL)
            end = end_of(case, Random(f"{name} {seed} {number}"))
            seconds = time.process_time() - began
            if answer(llm) != reference:
                end = "the engine answers otherwise from here on"
            peak = largest()
            yield {"number": number, "end": end, "seconds": seconds, "peak": peak}


def answer(llm: LLM) -> object:
    return llm.generate("Sort 3 1 2.", gen_length=4, steps=2).tokens


def end_of(case: Case, random: Random) -> str:
    """WORKED, REFUSED, or what is wrong."""
    try:
        case(random)
    except RemaskError as error:
        message = str(error)
        if not message.isprintable() or len(message) > LONGEST:
            return f"a message of {len(message)} characters: {message[:200]!r}"
        return REFUSED if QUOTING.search(message) else f"a message that quotes nothing: {message}"
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is reported
        return f"{type(error).__name__}: {str(error)[:300]!r}"
    return WORKED


def command(*words: object, stdin: str = "") -> str:
    """What `remask WORDS` writes to stdout. Raises RemaskError with its message if it refuses, else Raw."""
    out, err, before = io.StringIO(), io.StringIO(), sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin.encode("utf-8", "surrogateescape")), encoding="utf-8")
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code = main([str(word) for word in words])
    finally:
        sys.stdin = before
    if code == 0:
        return out.getvalue()
    lines = err.getvalue().splitlines() or [""]
    if code not in (1, 2) or not lines[-1].startswith("remask: error: ") or "shows the traceback" in lines[-1]:
        raise Raw(f"exit code {code}: {lines[-1]}")
    raise RemaskError(lines[-1].removeprefix("remask: error: "))


if __name__ == "__main__":
    fuzzer, seed, count, *rest = sys.argv[1:]
    if rest:  # the process of the cases
        for end in ends(fuzzer, int(seed), range(int(rest[0]), int(count))):
            print(json.dumps(end), flush=True)
    else:
        found = tally(fuzzer, int(seed), int(count))
        print(found.row(fuzzer), *found.raw, sep="\n")
        print(*(f"crashed: {n}" for n in found.crashed), *(f"hung: {n}" for n in found.hung), sep="\n", end="")
