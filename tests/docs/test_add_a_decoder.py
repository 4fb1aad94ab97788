"""docs/add_a_decoder.md does what it says: its blocks run, one after the other."""

import re
from pathlib import Path

import pytest

from remask.decoding import recipe
from remask.decoding.axes import AXES

PAGE = Path(__file__).resolve().parents[2] / "docs" / "add_a_decoder.md"


def test_the_page_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(AXES, "select", dict(AXES["select"]))
    monkeypatch.setattr(recipe, "REGISTERED", {})
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 4
    names: dict[str, object] = {"__name__": "add_a_decoder"}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert "peaks" in AXES["select"] and capsys.readouterr().out
