#!/usr/bin/env python3
"""Make .venv ready once, then run one of the project's commands in it.

    python scripts/bootstrap.py [--torch auto|cpu|cuda|skip] COMMAND [arguments for the command's last tool]

Needs Python 3.11 or newer and nothing else: no make, no other package. A second run does no set-up work until
pyproject.toml, constraints.txt or the Python version changes. An interrupted set-up is resumed by the next run.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - the reader's Python may be older; above any line that it can't run
    sys.exit(
        "bootstrap: Python {}.{} is too old, remask needs 3.11 or newer: run this with a newer one, "
        "for example `python3.12 scripts/bootstrap.py` or `make PYTHON=python3.12`".format(*sys.version_info[:2])
    )

import argparse
import errno
import hashlib
import importlib.util
import os
import platform
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

QUESTION = "Solve\n1.34\n..12\n2..3\n43.."
RUFF_CHECK = ("ruff", "check", ".")
RUFF_FORMAT = ("ruff", "format", "--check", ".")
MYPY = ("mypy",)  # strict, by pyproject.toml; given on the command line it would override the exceptions there
PYTEST = ("pytest",)

# What a command does, and the modules that it runs with `python -m`, in order.
COMMANDS: dict[str, tuple[str, list[tuple[str, ...]]]] = {
    "demo": (
        "watch the bundled model solve a 4×4 Sudoku, step by step",
        [("remask", "run", "--pace", "0.08", QUESTION)],
    ),
    "test": ("run the tests", [PYTEST]),
    "lint": ("ruff: lint and format, without changing a file", [RUFF_CHECK, RUFF_FORMAT]),
    "types": ("mypy, strict", [MYPY]),
    "check": ("lint, types and tests: what CI runs", [RUFF_CHECK, RUFF_FORMAT, MYPY, PYTEST]),
    "fmt": ("mend and format the code", [("ruff", "check", "--fix", "."), ("ruff", "format", ".")]),
    "setup": ("only make .venv ready; every command above does this first", []),
}

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
FIRST_START = "torch, hypothesis, jinja2, matplotlib.pyplot, pytest, rich.live, safetensors.torch, tokenizers, typer"
SIZES = {"cpu": "about 200 MB to download, 750 MB on disk", "cuda": "about 2.5 GB to download, 4.6 GB on disk"}
FREE_GB = {"cpu": 1.5, "cuda": 7.5}  # torch, its download while it is unpacked, and the other packages

DISK_FULL = re.compile(r"No space left on device|not enough space on the disk|\[Errno 28\]", re.IGNORECASE)
OFFLINE = re.compile(
    r"NewConnectionError|Failed to establish a new connection|Max retries exceeded|ConnectTimeoutError|"
    r"Read timed out|ReadTimeoutError|name resolution|ProxyError|Connection (?:refused|aborted|reset|broken)|"
    r"ConnectionResetError|IncompleteRead|SSLError|CERTIFICATE_VERIFY_FAILED|Network is unreachable",
    re.IGNORECASE,
)
NO_VENV = re.compile(r"ensurepip is not available|No module named '?(?:venv|ensurepip)", re.IGNORECASE)
NOISE = re.compile(r"WARNING: Location '.*' is ignored")

DISK_REMEDY = (
    "the disk is full: free some space on the disk of this folder and in the temporary folder (TMPDIR moves it), "
    "then run this again"
)
NETWORK_REMEDY = (
    "pip can't reach its package index: check the network, the proxy (HTTPS_PROXY) or pip's own settings "
    "(`pip config list`), then run this again; what is already installed stays"
)
VENV_REMEDY = (
    "this Python can't make virtual environments: install its venv module (Debian, Ubuntu: `apt install python3-venv`)"
)

TORCH_PROBE = """
import importlib.metadata, importlib.util, pathlib, runpy
importlib.metadata.version("torch")
facts = runpy.run_path(pathlib.Path(importlib.util.find_spec("torch").origin).with_name("version.py"))
print(facts["__version__"], "cuda" if facts["cuda"] else "cpu")
"""


class Failure(Exception):
    """Set-up can't go on. The text is one line: what is wrong, and the remedy."""


class Usage(Exception):
    """The command line makes no sense. The text is one line: what is wrong, and what would be right."""


