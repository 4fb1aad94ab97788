"""`remask explain`: every number is the run's own."""

import importlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from remask.cli.explain import Loop
from remask.decoding.schedule import even
from remask.llm import LLM
from remask.render.lesson.chapters import chapters
from remask.render.lesson.contents import Lesson
from remask.render.lesson.gather import Asked, gather

Invoke = Callable[..., Any]
PROMPT = "The cat sat"


def lesson(llm: LLM, step: int = 1, top: int = 4, **options: Any) -> Lesson:
    return gather(llm, Asked(PROMPT, step, top, Loop(gen_length=8, **options).options() | {"raw": True}))


@pytest.fixture(scope="module")
def taught(llm: LLM) -> Lesson:
    return lesson(llm, step=2)


def test_the_run_is_the_one_that_generate_makes(llm: LLM, taught: Lesson) -> None:
    done = llm.generate(PROMPT, gen_length=8, steps=4, block_length=4, raw=True, stop_ids=())
    assert taught.text == done.text
    assert taught.trace.final()[-8:].tolist() == list(done.tokens)
    assert len(taught.trace.steps) == done.forwards == 4


def test_confidence_is_the_probability_of_the_guess(taught: Lesson) -> None:
    for place in taught.places:
        assert place.confidence == pytest.approx(place.probability, abs=1e-5)
        assert place.likely[0].text == place.guess
        assert [one.probability for one in place.likely] == sorted((o.probability for o in place.likely), reverse=True)


def test_the_surest_are_kept_and_written_and_nothing_else_changes(taught: Lesson) -> None:
    kept = {place.position for place in taught.places if place.kept}
    surest = sorted(taught.places, key=lambda place: -place.confidence)[: taught.quota]
    assert len(kept) == taught.quota == 2 and kept == {place.position for place in surest}
    for before, after in zip(taught.before, taught.after, strict=True):
        assert after.fresh == (after.position in kept)
        if not after.fresh and before.state != "draft" and after.state != "draft":
            assert (before.text, before.state) == (after.text, after.state)


def test_noise_draws_what_the_run_draws(llm: LLM) -> None:
    """At a temperature, z + T·g of the chapter has its largest value at the token that the run guessed."""
    taught = lesson(llm, temperature=0.9, seed=4)
    winner = max(taught.draw.tokens, key=lambda token: token.total)
    (place,) = [place for place in taught.places if place.position == taught.draw.position]
    assert taught.draw.temperature == 0.9 and winner.text == place.guess
    for token in taught.draw.tokens:
        assert token.total == pytest.approx(token.logit + 0.9 * token.noise)
    assert taught.draw.changed == sum(place.guess != place.likely[0].text for place in taught.places)


def test_guidance_is_the_guided_run(llm: LLM) -> None:
    taught = lesson(llm, cfg_scale=1.5)
    assert taught.guide.cfg_scale == 1.5
    (place,) = [place for place in taught.places if place.position == taught.guide.position]
    best = max(taught.guide.tokens, key=lambda token: token.guided)
    assert best.text == place.guess and best.guided == pytest.approx(place.likely[0].logit, abs=1e-3)
    for token in taught.guide.tokens:
        unconditional, conditional = token.unconditional, token.conditional
        assert token.guided == pytest.approx(unconditional + 2.5 * (conditional - unconditional), abs=1e-3)


def test_every_chapter_names_code_that_exists(taught: Lesson) -> None:
    told = chapters(taught)
    assert [chapter.number for chapter in told] == list(range(1, 11))
    for name in (name for chapter in told for name in chapter.code):
        parts = name.split(".")
        for cut in range(len(parts) - 1, 0, -1):
            try:
                found: Any = importlib.import_module(".".join(parts[:cut]))
            except ImportError:
                continue
            for part in parts[cut:]:
                found = getattr(found, part)
            assert callable(found), name
            break


def test_the_schedule_is_that_of_the_run_and_the_example_is_computed(taught: Lesson) -> None:
    assert [block.quotas for block in taught.blocks] == [tuple(even(4, 2))] * 2
    (table,) = chapters(taught)[8].figures
    assert ("example", "10", "4", "3, 3, 2, 2") in table.rows  # type: ignore[union-attr]


@pytest.mark.parametrize("remasking", ["margin", "entropy", "random"])
@pytest.mark.parametrize("step", [1, 4])
def test_every_score_and_step_can_be_told(llm: LLM, remasking: str, step: int) -> None:
    assert len(chapters(lesson(llm, step=step, top=1, remasking=remasking, temperature=0.5))) == 10


def test_the_terminal_walk(invoke: Invoke) -> None:
    result = invoke("explain", "--gen-length", 6)
    assert result.code == 0 and "\x1b" not in result.out and result.err == ""
    titles = ["The canvas", "Logits", "Gumbel noise", "Confidence, by gather", "Keep the surest", "Update the masked"]
    titles += ["The full loop", "Block by block", "The token-transfer schedule", "Classifier-free guidance"]
    assert all(title in result.out for title in titles)
    assert "x = prompt + [MASK] × gen_length" in result.out and "3, 3, 2, 2" in result.out
    assert max(map(len, result.out.splitlines())) <= 100


def test_files_are_written_whole(invoke: Invoke, tmp_path: Path) -> None:
    html, svg = tmp_path / "page.html", tmp_path / "run.svg"
    html.write_text("old")
    result = invoke("explain", "Sort 3 1 2.", "--chat", "--gen-length", 4, "--html", html, "--svg", svg)
    assert result.code == 0 and result.out == ""
    assert html.read_text().startswith("<!doctype html>") and svg.read_text().startswith("<svg ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page.html", "run.svg"]
    assert html.stat().st_mode & 0o444 == 0o444


@pytest.mark.parametrize(
    "loop", [Loop(1), Loop(2), Loop(3), Loop(8, steps=1), Loop(8, block_length=1), Loop(8, steps=8)]
)
def test_what_is_not_asked_for_fits_what_is(llm: LLM, loop: Loop) -> None:
    taught = gather(llm, Asked(PROMPT, 1, 2, loop.options() | {"raw": True}))
    assert sum(len(block.quotas) for block in taught.blocks) == len(taught.trace.steps)
    assert sum(sum(block.quotas) for block in taught.blocks) == loop.gen_length
    assert len(chapters(taught)) == 10


@pytest.mark.parametrize("width", [40, 60, 80])
def test_no_figure_of_a_table_is_cut(invoke: Invoke, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    shown = invoke("explain", "The cat sat", "--gen-length", 4, "--cfg-scale", 1)
    assert not re.search(r"[\d%]…|…[\d%]", shown.out) and "1…" not in shown.out
