"""`remask examples`: what it shows can be typed, and the models of the package are described by one table."""

import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import typer

from remask.checkpoint import inspect, locate
from remask.checkpoint.hub import SHIPPED
from remask.cli.app import build
from remask.cli.examples import FRAMES, quoted
from remask.cli.loading import parse_fields
from remask.cli.models import abilities
from remask.cli.output import UNSURE, doubts
from remask.cli.plan import parse_size
from remask.decoding.parsing import settings
from remask.decoding.recipe import Recipe
from remask.evals.longcontext.conditions import lengths
from remask.llm import LLM
from remask.options import apply

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


def help_texts() -> list[str]:
    """The help of every command and option."""
    texts, waiting = [], [typer.main.get_command(build())]
    while waiting:
        command: Any = waiting.pop()
        waiting += getattr(command, "commands", {}).values()
        texts += [command.help or "", *(getattr(one, "help", None) or "" for one in command.params)]
    return texts


WORKS: dict[str, Callable[[str], Any]] = {  # what carries an example of the help out, by how it looks
    r"\w+\+[\w.]+=\S+": Recipe.load,
    r"\w+\.\w+=\S+": lambda text: apply(Recipe(), threshold=0.5).change(settings([text])),
    r"\w+=\S+": lambda text: parse_fields([text]),
    r"\d+GB": parse_size,
    r"[\d.kx,]+": lambda text: lengths(text, 1024),
}
SHOWN = sorted({found for text in help_texts() for found in re.findall(r"as in ([\w.+=]+(?:,[\w.+=]+)*[\w])", text)})


@pytest.mark.parametrize("example", SHOWN)
def test_what_the_help_shows_works(example: str) -> None:
    work = next(work for pattern, work in WORKS.items() if re.fullmatch(pattern, example))
    assert work(example) and len(SHOWN) >= 5
