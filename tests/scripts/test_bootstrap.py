"""scripts/bootstrap.py as a program, on a small checkout where pip, venv and the tools are fakes. No network."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "bootstrap.py"
VERSION = "{}.{}".format(*sys.version_info[:2])
OFFLINE = (
    "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError('<HTTPSConnection>: Failed to "
    "establish a new connection: [Errno 111] Connection refused')': /simple/torch/\n"
    "ERROR: No matching distribution found for torch==9.8.7\n"
)
NO_MATCH = "ERROR: No matching distribution found for torch==9.8.7+cpu\n"
DISK_FULL = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n"

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the fakes are links, and the locks POSIX's")

COMMON = """
import os, pathlib, sys, time
here, words = pathlib.Path(__file__).parent, " ".join([pathlib.Path(__file__).stem, *sys.argv[1:]])
packages = pathlib.Path(".venv/lib/python{}.{}/site-packages".format(*sys.version_info[:2]))
def act():
    with (here / "calls").open("a") as calls:
        calls.write(words.replace("\\n", "/") + "\\n")
    for line in (here / "answers").read_text().splitlines():
        pattern, output, code = eval(line)
        if pattern in words:
            print(output, end="", flush=True)
            if code is None:
                time.sleep(60)
            sys.exit(code)
"""
FAKES = {
    "venv": """
act()
packages.mkdir(parents=True, exist_ok=True)
python = pathlib.Path(".venv/bin/python")
python.parent.mkdir(exist_ok=True)
python.unlink(missing_ok=True)
python.symlink_to(sys.executable)
""",
    "pip": """
act()
torch = next((word.split(",")[0][7:] for word in sys.argv if word.startswith("torch==")), None)
if torch:
    for old in packages.glob("torch-*"):
        (old / "RECORD").unlink()
        old.rmdir()
    (packages / f"torch-{torch}.dist-info").mkdir()
    (packages / f"torch-{torch}.dist-info" / "RECORD").write_text("INSTALLER")