class Checkout:
    """Where things lie in a checkout."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.pyproject = root / "pyproject.toml"
        self.constraints = root / "constraints.txt"
        self.venv = root / ".venv"
        self.python = self.venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        self.stamp = self.venv / ".stamp"
        self.log = self.venv / "setup.log"


class Torch(NamedTuple):
    """An installed torch: its version with the local part (2.13.0+cpu), and "cpu" or "cuda"."""

    version: str
    build: str


class Source(NamedTuple):
    """One place to take torch from: pip's requirement and options, and the build that is expected there."""

    title: str
    requirement: str
    options: tuple[str, ...]
    build: str


class Outcome(NamedTuple):
    ok: bool
    output: str


# --- what the user sees: one line a phase, on stderr, so that stdout belongs to the command ---


def say(text: str, end: str = "\n") -> None:
    print(text, end=end, file=sys.stderr, flush=True)


@contextmanager
def phase(title: str) -> Iterator[list[str]]:
    """Print `title` at once and the seconds at the end, on one line; words put in the list go before the seconds."""
    words: list[str] = []
    over = threading.Event()
    start = time.monotonic()
    say(f"{title} ... ", end="")
    ticker = threading.Thread(target=tick, args=(over,), daemon=True)
    if sys.stderr.isatty():
        ticker.start()
    try:
        yield words
    except BaseException:
        words.append("stopped after")
        raise
    finally:
        over.set()
        if ticker.ident is not None:
            ticker.join()
        say(" ".join([*words, f"{time.monotonic() - start:.1f} s"]))


def tick(over: threading.Event) -> None:
    """Count seconds in place until `over` is set: a sign of life for whoever waits at a terminal."""
    seconds, shown = 0, ""
    while not over.wait(1):
        seconds += 1
        say("\b" * len(shown) + f"{seconds} s", end="")
        shown = f"{seconds} s"
    say("\b" * len(shown) + " " * len(shown) + "\b" * len(shown), end="")


# --- the stamp: is there anything to do? ---


def digest(checkout: Checkout) -> str:
    """Everything that the content of .venv depends on. The folder is one: .venv holds absolute paths."""
    parts = [checkout.pyproject.read_bytes(), checkout.constraints.read_bytes(), str(checkout.root).encode()]
    parts.append("{}.{}".format(*sys.version_info[:2]).encode())
    return hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def is_ready(checkout: Checkout, wanted: str) -> bool:
    """Whether .venv was completed for this very checkout, with a torch build that is not other than the wanted one."""
    try:
        stamped, build = checkout.stamp.read_text().split()
    except (OSError, ValueError):
        return False
    fits = wanted in ("auto", "skip", build)
    return fits and stamped == digest(checkout) and checkout.python.exists()


@contextmanager
def only_one(checkout: Checkout) -> Iterator[None]:
    """Let one set-up at a time work on .venv. pip inherits the lock: a pip that outlives a killed set-up keeps it."""
    try:
        import fcntl
    except ImportError:  # Windows has no lock that a child inherits
        yield
        return
    with checkout.pyproject.open() as file:
        os.set_inheritable(file.fileno(), True)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another set-up is at work in .venv: waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:  # a file system without locks
            pass
        yield


# --- running things ---


def logged(checkout: Checkout, *argv: str) -> Outcome:
    """Run a set-up tool; what it says goes to the log instead of the screen, without pip's harmless warnings."""
    env = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "PIP_PROGRESS_BAR": "off"}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    lines = [f"$ {' '.join(argv)}\n"]
    try:
        with subprocess.Popen(
            argv, cwd=checkout.root, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, encoding="utf-8", errors="replace", close_fds=False,
        ) as child:  # fmt: skip
            try:
                lines.extend(line for line in child.stdout or () if not NOISE.search(line))
            except BaseException:
                child.terminate()
                raise
    finally:
        checkout.venv.mkdir(exist_ok=True)
        with checkout.log.open("a", encoding="utf-8") as log:
            log.writelines(lines)
    return Outcome(child.returncode == 0, "".join(lines[1:]))


def pip(checkout: Checkout, *arguments: str) -> Outcome:
    return logged(checkout, str(checkout.python), "-m", "pip", *arguments)


