"""Laws of writing: what was there or what is new, whole, and nothing beside it, whatever happens on the way."""

import os
import random
import resource
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from remask.errors import UsageError
from remask.files import check, locked, make_folder, recover, replacing, write, write_json, writing

WRITER = """
import sys
from itertools import count
from pathlib import Path
from remask.files import replacing, write

path, kind, rounds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
for i in count() if rounds < 0 else range(rounds):
    letter = "ab"[i % 2]
    if kind == "file":
        write(path, letter * 300_000)
    else:
        with replacing(path) as fresh:
            fresh.mkdir()
            for name in "xyz":
                (fresh / name).write_text(letter * 50_000)
    if i == 0:
        print("up", flush=True)
"""


def writer(path: Path, kind: str, rounds: int = -1) -> subprocess.Popen[str]:
    """A process that replaces `path` again and again, once it has said that it did so for the first time."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), kind, str(rounds)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    return process


def letters(path: Path) -> set[str]:
    """Letters of all that is at `path`, a file or a folder; it must be whole."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    assert [file.name for file in files] in (["x", "y", "z"], [path.name])
    assert {file.stat().st_size for file in files} in ({50_000}, {300_000})
    return set("".join(file.read_text() for file in files))


def folder_of(path: Path, content: str) -> None:
    with replacing(path) as fresh:
        fresh.mkdir()
        (fresh / "file").write_text(content)


# --- whole or not at all ---


def test_what_was_there_is_replaced_whole(tmp_path: Path) -> None:
    file, folder = tmp_path / "deep" / "page.html", tmp_path / "deep" / "folder"
    for text in ("old", "né"):
        write(file, text)
        folder_of(folder, text)
    assert file.read_text(encoding="utf-8") == (folder / "file").read_text() == "né"
    write_json(file, {"a": "é"})
    assert file.read_text(encoding="utf-8") == '{\n  "a": "é"\n}\n'
    assert sorted(os.listdir(file.parent)) == ["folder", "page.html"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_kill_at_any_moment_leaves_something_whole(tmp_path: Path, kind: str) -> None:
    dice, path = random.Random(kind), tmp_path / "path[1]"
    for _ in range(8):
        process = writer(path, kind)
        time.sleep(dice.random() * 0.1)
        process.kill()
        process.communicate()
        recover(path)
        assert len(letters(path)) == 1
        assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_of_two_writers_at_once_neither_fails_and_one_wins(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "path"
    processes = [writer(path, kind, rounds=60) for _ in range(2)]
    for process in processes:
        process.communicate(timeout=60)
    assert [process.returncode for process in processes] == [0, 0]
    assert len(letters(path)) == 1
    assert os.listdir(tmp_path) == ["path"]


@pytest.mark.parametrize("call", ["replace", "rename", "fsync"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError("the disk is gone")])
def test_an_error_leaves_what_was_there_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, error: BaseException
) -> None:
    file, folder = tmp_path / "file", tmp_path / "folder"
    write(file, "old")
    folder_of(folder, "old")
    original = getattr(os, call)

    def refuse(source: Path, *target: Path) -> None:
        if not target or (target[0] in (file, folder) and Path(source).parent.name == "whole"):
            raise error  # the new one's last step, not the old one's way back
        original(source, *target)

    monkeypatch.setattr(os, call, refuse)
    works = {"replace": [lambda: write(file, "new")], "rename": [lambda: folder_of(folder, "new")]}
    for work in works.get(call, [*works["replace"], *works["rename"]]):
        with pytest.raises((KeyboardInterrupt, UsageError), match=r"the disk is gone|^$"):
            work()
    monkeypatch.undo()
    assert file.read_text() == (folder / "file").read_text() == "old"
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


def test_an_error_of_the_block_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    folder_of(path, "old")
    with pytest.raises(TypeError):
        folder_of(path, 1)  # type: ignore[arg-type]
    assert (path / "file").read_text() == "old" and os.listdir(tmp_path) == ["folder"]


# --- what a kill left, part by part ---


@pytest.mark.parametrize("placed", [True, False], ids=["beside", "instead"])
def test_what_was_complete_takes_its_place_and_the_rest_goes(tmp_path: Path, placed: bool) -> None:
    path = tmp_path / "state"
    folder_of(path if placed else tmp_path / ".state.aaaaaaaa.part" / "old" / "x" / "state", "old")
    folder_of(tmp_path / ".state.aaaaaaaa.part" / "whole" / "state", "complete")
    folder_of(tmp_path / ".state.bbbbbbbb.part" / "new" / "state", "half")
    (tmp_path / ".state.cccccccc.part").mkdir()
    recover(path)
    assert (path / "file").read_text() == "complete" and os.listdir(tmp_path) == ["state"]


def test_the_next_writer_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    folder_of(tmp_path / ".it.aaaaaaaa.part" / "new" / "it", "half")
    write(tmp_path / "it", "new")
    assert os.listdir(tmp_path) == ["it"]


def test_a_writer_at_work_and_files_of_like_names_are_left_alone(tmp_path: Path) -> None:
    path, others = tmp_path / "it", [tmp_path / ".it.aaaaaaaa", tmp_path / ".it.json.aaaaaaaa.part"]
    for other in others:
        other.mkdir()
    with replacing(path) as fresh:
        fresh.write_text("first")
        write(path, "second")
        recover(path)
        assert fresh.read_text() == "first" and path.read_text() == "second"
    assert path.read_text() == "first" and sorted(tmp_path.iterdir()) == sorted([path, *others])


def test_a_lock_is_for_one(tmp_path: Path) -> None:
    with locked(tmp_path / "lock") as first, locked(tmp_path / "lock") as second:
        assert (first, second) == (True, False)
    with locked(tmp_path / "lock") as third:
        assert third


# --- links, devices, permissions ---


def test_a_link_is_followed(tmp_path: Path) -> None:
    file, folder = tmp_path / "there.svg", tmp_path / "there"
    (tmp_path / "link.svg").symlink_to(file)
    (tmp_path / "link").symlink_to(folder)
    for text in ("one", "two"):
        write(tmp_path / "link.svg", text)
        folder_of(tmp_path / "link", text)
        assert file.read_text() == (folder / "file").read_text() == text
    assert (tmp_path / "link.svg").is_symlink() and (tmp_path / "link").is_symlink()


def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(UsageError, match=r"cannot write .*/a': Too many levels of symbolic links; name another place"):
        write(tmp_path / "a", "page")


def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()))
    reader.start()
    write(pipe, "page")
    reader.join(10)
    assert got == ["page"] and pipe.is_fifo()
    with pytest.raises(UsageError, match="neither a file nor a folder"), replacing(pipe):
        pass
    assert pipe.is_fifo()


