#!/usr/bin/env python3
"""Make .venv ready once, then run one of the project's commands in it.

    python scripts/bootstrap.py [--torch auto|cpu|cuda|skip] COMMAND [arguments for the command's last tool]

COMMAND          demo, test, lint (ruff), types (mypy), check (those three, as CI does), fmt (mend the code) or setup
--torch          the build of torch: auto is cpu where there is no NVIDIA GPU; skip keeps the one that is in .venv
TORCH_INDEX_URL  take torch, and only torch, from this wheel index (a mirror, another CUDA)

Set-up is done once, resumed where it was interrupted, redone where its inputs change; its log is .venv/setup.log.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - above any line that an older Python cannot run
    told = "bootstrap: Python {}.{} is too old, remask needs 3.11 or newer; as in: python3.12 scripts/bootstrap.py"
    sys.exit(told.format(*sys.version_info[:2]))

import argparse
import hashlib
import os
import re
import shutil
import signal
import subprocess
import time
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP, LOG = VENV / ".stamp", VENV / "setup.log"
VERSION = "{}.{}".format(*sys.version_info[:2])
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
PACKAGES = VENV / ("Lib/site-packages" if os.name == "nt" else f"lib/python{VERSION}/site-packages")
INSTALL = (PYTHON, "-m", "pip", "install", "--no-compile", "--progress-bar", "off")  # the first start compiles
FIRST_START = "import torch, hypothesis, jinja2, matplotlib.pyplot, pytest, rich.live, safetensors.torch, tokenizers"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
INPUTS = [(ROOT / name).read_bytes() for name in ("pyproject.toml", "constraints.txt")]
STATE = hashlib.sha256(b"\0".join([*INPUTS, bytes(ROOT), VERSION.encode()])).hexdigest()  # what .venv depends on
COMMANDS = {  # the modules that a command runs, in order
    "demo": ["remask run --pace 0.08 Solve\n1.34\n..12\n2..3\n43.."],
    "test": ["pytest -n auto --dist loadfile"],
    "lint": ["ruff check .", "ruff format --check ."],
    "types": ["mypy"],
    "check": ["ruff check .", "ruff format --check .", "mypy", "pytest -n auto --dist loadfile"],
    "fmt": ["ruff check --fix .", "ruff format ."],
    "setup": [],
}
REMEDIES = {  # what a failed tool says, and what helps
    r"No space left|not enough space|quota exceeded": "the disk is full: free some space here and in TMPDIR, then "
    "run this again",
    r"ensurepip is not available|No module named '?(venv|ensurepip)": "this Python cannot make virtual environments: "
    "install its venv module (Debian, Ubuntu: `apt install python3-venv`)",
    r"NewConnectionError|Max retries exceeded|[Tt]imed out|TimeoutError|name resolution|ProxyError|IncompleteRead|"
    r"Connection ?(refused|aborted|reset|broken)|SSLError|CERTIFICATE_VERIFY|unreachable": "pip cannot reach its "
    "package index: check the network, the proxy (HTTPS_PROXY) or `pip config list`, then run this again",
    r"No matching distribution found for torch\b": f"pip finds no such torch for this system and Python {VERSION}: use "
    "another Python (3.11 or newer), or put your own torch into .venv and run this with --torch skip",
}
say = partial(print, file=sys.stderr, flush=True)


def set_up(wanted: str) -> None:
    """Make .venv fit this checkout: each step finds what is done already, and the stamp comes last."""
    if is_ready(wanted):
        return
    with (ROOT / "pyproject.toml").open() as file:
        lock(file.fileno())
        if is_ready(wanted):  # another set-up did it while this one waited
            return
        clear = ["--clear"] if VENV.exists() and not PACKAGES.exists() else []  # it is of another Python
        STAMP.unlink(missing_ok=True)
        LOG.unlink(missing_ok=True)
        for package in PACKAGES.glob("*.dist-info"):  # pip takes them for installed, also if it was killed in them
            record = package / "RECORD"
            if not record.exists() or b"INSTALLER" not in record.read_bytes():  # its last line
                shutil.rmtree(package)
        if clear or not PYTHON.exists() or tool("pip in .venv", PYTHON, "-m", "pip", "--version"):
            check(tool(f".venv for Python {VERSION}", sys.executable, "-m", "venv", *clear, VENV))
        version = install_torch(wanted)
        pins = VENV / "constraints.txt"
        pins.write_text(re.sub(r"(?m)^torch==.*", f"torch=={version}", (ROOT / "constraints.txt").read_text()))
        check(tool(f"the other packages, beside torch {version}", *INSTALL, "-c", pins, "-e", ".[dev]"))
        check(tool("first start of torch and the others", PYTHON, "-c", FIRST_START))
        STAMP.write_text(f"{STATE} {wanted}")


def is_ready(wanted: str) -> bool:
    stamped = STAMP.read_text().split() if STAMP.exists() else []
    return STATE in stamped and wanted in ("auto", "skip", *stamped) and PYTHON.exists()


def lock(file: int) -> None:
    """Let one set-up at a time work on .venv. Its tools hold the lock, too, should they outlive it."""
    try:
        import fcntl

        os.set_inheritable(file, True)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("another set-up is at work in .venv: waiting for it")
        fcntl.flock(file, fcntl.LOCK_EX)
    except (ImportError, OSError):  # Windows, or a file system without locks
        pass


def install_torch(wanted: str) -> str:
    """Install the pinned torch first and alone, because only here can its build be chosen. Gives its version."""
    found, pin = torch_version(), re.findall(r"(?m)^torch==(\S+)", (ROOT / "constraints.txt").read_text())[0]
    if wanted == "skip" and not found:
        sys.exit(f"bootstrap: --torch skip, but .venv has no torch: install one (`{PYTHON} -m pip install torch`)")
    fits = wanted == "auto" or (wanted == "cpu") == found.endswith("+cpu")
    if wanted == "skip" or (fits and found.split("+")[0] == pin):
        return found
    for title, *source in torch_sources(pin, wanted, os.environ.get("TORCH_INDEX_URL")):
        failed = tool(f"torch {pin}, {title}", *INSTALL, "--no-deps", "--force-reinstall", *source)
        if not failed or "Downloading" in failed:
            break  # what was broken off is worth a second run, not a download ten times larger
    check(failed)
    return torch_version()


def torch_version() -> str:
    found = next(PACKAGES.glob("torch-*.dist-info"), None)
    return found.name[len("torch-") : -len(".dist-info")] if found else ""


def torch_sources(pin: str, wanted: str, index: str | None) -> list[tuple[str, ...]]:
    """A title and pip's arguments for each place to take torch from, the best first."""
    cpu = ("the CPU build (200 MB)", f"torch=={pin}+cpu", "--extra-index-url", CPU_INDEX, "--retries", "1")
    cuda = ("the CUDA build (2.5 GB)", f"torch=={pin},!={pin}+cpu")  # the pin alone would let a local +cpu win
    default = ("the build of pip's index", f"torch=={pin}")
    if index:
        return [("from TORCH_INDEX_URL", (cuda if wanted == "cuda" else default)[1], "--index-url", index)]
    if sys.platform != "linux":
        return [default]
    if wanted == "auto":
        return [cuda, cpu] if subprocess.getstatusoutput("nvidia-smi -L")[0] == 0 else [cpu, default]
    return [cuda if wanted == "cuda" else cpu]


