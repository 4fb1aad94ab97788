"""Recording: a file that says what the steps say, whoever reads them and however the run ends."""

import json
from pathlib import Path

import pytest

import remask
from remask.engine.engine import Engine
from remask.errors import RequestError, UsageError
from remask.llm import LLM
from remask.trace.board import frames, steps, text_of
from remask.trace.format import Trace, read

ASK = "Sort 5380217."


def load(path: Path) -> Trace:
    with path.open(encoding="utf-8") as lines:
        return read(lines)


def test_the_steps_pass_through_and_are_those_of_the_file(llm: LLM, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    handle = llm.submit(ASK, gen_length=8, candidates=2)
    passed = list(remask.record(handle, path))
    done, trace = handle.result(), load(path)
    assert [step.changes for step in passed] and len(passed) == done.forwards
    for ours, theirs in zip(passed, steps(trace), strict=True):
        assert [(c.position, c.token, c.state) for c in ours.changes] == [
            (c.position, c.token, c.state) for c in theirs.changes
        ]
    assert trace.final().tolist() == handle.snapshot().tokens.tolist()
    assert text_of(trace) == done.text
    header = trace.header
    assert (header["model"], header["seed"], header["exactness"]) == (done.model, 0, "exact")
    assert header["planned"] == handle.planned_steps and header["recipe"] == done.recipe.tables()


def test_three_ways_to_record_write_the_same_run(llm: LLM, tmp_path: Path) -> None:
    def run(name: str) -> list[str]:
        return [frame["text"] for frame in frames(load(tmp_path / name))]

    done = remask.record(llm.submit(ASK, gen_length=8), tmp_path / "result").result()
    handle = llm.submit(ASK, gen_length=8)
    pieces = list(handle.pieces(remask.record(handle, tmp_path / "pieces")))
    kept = llm.generate(ASK, gen_length=8, trace=tmp_path / "keyword")
    assert done.text == kept.text == "".join(pieces)
    assert run("result") == run("pieces") == run("keyword")
    assert load(tmp_path / "keyword").steps[0]["top"]  # a trace keeps the likeliest tokens unless told otherwise


def test_who_leaves_early_has_what_went_before_and_cancels_nothing(llm: LLM, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    handle = llm.submit(ASK, gen_length=8)
    with remask.record(handle, path) as recording:
        next(recording)
    trace = load(path)
    assert len(trace.steps) == 1 and trace.end is not None and trace.end["finish_reason"] == "cancelled"
    assert handle.result().finish_reason in ("stop", "length")


def test_what_cannot_be_recorded_is_refused_and_no_older_file_is_touched(llm: LLM, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text("older")
    begun = llm.submit(ASK, gen_length=4)
    next(iter(begun))
    with pytest.raises(RequestError, match="record it before the first one"):
        remask.record(begun, path)
    begun.cancel()
    wordless = Engine(llm.model).submit(llm.request(ASK, gen_length=4))
    with pytest.raises(RequestError, match="has no tokenizer"):
        remask.record(wordless, path)
    assert path.read_text() == "older"
    with pytest.raises(UsageError, match="cannot write"):
        remask.record(llm.submit(ASK, gen_length=4), tmp_path / "none" / "run.jsonl")


def test_a_completion_as_a_dictionary_is_json_and_says_how_it_was_made(llm: LLM) -> None:
    done = llm.generate(ASK, gen_length=8, seed=3)
    said = json.loads(json.dumps(done.as_dict(), allow_nan=False))
    assert said["text"] == done.text and said["seed"] == 3 and said["model"] == llm.loaded.source
    assert said["tokens"] == list(done.tokens) and remask.Recipe.parse(said["recipe"]) == done.recipe


def test_a_snapshot_does_not_move_with_the_run(llm: LLM) -> None:
    handle = llm.submit(ASK, gen_length=8)
    before = handle.snapshot()
    assert before.undecided.sum() == 8 and not before.committed.any()
    handle.result()
    after = handle.snapshot()
    assert before.undecided.sum() == 8 and after.committed.sum() > 0
    assert (before.tokens[before.given] == after.tokens[after.given]).all()


def test_a_request_goes_on_from_a_snapshot(llm: LLM) -> None:
    """What was committed stays, and the rest is decided; a snapshot of another request is refused."""
    request = llm.request(ASK, gen_length=8, steps=8, stop_ids=())
    handle = llm.engine.submit(request)
    for _ in zip(range(3), handle, strict=False):
        middle = handle.snapshot()
    again = llm.engine.submit(request, start=middle)
    done = again.result()
    assert (again.snapshot().tokens[middle.committed] == middle.tokens[middle.committed]).all()
    assert done.forwards == 8 - int(middle.committed.sum()) and not again.snapshot().undecided.any()
    with pytest.raises(RequestError, match="of another request"):
        llm.engine.submit(llm.request("Sort 1234567.", gen_length=8), start=middle)
    handle.cancel()
