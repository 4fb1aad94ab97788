"""Sweeps on record: a kill loses at most one condition, and the same settings end with the same bytes."""

import json
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from remask.errors import UsageError
from remask.evals.longcontext import suite, sweep
from remask.evals.longcontext.anchors import anchors, comparisons, windows
from remask.evals.longcontext.cliff import Needle, bins, cliff
from remask.evals.longcontext.conditions import Condition
from remask.evals.longcontext.perplexity import Chunk
from remask.evals.longcontext.report import by_scaling, report
from remask.evals.longcontext.sweep import Sweep, Tally, Trial
from remask.evals.records import Record
from remask.llm import LLM
from remask.models.rotary import Extent

Invoke = Callable[..., Any]
KV = ("eval", "kv", "--lengths", "64,80", "--depths", "0,100", "-n", "2", "--batch", "3", "--steps", "1")


def test_a_grid_killed_half_way_goes_on_to_the_same_bytes(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = invoke(*KV, "--out", tmp_path / "whole")
    assert whole.code == 0, whole.err
    run, seen = sweep.run, []

    def killed(*arguments: Any) -> Iterator[Tally]:
        for result in run(*arguments):
            if len(seen) == 2:
                raise KeyboardInterrupt
            seen.append(result)
            yield result

    with monkeypatch.context() as patch:
        patch.setattr(sweep, "run", killed)
        assert invoke(*KV, "--out", tmp_path / "half").code == 130
    assert len((tmp_path / "half" / "record.jsonl").read_text().splitlines()) == 1 + 2
    assert not (tmp_path / "half" / "heatmap.png").exists()
    asked: list[int] = []

    def counted(llm: LLM, conditions: list[Condition], *rest: Any) -> Iterator[Tally]:
        for result in run(llm, conditions, *rest):
            asked.append(len(result.trials))
            yield result

    monkeypatch.setattr(sweep, "run", counted)
    resumed = invoke(*KV, "--out", tmp_path / "half")
    assert resumed.code == 0 and "going on from 2 of 4 cells" in resumed.err
    assert asked == [2, 2], "what is done is not done again"
    assert resumed.out == whole.out
    names = sorted(path.name for path in (tmp_path / "whole").iterdir())
    assert names == ["distance.png", "distance.svg", "heatmap.png", "heatmap.svg", "record.jsonl"]
    for name in names:
        assert (tmp_path / "half" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert (tmp_path / "whole" / "heatmap.png").read_bytes().startswith(b"\x89PNG")
    drawn = ElementTree.parse(tmp_path / "whole" / "distance.svg").getroot()
    assert drawn.tag.endswith("svg")


def test_a_record_may_grow_but_not_change_its_settings(invoke: Invoke, tmp_path: Path) -> None:
    assert invoke(*KV, "--out", tmp_path).code == 0
    grown = invoke(*KV, "--lengths", "64,80,72", "--out", tmp_path)
    assert grown.code == 0 and "going on from 4 of 6 cells" in grown.err
    other = invoke(*KV, "--seed", "1", "--out", tmp_path)
    assert other.code == 2 and "records another work: seed is 0 there and 1 here" in other.err
    (tmp_path / "record.jsonl").write_text("[]")
    spoiled = invoke(*KV, "--out", tmp_path)
    assert spoiled.code == 2 and "is not a record" in spoiled.err
    assert (tmp_path / "record.jsonl").read_text() == "[]"


def test_results_do_not_depend_on_what_shares_their_batch(llm: LLM) -> None:
    def tallies(batch: int, conditions: list[Condition]) -> list[Tally]:
        how = Sweep(repeats=2, batch=batch, options={"steps": 1})
        return list(sweep.run(llm, conditions, {"kv": suite.KV["recall"]}, how))

    conditions = [Condition("kv", 64, 50), Condition("kv", 96, 50)]
    assert tallies(4, conditions) == tallies(1, conditions[:1]) + tallies(1, conditions[1:])


def test_a_report_is_had_in_python_as_the_command_prints_it(invoke: Invoke, llm: LLM) -> None:
    how = Sweep(repeats=2, batch=3, options={"steps": 1})
    conditions = [Condition("kv", length, depth) for length in (64, 80) for depth in (0, 100)]
    every = list(sweep.run(llm, conditions, {"kv": suite.KV["recall"]}, how))
    told = report(llm, "kv", every, how)
    assert f"{told}\n" == invoke(*KV).out
    assert json.loads(json.dumps(told.as_dict())) == json.loads(invoke(*KV, "--json").out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("niah", "--lengths", "40"), "niah/40/0: a length of 40 tokens is too short"),
        (("niah", "--lengths", "512"), "the canvas has 512 tokens .* the model's context is 256"),
        (("niah", "--lengths", "10x", "--rope", "ntk:auto"), "takes at most 1536"),
        (("niah", "-n", "0"), "repeats must be at least 1, got 0"),
        (("niah", "--batch", "0"), "batch must be at least 1"),
        (("niah", "--gen-length", "0"), "--gen-length must be at least 1"),
        (("niah", "--lengths", "many"), "cannot read 'many' as a length"),
        (("niah", "--lengths", "-5"), "cannot read '-5' as a length"),
        (("niah", "--depths", "0,101"), "depths must be numbers from 0 to 100"),
        (("niah", "--haystack", "/nowhere.txt"), "cannot read '/nowhere.txt'"),
        (("kv", "--language", "klingon"), "language must be auto, recall or symbols"),
        (("ruler", "single_9"), "unknown task 'single_9'; known: single_1"),
        (("longqa", "facts", "--data", "x.json"), "leave out facts, or --data"),
        (("nonsense",), "unknown task 'nonsense'; known: arithmetic"),
        (("--items", "3", "niah"), "niah is a command of its own: remask eval niah"),
        (("ppl", "--length", "100"), "has no block of 64 after the first"),
        (("ppl", "--length", "1000"), "the model's context is 256"),
        (("ppl", "--documents", "0"), "documents must be at least 1"),
        (("ppl", "--recent", "32"), "the last 32 tokens cannot hold a block of 64"),
        (("compare", "/nowhere.json"), "cannot read '/nowhere.json'"),
    ],
)
def test_what_cannot_be_measured_is_refused(invoke: Invoke, arguments: tuple[str, ...], message: str) -> None:
    result = invoke("eval", *arguments)
    assert result.code == 2 and not result.out
    assert re.search(message, result.err), result.err


