"""`remask examples`: what it shows can be typed, and the models of the package are described by one table."""

import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from remask.checkpoint import inspect, locate
from remask.checkpoint.hub import SHIPPED
from remask.cli.examples import FRAMES, quoted
from remask.cli.models import abilities
from remask.cli.output import UNSURE, doubts
from remask.llm import LLM

Invoke = Callable[..., Any]
LINES = [(model, example.line(model)) for model, frame in FRAMES.items() for example in frame.examples]


def test_every_model_of_the_package_has_examples() -> None:
    assert FRAMES.keys() == SHIPPED.keys()


@pytest.mark.parametrize(("model", "line"), LINES, ids=lambda value: str(value)[:40])
def test_an_example_is_shown_and_runs(invoke: Invoke, model: str, line: str) -> None:
    assert line in invoke("examples", model).out.splitlines()
    program, *words = shlex.split(line)
    chosen = [] if "-m" in words else ["-m", model]
    assert program == "remask" and invoke(*words, *chosen, "-q").code == 0


@pytest.mark.parametrize("text", ["Sort 1.", "Tom's", 'say "hi"', "a $b `c` \\ !"])
def test_a_text_is_one_word_of_a_shell(text: str) -> None:
    assert shlex.split(quoted(text)) == [text]


def test_an_unknown_model_is_refused(invoke: Invoke) -> None:
    result = invoke("examples", "bundeld")
    assert result.code == 2 and "did you mean 'bundled'?" in result.err


def test_an_answer_that_is_empty_or_improbable_is_called_so(llm: LLM) -> None:
    done = llm.generate("Sort 3 1 2.", gen_length=4)
    assert doubts(replace(done, text="1", logprobs=(-0.5, -0.6))) == []
    assert doubts(replace(done, text="1", logprobs=(-3.0, -2.0))) == ["the model is unsure (9 %)"]
    assert doubts(replace(done, text=" ", logprobs=(-3.0,)))[0].startswith("the answer is empty")
    assert UNSURE == 0.5


def test_the_card_of_a_model_of_the_package_is_shown(invoke: Invoke) -> None:
    shown = invoke("models", "show", "bundled").out
    head, *tasks = abilities((inspect(locate("bundled")).folder / "README.md").read_text(encoding="utf-8"))
    assert len(tasks) > 3 and "remask examples" in shown
    for task in tasks:
        assert re.search(
            rf"^{re.escape(task[0])} .*{re.escape(task[head.index('held-out accuracy')])}", shown, re.MULTILINE
        )


def test_a_card_without_a_table_of_tasks_shows_nothing() -> None:
    assert abilities("# A card\n\n| a | b |\n|---|---|\n| 1 | 2 |\n") == []
    assert abilities("| task | b |\n|---|---|\n| 1 | 2 |\n\n| x | y | z |\n") == [["task", "b"], ["1", "2"]]
