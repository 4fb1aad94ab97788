"""Values of every kind in every place of the Python surface: a call works or raises a RemaskError of one short line."""

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

import remask
from remask.errors import RemaskError, quoted
from remask.llm import LLM
from tests.fuzz.calls import ASK, CALLS, SHORT, Rude, Shouting, nested


@pytest.fixture(scope="module")
def llm() -> LLM:
    return remask.load("bundled", device="cpu")


def outcomes(llm: LLM, seed: int, count: int) -> Iterator[tuple[str, BaseException | None]]:
    """The name of each call and what it raised."""
    for number, (name, call) in zip(range(count), itertools.cycle(CALLS.items()), strict=False):
        try:
            call(llm, Random(f"{seed} {number}"))
        except Exception as error:  # noqa: BLE001 - whatever it is, the test judges it
            yield f"{number} {name}", error
        else:
            yield f"{number} {name}", None


def fuzz(llm: LLM, seed: int, count: int) -> None:
    reference = llm.generate(ASK, **SHORT)
    raised: list[str] = []
    kinds: Counter[str] = Counter()
    for name, error in outcomes(llm, seed, count):
        if error is None:
            kinds["work"] += 1
        elif not isinstance(error, RemaskError):
            raised.append(f"{name}: {type(error).__name__}: {error!s:.100}")
        else:
            message = str(error)
            kinds["late" if "must be" not in message and "unknown" not in message else "first"] += 1
            if not message.isprintable() or len(message) > 1000:
                raised.append(f"{name}: {json.dumps(message[:200])}, {len(message)} characters")
    assert not raised, f"{len(raised)} of {count}:\n" + "\n".join(raised[:40])
    assert kinds["work"] + kinds["late"] >= 0.3 * count, kinds
    assert not llm.engine.live and not llm.engine.waiting
    assert llm.generate(ASK, **SHORT).tokens == reference.tokens


def test_some_hundred_calls(llm: LLM) -> None:
    fuzz(llm, 0, 720)


@pytest.mark.slow
def test_ten_thousand_calls(llm: LLM) -> None:
    fuzz(llm, 1, 10_800)


@pytest.mark.parametrize(
    "value",
    [Rude(), Shouting(), "\x1b[2J", "\udce9", "x" * 10**6, 10**5000, nested(900), b"\x00"],
    ids=lambda value: type(value).__name__,
)
def test_a_quoted_value_is_short_and_printable(value: Any) -> None:
    assert quoted(value).isprintable() and len(quoted(value)) <= 80
