"""`remask infill` and `remask chat`."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from remask.cli.examples import messages
from remask.cli.infill import template_of
from remask.llm import LLM

Invoke = Callable[..., Any]


def test_infill_prints_the_whole_document(invoke: Invoke) -> None:
    template = "The {{1}} sat on\nthe {{place:1}}{{1}}. {{1}}"
    said = json.loads(invoke("infill", template, "--json").out)
    first, second, third = said["fills"]  # neighbouring holes are one run
    assert said["text"] == f"The {first} sat on\nthe {second}. {third}"
    assert len(said["tokens"]) == 4
    result = invoke("infill", stdin=(template + "\n").encode())
    assert result.out == said["text"] + "\n" and "4 tokens · 4 forwards" in result.err


def test_given_text_stays_to_the_byte(llm: LLM) -> None:
    template = "  The\t{{2}}  <|endoftext|> \\{{x}} é\n"
    done = llm.infill(template)
    assert done.text == f"  The\t{done.fills[0]}  <|endoftext|> {{{{x}}}} é\n"


@pytest.mark.parametrize(
    ("prefix", "suffix", "whole"),
    [("a", "b", "a{{3}}b"), (None, "b", "{{3}}b"), ("a", None, "a{{3}}"), ("{{1}}", "b", r"\{{1}}{{3}}b")],
)
def test_prefix_and_suffix_spell_a_template(prefix: str | None, suffix: str | None, whole: str) -> None:
    assert template_of(None, prefix, suffix, 3) == whole


def test_chat_through_a_pipe_keeps_the_turns(invoke: Invoke, llm: LLM) -> None:
    options: dict[str, Any] = {"gen_length": 8, "steps": 4}
    turns = [{"role": "user", "content": "Sort 3 1 2."}]
    first = llm.generate(turns, **options).text
    turns += [{"role": "assistant", "content": first}, {"role": "user", "content": "Sort 5 4."}]
    second = llm.generate(turns, **options).text
    alone = llm.generate("Sort 5 4.", **options).text
    talk = b"Sort 3 1 2.\nSort 5 4.\n/reset\n\nSort 5 4.\n/quit\nnever read\n"
    result = invoke("chat", "--gen-length", 8, "--steps", 4, "-q", stdin=talk)
    assert result.code == 0 and result.out == f"{first}\n{second}\n{alone}\n"
    assert "the conversation is forgotten" in result.err


def test_chat_settings(invoke: Invoke) -> None:
    talk = b"/set steps 2\n/set\n/set pace\n/set colour red\n/set steps two\n/set watch on\n/help\n/nonsense\nhi\n"
    result = invoke("chat", "--gen-length", 8, stdin=talk)
    assert result.code == 0
    for said in (
        "steps = 2",
        "steps=2  block_length=32  temperature=0.0",
        "remasking=low_confidence",
        "there is no setting 'colour'",
        "steps must be a whole number",
        "watch = on",
        "/reset",
    ):
        assert said in result.err
    assert "there is no command /nonsense" in result.err and "step 1/2" in result.err


def test_a_setting_that_cannot_work_is_refused(invoke: Invoke) -> None:
    result = invoke("chat", stdin=b"/set steps 0\n")
    assert result.code == 2 and "steps must lie in 1..1,048,576, got 0" in result.err


def test_a_conversation_beyond_the_context_is_refused(invoke: Invoke) -> None:
    result = invoke("chat", "--gen-length", 8, stdin=b"word " * 300)
    assert result.code == 2 and "the model's context is 256" in result.err


def test_on_a_terminal_a_mistake_does_not_end_the_conversation(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = iter(["/set steps 0", "hi", "/quit"])
    monkeypatch.setattr("builtins.input", lambda prompt: next(lines))
    result = invoke("chat", "--gen-length", 4, terminal=True)
    assert (
        result.code == 0
        and "error: steps must lie in 1.." in result.err
        and " tokens/s · decoding: exact · " in result.err
    )


@pytest.mark.parametrize(("ending", "code"), [(EOFError, 0), (KeyboardInterrupt, 130)])
def test_leaving_the_prompt(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, ending: type[BaseException], code: int
) -> None:
    def end(prompt: str) -> str:
        raise ending

    monkeypatch.setattr("builtins.input", end)
    assert invoke("chat", terminal=True).code == code


def test_an_interrupted_answer_is_forgotten_and_the_conversation_goes_on(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, llm: LLM
) -> None:
    lines = iter(["Sort 3 1 2.", "Sort 5 4.", "/quit"])
    monkeypatch.setattr("builtins.input", lambda prompt: next(lines))
    step, calls = llm.engine.step, iter(range(100))

    def interrupted() -> None:
        if next(calls) == 2:
            raise KeyboardInterrupt
        step()

    monkeypatch.setattr(llm.engine, "step", interrupted)
    result = invoke("chat", "--gen-length", 8, "-q", terminal=True)
    assert result.code == 0 and "stopped; the turn is not kept" in result.err
    assert result.out.endswith(llm.generate("Sort 5 4.", gen_length=8).text + "\n")
    assert not llm.engine.live


def test_the_words_that_leave_and_help_are_those_of_other_programs(invoke: Invoke) -> None:
    for word in ("/quit", "/bye", "/exit", "exit", "quit"):
        result = invoke("chat", stdin=f"{word}\nnever read\n".encode())
        assert result == (0, "", "")
    assert "/retry" in invoke("chat", stdin=b"help\n").err
    assert "there is no command /hlep; did you mean '/help'?" in invoke("chat", stdin=b"/hlep\n").err


def test_two_interrupts_leave_an_idle_prompt_and_one_asks(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = iter([KeyboardInterrupt, "/set steps 2", KeyboardInterrupt, "/bye"])

    def typed(prompt: str) -> str:
        key = next(keys)
        if isinstance(key, str):
            return key
        raise key

    monkeypatch.setattr("builtins.input", typed)
    result = invoke("chat", terminal=True)
    assert result.code == 0 and result.err.count("^C again leaves") == 2


def test_a_conversation_is_saved_undone_and_answered_again(invoke: Invoke, llm: LLM, tmp_path: Path) -> None:
    options: dict[str, Any] = {"gen_length": 8, "steps": 4, "temperature": 1.0}
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Sort 3 1 2."}]
    first, again = (llm.generate(turns, **options, seed=seed).text for seed in (0, 1))
    file = tmp_path / "talk.json"
    talk = f"/system Be brief.\nSort 3 1 2.\n/retry\n/save {file}\n/undo\n/retry\n/save {file}\n"
    result = invoke("chat", "--gen-length", 8, "--steps", 4, "-t", 1, "-q", stdin=talk.encode())
    assert result.code == 0 and result.out == f"{first}\n{again}\n"
    assert "wrote" in result.err and "2 messages" not in result.err and "3 messages" in result.err
    assert "there is no message to answer again" in result.err
    assert json.loads(file.read_text(encoding="utf-8")) == turns[:1]
    refused = invoke("chat", stdin=f"/save {file}\n".encode())
    assert refused.code == 2 and "is there already; give another name" in refused.err


def test_a_conversation_that_outgrows_the_context_says_what_it_leaves_out(invoke: Invoke, llm: LLM) -> None:
    long = "word " * 60
    talk = f"{long}\nSort 3 1 2.\n{long}\n{long}\n".encode()
    result = invoke("chat", "--gen-length", 8, "--steps", 1, "-q", stdin=talk)
    assert result.code == 0 and result.out.count("\n") == 4
    assert re.findall(r"outgrows the context of 256 tokens: its first (\d) messages are left out", result.err)


def test_examples_are_what_the_table_says(invoke: Invoke) -> None:
    shown = invoke("chat", "-m", "bundled", stdin=b"/examples\n").err.splitlines()
    assert shown == messages("bundled")
