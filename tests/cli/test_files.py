"""Writing a file whole or not at all, and only where there is one to replace."""

import os
import threading
from pathlib import Path

import pytest

from remask.cli.files import write
from remask.errors import UsageError


def test_what_was_there_is_replaced_whole(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text("old")
    write(file, "né")
    assert file.read_text(encoding="utf-8") == "né"
    assert os.listdir(tmp_path) == ["page.html"]


def test_a_link_is_followed(tmp_path: Path) -> None:
    file, link = tmp_path / "there.svg", tmp_path / "link.svg"
    link.symlink_to(file)
    for text in ("one", "two"):
        write(link, text)
        assert link.is_symlink() and file.read_text() == text


def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()))
    reader.start()
    write(pipe, "page")
    reader.join(10)
    assert got == ["page"] and pipe.is_fifo()


def test_an_interrupt_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "page.html"
    file.write_text("old")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(file, "new")
    assert file.read_text() == "old" and os.listdir(tmp_path) == ["page.html"]


def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(UsageError, match="cannot write"):
        write(tmp_path / "a", "page")
