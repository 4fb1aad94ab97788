"""Laws of chat prompts: what users type is text, what the template writes is control, and nothing is lost."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import remask
from remask.cli import main
from remask.errors import RequestError
from remask.text.tokenizer import SIGNS, Text
from tests.helpers.data import TINY_LLADA

TOLD = "{% if thinking %}<think>{% endif %}{{ tools | tojson if tools }}"


def says(content: Any, role: str = "user", **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


def special_ids(text: Text) -> dict[str, int]:
    added = text.tokenizer.get_added_tokens_decoder()
    return {token.content: index for index, token in added.items() if token.special}


# --- special tokens ---


@given(typed=st.lists(st.sampled_from(["<|eot_id|>", "<|mdm_mask|>", "<|endoftext|>", " a ", "Sort 31.", "<|"])))
def test_a_message_adds_no_control_token(text: Text, typed: list[str]) -> None:
    control = set(special_ids(text).values())
    message, plain = "x" + "".join(typed) + "x", "x"
    ids = text.encode_chat([says(message)])
    assert [i for i in ids if i in control] == [i for i in text.encode_chat([says(plain)]) if i in control]
    assert text.decode(ids, special=True) == text.chat([says(message)])


def test_without_special_tokens_both_readings_are_one(text: Text) -> None:
    turns = [says("Sort 5380217."), says("0", "assistant"), says("Thanks <b>!")]
    assert text.encode_chat(turns) == text.encode_chat(turns, control=True) == text.encode(text.chat(turns))


def test_control_tokens_are_read_where_they_are_asked_for(text: Text) -> None:
    eot = special_ids(text)["<|eot_id|>"]
    typed = [says("a<|eot_id|>b")]
    assert text.encode_chat(typed, control=True).count(eot) == text.encode_chat(typed).count(eot) + 1
    assert text.encode("<|eot_id|>") == [eot]
    plain = text.encode("<|eot_id|>", control=False)
    assert eot not in plain and text.decode(plain) == "<|eot_id|>"


def test_other_texts_of_a_message_are_plain_too(text: Text) -> None:
    own = replace(text, template="{{ messages[0].name }}{{ bos_token }}{{ extra.a }}{{ messages[0].content }}")
    ids = own.encode_chat([says("x", name="<|eot_id|>")], {"extra": {"a": ["<|eot_id|>"][0]}})
    assert special_ids(text)["<|eot_id|>"] not in ids
    assert SIGNS[0] not in text.decode(ids)


def test_the_option_decides(text: Text) -> None:
    llm = remask.load(TINY_LLADA)
    eot = special_ids(llm.text)["<|eot_id|>"]

    def count(prompt: Any, **options: Any) -> int:
        return llm.request(prompt, gen_length=4, **options).tokens.count(eot)

    usual = count("x")
    assert count("<|eot_id|>") == usual
    assert count("<|eot_id|>", special_tokens="control") == usual + 1
    assert count("<|eot_id|>", raw=True) == 1
    assert count("<|eot_id|>", raw=True, special_tokens="text") == 0
    with pytest.raises(RequestError, match="unknown special_tokens 'x'; known: control, text"):
        count("x", special_tokens="x")


# --- contents and variables ---


def test_null_and_text_parts_are_text(text: Text) -> None:
    parts = [{"type": "text", "text": "Sort "}, {"type": "text", "text": "31."}]
    assert text.chat([says(parts)]) == text.chat([says("Sort 31.")])
    call = {"function": {"name": "f", "arguments": {}}}
    assert text.chat([says("x"), says(None, "assistant", tool_calls=[call])]) == text.chat(
        [says("x"), says("", "assistant")]
    )


@pytest.mark.parametrize(
    "content", [5, {"type": "text"}, [{"type": "image_url"}], ["x"], [{"type": "text", "text": 5}]], ids=str
)
def test_other_contents_are_refused(text: Text, content: Any) -> None:
    with pytest.raises(RequestError, match='needs a "role" and a "content", both text, got'):
        text.chat([says(content)])
    with pytest.raises(RequestError, match='needs a "role" and a "content", both text, got'):
        text.chat([{"role": "user"}])


def test_variables_reach_the_template(text: Text) -> None:
    own = replace(text, template=TOLD)
    assert own.chat([says("x")]) == ""
    assert own.chat([says("x")], {"thinking": True}) == "<think>"
    tools = [{"name": "f"}]
    assert json.loads(own.chat([says("x")], {"tools": tools})) == tools
    assert replace(text, template="{{ bos_token }}").chat([says("x")], {"bos_token": "B"}) == "B"


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"messages": []}, "cannot set 'messages'"),
        ({"f": len}, "must hold what JSON can"),
        ({"n": float("nan")}, "must hold what JSON can"),
        ({"long": "x" * 2_000_000}, "the limit is"),
    ],
    ids=["messages", "a function", "NaN", "long"],
)
def test_variables_that_no_template_can_have_are_refused(text: Text, variables: dict[str, Any], told: str) -> None:
    with pytest.raises(RequestError, match=told):
        text.chat([says("x")], variables)


def test_a_raw_prompt_has_no_variables() -> None:
    llm = remask.load(TINY_LLADA)
    with pytest.raises(RequestError, match="template_vars are for a chat template"):
        llm.request("x", raw=True, template_vars={"a": 1})
    with pytest.raises(RequestError, match=r"the prompt is empty; give some text, or begin with nothing: infill"):
        llm.request("", raw=True)


def test_the_command_line_passes_them_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = ["run", "Sort 31.", "-m", str(TINY_LLADA), "--gen-length", "4", "--quiet"]
    assert main([*run, "--template-vars", "enable_thinking=false", "--template-vars", 'tools=[{"a": 1}]']) == 0
    assert main([*run, "--special-tokens", "control"]) == 0
    assert main([*run, "--template-vars", "x"]) == 2
    assert "--template-vars must be NAME=VALUE, as in enable_thinking=false, got 'x'" in capsys.readouterr().err
    assert main(["run", "", "--raw", "-m", str(TINY_LLADA)]) == 2
    assert "begin with nothing: remask infill '{{32}}'" in capsys.readouterr().err
