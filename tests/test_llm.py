"""The Python API: what `generate` and its kin take, and that nothing stays behind when somebody stops listening."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from remask.errors import RequestError
from remask.llm import LLM
from remask.text.tokenizer import Text

SHORT = {"gen_length": 8, "steps": 4}
ASK = "Sort these digits up: 3 1 2."


def test_one_prompt_is_one_answer_and_many_are_many(llm: LLM) -> None:
    one = llm.generate(ASK, **SHORT)
    message = {"role": "user", "content": ASK}
    assert llm.generate([message], **SHORT).text == one.text
    assert [done.text for done in llm.generate([ASK, ASK], **SHORT)] == [one.text] * 2
    assert [done.text for done in llm.generate((ASK,), **SHORT)] == [one.text]
    assert llm.generate([], **SHORT) == []


def test_a_stop_may_be_a_text_or_several(llm: LLM) -> None:
    whole = llm.generate(ASK, **SHORT).text
    assert len(whole) > 2
    for stop in (whole[2:], [whole[2:]]):
        assert llm.generate(ASK, stop=stop, **SHORT).text == whole[:2]


def test_numbers_may_be_numpys(llm: LLM) -> None:
    numbers = {"gen_length": np.int64(8), "steps": np.int32(4), "temperature": np.float32(0.5), "seed": np.uint8(3)}
    plain = {name: number.item() for name, number in numbers.items()}
    assert llm.generate(ASK, **numbers).tokens == llm.generate(ASK, **plain).tokens


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sed": 1}, "unknown option 'sed'; known: "),
        ({"seed": None}, "seed must be a whole number, got None"),
        ({"gen_length": "8"}, "gen_length must be a whole number, got '8'"),
        ({"gen_length": True}, "gen_length must be a whole number, got True"),
        ({"steps": 2.5}, "steps must be a whole number, got 2.5"),
        ({"temperature": "hot"}, "temperature must be a number, got 'hot'"),
        ({"stop": [b"x"]}, "stop must be text or a list, each text"),
        ({"stop_ids": [0.5]}, "stop_ids must be a list, each a whole number"),
        ({"set": ["cache=none"]}, "set must be a table, got "),
        ({"recipe": 5}, "recipe must be text or a Recipe, got 5"),
        ({"gen_length": 10**30}, "the model's context is 256"),
    ],
)
def test_an_option_of_the_wrong_kind_is_refused(llm: LLM, options: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        llm.generate(ASK, **options)
    assert not llm.engine.live and not llm.engine.waiting


@pytest.mark.parametrize("messages", [[{"role": "user"}], [{"content": "hi"}], [{"role": "user", "content": 5}]])
def test_a_message_without_its_parts_is_refused(llm: LLM, messages: Any) -> None:
    with pytest.raises(RequestError, match='a message needs a "role" and a "content"'):
        llm.generate(messages, **SHORT)


def test_text_that_is_no_unicode_is_refused(llm: LLM) -> None:
    with pytest.raises(RequestError, match="is half a character"):
        llm.generate("caf\udce9", **SHORT)


def test_a_text_that_the_tokenizers_library_fails_on_is_refused(text: Text) -> None:
    said = json.loads(text.tokenizer.to_str())
    said["normalizer"] = {"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": ""}
    slow = replace(text, tokenizer=Tokenizer.from_str(json.dumps(said)))
    assert slow.decode(slow.encode("text")) == "text"
    with pytest.raises(RequestError, match="the tokenizer fails on this text"):
        slow.encode("a" * 40 + "b")


def test_who_stops_listening_leaves_nothing_under_way(llm: LLM) -> None:
    stream = llm.stream(ASK, gen_length=64, steps=64)
    assert next(stream)
    assert llm.engine.live
    stream.close()  # type: ignore[attr-defined]
    assert not llm.engine.live and not llm.engine.batch.rows


def test_what_streams_is_what_is_answered(llm: LLM) -> None:
    assert "".join(llm.stream(ASK, **SHORT)) == llm.generate(ASK, **SHORT).text