def test_tasks_need_not_be_named_as_a_command(invoke: Invoke) -> None:
    options = ("-n", "1", "--gen-length", "32", "--steps", "1")
    short, long = invoke("eval", "sorting", *options), invoke("eval", "tasks", "sorting", *options)
    options_first = invoke("eval", *options, "sorting")
    assert short.code == 0 and short.out.startswith("sorting") and short.out == long.out == options_first.out


def test_ruler_and_longqa_print_what_they_found(invoke: Invoke) -> None:
    result = invoke("eval", "ruler", "qa_1", "qa_2", "--lengths", "1x", "-n", "1", "--steps", "1", "--json")
    said = json.loads(result.out)
    assert result.code == 0 and list(said["columns"]["256"]) == ["QA"]
    assert said["reach"]["256"]["reach"] == 277 and [row["task"] for row in said["rows"]] == ["qa_1", "qa_2"]
    asked = invoke("eval", "longqa", "facts", "--lengths", "200", "-n", "1", "--steps", "1")
    assert asked.code == 0 and "F1" in asked.out and "predicted reach: 277 tokens" in asked.out


def test_each_scaling_has_its_own_reach_and_cliff(invoke: Invoke) -> None:
    arguments = ("--lengths", "64,512", "--depths", "0,100", "-n", "1", "--steps", "1", "--rope", "ntk:auto")
    shown = invoke("eval", "kv", *arguments)
    assert shown.code == 0, shown.err
    assert [line for line in shown.out.splitlines() if "predicted" in line or "λ" in line] == [
        "ntk:1: λ = 1, d_extra = 16, T = 256",
        "  predicted reach: 277 tokens",
        "ntk:4: λ = 4, d_extra = 16, T = 256",
        "  predicted reach: 555 tokens",
    ]
    said = json.loads(invoke("eval", "kv", *arguments, "--json").out)
    assert list(said["cliffs"]) == ["ntk:1", "ntk:4"] and said["reach"]["512"]["factor"] == 4


def test_points_of_one_scaling_are_judged_together() -> None:
    extents = {length: Extent("ntk:1", 256, 16, 1.0, 277) for length in (300, 600)}
    tallies = [
        Tally(
            Condition("kv", length, 0),
            tuple(Trial("", False, float(d < 280), 0.0, 0.0, d) for d in range(9, length, 9)),
        )
        for length in (300, 600)
    ]
    (one,) = by_scaling(tallies, extents).values()
    assert one.reach == 277 and str(one.cliff and one) == "284 tokens (279 to 288); found 100% before it, 0% behind"
    assert set(by_scaling(tallies, {})) == {"found"}


# --- the cliff ---


