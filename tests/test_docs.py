"""The README does what it says: its Python runs, its commands and flags exist, its links lead somewhere."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from remask.cli.app import build

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_python_in_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = blocks("python")
    exec(compile(block, "README.md", "exec"), {})
    assert capsys.readouterr().out.strip()


def test_every_command_and_flag_in_the_readme_exists() -> None:
    commands = typer.main.get_command(build()).commands  # type: ignore[attr-defined]
    calls = re.findall(r"remask (\w+)((?: [^|;#\n]*)?)", "\n".join(blocks("sh")))
    assert len(calls) > 8
    for name, rest in calls:
        command = commands[name]
        if hasattr(command, "commands"):
            command = command.commands[shlex.split(rest)[0]]
        known = {option for parameter in command.params for option in parameter.opts}
        used = {word.split("=")[0] for word in shlex.split(rest) if re.fullmatch(r"--?[a-z][\w-]*", word)}
        assert used <= known, f"remask {name} has no {used - known}"


@pytest.mark.parametrize(
    "page", sorted(p.relative_to(ROOT).as_posix() for p in [ROOT / "README.md", *ROOT.glob("docs/*.md")])
)
def test_links_to_files_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert ((ROOT / page).parent / target).exists(), f"{page} links to {target}"
