"""The record of measurements: a kill cannot spoil it, and what is not its own it leaves alone."""

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from remask.errors import UsageError
from remask.evals.items import Outcome, outcomes
from remask.evals.longcontext.perplexity import chunks_of
from remask.evals.longcontext.sweep import tallies
from remask.evals.records import Record

ABOUT = {"model": "m"}
OUTCOME = asdict(Outcome(0, True, "x", 1, 1, (1, 2), (0, 0)))


def test_a_record_goes_on_after_a_cut_line_and_refuses_another_work(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    about = {"model": "m", "seed": 3}
    record = Record.open(path, about)
    kept = [Outcome(i, i == 0, "x", 1, 1, (1, 2), (0, 0)) for i in range(3)]
    for outcome in kept[:2]:
        record.add({"task": "sorting"} | asdict(outcome))
    record.add({"task": "sorting", "memory": 7})
    path.write_text(path.read_text() + '{"task": "sor')
    again = Record.open(path, about)
    assert outcomes(again, task="sorting") == kept[:2] and outcomes(again, task="recall") == []
    again.add({"task": "sorting"} | asdict(kept[2]))
    assert outcomes(Record.open(path, about), task="sorting") == outcomes(again, task="sorting") == kept
    assert Record.open(path, about).find(memory=7) == [{"task": "sorting", "memory": 7}]
    with pytest.raises(UsageError, match="records another work: seed is 3 there and 4 here; name another file"):
        Record.open(path, about | {"seed": 4})


@pytest.mark.parametrize("cut", [0, 1, 10])
def test_a_record_whose_first_line_was_cut_begins_again(tmp_path: Path, cut: int) -> None:
    about, path = {"model": "m"}, tmp_path / "record.jsonl"
    Record.open(path, about)
    whole = path.read_bytes()
    path.write_bytes(whole[:cut])
    assert Record.open(path, about).lines == [] and path.read_bytes() == whole


@pytest.mark.parametrize("content", [b"hello\n", b"hello", b"[1]\n", b"\xff\n", b"{}\n{\n", b"3\n"])
def test_a_file_that_is_no_record_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="not a record of measurements; name another file"):
        Record.open(path, {"model": "m"})
    assert path.read_bytes() == content


def test_a_record_may_be_read_whatever_it_is_about_and_without_its_cut_line(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    Record.open(path, ABOUT).add({"a": 1})
    path.write_text(path.read_text() + '{"b"')
    record = Record.read(path)
    assert (record.about, record.lines) == (ABOUT, [{"a": 1}])
    with pytest.raises(UsageError, match="cannot read"):
        Record.read(tmp_path / "nowhere")


def test_a_record_without_measurements_is_begun_anew_and_one_with_them_is_not(tmp_path: Path) -> None:
    """Work that was refused before it began does not stand in the way of the same work asked for otherwise."""
    path = tmp_path / "record.jsonl"
    Record.open(path, {"seed": 0})
    Record.open(path, {"seed": 1}).add({"a": 1})
    for about, difference in (
        ({"seed": 0}, "seed is 1 there and 0 here"),
        ({"seed": 1, "dtype": "x"}, "dtype is None"),
    ):
        with pytest.raises(UsageError, match=f"records another work: {difference}"):
            Record.open(path, about)
    with pytest.raises(UsageError, match="seed is 1 there and None here"):
        Record.open(path, {})


def test_a_record_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    path.write_text(json.dumps({"version": 9, "about": ABOUT}) + "\n")
    with pytest.raises(UsageError, match="is a record of version 9, this program reads 1"):
        Record.open(path, ABOUT)


@pytest.mark.parametrize(
    ("line", "reader", "message"),
    [
        ({"index": 0}, outcomes, "holds no Outcome: passed is missing"),
        (OUTCOME | {"index": "0"}, outcomes, "index must be a whole number, got '0'"),
        (OUTCOME | {"ids": 3}, outcomes, "ids must be a list, each a whole number, got 3"),
        (OUTCOME | {"passed": "yes"}, outcomes, "passed must be true or false, got 'yes'"),
        ({"document": 0}, chunks_of, "holds no Chunk: start is missing"),
        ({"document": 0, "start": 8, "full": None, "recent": 1.0}, chunks_of, "full must be a number, got None"),
        ({"task": "kv"}, tallies, "holds no Condition: length is missing"),
        ({"task": "kv", "length": 64}, tallies, "holds no Trials: trials is missing"),
        ({"task": "kv", "length": 64, "trials": [3]}, tallies, "trials must be a list, each a table, got (3,)"),
        ({"task": "kv", "length": 64, "trials": [{"output": ""}]}, tallies, "holds no Trial: exact is missing"),
        (OUTCOME | {"tokens": -1}, outcomes, "holds no Outcome: tokens must lie in 0..9,007,199,254,740,992, got -1"),
        (
            {"document": 0, "start": 0, "full": float("nan"), "recent": 1.0},
            chunks_of,
            "full must lie in -1..700, got nan",
        ),
        ({"task": "kv", "length": 0, "trials": []}, tallies, "length must lie in 1..2,147,483,648, got 0"),
        ({"task": "kv", "length": 64, "trials": []}, tallies, "holds no Trial: it must be a table, got None"),
    ],
)
def test_a_measurement_that_is_not_whole_is_refused_by_its_line(
    tmp_path: Path, line: dict[str, Any], reader: Any, message: str
) -> None:
    path = tmp_path / "record.jsonl"
    record = Record.open(path, ABOUT)
    record.add(line)
    with pytest.raises(UsageError) as refused:
        reader(Record.open(path, ABOUT))
    told = str(refused.value)
    assert f"{path}, line 2 holds no" in told and message in told and told.endswith("; name another file")
    assert not re.search("\n", told)
