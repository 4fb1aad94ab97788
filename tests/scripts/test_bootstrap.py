"""scripts/bootstrap.py: what it decides, what it says, and that it can be stopped. No test here uses the network."""

import errno
import importlib.util
import io
import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "bootstrap.py"

OFFLINE = (
    "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError('<HTTPSConnection>: Failed to "
    "establish a new connection: [Errno 111] Connection refused')': /simple/torch/\n"
    "ERROR: Could not find a version that satisfies the requirement torch==9.8.7 (from versions: none)\n"
    "ERROR: No matching distribution found for torch==9.8.7\n"
)
NO_MATCH = "ERROR: No matching distribution found for torch==9.8.7+cpu\n"
DISK_FULL = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n"


@pytest.fixture(scope="module")
def bootstrap() -> Any:
    spec = importlib.util.spec_from_file_location("bootstrap", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def checkout(bootstrap: Any, tmp_path: Path) -> Any:
    """A checkout with the two files that count, and a .venv whose python is this one."""
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / "constraints.txt").write_text("torch==9.8.7\nnumpy==1.2.3\n")
    made = bootstrap.Checkout(tmp_path)
    made.python.parent.mkdir(parents=True)
    made.python.write_text("")
    return made


class Phases:
    """Stands in for the phases that install; counts, and fails when told to."""

    def __init__(self, bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
        self.runs = 0
        self.error: BaseException | None = None
        monkeypatch.setattr(bootstrap, "make_venv", lambda _: None)
        monkeypatch.setattr(bootstrap, "install_torch", lambda *_: bootstrap.Torch("9.8.7+cpu", "cpu"))
        monkeypatch.setattr(bootstrap, "install_project", self.install)
        monkeypatch.setattr(bootstrap, "start_once", lambda _: None)

    def install(self, *_: object) -> None:
        self.runs += 1
        if self.error:
            raise self.error


@pytest.fixture
def phases(bootstrap: Any, monkeypatch: pytest.MonkeyPatch) -> Phases:
    return Phases(bootstrap, monkeypatch)


def script(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, timeout=60, check=False)


# --- the command line ---


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["tset"], "no command 'tset': it is one of demo, test,"),
        ([], "which command? One of demo, test,"),
        (["setup", "now"], "setup takes no arguments (got now)"),
        (["setup", "--torch", "gpu"], "--torch is one of auto, cpu, cuda, skip (got 'gpu')"),
        (["setup", "--torch"], "--torch"),
    ],
)
def test_wrong_usage_is_one_line_and_2(arguments: list[str], told: str) -> None:
    done = script(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert told in done.stderr


def test_help_names_every_command(bootstrap: Any) -> None:
    done = script("--help")
    assert done.returncode == 0
    assert all(f"\n  {name} " in done.stdout for name in bootstrap.COMMANDS)


def test_arguments_go_to_the_tool_and_torch_may_stand_anywhere(bootstrap: Any) -> None:
    assert bootstrap.parse(["test", "-k", "floors", "-x"]) == ("test", "auto", ["-k", "floors", "-x"])
    assert bootstrap.parse(["--torch", "cpu", "test", "-x"]) == ("test", "cpu", ["-x"])
    assert bootstrap.parse(["test", "--help", "--torch=skip"]) == ("test", "skip", ["--help"])


def test_makefile_knows_every_command(bootstrap: Any) -> None:
    lines = (ROOT / "Makefile").read_text().splitlines()
    assert {line.split()[1] for line in lines if line.startswith("\t$(BOOTSTRAP) ")} == set(bootstrap.COMMANDS)


def test_an_old_python_is_told_which_one_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 1))
    with pytest.raises(SystemExit, match=r"Python 3\.9 is too old, remask needs 3\.11 or newer"):
        runpy.run_path(str(SCRIPT))


# --- the stamp ---


def test_a_second_set_up_does_nothing(bootstrap: Any, checkout: Any, phases: Phases) -> None:
    for _ in range(3):
        bootstrap.set_up(checkout, "auto")
    assert phases.runs == 1


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_a_changed_file_is_work(bootstrap: Any, checkout: Any, phases: Phases, name: str) -> None:
    bootstrap.set_up(checkout, "auto")
    with (checkout.root / name).open("a") as file:
        file.write("# changed\n")
    bootstrap.set_up(checkout, "auto")
    assert phases.runs == 2


