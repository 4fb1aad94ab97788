"""The README and the pages do what they say: Python runs, commands and flags exist, links lead somewhere."""

import pkgutil
import re
import shlex
from pathlib import Path

import pytest
import typer

from remask.cli.app import build
from remask.decoding.parsing import settings
from remask.decoding.recipe import Recipe

ROOT = Path(__file__).parents[2]
EXECUTED = ["README.md", "docs/bench.md"]


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("page", [*EXECUTED, "docs/longcontext.md"])
def test_the_python_on_a_page_runs(
    page: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a page may write a file
    (block,) = blocks(page, "python")
    exec(compile(block, page, "exec"), {})
    assert capsys.readouterr().out.strip()


def test_the_tour_runs_from_its_first_block_to_its_last(capsys: pytest.CaptureFixture[str]) -> None:
    code = "\n".join(blocks("docs/tour.md", "python"))
    exec(compile(code, "docs/tour.md", "exec"), {})
    assert len(capsys.readouterr().out.splitlines()) > 10


@pytest.mark.parametrize("page", EXECUTED)
def test_every_command_and_flag_on_a_page_exists(page: str) -> None:
    commands = typer.main.get_command(build()).commands  # type: ignore[attr-defined]
    calls = re.findall(r"remask (\w+)((?: [^|;#\n]*)?)", "\n".join(blocks(page, "sh")))
    assert len(calls) > 8
    for name, rest in calls:
        command = commands[name]
        if hasattr(command, "commands"):
            first = shlex.split(rest)[0]
            command = command.commands["tasks" if name == "eval" and first not in command.commands else first]
        known = {option for parameter in command.params for option in parameter.opts}
        used = {word.split("=")[0] for word in shlex.split(rest) if re.fullmatch(r"--?[a-z][\w-]*", word)}
        assert used <= known, f"remask {name} has no {used - known}"
        for recipe in re.findall(r"--recipe (\S+)", rest):
            Recipe.load(recipe).change(settings(re.findall(r"--set (\S+)", rest)))


PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/*.md", "remask/bundled/*/README.md")
    for path in ROOT.glob(pattern)
    if path.name != "CHANGELOG.md"  # which tells of what was
)


@pytest.mark.parametrize("page", PAGES)
def test_links_to_files_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert ((ROOT / page).parent / target).exists(), f"{page} links to {target}"


@pytest.mark.parametrize("page", PAGES)
def test_paths_and_modules_that_a_page_names_exist(page: str) -> None:
    named = re.findall(r"`([\w./]+)`", (ROOT / page).read_text(encoding="utf-8"))
    for path in named:
        if re.fullmatch(r"(\w+/)+\w*(\.py)?", path) and not path.startswith(("runs/", "DIR/")):
            assert any((base / path).exists() for base in (ROOT, ROOT / "remask")), f"{page} names {path}"
        elif path.startswith("remask.") and "/" not in path:
            assert pkgutil.resolve_name(path) is not None, f"{page} names {path}"