def tool(title: str, *argv: object) -> str:
    """Run a set-up tool, its title and its seconds on one line. What it said if it failed, else nothing."""
    say(f"{title} ... ", end="")
    start = time.monotonic()
    VENV.mkdir(exist_ok=True)
    with LOG.open("a+b") as log:
        begin, words = log.tell(), [str(word) for word in argv]
        code = subprocess.call(words, cwd=ROOT, close_fds=False, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.seek(begin)
        output = log.read().decode(errors="replace") or "error: it said nothing"
    say(f"{time.monotonic() - start:.1f} s")
    return output if code else ""


def check(failed: str) -> None:
    """End with one line on what a failed tool means, and the remedy."""
    errors = re.findall(r"(?m)^(?:ERROR|error|\w*Error)\b.*", failed) or ["a set-up tool failed"]
    helps = [remedy for pattern, remedy in REMEDIES.items() if re.search(pattern, failed)]
    if failed:
        sys.exit(f"bootstrap: {[*helps, f'{errors[-1]} (see .venv/setup.log; mend that and run this again)'][0]}")


def run(*argv: str) -> int:
    """Run a module for the user. ^C reaches it too: it decides when to end, and then this program ends, too."""
    interrupts: list[int] = []
    child = subprocess.Popen([PYTHON, "-m", *argv], cwd=ROOT)
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    signal.signal(signal.SIGINT, lambda number, _: interrupts.append(number))
    code = child.wait()
    if interrupts:
        sys.exit(130)
    return code if code >= 0 else 128 - code


def main() -> int:
    """0 fine, 1 set-up failed, 2 wrong usage, 130 interrupted; else the exit status of the first tool that failed."""
    parser = argparse.ArgumentParser("bootstrap", usage=argparse.SUPPRESS, add_help=False, allow_abbrev=False)
    parser.add_argument("--torch", choices=("auto", "cpu", "cuda", "skip"), default="auto")
    options, (command, *arguments) = parser.parse_known_args(sys.argv[1:] or [""])
    if command in ("-h", "--help"):
        print(__doc__)
        return 0
    if command not in COMMANDS or (command == "setup" and arguments):
        parser.error(f"no command {' '.join([command, *arguments])!r}: it is one of {', '.join(COMMANDS)}")
    set_up(options.torch)
    modules = [module.split(" ") for module in COMMANDS[command]]
    return next(filter(None, [run(*m, *(arguments if m is modules[-1] else ())) for m in modules]), 0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a killed set-up ends its pip too
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        say("bootstrap: interrupted; run this again to go on")
        sys.exit(130)
    except OSError as error:
        check(f"error: {error}")