def test_another_python_or_another_folder_is_work(
    bootstrap: Any, checkout: Any, phases: Phases, monkeypatch: pytest.MonkeyPatch
) -> None:
    bootstrap.set_up(checkout, "auto")
    moved = checkout.root.with_name("moved")
    checkout.root.rename(moved)
    assert not bootstrap.is_ready(bootstrap.Checkout(moved), "auto")
    moved.rename(checkout.root)
    assert bootstrap.is_ready(checkout, "auto")
    monkeypatch.setattr(bootstrap.sys, "version_info", (3, 99, 0))
    assert not bootstrap.is_ready(checkout, "auto")


def test_a_lost_venv_and_a_broken_stamp_are_work(bootstrap: Any, checkout: Any, phases: Phases) -> None:
    bootstrap.set_up(checkout, "auto")
    checkout.python.rename(checkout.venv / "elsewhere")
    assert not bootstrap.is_ready(checkout, "auto")
    (checkout.venv / "elsewhere").rename(checkout.python)
    checkout.stamp.write_text("")
    assert not bootstrap.is_ready(checkout, "auto")


def test_a_torch_of_another_build_is_work(bootstrap: Any, checkout: Any, phases: Phases) -> None:
    bootstrap.set_up(checkout, "auto")
    assert [bootstrap.is_ready(checkout, wanted) for wanted in ("cpu", "skip", "cuda")] == [True, True, False]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("killed")])
def test_an_interrupted_set_up_leaves_no_stamp(
    bootstrap: Any, checkout: Any, phases: Phases, error: BaseException
) -> None:
    bootstrap.set_up(checkout, "auto")
    checkout.constraints.write_text("torch==9.8.8\n")
    phases.error = error
    with pytest.raises(type(error)):
        bootstrap.set_up(checkout, "auto")
    assert not checkout.stamp.exists()
    phases.error = None
    bootstrap.set_up(checkout, "auto")
    assert bootstrap.is_ready(checkout, "auto")


def test_a_change_during_set_up_is_not_stamped_over(
    bootstrap: Any, checkout: Any, phases: Phases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "install_project", lambda *_: checkout.constraints.write_text("torch==9.8.8\n"))
    bootstrap.set_up(checkout, "auto")
    assert not bootstrap.is_ready(checkout, "auto")


@pytest.mark.skipif(os.name == "nt", reason="no lock on Windows")
def test_two_set_ups_take_turns_and_the_second_has_nothing_to_do(
    bootstrap: Any, checkout: Any, phases: Phases, capsys: pytest.CaptureFixture[str]
) -> None:
    import fcntl

    with checkout.pyproject.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        code = f"""
import importlib.util
spec = importlib.util.spec_from_file_location("bootstrap", {str(SCRIPT)!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
module.set_up(module.Checkout(module.Path({str(checkout.root)!r})), "auto")
"""
        child = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
        assert child.stderr is not None
        assert child.stderr.readline() == "another set-up is at work in .venv: waiting for it\n"
        checkout.stamp.write_text(f"{bootstrap.digest(checkout)} cpu\n")
    assert child.communicate(timeout=30)[1] == ""
    assert child.returncode == 0


# --- failures, each with its remedy in one line ---


@pytest.mark.parametrize(
    ("output", "remedy"),
    [
        (OFFLINE, "check the network"),
        ("ERROR: HTTPSConnectionPool: Read timed out.\n", "check the network"),
        ("SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]'))\n", "check the network"),
        (DISK_FULL, "free some space"),
        (OFFLINE + DISK_FULL, "free some space"),
        ("The virtual environment was not created: ensurepip is not available.\n", "apt install python3-venv"),
        (NO_MATCH, "use another Python (3.11 or newer)"),
        ("Collecting x\nERROR: Cannot install a and b\n", "ERROR: Cannot install a and b (all of it is in .venv/setup"),
        ("", "setup.log"),
    ],
)
def test_every_failure_has_a_remedy_in_one_line(bootstrap: Any, output: str, remedy: str) -> None:
    told = bootstrap.diagnose(output)
    assert remedy in told
    assert "\n" not in told


