"""`remask models | doctor | train`, and the program itself."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file

import remask
from remask.checkpoint import inspect, list_models, locate
from remask.cli import doctor as doctors
from remask.cli.progress import Pace, clock
from remask.cli.screen import size
from remask.llm import LLM
from remask.training import run as training
from remask.training.loop import Progress
from tests.helpers.checkpoints import COMMIT, OTHER, into_cache
from tests.helpers.data import TINY_LLADA

Invoke = Callable[..., Any]


def test_models_list_knows_the_bundled_one(invoke: Invoke) -> None:
    result = invoke("models", "list")
    assert result.code == 0 and re.search(r"^bundled +llada +\d", result.out, re.MULTILINE)


def test_models_show_and_pull(invoke: Invoke) -> None:
    result = invoke("models", "show", "bundled")
    shipped = inspect(locate("bundled"))
    config = shipped.config
    assert result.code == 0
    assert f"{config.parameters:,}" in result.out and f"id {config.mask_id}" in result.out
    pulled = invoke("models", "pull", "bundled")
    assert pulled.code == 0 and Path(pulled.out.strip()) == shipped.folder


def test_show_says_what_holds_and_who_says_so(invoke: Invoke, llm: LLM) -> None:
    shown = invoke("models", "show", TINY_LLADA).out
    assert "from config.json" in shown and "apache-2.0" in shown and "BF16" in shown
    assert all(f"{name} {value}" in shown for name, value in llm.defaults.items())
    assert "id 5, from the user" not in shown
    other = invoke("models", "show", TINY_LLADA, "--field", "eos_token_id=7")
    assert other.code == 0 and "id 7" in other.out
    assert invoke("models", "show", TINY_LLADA, "--family", "nobody").code == 2


COMMITS = {"main": COMMIT, "v1": OTHER}


@pytest.fixture
def cache(tmp_path: Path, llm: LLM, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub cache that holds the model of the tests as org/name, twice."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return into_cache(tmp_path, "org/name", llm.loaded.folder, COMMITS)


def test_rm_deletes_what_it_was_told_and_nothing_else(invoke: Invoke, cache: Path) -> None:
    listed = invoke("models", "list").out
    assert "org/name " in listed and "org/name@v1" in listed and "apache-2.0" in listed
    refused = invoke("models", "rm", "org/name@v1", stdin=b"n\n")
    assert refused.code == 130 and (cache / "snapshots" / OTHER).exists()
    assert "Delete org/name@v1" in refused.err
    assert invoke("models", "rm", "org/name@v1", stdin=b"y\n").code == 0
    assert not (cache / "snapshots" / OTHER).exists()
    assert "org/name " in invoke("models", "list").out
    done = invoke("models", "rm", "org/name", "--yes")
    assert done.code == 0 and "4.5 MB freed" in done.err and not cache.exists()


@pytest.mark.parametrize("name", ["bundled", "org/other", "org/name@v9", ".", "/etc", "org/name@../x"])
def test_rm_refuses_what_is_not_the_hubs(invoke: Invoke, cache: Path, name: str) -> None:
    result = invoke("models", "rm", name, "--yes")
    assert result.code == 2 and ("is no model of the hub's cache" in result.err or "is not in the cache" in result.err)
    assert (cache / "snapshots" / COMMIT).exists()


@pytest.mark.parametrize(("number", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (16e9, "16 GB")])
def test_sizes(number: int, text: str) -> None:
    assert size(number) == text


def test_doctor_is_content(invoke: Invoke) -> None:
    result = invoke("doctor")
    assert result.code == 0 and "✗" not in result.out
    assert [line.split()[1] for line in result.out.splitlines()] == [
        "python",
        "torch",
        "device",
        "cores",
        "bf16",
        "hub",
        "bundled",
    ]


def test_doctor_tells_what_is_broken_and_goes_on(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Iterator[doctors.Finding]:
        raise OSError("no such\ndevice")
        yield

    monkeypatch.setattr(doctors, "device", broken)
    result = invoke("doctor")
    assert result.code == 1 and "✗ broken" in result.out and "OSError: no such device" in result.out
    assert "bundled" in result.out


def test_version_and_help(invoke: Invoke) -> None:
    assert invoke("--version").out == f"remask {remask.__version__}\n"
    assert invoke().code == 0 and "explain" in invoke().out
    for command in (
        "run",
        "chat",
        "infill",
        "explain",
        "eval",
        "bench",
        "drift",
        "trace",
        "models",
        "plan",
        "doctor",
        "train",
    ):
        result = invoke(command, "--help")
        assert result.code == 0 and f"remask {command}" in result.out


@pytest.fixture
def fake_training(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException | None], None]:
    """Training that reports two times, and then ends as it is told."""

    def install(ending: BaseException | None) -> None:
        def execute(config: Any, out: Path, device: Any, **how: Any) -> Iterator[Progress]:
            yield Progress(20, 3.5, 1e-3, 1234.5, 3725.0)
            yield Progress(40, 2.5, 1e-3, 1234.5, 60.0, {"sorting": 2.25})
            if ending is not None:
                raise ending
            yield Progress(60, 2.0, 1e-3, 1234.5, 0.0, {"sorting": 2.0})

        monkeypatch.setattr(training, "execute", execute)

    return install


def test_train_reports_on_stderr_and_names_the_checkpoint(
    invoke: Invoke, fake_training: Callable[[BaseException | None], None], tmp_path: Path
) -> None:
    fake_training(None)
    result = invoke("train", "--config", "bundled", "--out", tmp_path / "run")
    assert result.code == 0 and result.out == f"{tmp_path / 'run' / 'checkpoint'}\n"
    assert "8 minutes from the start" in result.err and "loss 3.500 · 1,234 tokens/s · 1:02:05 left" in result.err
    assert re.search(r"sorting +2\.250", result.err) and re.search(r"sorting +2\.000 +−0\.250", result.err)


def test_train_can_be_interrupted_and_says_where_it_goes_on(
    invoke: Invoke, fake_training: Callable[[BaseException | None], None], tmp_path: Path
) -> None:
    fake_training(KeyboardInterrupt())
    aside = tmp_path / ".state.aaaaaaaa.part" / "whole" / "state"  # where a kill has left the last one
    aside.mkdir(parents=True)
    save_file({}, aside / "state.safetensors")
    (aside / "state.json").write_text('{"step": 30, "seconds": 1.5, "config": {}}')
    result = invoke("train", "--config", "bundled", "--out", tmp_path)
    assert result.code == 130
    assert "going on from step 30, of 8 minutes" in result.err and "the same command goes on from step 30" in result.err


def test_a_duration() -> None:
    assert clock(3909.2) == "1:05:09"


def test_the_pace_is_known_from_two_measurements_that_lie_apart() -> None:
    pace = Pace(200)
    for at in range(64):  # a batch ends at one moment
        pace.measure(at + 1, 12 + at / 1000)
    assert pace.left is None and str(pace) == ""
    pace.measure(65, 22.0)
    assert pace.left == pytest.approx(10 / 64 * 135) and str(pace) == "0:00:21 left"
    pace.measure(65, 40.0)  # nothing has moved
    assert pace.left == pytest.approx(10 / 64 * 135)


@pytest.mark.parametrize("width", [40, 80])
def test_a_narrow_list_cuts_no_name(invoke: Invoke, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    shown = invoke("models", "list").out
    for entry in list_models():
        assert entry.name in shown and str(entry.path) in shown
