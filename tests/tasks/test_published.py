"""Published sets by file: each in its order, its reference right, a wrong answer wrong, a bad file refused."""

import json
from pathlib import Path

import pytest

from remask.errors import UsageError
from remask.tasks import examples
from remask.tasks.published import published

SETS = {
    "sudoku.csv": "Puzzle,Solution\n3102200002100320,3142243142131324\n140432014020000,2143432114323214\n",
    "countdown.jsonl": '{"input": "30,100,93", "output": "23"}\n{"input": "1,2,3", "output": "7"}\n',
    "gsm8k.jsonl": json.dumps({"question": "How many eggs?", "answer": "16 - 3 = <<16-3=13>>13\n#### 1,018"}) + "\n",
    "svamp.json": json.dumps([{"Body": "Dan had $ 3 left .", "Question": "How much?", "Answer": 1.0}]),
}
RIGHT = {
    "sudoku.csv": "3142\n2431\n4213\n1324",
    "countdown.jsonl": "so\n100-93+30 = 37",
    "gsm8k.jsonl": "5*2=10\nThe answer is 1018.",
    "svamp.json": "4-3=1\nThe answer is 1.",
}


@pytest.mark.parametrize("name", SETS)
def test_a_set_comes_whole_in_its_order_and_is_judged(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(SETS[name])
    task = published(tmp_path / name)
    drawn = list(examples(task, "heldout", 0))
    assert drawn == list(task.items) and len(drawn) in (1, 2)
    right = RIGHT[name] if name != "countdown.jsonl" else "1+2*3=7"
    assert task.passes(drawn[1 if name == "countdown.jsonl" else 0], right)
    for wrong in ("", "no", right.replace("1", "2"), "9" * 500, "((" * 50, "__import__('os')"):
        assert not task.passes(drawn[0], wrong), wrong


def test_a_dropped_leading_zero_comes_back(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(SETS["sudoku.csv"])
    assert published(tmp_path / "s.csv").items[1].prompt == "Solve\n.14.\n432.\n14.2\n...."


def test_countdown_wants_each_number_once(tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_text(SETS["countdown.jsonl"])
    task = published(tmp_path / "c.jsonl")
    one = task.items[1]
    assert task.passes(one, "2*3+1") and not task.passes(one, "7") and not task.passes(one, "1+2*3+0")
    assert not task.passes(one, "2**3-1") and not task.passes(one, "1/(3-2-1)")


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"a": 1}\n', '[{"Body": 1, "Question": 2, "Answer": "x"}]', "[" * 10**5]
)
def test_another_file_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(UsageError, match="published set") as refused:
        published(tmp_path / "x.json")
    assert "\n" not in str(refused.value)