def diagnose(output: str) -> str:
    """What a failed set-up tool means for the user: one line with the remedy."""
    if DISK_FULL.search(output):
        return DISK_REMEDY
    if NO_VENV.search(output):
        return VENV_REMEDY
    if OFFLINE.search(output):
        return NETWORK_REMEDY
    if re.search(r"No matching distribution found for torch\b", output):
        return (
            f"pip finds no such torch for Python {platform.python_version()} on {platform.system()} "
            f"{platform.machine()}: use another Python (3.11 or newer), or put your own torch >= 2.6 into .venv and "
            "run this with --torch skip"
        )
    errors = [line.strip() for line in output.splitlines() if re.match(r"(\s*ERROR|error)\b", line)]
    told = errors[-1] if errors else "a set-up tool failed"
    return f"{told} (all of it is in .venv/setup.log; mend that and run this again)"


def run(argv: list[str], root: Path) -> int:
    """Run a command for the user, with the terminal as it is. ^C reaches it too, and it decides when to end."""
    child = subprocess.Popen(argv, cwd=root)
    interrupted = False
    try:
        while True:
            try:
                code = child.wait()
                break
            except KeyboardInterrupt:
                interrupted = True
    finally:
        if child.poll() is None:
            child.terminate()
    if interrupted:
        return 130
    return code if code >= 0 else 128 - code


# --- set-up, phase by phase ---


def set_up(checkout: Checkout, wanted: str) -> None:
    """Make .venv fit this checkout. Without a stamp every phase runs, and each finds what is done already."""
    if is_ready(checkout, wanted):
        return
    with only_one(checkout):
        if is_ready(checkout, wanted):  # another set-up did it while this one waited
            return
        start, fingerprint = time.monotonic(), digest(checkout)
        checkout.stamp.unlink(missing_ok=True)
        checkout.log.unlink(missing_ok=True)
        remove_half_installed(checkout)
        make_venv(checkout)
        torch = install_torch(checkout, wanted)
        install_project(checkout, torch)
        start_once(checkout)
        checkout.stamp.write_text(f"{fingerprint} {torch.build}\n")
        say(f"ready after {time.monotonic() - start:.1f} s")


def remove_half_installed(checkout: Checkout) -> None:
    """Forget packages that a killed pip left half unpacked: pip would take them for installed.

    pip names INSTALLER in RECORD with its very last write, and moves what it replaces to names with a `~`.
    """
    for packages in [*checkout.venv.glob("lib*/python*/site-packages"), *checkout.venv.glob("Lib/site-packages")]:
        for info in packages.glob("*.dist-info"):
            record = info / "RECORD"
            if not (record.exists() and "INSTALLER" in record.read_text(encoding="utf-8", errors="replace")):
                shutil.rmtree(info)
        for leftover in packages.glob("~*"):
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()


