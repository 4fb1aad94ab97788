"""The async twins: they do not block a running loop, several share the batch, and a cancelled task leaves nothing."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

import remask
from remask.errors import RequestError
from remask.llm import LLM

SHORT: Any = {"gen_length": 8, "steps": 4}
LONG: Any = {"gen_length": 96, "steps": 96, "set": {"stop.eos_prefix": False}}
ASKS = [f"Sort {digits}." for digits in ("312", "54", "9876", "21", "4321", "65", "77", "180", "5380217", "31")]


@pytest.fixture(scope="module")
def llm() -> LLM:
    return remask.load("bundled", device="cpu")


async def beats(work: Awaitable[Any]) -> int:
    """How often the loop came round while `work` was under way."""
    task, count = asyncio.ensure_future(work), 0
    while not task.done():
        await asyncio.sleep(0)
        count += 1
    await task
    return count


async def until(condition: Any) -> None:
    while not condition():
        await asyncio.sleep(0)


def test_answers_are_those_of_the_plain_methods(llm: LLM) -> None:
    async def work() -> None:
        assert (await llm.agenerate(ASKS[0], **SHORT)).tokens == llm.generate(ASKS[0], **SHORT).tokens
        pieces = [piece async for piece in llm.astream(ASKS[0], **SHORT)]
        assert "".join(pieces) == llm.generate(ASKS[0], **SHORT).text
        template = "The {{1}} sat on the {{1}}."
        assert (await llm.ainfill(template)).text == llm.infill(template).text

    asyncio.run(work())


def test_the_loop_goes_on_while_the_model_works(llm: LLM) -> None:
    """Each step gives the loop at least one turn."""
    assert asyncio.run(beats(llm.agenerate(ASKS[0], **LONG))) > 96


def test_many_at_once_share_the_batch_and_answer_as_alone(llm: LLM) -> None:
    alone = [llm.generate(ask, **SHORT).tokens for ask in ASKS]

    async def work() -> list[Any]:
        tasks = [asyncio.create_task(llm.agenerate(ask, **SHORT)) for ask in ASKS]
        watch = asyncio.create_task(until(lambda: len(llm.engine.live) > 1))
        answers = await asyncio.gather(*tasks)
        assert watch.done()
        return answers

    assert [done.tokens for done in asyncio.run(work())] == alone


def test_a_stream_and_an_answer_go_side_by_side(llm: LLM) -> None:
    async def listen() -> str:
        return "".join([piece async for piece in llm.astream(ASKS[1], **SHORT)])

    async def work() -> tuple[str, Any]:
        return await asyncio.gather(listen(), llm.agenerate(ASKS[0], **SHORT))

    text, done = asyncio.run(work())
    assert text == llm.generate(ASKS[1], **SHORT).text and done.tokens == llm.generate(ASKS[0], **SHORT).tokens


def test_a_cancelled_task_cancels_its_request(llm: LLM) -> None:
    async def work() -> None:
        task = asyncio.create_task(llm.agenerate(ASKS[0], **LONG))
        await until(lambda: llm.engine.live)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not llm.engine.live and not llm.engine.batch.rows

    asyncio.run(work())


def test_a_task_that_is_cancelled_before_it_is_submitted_leaves_nothing(llm: LLM) -> None:
    async def work() -> None:
        task = asyncio.create_task(llm.agenerate(ASKS[0], **LONG))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        done = await llm.agenerate(ASKS[1], **SHORT)
        assert done.text == llm.generate(ASKS[1], **SHORT).text
        await until(lambda: not llm.engine.live and not llm.engine.waiting)

    asyncio.run(work())


def test_who_stops_listening_leaves_nothing_under_way(llm: LLM) -> None:
    async def work() -> None:
        stream = llm.astream("Tell me a story.", gen_length=64, steps=64)
        assert await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]
        assert not llm.engine.live and not llm.engine.batch.rows

    asyncio.run(work())


def test_what_cannot_run_is_refused_as_in_the_plain_methods(llm: LLM) -> None:
    with pytest.raises(RequestError, match=r"unknown option 'max_tokens'; known: .*; did you mean 'gen_length'"):
        asyncio.run(llm.agenerate(ASKS[0], max_tokens=8))  # type: ignore[call-arg]