""",
    **dict.fromkeys(["remask", "pytest", "ruff", "mypy"], "if __name__ == '__main__': act()\n"),
    **dict.fromkeys(["torch", "hypothesis", "jinja2", "tokenizers"], ""),
    **dict.fromkeys(["matplotlib/__init__", "matplotlib/pyplot", "rich/__init__", "rich/live"], ""),
    **dict.fromkeys(["safetensors/__init__", "safetensors/torch"], ""),
}


@dataclass
class Checkout:
    """A checkout on its own; `answers` are (part of a call, what it prints, its exit status or None to hang)."""

    root: Path
    answers: list[tuple[str, str, int | None]] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        (self.root / "fakes" / "answers").write_text("".join(f"{answer!r}\n" for answer in self.answers))
        return subprocess.Popen(
            [sys.executable, self.root / "scripts" / "bootstrap.py", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(self.root / "fakes"), **self.env},
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores ^C
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Exit status, stdout, stderr."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def calls(self) -> list[str]:
        """What the fakes were called with, since the last look."""
        path = self.root / "fakes" / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return lines

    def torches(self) -> list[str]:
        """What pip was asked for torch, of the calls since the last look."""
        return [re.sub(r".*--force-reinstall ", "", call) for call in self.calls() if "torch==" in call]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    for name, source in FAKES.items():
        path = tmp_path / "fakes" / f"{name}.py"
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(COMMON + source)
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "bootstrap.py").write_bytes(SCRIPT.read_bytes())
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / "constraints.txt").write_text("torch==9.8.7\nnumpy==1.2.3\n")
    return Checkout(tmp_path)


# --- the command line ---


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["tset"], "no command 'tset': it is one of demo, test,"),
        ([], "no command '': it is one of demo, test,"),
        (["setup", "now"], "no command 'setup now'"),
        (["setup", "--torch", "gpu"], "invalid choice: 'gpu'"),
        (["setup", "--torch"], "--torch"),
    ],
)
def test_wrong_usage_is_one_line_and_2(checkout: Checkout, arguments: list[str], told: str) -> None:
    code, out, err = checkout.run(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1) and told in err and not checkout.calls()


def test_help_and_the_makefile_name_every_command(checkout: Checkout) -> None:
    commands = set(re.findall(r'^    "(\w+)": \[', SCRIPT.read_text(), re.MULTILINE))
    code, out, _ = checkout.run("--help")
    assert code == 0 and "setup" in commands and all(re.search(rf"\b{name}\b", out) for name in commands)
    lines = (ROOT / "Makefile").read_text().splitlines()
    assert {line.split()[1] for line in lines if line.startswith("\t$(BOOTSTRAP) ")} == commands


def test_an_old_python_is_told_which_one_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 1))
    with pytest.raises(SystemExit, match=r"Python 3\.9 is too old, remask needs 3\.11 or newer"):
        load()


def test_constraints_pin_torch_and_everything_that_pyproject_names() -> None:
    """Without the pin pip takes the newest torch, and with it gigabytes of CUDA."""
    pinned = {line.split("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line}
    body = (ROOT / "pyproject.toml").read_text().split("\ndependencies = [")[1].split("[project.scripts]")[0]
    named = set(re.findall(r'"([\w-]+)>=', body))
    assert {"torch", "numpy", "pytest"} <= named
    assert named == pinned


# --- tools: their arguments, their exit status, ^C ---


def test_arguments_go_to_the_last_tool_and_torch_may_stand_anywhere(checkout: Checkout) -> None:
    assert checkout.run("check", "-k", "floors", "--torch=cpu", "--help")[0] == 0
    assert checkout.calls()[-4:] == [
        "ruff check .",
        "ruff format --check .",
        "mypy",
        "pytest -n auto --dist loadfile -k floors --help",
    ]
    assert checkout.run("demo")[0] == 0
    assert checkout.calls() == ["remask run --pace 0.08 Solve/1.34/..12/2..3/43.."]


def test_the_first_failure_is_the_exit_status_and_the_last_tool_still_runs(checkout: Checkout) -> None:
    checkout.answers = [("ruff format", "", 7), ("mypy", "", 2)]
    assert checkout.run("check")[0] == 7
    assert checkout.calls()[-1] == "pytest -n auto --dist loadfile"


def test_control_c_waits_for_the_tool_and_is_130(checkout: Checkout) -> None:
    tool = "import time\ntry:\n    print('up', flush=True)\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    "
    (checkout.root / "fakes" / "ruff.py").write_text(tool + "time.sleep(0.3)\n    print('tidy')\n")
    process = checkout.start("check")
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate(timeout=30)[0] == "tidy\n"
    assert process.returncode == 130 and not [call for call in checkout.calls() if call.startswith("pytest")]


# --- the stamp ---


def test_a_second_set_up_does_nothing(checkout: Checkout) -> None:
    code, out, err = checkout.run("setup")
    assert (code, out) == (0, "") and len(checkout.calls()) == 3
    titles = [re.sub(r" \.\.\. \d+\.\d s$", "", line) for line in err.splitlines()]
    assert titles[0] == f".venv for Python {VERSION}" and titles[2] == "the other packages, beside torch 9.8.7+cpu"
    assert checkout.run("setup") == (0, "", "") and checkout.calls() == []


@pytest.mark.parametrize("change", ["pyproject.toml", "constraints.txt", "folder", "python", "stamp", "torch"])
def test_what_changed_is_work_and_no_more(checkout: Checkout, change: str) -> None:
    checkout.run("setup")
    checkout.calls()
    wanted = []
    if change == "folder":
        checkout.root = checkout.root.rename(checkout.root.with_name("moved"))
    elif change == "python":
        (checkout.root / ".venv" / "bin" / "python").unlink()
    elif change == "stamp":
        (checkout.root / ".venv" / ".stamp").write_text("")
    elif change == "torch":
        wanted = ["--torch", "cuda"]
    else:
        with (checkout.root / change).open("a") as file:
            file.write("# changed\n")
    assert checkout.run("setup", *wanted)[0] == 0
    assert [call.startswith("pip install") for call in checkout.calls()].count(True) == (2 if wanted else 1)
    assert checkout.run("setup", *wanted) == (0, "", "")


def test_a_venv_of_another_python_is_made_anew(checkout: Checkout) -> None:
    (checkout.root / ".venv" / "lib" / "python3.2" / "site-packages").mkdir(parents=True)
    assert checkout.run("setup")[0] == 0
    assert checkout.calls()[0] == f"venv --clear {checkout.root / '.venv'}"


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_set_up_is_resumed(checkout: Checkout, name: signal.Signals) -> None:
    checkout.answers = [("-e .[dev]", "", None)]
    process = checkout.start("setup")
    while not any(call.endswith(".[dev]") for call in checkout.calls()):
        time.sleep(0.02)
    os.killpg(process.pid, name)
    told = process.communicate(timeout=30)[1]
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}[name]
    assert "Traceback" not in told
    checkout.answers = []
    checkout.calls()
    half = checkout.root / f".venv/lib/python{VERSION}/site-packages/half-1.dist-info"
    half.mkdir()
    (half / "RECORD").write_text("half/__init__.py,,\n")
    assert checkout.run("setup")[0] == 0 and not half.exists()
    assert [call[:11] for call in checkout.calls()] == ["pip --versi", "pip install"]


def test_two_set_ups_take_turns_and_the_second_has_nothing_to_do(checkout: Checkout) -> None:
    first, second = checkout.start("setup"), checkout.start("setup")
    errors = [process.communicate(timeout=60)[1] for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0)
    assert len(checkout.calls()) == 3 and sum("first start" in error for error in errors) == 1


# --- failures, each with its remedy in one line ---


@pytest.mark.parametrize(
    ("call", "output", "remedy"),
    [
        ("-e", OFFLINE, "check the network"),
        ("-e", "ERROR: HTTPSConnectionPool: Read timed out.\n", "check the network"),
        ("-e", "SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]'))\n", "check the network"),
        ("-e", OFFLINE + DISK_FULL, "free some space"),
        ("venv", "The virtual environment was not created: ensurepip is not available.\n", "apt install python3-venv"),
        ("torch", NO_MATCH, "use another Python (3.11 or newer)"),
        ("-e", "Collecting x\nERROR: Cannot install a and b\n", "ERROR: Cannot install a and b (see .venv/setup.log"),
        ("-e", "", "setup.log"),
    ],
)
def test_every_failure_ends_with_its_remedy_in_one_line(
    checkout: Checkout, call: str, output: str, remedy: str
) -> None:
    checkout.answers = [(call, output, 1)]
    code, _, err = checkout.run("setup")
    assert code == 1 and remedy in err.splitlines()[-1] and err.splitlines()[-2].endswith(" s")
    assert output in (checkout.root / ".venv" / "setup.log").read_text()


def test_packages_that_do_not_load_are_told(checkout: Checkout) -> None:
    (checkout.root / "fakes" / "torch.py").write_text("raise OSError('libtorch.so: cannot open')")
    code, _, err = checkout.run("setup")
    assert code == 1 and err.splitlines()[-1].startswith("bootstrap: OSError: libtorch.so: cannot open (see .venv/")


# --- which torch ---


LOCAL = "torch==9.8.7+cpu --extra-index-url https://download.pytorch.org/whl/cpu --retries 1"
CUDA = "torch==9.8.7,!=9.8.7+cpu"
ANY = "torch==9.8.7"


def load() -> Any:
    spec = importlib.util.spec_from_file_location("bootstrap", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("wanted", "gpu", "system", "expected"),
    [
        ("auto", False, "linux", [LOCAL, ANY]),
        ("auto", True, "linux", [CUDA, LOCAL]),
        ("auto", False, "darwin", [ANY]),
        ("auto", True, "win32", [ANY]),
        ("cpu", True, "linux", [LOCAL]),  # never the CUDA build
        ("cuda", False, "linux", [CUDA]),
    ],
)
def test_the_smallest_torch_that_uses_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: str, gpu: bool, system: str, expected: list[str]
) -> None:
    (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\nexit {0 if gpu else 9}\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    bootstrap = load()
    monkeypatch.setattr(sys, "platform", system)
    assert [" ".join(source[1:]) for source in bootstrap.torch_sources("9.8.7", wanted, None)] == expected


def test_the_users_own_index_is_the_only_one(checkout: Checkout) -> None:
    checkout.env["TORCH_INDEX_URL"] = "https://wheels.example/x"
    checkout.answers = [("torch==", OFFLINE, 1)]
    assert checkout.run("setup")[0] == 1
    assert checkout.torches() == ["torch==9.8.7 --index-url https://wheels.example/x"]


def test_the_next_place_is_tried_unless_a_download_broke(checkout: Checkout) -> None:
    checkout.answers = [("+cpu", OFFLINE, 1)]
    assert checkout.run("setup")[0] == 0 and checkout.torches() == [LOCAL, ANY]
    (checkout.root / "constraints.txt").write_text("torch==9.8.8\n")
    checkout.answers = [("+cpu", "Downloading torch-9.8.8.whl (195 MB)\n" + OFFLINE, 1)]
    code, _, err = checkout.run("setup")
    assert code == 1 and "check the network" in err and checkout.torches() == [LOCAL.replace("9.8.7", "9.8.8")]


@pytest.mark.parametrize(
    ("found", "wanted", "asked"),
    [
        ("9.8.7+cpu", "auto", []),
        ("9.8.7", "auto", []),
        ("9.8.7+cpu", "cpu", []),
        ("9.8.7+cpu", "cuda", [CUDA]),
        ("9.8.6+cpu", "auto", [LOCAL]),
        ("9.8.6+cpu", "skip", []),
    ],
)
def test_a_torch_that_fits_is_kept(checkout: Checkout, found: str, wanted: str, asked: list[str]) -> None:
    info = checkout.root / f".venv/lib/python{VERSION}/site-packages/torch-{found}.dist-info"
    info.mkdir(parents=True)
    (info / "RECORD").write_text("INSTALLER")
    assert checkout.run("setup", "--torch", wanted)[0] == 0
    assert checkout.torches() == asked
    pins = (checkout.root / ".venv" / "constraints.txt").read_text().splitlines()
    assert pins == [f"torch=={found if not asked else asked[0].split()[0].split(',')[0][7:]}", "numpy==1.2.3"]


def test_skip_needs_a_torch(checkout: Checkout) -> None:
    code, _, err = checkout.run("setup", "--torch", "skip")
    assert code == 1 and ".venv has no torch: install one" in err.splitlines()[-1]