def test_the_cliff_is_where_needles_stop_being_found() -> None:
    found = [Needle(distance, distance <= 278) for distance in range(4, 600, 7)]
    step = cliff(found)
    assert step is not None and step.low <= 278 < step.high and (step.inside, step.outside) == (1.0, 0.0)
    noisy = [Needle(distance, hit != (distance % 40 == 4)) for distance, hit in found]
    step = cliff(noisy)
    assert step is not None and abs(step.distance - 278) < 20


def test_a_step_up_does_not_hide_the_step_down() -> None:
    step = cliff([Needle(distance, 140 < distance <= 300) for distance in range(1, 330)])
    assert step is not None and step.distance == 300.5 and step.outside == 0.0


@pytest.mark.parametrize("hit", [lambda d: True, lambda d: False, lambda d: d % 2 == 0, lambda d: d > 300])
def test_there_is_no_cliff_without_a_step_down(hit: Callable[[int], bool]) -> None:
    assert cliff([Needle(distance, hit(distance)) for distance in range(1, 600, 3)]) is None
    assert cliff([]) is None and cliff([Needle(1, True), Needle(1, False)]) is None


def test_bins_hold_every_point_once_and_never_part_equal_distances() -> None:
    found = [Needle(distance // 3, distance % 2 == 0) for distance in range(100)]
    made = bins(found, 7)
    assert sum(part.items for part in made) == 100 and sum(part.found for part in made) == 50
    assert all(a.high < b.low for a, b in pairwise(made)) and len(made) <= 7


# --- beside the paper ---


def test_the_anchors_agree_with_each_other() -> None:
    said = anchors()
    for row in said["niah"]["rows"]:
        assert len(row["scores"]) == len(said["niah"]["lengths"])
        assert sum(row["scores"]) / 6 == pytest.approx(row["overall"], abs=0.35)  # heat maps were read to 2 points
    for row in said["ruler"]["rows"]:
        for at in range(3) if "NIAH" in row else ():
            average = (8 * row["NIAH"][at] + 3 * row["AGG"][at] + 2 * row["QA"][at]) / 13
            assert average == pytest.approx(row["Avg"][at], abs=0.1)
    for part in (part for part in said.values() if "rows" in part):
        assert all(row["evidence"] in part["evidence"] for row in part["rows"])


def test_a_run_is_put_beside_the_figures_at_equal_multiples_of_its_training_length(
    tmp_path: Path, invoke: Invoke
) -> None:
    path = tmp_path / "record.jsonl"
    record = Record.open(path, {"kind": "niah", "trained": 256})
    for length, score in ((128, 100.0), (512, 50.0), (300, 1.0)):
        record.add(Tally(Condition("niah", length, 50), (Trial("", False, 0.0, 0.0, score, 9),) * 2).as_line())
    rows = [(line.length, line.published, line.ours) for line in comparisons(path, "llada-8b-base", 4)]
    assert rows == [(0.5, 100.0, 100.0), (2, 100.0, 50.0)]
    shown = invoke("eval", "compare", path, "--lambda", "1")
    assert shown.code == 0 and "62.6        50.0        -12.6" in shown.out
    unknown = invoke("eval", "compare", path, "--lambda", "5")
    assert unknown.code == 2 and "known: LLaDA-8B-Base at 1" in unknown.err
    Record.open(tmp_path / "b.jsonl", {"kind": "niah", "trained": 100}).add(record.lines[-1])
    with pytest.raises(UsageError, match="no length in common"):
        comparisons(tmp_path / "b.jsonl", "LLaDA-8B-Base", 1)
    Record.open(tmp_path / "c.jsonl", {"kind": "niah"}).add(record.lines[-1])
    with pytest.raises(UsageError, match="must say trained, a whole number, and has None"):
        comparisons(tmp_path / "c.jsonl", "LLaDA-8B-Base", 1)
    Record.open(tmp_path / "d.jsonl", {"kind": "kv", "trained": 100}).add(record.lines[-1])
    with pytest.raises(UsageError, match="records kv, of which nothing is published; known: niah, ruler, ppl"):
        comparisons(tmp_path / "d.jsonl", "LLaDA-8B-Base", 1)


def test_windows_of_perplexity_are_there_only_if_the_blocks_reach_their_end() -> None:
    blocks = [Chunk(0, start, float(start < 256), 0.0) for start in range(64, 448, 64)]
    found = windows(blocks, 64, [256, 384, 512])
    assert set(found) == {256, 384} and found[256] == pytest.approx(2.718281828) and found[384] == 1.0
