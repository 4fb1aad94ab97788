"""`remask bench` and `remask drift`: tables for people, JSON for machines, a record that an interrupt cannot spoil."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from remask.decoding.recipe import Recipe
from remask.evals.bench import Bench
from remask.llm import LLM

Invoke = Callable[..., Any]
FAST = "llada+steps=2"
SMALL = ("llada+steps=4", FAST, "-n", 3, "--rounds", 1, "--timed", 1, "--gen-length", 16)


def figures(result: Any) -> list[tuple[Any, ...]]:
    """What does not depend on the clock."""
    said = json.loads(result.out)["results"]
    return [(r["workload"], r["label"], r["items"], r["passed"], r["forwards"], r["tokens"]) for r in said]


def test_bench_prints_a_line_a_recipe(invoke: Invoke) -> None:
    result = invoke("bench", *SMALL)
    assert result.code == 0, result.err
    assert result.out.startswith("sorting: 3 items")
    rows = re.findall(r"^llada +\d+\.\d .+$", result.out, re.MULTILINE)
    assert len(rows) == 2 and " 1.00 " in rows[0] and re.search(r" [+−]\d+\.\d ", rows[1])
    assert re.search(r"^ \+steps=2 +\d+\.\d to \d+\.\d +[+−]\d+\.\d to [+−]\d+\.\d", result.out, re.MULTILINE)
    assert "Memory: live tensors at most" in result.out and "wrote" not in result.err


def test_bench_keeps_everything_in_its_folder_and_goes_on_from_it(invoke: Invoke, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "folder"
    first = invoke("bench", *SMALL, "--json", "--out", out)
    assert sorted(path.name for path in out.iterdir()) == [
        "frontier.png",
        "frontier.svg",
        "record.jsonl",
        "results.json",
    ]
    assert (out / "results.json").read_text() == first.out
    said = json.loads(first.out)
    assert Recipe.parse(said["results"][1]["recipe"]) == Recipe.load(FAST)
    record = (out / "record.jsonl").read_bytes()
    assert invoke("bench", *SMALL, "--json", "--out", out).out == first.out, "all of it was known"
    assert (out / "record.jsonl").read_bytes() == record
    more = invoke("bench", *SMALL, "-n", 4, "--json", "--out", out)
    assert [row[2] for row in figures(more)] == [4, 4]
    other = invoke("bench", *SMALL, "--seed", 5, "--out", out)
    assert other.code == 2 and "records another work: seed is 0 there and 5 here; name another file" in other.err


def test_an_interrupt_keeps_what_is_there_and_the_same_command_goes_on(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Bench._answers

    def interrupted(self: Bench, *arguments: Any) -> Iterator[None]:
        for count, one in enumerate(original(self, *arguments)):
            if count == 2:
                raise KeyboardInterrupt
            yield one

    with monkeypatch.context() as patch:
        patch.setattr(Bench, "_answers", interrupted)
        cut = invoke("bench", *SMALL, "--json", "--out", tmp_path)
    assert cut.code == 130 and cut.out == ""
    kept = f"{tmp_path} has what was measured, the same command goes on from it"
    assert cut.err == f"interrupted in sorting: answers, after 2 of 6; {kept}\n"
    lines = (tmp_path / "record.jsonl").read_text().splitlines()
    assert len(lines) == 1 + 3, "what was decoded is kept, though nobody was told of it yet"
    resumed = invoke("bench", *SMALL, "--json", "--out", tmp_path)
    assert (tmp_path / "record.jsonl").read_text().splitlines()[:4] == lines
    assert figures(resumed) == figures(invoke("bench", *SMALL, "--json"))


def test_bench_takes_prompts_and_settings_for_all(invoke: Invoke, tmp_path: Path) -> None:
    file = tmp_path / "prompts.jsonl"
    lines = ('"Sort\u2028 5380217."', "", '{"prompt": "Solve\\n1.34", "id": 7}')  # U+2028 may stand inside JSON
    file.write_text("\r\n".join(lines), encoding="utf-8", newline="")
    options = ("--set", "confidence=margin", "--rounds", 1, "--gen-length", 8, "--prompts", file)
    result = invoke("bench", "llada+steps=4", FAST, *options, "--json")
    first, second = json.loads(result.out)["results"]
    assert [r["recipe"]["confidence"] for r in (first, second)] == ["margin", "margin"]
    assert (first["workload"], first["judged"], first["passed"]) == ("prompts", False, None)
    assert second["items"] == 2 and second["passed"] in (0, 1, 2)
    assert "same answer, %" in invoke("bench", "llada+steps=4", FAST, *options).out


def test_bench_shows_what_is_refused_and_why(invoke: Invoke) -> None:
    result = invoke("bench", *SMALL, "llada+blocks=blocks+blocks.length=4+steps=2")
    assert result.code == 0 and re.search(r"^llada +refused", result.out, re.MULTILINE)
    assert "length=4+steps=2: steps must be at least the number of blocks, got 2 for 4 blocks" in " ".join(
        result.out.split()
    )


def test_drift_of_the_users_own_prompts(invoke: Invoke, llm: LLM) -> None:
    prompts = ["Sort 5380217.", "Tell me a story."]
    result = invoke("drift", *prompts, "--recipe", FAST, "--reference", "llada+steps=8", "--gen-length", 16, "--json")
    said = json.loads(result.out)
    assert result.code == 0 and said["exactness"] == "exact" and Recipe.parse(said["recipe"]) == Recipe.load(FAST)
    (found,) = said["workloads"]
    for line, prompt in zip(found["prompts"], prompts, strict=True):
        answers = [llm.generate(prompt, gen_length=16, recipe=Recipe(steps=steps)) for steps in (8, 2)]
        assert [line["prompt"], line["reference"], line["answer"]] == [prompt, *(a.text for a in answers)]
        assert line["answer_changed"] == (answers[0].text != answers[1].text)
    assert found["sum"]["prompts"] == 2 and found["sum"]["changed"] == sum(p["changed"] for p in found["prompts"])
    assert found["sum"]["difference"] is None


def test_drift_prints_a_table_and_a_sum_and_takes_stdin(invoke: Invoke) -> None:
    options = ("--set", "steps=2", "--reference", "llada+steps=8", "--gen-length", 16)
    result = invoke("drift", *options, stdin=b"Sort 5380217.\n\nTell me a story.\n")
    assert result.code == 0 and result.out.startswith("prompts: llada+steps=8+steps=2 against llada+steps=8\n")
    assert re.search(r"^1 +Sort 5380217\. +\d+ of \d+ .*(same|changed) *$", result.out, re.MULTILINE)
    assert re.search(r"^tokens changed +\d+ of \d+: \d+\.\d% \(\d+\.\d% to \d+\.\d%\)$", result.out, re.MULTILINE)
    assert re.search(r"^answers changed +\d of 2: ", result.out, re.MULTILINE) and "accuracy" not in result.out
    assert result.err == ""


def test_drift_on_a_task_counts_right_and_wrong_and_goes_on(invoke: Invoke, tmp_path: Path) -> None:
    out = tmp_path / "drift.jsonl"
    asked = (
        "drift",
        "--task",
        "sorting",
        "--recipe",
        FAST,
        "--reference",
        "llada+steps=4",
        "--gen-length",
        16,
        "-o",
        out,
    )
    invoke(*asked, "-n", 2)
    lines = out.read_text().splitlines()
    assert len(lines) == 1 + 2 * 2
    said = invoke(*asked, "-n", 3)
    assert re.search(r"^accuracy +[+−]\d+\.\d points .*; \d right → wrong, \d wrong → right$", said.out, re.MULTILINE)
    assert out.read_text().splitlines()[:5] == lines and len(out.read_text().splitlines()) == 1 + 3 * 2


REFUSED = [
    (["bench", "fastest"], "unknown recipe 'fastest'; known: "),
    (["bench", "llada", "--set", "select=best"], "unknown select 'best'; known: "),
    (["bench", "llada", "llada+steps=4", "llada+steps=4"], "llada+steps=4 and llada+steps=4 are the same recipe"),
    (["bench", "llada", "llada+cache=none"], "llada and llada+cache=none are the same recipe; leave one out"),
    (["bench", "--task", "chess"], "unknown task 'chess'; known: "),
    (["bench", "--task", "sorting", "--prompts", "x"], "--task and --prompts are two workloads"),
    (["bench", "--prompts", "nowhere.txt"], "cannot read the prompts 'nowhere.txt'"),
    (["bench", "-n", "0"], "items must be at least 1, got 0"),
    (["bench", "--rounds", "0"], "rounds must be at least 1, got 0"),
    (["bench", "--rows", "0"], "rows must be at least 1, got 0"),
    (["bench", "--out", "/dev/null"], "cannot write into '/dev/null': "),
    (["bench", "--out", "/dev/null/x"], "cannot write into '/dev/null/x'"),
    (["drift", "hi"], "there is no recipe to compare to llada; give --recipe or --set"),
    (["drift", "hi", "--recipe", "llada+steps=off"], "is the same recipe as the reference llada"),
    (["drift", "--recipe", FAST], "the prompt is empty"),
    (["drift", "hi", "--recipe", FAST, "--task", "sorting"], "--task and prompts are two workloads"),
    (["drift", "hi", "word " * 400, "--recipe", FAST], "prompt 2: the canvas has "),
    (["drift", "hi", "--recipe", FAST, "--gen-length", "0"], "--gen-length must be at least 1, got 0"),
    (
        ["drift", "hi", "--recipe", "llada+steps=1", "--gen-length", "64"],
        "llada+steps=1 does not fit this model: steps",
    ),
    (
        ["drift", "hi", "--recipe", FAST, "--out", "/no/such/folder/x"],
        "cannot write '/no/such/folder/x': its folder does not exist; give a file",
    ),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED, ids=lambda value: str(value)[:50])
def test_what_cannot_be_measured_is_refused_in_one_line(invoke: Invoke, arguments: list[str], message: str) -> None:
    result = invoke(*arguments)
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
    assert message in result.err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"3\n", "line 1 has no prompt"),
        (b'"a"\n{"text": "b"}\n', "line 2 has no prompt"),
        (b'"a"\n{\n', "line 2 is not JSON"),
        (b"\xff\n", "is not valid UTF-8 (byte 0)"),
        (b"\n \n", "there are no prompts in "),
    ],
)
def test_a_file_of_prompts_that_is_none_is_refused_by_its_line(
    invoke: Invoke, tmp_path: Path, content: bytes, message: str
) -> None:
    file = tmp_path / "prompts.jsonl"
    file.write_bytes(content)
    result = invoke("drift", "--prompts", file, "--recipe", FAST)
    assert result.code == 2 and message in result.err and result.out == ""


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120])
def test_no_column_is_lost_whatever_the_width(invoke: Invoke, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    shown = invoke("bench", *SMALL).out
    assert all(len(line) <= width for line in shown.splitlines())
    for name in ("accuracy, %", "− first", "forwards", "tokens/s", "×", "first", "MB"):
        assert name in shown, name