def test_a_failed_pip_is_one_line_after_its_phase(
    bootstrap: Any, checkout: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bootstrap, "make_venv", lambda _: None)
    monkeypatch.setattr(bootstrap, "install_torch", lambda *_: bootstrap.Torch("9.8.7+cpu", "cpu"))
    monkeypatch.setattr(bootstrap, "pip", lambda *_: bootstrap.Outcome(False, OFFLINE))
    assert bootstrap.main(["setup"], checkout) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("packages: ")
    assert second == f"bootstrap: {bootstrap.NETWORK_REMEDY}"


def test_packages_that_do_not_load_are_told(bootstrap: Any, checkout: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    output = "Traceback:\nOSError: libtorch.so: cannot open shared object file\n"
    monkeypatch.setattr(bootstrap, "logged", lambda *_: bootstrap.Outcome(False, output))
    with pytest.raises(bootstrap.Failure, match="the packages don't load: OSError: libtorch"):
        bootstrap.start_once(checkout)


def test_a_python_without_venv_is_told_what_to_install(
    bootstrap: Any, checkout: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bootstrap.importlib.util, "find_spec", lambda name: None)
    assert bootstrap.main(["setup"], checkout) == 1
    assert "apt install python3-venv" in capsys.readouterr().err


def test_a_small_disk_is_told_before_the_download(
    bootstrap: Any, checkout: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap.shutil, "disk_usage", lambda _: bootstrap.shutil._ntuple_diskusage(9e9, 8e9, 1e9))
    with pytest.raises(bootstrap.Failure, match=r"needs about 1\.5 GB of disk and 1\.0 GB are free"):
        bootstrap.require_space(checkout, 1.5)


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (KeyboardInterrupt(), 130, "interrupted; run this again to go on"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "free some space"),
    ],
)
def test_an_interrupt_and_a_full_disk_end_quietly(
    bootstrap: Any, checkout: Any, phases: Phases, capsys: pytest.CaptureFixture[str],
    error: BaseException, status: int, told: str,
) -> None:  # fmt: skip
    phases.error = error
    assert bootstrap.main(["setup"], checkout) == status
    assert told in capsys.readouterr().err.splitlines()[-1]


# --- which torch ---


def builds(sources: Any) -> list[tuple[str, str]]:
    return [(source.requirement, " ".join(source.options)) for source in sources]


LOCAL = ("torch==9.8.7+cpu", "--no-deps")
CPU = ("torch==9.8.7", "--no-deps --index-url https://download.pytorch.org/whl/cpu --retries 2 --timeout 15")
CUDA = ("torch==9.8.7,!=9.8.7+cpu", "")
PLAIN = ("torch==9.8.7", "")


@pytest.mark.parametrize(
    ("wanted", "gpu", "system", "expected"),
    [
        ("auto", False, "Linux", [LOCAL, CPU, CUDA]),
        ("auto", True, "Linux", [CUDA, LOCAL]),
        ("auto", False, "Darwin", [LOCAL, PLAIN]),
        ("auto", True, "Windows", [LOCAL, PLAIN]),
        ("cpu", True, "Linux", [LOCAL, CPU]),  # never the CUDA build
        ("cuda", False, "Linux", [CUDA]),
    ],
)
def test_the_smallest_torch_that_uses_the_machine(
    bootstrap: Any, wanted: str, gpu: bool, system: str, expected: list[tuple[str, str]]
) -> None:
    assert builds(bootstrap.torch_sources(wanted, "9.8.7", None, lambda: gpu, system)) == expected


def test_the_users_own_index_is_the_only_one(bootstrap: Any) -> None:
    sources = bootstrap.torch_sources("auto", "9.8.7", "https://wheels.example/x", lambda: False, "Linux")
    assert builds(sources) == [("torch==9.8.7", "--no-deps --index-url https://wheels.example/x")]


@pytest.mark.parametrize("system", ["Darwin", "Windows"])
def test_cuda_where_there_is_none_is_refused(bootstrap: Any, system: str) -> None:
    with pytest.raises(bootstrap.Failure, match="TORCH_INDEX_URL"):
        bootstrap.torch_sources("cuda", "9.8.7", None, lambda: True, system)


class Pip:
    """A pip whose answers are written down: what it prints for each index, "" where it installs."""

    def __init__(self, local: str, cpu_index: str, default: str) -> None:
        self.answers = {"+cpu": local, "--index-url": cpu_index, "": default}
        self.installed: str | None = None
        self.asked: list[str] = []

    def __call__(self, checkout: Any, *arguments: str) -> Any:
        words = " ".join(arguments)
        if "uninstall" in words:
            self.asked.append("uninstall")
            return True, ""
        source = next(key for key in self.answers if key in words.replace("!=9.8.7+cpu", ""))
        self.asked.append(source)
        output = self.answers[source]
        if not output:
            self.installed = "cuda" if source == "" else "cpu"
        return type("Outcome", (), {"ok": not output, "output": output})