def make_venv(checkout: Checkout) -> None:
    """Make .venv, mend it where it lies, or make it anew when it was made by another Python."""
    version = "{}.{}".format(*sys.version_info[:2])
    config = checkout.venv / "pyvenv.cfg"
    found = re.search(r"^version\w* = (\d+\.\d+)", config.read_text(), re.MULTILINE) if config.exists() else None
    other = found[1] if found and found[1] != version else None
    if found and not other and checkout.python.exists() and pip(checkout, "--version").ok:
        return
    if not (importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip")):
        raise Failure(VENV_REMEDY)
    with phase(f".venv: Python {platform.python_version()}" + (f", in place of {other}" if other else "")):
        clear = ["--clear"] if other else []
        made = logged(checkout, sys.executable, "-m", "venv", *clear, str(checkout.venv))
        if not made.ok:
            raise Failure(diagnose(made.output))


def install_torch(checkout: Checkout, wanted: str) -> Torch:
    """Install the pinned torch first and alone, because only here can its build be chosen; it is most of the size."""
    found = installed_torch(checkout)
    if wanted == "skip":
        if found is None:
            raise Failure(
                f"--torch skip, but there is no torch in .venv: install one (`{checkout.python} -m pip install torch`)"
            )
        return found
    pin = pinned_torch(checkout)
    if found and found.version.split("+")[0] == pin and wanted in ("auto", found.build):
        say(f"torch {found.version}: already in .venv")
        return found
    if found:  # pip would keep 2.13.0+cpu where 2.13.0 is asked for
        pip(checkout, "uninstall", "-y", "torch")
    sources = torch_sources(wanted, pin, os.environ.get("TORCH_INDEX_URL"), has_nvidia_gpu, platform.system())
    for source in sources:
        if take_torch(checkout, source, last=source is sources[-1]):
            break
    torch = installed_torch(checkout)
    if torch is None:
        raise Failure("pip installed torch, but .venv has none that works: remove .venv and run this again")
    return torch


def installed_torch(checkout: Checkout) -> Torch | None:
    """The torch of .venv. It is not imported: that takes seconds, and its dependencies come in a later phase."""
    probe = subprocess.run([checkout.python, "-c", TORCH_PROBE], capture_output=True, text=True, check=False)
    return Torch(*probe.stdout.split()) if probe.returncode == 0 else None


def pinned_torch(checkout: Checkout) -> str:
    found = re.search(r"^torch==([^\s;]+)", checkout.constraints.read_text(), re.MULTILINE)
    if not found:
        raise Failure("constraints.txt pins no torch: add a line `torch==...`")
    return found[1]


def has_nvidia_gpu() -> bool:
    try:
        seen = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return seen.returncode == 0 and "GPU" in seen.stdout


def torch_sources(
    wanted: str, pin: str, index: str | None, has_gpu: Callable[[], bool], system: str
) -> tuple[Source, ...]:
    """Where to take torch from, the best place first. The default index has CUDA builds for Linux only.

    `--no-deps` wherever the place may lack what torch needs: the packages phase takes that from pip's own index.
    """
    any_build, no_cpu = f"torch=={pin}", f"torch=={pin},!={pin}+cpu"  # the pin alone would let a local +cpu win
    if index:
        title, build = f"torch {pin}: from TORCH_INDEX_URL", "cuda" if wanted == "cuda" else "cpu"
        options = ("--no-deps", "--index-url", index)
        return (Source(title, no_cpu if build == "cuda" else any_build, options, build),)
    if wanted == "cuda" and system != "Linux":
        raise Failure(
            f"--torch cuda: the default index has no CUDA build for {system}; set TORCH_INDEX_URL to a wheel index "
            "with one (pytorch.org lists them)"
        )
    local = Source(f"torch {pin}: a CPU wheel that pip already knows of", f"{any_build}+cpu", ("--no-deps",), "cpu")
    cuda = Source(f"torch {pin}: the CUDA build ({SIZES['cuda']})", no_cpu, (), "cuda")
    if wanted == "cuda":
        return (cuda,)
    if system != "Linux":
        return (local, Source(f"torch {pin}: the default build ({SIZES['cpu']})", any_build, (), "cpu"))
    if wanted == "auto" and has_gpu():
        return (cuda, local)
    why = "no NVIDIA GPU here, so the CPU build" if wanted == "auto" else "the CPU build"
    cpu_index = ("--no-deps", "--index-url", CPU_INDEX, "--retries", "2", "--timeout", "15")
    small = Source(f"torch {pin}: {why} ({SIZES['cpu']})", any_build, cpu_index, "cpu")
    return (local, small) if wanted == "cpu" else (local, small, cuda)


def take_torch(checkout: Checkout, source: Source, last: bool) -> bool:
    """Try one source; False when it does not have torch and another may. A failure that would meet all is raised."""
    require_space(checkout, FREE_GB[source.build])
    with phase(source.title) as words:
        taken = pip(checkout, "install", "--no-compile", *source.options, source.requirement)
        if taken.ok:
            return True
        if not last and may_try_another(source, taken.output):
            words.append("not reachable," if OFFLINE.search(taken.output) else "none,")
            return False
        raise Failure(diagnose(taken.output))


def may_try_another(source: Source, output: str) -> bool:
    """Whether a source failed for a reason of its own: an index that never answered, or that lacks this torch."""
    if DISK_FULL.search(output):
        return False
    if "--index-url" in source.options:
        return "Downloading" not in output  # a broken download is worth a second run, not one ten times larger
    return not OFFLINE.search(output)


def require_space(checkout: Checkout, gigabytes: float) -> None:
    free = shutil.disk_usage(checkout.root).free / 1e9
    if free < gigabytes:
        raise Failure(
            f"set-up needs about {gigabytes} GB of disk and {free:.1f} GB are free here: free some, then run this again"
        )


def install_project(checkout: Checkout, torch: Torch) -> None:
    """Install the pinned packages and, editable, remask itself."""
    with phase(f"packages: those of constraints.txt beside torch {torch.version}, and remask itself"):
        constraints = constraints_for(checkout, torch)
        installed = pip(checkout, "install", "--no-compile", "-c", str(constraints), "-e", ".[dev]")
        if not installed.ok:
            raise Failure(diagnose(installed.output))


def start_once(checkout: Checkout) -> None:
    """Import the large packages: proves that they load here, and compiles what is really used (pip compiles it all)."""
    with phase("first start: torch and the others are compiled and loaded"):
        started = logged(checkout, str(checkout.python), "-c", f"import {FIRST_START}")
        if not started.ok:
            told = (started.output.strip() or "killed").splitlines()[-1]
            raise Failure(f"the packages don't load: {told} (see .venv/setup.log, or remove .venv and run this again)")


def constraints_for(checkout: Checkout, torch: Torch) -> Path:
    """constraints.txt, or with `--torch skip` a copy which holds the user's own torch where it is."""
    if torch.version.split("+")[0] == pinned_torch(checkout):
        return checkout.constraints
    own = checkout.venv / "constraints.txt"
    lines = checkout.constraints.read_text().splitlines()
    kept = [f"torch=={torch.version}" if line.startswith("torch==") else line for line in lines]
    own.write_text("\n".join(kept) + "\n")
    return own


# --- the command line ---


def usage() -> str:
    rows = [f"  {name:<6} {about}" for name, (about, _) in COMMANDS.items()]
    options = [
        "  --torch auto|cpu|cuda|skip   the build of torch; skip leaves the one in .venv alone (default: auto)",
        "  TORCH_INDEX_URL              take torch, and only torch, from this wheel index (a mirror, another CUDA)",
    ]
    return "\n".join([(__doc__ or "").strip(), "", "commands:", *rows, "", "options and environment:", *options])


def parse(argv: list[str]) -> tuple[str, str, list[str]]:
    """(command, wanted torch, arguments for the command's last tool). `--torch` may stand anywhere."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--torch", default="auto")
    try:
        options, rest = parser.parse_known_args(argv)
    except argparse.ArgumentError as error:
        raise Usage(str(error)) from None
    if options.torch not in ("auto", "cpu", "cuda", "skip"):
        raise Usage(f"--torch is one of auto, cpu, cuda, skip (got {options.torch!r})")
    names = ", ".join(COMMANDS)
    if not rest:
        raise Usage(f"which command? One of {names}; --help says more")
    command, *arguments = rest
    if command not in COMMANDS and command not in ("-h", "--help"):
        raise Usage(f"no command {command!r}: it is one of {names}; --help says more")
    if arguments and command == "setup":
        raise Usage(f"setup takes no arguments (got {' '.join(arguments)})")
    return command, options.torch, arguments


def run_modules(checkout: Checkout, modules: list[tuple[str, ...]], arguments: list[str]) -> int:
    """Run every module, whatever the others say, and return the first failure's exit status, or 0."""
    status = 0
    for module in modules:
        extra = arguments if module is modules[-1] else []
        if len(modules) > 1:
            say(f"$ {' '.join([*module, *extra])}")
        code = run([str(checkout.python), "-m", *module, *extra], checkout.root)
        if code == 130:
            return code
        status = status or code
    return status


def main(argv: list[str], checkout: Checkout) -> int:
    """0 fine, 1 set-up failed, 2 wrong usage, 130 interrupted; else the exit status of the command."""
    try:
        command, wanted, arguments = parse(argv)
        if command in ("-h", "--help"):
            print(usage())
            return 0
        set_up(checkout, wanted)
        return run_modules(checkout, COMMANDS[command][1], arguments)
    except Usage as error:
        say(f"bootstrap: {error}")
        return 2
    except Failure as failure:
        say(f"bootstrap: {failure}")
        return 1
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        say(f"bootstrap: {DISK_REMEDY}")
        return 1
    except KeyboardInterrupt:
        say("bootstrap: interrupted; run this again to go on")
        return 130


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a killed set-up ends its pip too
    sys.exit(main(sys.argv[1:], Checkout(Path(__file__).resolve().parent.parent)))
