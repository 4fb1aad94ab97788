"""Local copies of public corpora, and what is no such copy."""

import json
from pathlib import Path
from random import Random

import pytest

from remask.errors import UsageError
from remask.evals.longcontext.conditions import Condition
from remask.evals.longcontext.corpora import questions, task, texts
from remask.evals.longcontext.layout import Frame
from remask.evals.longcontext.sweep import Sweep, probes
from remask.llm import LLM

SQUAD = {
    "data": [
        {
            "paragraphs": [
                {
                    "context": f"The tower of town {i} is {i} metres high.",
                    "qas": [
                        {"question": f"How high is the tower of town {i}?", "answers": [{"text": f"{i} metres"}] * 2},
                        {"question": "What cannot be answered?", "answers": []},
                    ],
                }
                for i in range(40)
            ]
        }
    ]
}


def test_a_paragraph_of_squad_hides_among_others(llm: LLM, tmp_path: Path) -> None:
    path = tmp_path / "squad.json"
    path.write_text(json.dumps(SQUAD))
    assert len(questions(path)) == 40 and questions(path)[7].answers == ("7 metres",)
    text = llm.text
    for probe in probes(Condition("squad", 300), task(path), Frame.of(text), Sweep(repeats=3)):
        assert probe.length == 300 and probe.part and probe.distance is not None
        shown = text.decode(probe.prompt)
        assert probe.needle in shown and shown.count("The tower of town") > 3


def test_a_document_of_longbench_loses_its_middle(llm: LLM, tmp_path: Path) -> None:
    path = tmp_path / "qasper.jsonl"
    lines = [{"context": "Begin. " + "filler " * 3000 + "End.", "input": "What?", "answers": ["x", "y"], "length": 9}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines * 2))
    text = llm.text
    probe = next(probes(Condition("qasper", 256), task(path), Frame.of(text), Sweep()))
    shown = text.decode(probe.prompt)
    assert probe.length == 256 and "Begin." in shown and "End." in shown and probe.references == ("x", "y")


def test_texts_come_from_a_file_a_folder_or_json_lines(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("Second.")
    (tmp_path / "a.md").write_text("First.")
    (tmp_path / "c.jsonl").write_text('{"text": "Third."}\n{"text": "Fourth."}\n')
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\xff")
    assert texts(tmp_path) == ["First.", "Second.", "Third.", "Fourth."]
    assert texts(tmp_path / "b.txt") == ["Second."]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[1]", "must hold JSON objects"),
        ('{"text": "hello"}', "neither LongBench nor SQuAD: an item lacks 'answers'"),
        ('{"data": [{"title": "x"}]}', "lacks 'paragraphs'"),
        ('{"data": []}', "holds no questions"),
    ],
)
def test_a_file_that_holds_no_questions_says_what_it_lacks(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "file.json"
    path.write_text(content)
    with pytest.raises(UsageError, match=message):
        task(path).draw(Random(0), None)  # type: ignore[arg-type]


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no text"):
        texts(tmp_path)
    (tmp_path / "x.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not UTF-8"):
        texts(tmp_path)
    (tmp_path / "y.json").write_text('{"title": "x"}')
    with pytest.raises(UsageError, match="an object without a `text`"):
        texts(tmp_path / "y.json")