def test_a_file_never_takes_the_place_of_a_folder_nor_a_folder_that_of_a_file(tmp_path: Path) -> None:
    write(tmp_path / "file", "old")
    folder_of(tmp_path / "folder", "old")
    with pytest.raises(UsageError, match="folder': Is a directory"):
        write(tmp_path / "folder", "new")
    with pytest.raises(UsageError, match="file': a file is there, and not a folder"):
        folder_of(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == (tmp_path / "folder" / "file").read_text() == "old"
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_permissions_are_the_usual_ones_and_those_that_were_there_are_kept(tmp_path: Path) -> None:
    (tmp_path / "usual").write_text("")
    (tmp_path / "usual folder").mkdir()
    usual, usual_folder = mode(tmp_path / "usual"), mode(tmp_path / "usual folder")
    file, folder = tmp_path / "file", tmp_path / "folder"
    for private in (False, True):
        write(file, "text")
        with replacing(folder) as fresh:
            fresh.mkdir(mode=0o711)
            (fresh / "inside").touch(mode=0o600)
        assert mode(folder / "inside") == usual
        assert (mode(file), mode(folder)) == ((0o600, 0o700) if private else (usual, usual_folder))
        file.chmod(0o600)
        folder.chmod(0o700)


# --- errors name the path, the reason and a remedy, in one line ---


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "x", disk], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("no right to mount a small disk")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file may become larger than 8 kB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, ignored)


def test_a_full_disk_is_told_with_its_remedy(small_disk: Path) -> None:
    file, folder = small_disk / "file", small_disk / "folder"
    write(file, "old")
    for path, work in ((file, lambda: write(file, "x" * 99_999)), (folder, lambda: folder_of(folder, "x" * 99_999))):
        told = f"cannot write '{path}': No space left on device; free some space, or name another place"
        with pytest.raises(UsageError) as error:
            work()
        assert str(error.value) == told
    assert file.read_text() == "old" and os.listdir(small_disk) == ["file"]


@pytest.mark.usefixtures("small_files")
def test_a_limit_is_told_like_a_full_disk_also_by_libraries_that_only_say_it_in_words(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    file = tmp_path / "weights"
    with pytest.raises(UsageError, match="weights': File too large; free some space"), replacing(file) as fresh:
        save_file({"x": torch.zeros(9_999)}, fresh)
    lines = tmp_path / "lines"
    lines.write_text("x" * 7_999)
    with pytest.raises(UsageError, match="lines': File too large"), writing(lines), lines.open("a") as file:
        file.write("more\n")
    assert os.listdir(tmp_path) == ["lines"]


def test_an_error_about_another_file_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "here" / "it"):
        (tmp_path / "elsewhere" / "nothing").read_text()
    with pytest.raises(ValueError, match="about nothing"), writing(tmp_path / "it"):
        raise ValueError("about nothing")


def test_a_place_without_the_right_or_the_possibility_to_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="file/it': Not a directory; name another place"):
        write(tmp_path / "file" / "it", "x")
    if os.geteuid():
        tmp_path.chmod(0o500)
        with pytest.raises(UsageError, match="it': Permission denied; name a place that you may write to"):
            write(tmp_path / "it", "x")
    with pytest.raises(UsageError, match=r"cannot write into '.*/file'"):
        make_folder(tmp_path / "file")
    make_folder(tmp_path / "a" / "b")
    make_folder(None)
    assert (tmp_path / "a" / "b").is_dir()


def test_a_bad_name_is_refused_before_the_work(tmp_path: Path) -> None:
    check(None)
    check(tmp_path / "new")
    with pytest.raises(UsageError, match="it is a folder; give a file in a folder that exists"):
        check(tmp_path)
    with pytest.raises(UsageError, match="its folder does not exist"):
        check(tmp_path / "no" / "file")


def test_what_a_killed_writer_of_another_name_had_not_complete_goes_and_all_else_stays(tmp_path: Path) -> None:
    for name, inside in (("a", "new/a"), ("b", "whole/b"), ("c", "old/x/c"), ("d", "new/d"), ("e", "new/e")):
        made = tmp_path / f".{name}.12345678.part"
        (made / inside).parent.mkdir(parents=True)
        (made / inside).write_text("x")
        if name != "d":  # which is somebody's own folder
            (made / "lock").touch()
    with locked(tmp_path / ".e.12345678.part" / "lock") as held:
        assert held
        write(tmp_path / "other", "done")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *(f".{name}.12345678.part" for name in "bcde"),
        "other",
    ]
