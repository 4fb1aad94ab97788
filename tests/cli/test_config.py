"""What is stated once: a flag comes before a variable, that before the file here, that before the user's own."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.data import TINY_LLADA

Invoke = Callable[..., Any]


@pytest.fixture
def files(invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The file of the user and that of the current folder; neither is there yet."""
    (tmp_path / "user" / "remask").mkdir(parents=True)
    (tmp_path / "project").mkdir()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.delenv("REMASK_MODEL")
    return tmp_path / "user" / "remask" / "remask.toml", tmp_path / "project" / "remask.toml"


def recipe_of(invoke: Invoke, *words: str) -> str:
    run = ("run", "Sort 3 1 2.", "-m", TINY_LLADA, "--gen-length", 4, "--json", *words)
    return str(json.loads(invoke(*run).out)["recipe"]["name"])


def test_who_comes_before_whom(invoke: Invoke, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    user, project = files
    assert recipe_of(invoke) == "llada"
    user.write_text('recipe = "threshold"\n')
    assert recipe_of(invoke) == "threshold"
    project.write_text('recipe = "eb"\n')
    assert recipe_of(invoke) == "eb"
    monkeypatch.setenv("REMASK_RECIPE", "klass")
    assert recipe_of(invoke) == "klass"
    assert recipe_of(invoke, "--recipe", "credit") == "credit" and recipe_of(invoke, "--fast") == "fast"


def test_the_settings_in_force_and_who_states_them(
    invoke: Invoke, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    user, project = files
    user.write_text('dtype = "float32"\nthreads = 2\n')
    project.write_text("threads = 1\n")
    monkeypatch.setenv("REMASK_DEVICE", "cpu")
    shown = invoke("config").out.splitlines()
    assert [line.split() for line in shown[2:5]] == [
        ["device", "cpu", "(REMASK_DEVICE)"],
        ["dtype", "float32", f"({user})"],
        ["threads", "1", f"({project})"],
    ]
    assert shown[0].split() == ["model", "bundled", "(default)"] and shown[-1] == f"{project}: read"


def test_a_file_that_a_setting_names_lies_beside_it(
    invoke: Invoke, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    user, project = files
    user.write_text('recipe = "mine.toml"\n')
    (user.parent / "mine.toml").write_text('name = "mine"\n')
    assert recipe_of(invoke) == "mine"
    project.write_text('model = "./nowhere"\n')
    assert f"there is no folder '{project.parent / 'nowhere'}" in invoke("plan").err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('modle = "x"', "unknown setting 'modle'; known: device, dtype, model, recipe, threads; did you mean 'model'?"),
        ('threads = "many"', "threads must be a whole number, got 'many'"),
        ("model = 3", "model must be text, got 3"),
        ("model = ", "cannot read '"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_file(
    invoke: Invoke, files: tuple[Path, Path], text: str, message: str
) -> None:
    files[1].write_text(text)
    result = invoke("run", "hi")
    assert result.code == 2 and message in result.err and str(files[1]) in result.err and result.err.count("\n") == 1
    assert invoke("--help").code == 0


def test_a_file_above_the_current_folder_has_no_say(
    invoke: Invoke, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    files[1].write_text('recipe = "eb"\n')
    below = files[1].parent / "below"
    below.mkdir()
    monkeypatch.chdir(below)
    assert recipe_of(invoke) == "llada"


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("remask run --recipe fast-d", ["fast-dllm", "fast-dllm-factor", "fast-dllm-prefix", "fast-dllm-v2"]),
        ("remask run -m bundled-", ["bundled-blockwise", "bundled-haystack"]),
        ("remask plan bundled-h", ["bundled-haystack"]),
        ("remask eval sort", ["sorting", "sorting_reworded"]),
        ("remask eval sudoku4 sort", ["sorting", "sorting_reworded"]),
        ("remask recipes show wi", ["wino"]),
        ("remask rec", ["recipes"]),
        ("remask run --gen", ["--gen-length"]),
        ("remask run -m below/mo", ["below/models/"]),
    ],
)
def test_a_shell_completes_names(
    invoke: Invoke, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, line: str, completed: list[str]
) -> None:
    (files[1].parent / "below" / "models").mkdir(parents=True)
    monkeypatch.setenv("_REMASK_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split()) - 1))
    assert invoke() == (0, "\n".join(completed) + "\n", "")


def test_the_script_of_a_shell_is_shown(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_REMASK_COMPLETE", "source_zsh")
    result = invoke()
    assert result.code == 0 and "compdef" in result.out and "_REMASK_COMPLETE" in result.out
    monkeypatch.delenv("_REMASK_COMPLETE")
    assert "--install-completion" in invoke("--help").out