@pytest.fixture
def torch_from(bootstrap: Any, checkout: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`install_torch` on a Linux machine without a GPU, with a written-down pip; returns (build, asked sources)."""

    def install(fake: Pip, wanted: str = "auto", found: Any = None) -> tuple[str, list[str]]:
        def installed(_: Any) -> Any:
            return bootstrap.Torch("9.8.7", fake.installed) if fake.installed else found

        monkeypatch.delenv("TORCH_INDEX_URL", raising=False)
        monkeypatch.setattr(bootstrap, "pip", fake)
        monkeypatch.setattr(bootstrap, "installed_torch", installed)
        monkeypatch.setattr(bootstrap, "has_nvidia_gpu", lambda: False)
        monkeypatch.setattr(bootstrap, "require_space", lambda *_: None)
        monkeypatch.setattr(bootstrap.platform, "system", lambda: "Linux")
        return bootstrap.install_torch(checkout, wanted).build, fake.asked

    return install


def test_a_local_cpu_wheel_is_taken_first(torch_from: Any) -> None:
    assert torch_from(Pip("", "", "")) == ("cpu", ["+cpu"])


def test_then_the_cpu_index(torch_from: Any) -> None:
    assert torch_from(Pip(NO_MATCH, "", "")) == ("cpu", ["+cpu", "--index-url"])


def test_an_unreachable_cpu_index_is_told_and_passed(torch_from: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert torch_from(Pip(NO_MATCH, OFFLINE, "")) == ("cuda", ["+cpu", "--index-url", ""])
    local, index, plain = capsys.readouterr().err.splitlines()
    assert "... none, " in local
    assert "the CPU build (about 200 MB to download, 750 MB on disk) ... not reachable, " in index
    assert "the CUDA build (about 2.5 GB to download, 4.6 GB on disk) ... " in plain


def test_a_broken_download_does_not_start_a_larger_one(bootstrap: Any, torch_from: Any) -> None:
    with pytest.raises(bootstrap.Failure, match="check the network"):
        torch_from(Pip(NO_MATCH, "Downloading torch-9.8.7.whl (195 MB)\n" + OFFLINE, ""))


def test_no_network_at_all_ends_at_once(bootstrap: Any, torch_from: Any) -> None:
    fake = Pip(OFFLINE, OFFLINE, OFFLINE)
    with pytest.raises(bootstrap.Failure, match="check the network"):
        torch_from(fake)
    assert fake.asked == ["+cpu"]


def test_cpu_is_never_answered_with_cuda(bootstrap: Any, torch_from: Any) -> None:
    fake = Pip(NO_MATCH, OFFLINE, "")
    with pytest.raises(bootstrap.Failure, match="check the network"):
        torch_from(fake, "cpu")
    assert fake.asked == ["+cpu", "--index-url"]


@pytest.mark.parametrize(
    ("found", "wanted", "asked"),
    [
        (("9.8.7+cpu", "cpu"), "auto", []),
        (("9.8.7", "cuda"), "auto", []),
        (("9.8.7+cpu", "cpu"), "cpu", []),
        (("9.8.7+cpu", "cpu"), "cuda", ["uninstall", ""]),
        (("9.8.6+cpu", "cpu"), "auto", ["uninstall", "+cpu"]),
        (("9.8.6+cpu", "cpu"), "skip", []),
    ],
)
def test_a_torch_that_fits_is_kept(
    bootstrap: Any, torch_from: Any, found: tuple[str, str], wanted: str, asked: list[str]
) -> None:
    assert torch_from(Pip("", "", ""), wanted, bootstrap.Torch(*found))[1] == asked


def test_skip_needs_a_torch(bootstrap: Any, torch_from: Any) -> None:
    with pytest.raises(bootstrap.Failure, match="there is no torch"):
        torch_from(Pip("", "", ""), "skip")


def test_skip_holds_the_users_torch_where_it_is(bootstrap: Any, checkout: Any) -> None:
    own = bootstrap.constraints_for(checkout, bootstrap.Torch("7.0.0+xpu", "cpu"))
    assert own.read_text() == "torch==7.0.0+xpu\nnumpy==1.2.3\n"
    assert bootstrap.constraints_for(checkout, bootstrap.Torch("9.8.7+cpu", "cpu")) == checkout.constraints


def test_constraints_pin_torch_and_everything_that_pyproject_names(bootstrap: Any) -> None:
    """Without the pin pip takes the newest torch, and with it gigabytes of CUDA."""
    real = bootstrap.Checkout(ROOT)
    pinned = {line.split("==")[0] for line in real.constraints.read_text().splitlines() if "==" in line}
    body = real.pyproject.read_text().split("\ndependencies = [")[1].split("[project.scripts]")[0]
    named = set(bootstrap.re.findall(r'"(\w+)>=', body))
    assert {"torch", "numpy", "pytest"} <= named
    assert named == pinned


# --- .venv as a killed set-up leaves it ---


def test_half_unpacked_packages_are_forgotten(bootstrap: Any, checkout: Any) -> None:
    packages = checkout.venv / ("Lib/site-packages" if os.name == "nt" else "lib/python3.99/site-packages")
    records = {
        "whole": "whole/__init__.py,,\nwhole-1.dist-info/INSTALLER,,\n",
        "half": "half/__init__.py,,\n",
        "bare": None,
    }
    for name, record in records.items():
        info = packages / f"{name}-1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Name: x\n")
        if record is not None:
            (info / "RECORD").write_text(record)
    (packages / "~alf").mkdir()
    bootstrap.remove_half_installed(checkout)
    assert [path.name for path in packages.iterdir()] == ["whole-1.dist-info"]


# --- running tools ---


def test_a_tools_words_go_to_the_log_without_the_noise(bootstrap: Any, checkout: Any) -> None:
    noise = "WARNING: Location 'file:///x/y' is ignored: it is either a non-existing path or lacks a specific scheme."
    done = bootstrap.logged(checkout, sys.executable, "-c", f'print("one"); print({noise!r}); print("two"); exit(3)')
    assert done == (False, "one\ntwo\n")
    assert checkout.log.read_text().endswith("one\ntwo\n")


def test_the_first_failure_is_the_exit_status_and_the_last_tool_still_runs(
    bootstrap: Any, checkout: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def run(argv: list[str], root: Path) -> int:
        asked.append(argv[2:])
        return {"ruff": 1, "mypy": 2, "pytest": 0}[argv[2]]

    monkeypatch.setattr(bootstrap, "run", run)
    assert bootstrap.run_modules(checkout, bootstrap.COMMANDS["check"][1], ["-x"]) == 1
    assert asked[-2:] == [["mypy"], ["pytest", "-x"]]


def test_the_exit_status_is_the_tools(bootstrap: Any) -> None:
    assert bootstrap.run([sys.executable, "-c", "raise SystemExit(7)"], ROOT) == 7


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_control_c_waits_for_the_tool_and_is_130(tmp_path: Path) -> None:
    """The tool gets ^C too; here it needs a moment to put its things away, and bootstrap lets it."""
    tool = """
import time
try:
    print("up", flush=True)
    time.sleep(30)
except KeyboardInterrupt:
    time.sleep(0.3)
    print("tidy")
"""
    code = f"""
import runpy, sys
run = runpy.run_path({str(SCRIPT)!r})["run"]
from pathlib import Path
sys.exit(run([sys.executable, "-c", {tool!r}], Path.cwd()))
"""
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores ^C
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "up\n"
    os.killpg(child.pid, signal.SIGINT)
    assert child.communicate(timeout=30)[0] == "tidy\n"
    assert child.returncode == 130


def test_a_phase_is_one_line(bootstrap: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with bootstrap.phase("packages: all") as words:
        words.append("none,")
    with pytest.raises(ValueError, match="x"), bootstrap.phase("again"):
        raise ValueError("x")
    first, second = capsys.readouterr().err.splitlines()
    assert bootstrap.re.fullmatch(r"packages: all \.\.\. none, \d+\.\d s", first)
    assert bootstrap.re.fullmatch(r"again \.\.\. stopped after \d+\.\d s", second)


def test_a_terminal_sees_the_seconds_pass(bootstrap: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with bootstrap.phase("torch"):
        time.sleep(1.3)
    assert screen.getvalue().startswith("torch ... 1 s\b\b\b   \b\b\b")
