"""Laws of the engine: what is refused, what is bounded, and that text streams as it will stand."""

import math
import os
import random
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from remask.decoding.blocks import Adaptive, Blocks, Whole
from remask.decoding.caches import Dual
from remask.decoding.caches.none import NoCache
from remask.decoding.recipe import Guidance, Process, Recipe
from remask.decoding.revision import Edit
from remask.engine.engine import Engine
from remask.engine.handle import Handle
from remask.engine.memory import footprint
from remask.engine.requests import Completion, Request, Step, samples
from remask.engine.row import Row
from remask.errors import BusyError, RecipeError, RequestError, RowError
from remask.exactness import Exactness
from remask.models.contract import Contract, Packed
from remask.testing import TOY, Hashed, Oracle, Poisoned
from remask.text.tokenizer import Text
from tests.helpers.jobs import bits, holes, stored_bytes

PROMPT = "Q: "
WHOLE = Recipe(blocks=Whole())


def contract(text: Text) -> Contract:
    ends = {"eos_ids": (text.eos_id,), "eot_ids": text.eot_ids}
    return replace(
        TOY, vocab_size=text.size, mask_id=text.mask_id, forbidden=(text.mask_id,), max_positions=128, **ends
    )


def speaker(text: Text, answer: str, length: int = 0, order: Sequence[float] | None = None) -> tuple[Oracle, Request]:
    """A model that says `answer` and then EOS up to `length`, and the request that asks for it.

    `order` are the confidences of the answer's positions, so what is said first; by default from left to right.
    """
    prompt, said = text.encode(PROMPT), text.encode(answer)
    length = max(length, len(said))
    full = [*prompt, *said, *[text.eos_id] * (length - len(said))]
    sure = order or [0.99 - 0.9 * i / length for i in range(length)]
    oracle = Oracle(full, [0.0] * len(prompt) + list(sure), contract(text))
    return oracle, Request((*prompt, *holes(length)), WHOLE, stop_ids=(text.eos_id,))


def mixed(length: int, seed: int = 0) -> list[float]:
    """Confidences in no order."""
    sure = [0.99 - 0.9 * i / length for i in range(length)]
    random.Random(seed).shuffle(sure)
    return sure


def shape(done: Completion) -> Completion:
    """A completion without the time it took."""
    return replace(done, seconds=0.0)


class Slow(Hashed):
    """Takes its time, and calls `watch` at every forward."""

    def __init__(self, text: Text, watch: Callable[[], Any] = int, seconds: float = 0.0) -> None:
        super().__init__(contract=contract(text))
        self.watch, self.seconds = watch, seconds

    def hidden(self, batch: Packed) -> Tensor:
        self.watch()
        time.sleep(self.seconds)
        return super().hidden(batch)


def ask(length: int = 6, recipe: Recipe = WHOLE, **other: Any) -> Request:
    return Request((1, 2, *holes(length)), recipe, **other)


# --- what comes out ---


def test_a_completion_is_what_was_decided_before_the_end(text: Text) -> None:
    model, request = speaker(text, "so it is", length=20)
    done = Engine(model, text).submit(request).result()
    said = text.encode("so it is")
    assert (done.text, done.tokens, done.fills, done.finish_reason) == ("so it is", tuple(said), ("so it is",), "stop")
    sure = [0.99 - 0.9 * i / 20 for i in range(len(said))]
    assert done.confidences == pytest.approx(sure, rel=1e-5)
    assert done.logprobs == pytest.approx([math.log(p) for p in sure], rel=1e-3)
    assert done.prompt_tokens == len(text.encode(PROMPT))
    assert done.forwards == len(said) + 1  # the first EOS ends it; what lies behind is unused
    assert done.seconds > 0 and done.tokens_per_second > 0 and done.error is None
    assert done.exactness is Exactness.EXACT


def test_an_answer_that_fills_its_canvas_ends_for_its_length(text: Text) -> None:
    model, request = speaker(text, "so it is")
    done = Engine(model, text).submit(request).result()
    assert (done.text, done.finish_reason) == ("so it is", "length")


def test_a_template_comes_back_whole_with_its_fills(text: Text) -> None:
    given, full = text.encode("The cat sat on it."), []
    for i, token in enumerate(given):
        full.append(None if i in (1, 4, 5) else token)
    template = f"{text.decode(given[:1])}{{{{1}}}}{text.decode(given[2:4])}{{{{2}}}}{text.decode(given[6:])}"
    request = Request(tuple(full), WHOLE, template=template)
    done = Engine(Oracle(given, 0.9, contract(text)), text).submit(request).result()
    assert done.text == "The cat sat on it."
    assert done.fills == (text.decode(given[1:2]), text.decode(given[4:6]))
    assert done.tokens == (given[1], *given[4:6])


def test_steps_are_numbered_and_end_with_the_row(text: Text) -> None:
    model, request = speaker(text, "so it is", length=20)
    handle = Engine(model, text).submit(request)
    steps = list(handle)
    assert [step.index for step in steps] == list(range(handle.result().forwards))
    assert list(handle) == []


# --- streaming ---

words = st.text(st.sampled_from("ab c\n.é日🎉"), min_size=1, max_size=14)


@given(words, st.integers(0, 99), st.booleans(), st.integers(0, 5))
def test_streamed_pieces_add_up_to_the_completion(text: Text, said: str, seed: int, revised: bool, more: int) -> None:
    length = len(text.encode(said)) + more
    model, request = speaker(text, said, length, mixed(length, seed))
    recipe = replace(WHOLE, blocks=Blocks(4), steps=None)
    request = replace(request, recipe=replace(recipe, revise=Edit()) if revised else recipe)
    handle = Engine(model, text).submit(request)
    pieces = list(handle.pieces())
    assert "".join(pieces) == handle.result().text == said
    assert not any("\ufffd" in piece for piece in pieces) and all(pieces)


@pytest.mark.parametrize("said", ["žluťoučký kůň", "日本語", "🎉 ok 🎉"])
def test_a_character_is_held_back_until_all_its_bytes_have_come(text: Text, said: str) -> None:
    assert len(text.encode(said)) > len(said)  # its characters are split over tokens
    model, request = speaker(text, said)
    handle = Engine(model, text).submit(request)
    torn = 0

    def watched() -> Iterator[Step]:
        nonlocal torn
        for step in handle:
            now = handle.snapshot()
            torn += "\ufffd" in text.decode(now.tokens[: step.settled][now.committed[: step.settled]].tolist())
            yield step

    out = ""
    for piece in handle.pieces(watched()):
        out += piece
        assert said.startswith(out)
    assert out == said and torn


def test_bytes_that_never_become_a_character_come_out_at_the_end(text: Text) -> None:
    half = text.encode("é")[:1]
    prompt = text.encode(PROMPT)
    model = Oracle([*prompt, *text.encode("ab"), *half], 0.9, contract(text))
    handle = Engine(model, text).submit(Request((*prompt, *holes(3)), WHOLE))
    assert "".join(handle.pieces()) == handle.result().text == "ab\ufffd"


def test_text_streams_before_the_end(text: Text) -> None:
    model, request = speaker(text, "one two three")
    handle = Engine(model, text).submit(request)
    stream = handle.pieces()
    assert next(stream) and not handle.done


# --- stop strings ---


@given(
    st.text(st.sampled_from("abc"), min_size=1, max_size=12),
    st.lists(st.text(st.sampled_from("abc"), min_size=1, max_size=3), min_size=1, max_size=3),
    st.integers(0, 99),
)
def test_nothing_from_a_stop_string_on_is_ever_given_out(text: Text, said: str, stops: list[str], seed: int) -> None:
    length = len(text.encode(said))
    model, request = speaker(text, said, length, mixed(length, seed) if seed else None)
    handle = Engine(model, text).submit(replace(request, stop=tuple(stops)))
    out = "".join(handle.pieces())
    done = handle.result()
    assert out == done.text and said.startswith(out)
    assert not any(stop in out for stop in stops)
    if any(stop in said for stop in stops):
        assert done.finish_reason == "stop"
        assert any(said[len(out) :].startswith(stop) for stop in stops)
    else:
        assert (out, done.finish_reason) == (said, "length")


def test_a_stop_string_split_over_tokens_and_pieces_is_held_back(text: Text) -> None:
    said = "ab<END>cd"
    assert len(text.encode("<END>")) > 1
    model, request = speaker(text, said)
    handle = Engine(model, text).submit(replace(request, stop=("<END>",)))
    assert "".join(handle.pieces()) == "ab"
    assert handle.result().finish_reason == "stop"
    assert handle.result().forwards < len(text.encode(said))  # it did not go on


def test_the_first_of_several_stop_strings_counts_also_when_they_settle_at_once(text: Text) -> None:
    said = "ab.c!d"
    model, request = speaker(text, said, order=[0.1 + 0.1 * i for i in range(len(text.encode(said)))])
    for stops in ((".", "!"), ("!", ".")):
        handle = Engine(model, text).submit(replace(request, stop=stops))
        assert "".join(handle.pieces()) == handle.result().text == "ab"


def test_what_only_looked_like_a_stop_string_comes_out(text: Text) -> None:
    model, request = speaker(text, "ab<EN cd <END")
    handle = Engine(model, text).submit(replace(request, stop=("<END>",)))
    assert "".join(handle.pieces()) == handle.result().text == "ab<EN cd <END"


def test_a_stop_string_leaves_the_prompt_out_also_when_tokens_came_out_of_order(text: Text) -> None:
    said = "ab.cdefgh"
    length = len(text.encode(said))
    order = [0.9 - 0.01 * i for i in range(length)]
    order[-1] = 0.95  # the last comes first, so something is committed behind the stop string
    model, request = speaker(text, said, length, order)
    done = Engine(model, text).submit(replace(request, stop=(".",))).result()
    assert (done.text, done.finish_reason) == ("ab", "stop")
    assert done.fills == (text.decode(done.tokens),) and said.startswith(text.decode(done.tokens))


def test_a_stop_string_that_the_last_step_completes_is_a_stop(text: Text) -> None:
    model, request = speaker(text, "ab.")
    done = Engine(model, text).submit(replace(request, stop=(".",))).result()
    assert (done.text, done.finish_reason) == ("ab", "stop")


# --- cancelling and deadlines ---


def test_a_request_cancelled_before_it_began_has_nothing(text: Text) -> None:
    model, request = speaker(text, "so it is")
    handle = Engine(model, text).submit(request)
    handle.cancel()
    done = handle.result()
    assert (done.text, done.tokens, done.forwards, done.finish_reason) == ("", (), 0, "cancelled")
    assert handle.done and done.seconds >= 0


@given(st.integers(0, 12), st.integers(0, 20))
def test_a_request_cancelled_on_its_way_keeps_what_was_settled(text: Text, after: int, seed: int) -> None:
    said = "so it is, they say"
    length = len(text.encode(said))
    model, request = speaker(text, said, length, mixed(length, seed) if seed else None)
    handle, pieces = Engine(model, text).submit(request), []
    stream = handle.pieces()
    for _, piece in zip(range(after), stream, strict=False):
        pieces.append(piece)
    handle.cancel()
    done = handle.result()
    pieces += stream
    assert "".join(pieces) == done.text and said.startswith(done.text)
    assert done.seconds >= 0
    assert (done.finish_reason == "cancelled") == (done.text != said)


def test_cancelling_one_leaves_the_others_as_they_are(text: Text) -> None:
    requests = [ask(8, seed=i, recipe=replace(WHOLE, process=Process(temperature=1.0))) for i in range(4)]
    expected = [Engine(Hashed(contract=contract(text)), text).submit(request).result() for request in requests]
    engine = Engine(Hashed(contract=contract(text)), text)
    handles = [engine.submit(request) for request in requests]
    for _ in range(3):
        engine.step()
    handles[1].cancel()
    results = [handle.result() for handle in handles]
    assert results[1].finish_reason == "cancelled" and results[1].forwards == 3
    assert [shape(done) for i, done in enumerate(results) if i != 1] == [
        shape(done) for i, done in enumerate(expected) if i != 1
    ]
    assert not engine.live and not engine.batch.rows and not engine.waiting


def test_a_request_that_ended_cannot_be_cancelled(text: Text) -> None:
    model, request = speaker(text, "so it is")
    handle = Engine(model, text).submit(request)
    before = handle.result()
    handle.cancel("too late")
    assert handle.result() == before and before.error is None


def test_a_waiting_request_can_be_cancelled_behind_one_that_does_not_fit_yet(text: Text) -> None:
    model = Hashed(contract=contract(text))
    cost = Engine(model).submit(ask(6)).planned_bytes
    engine = Engine(model, text, memory=cost)
    first, blocked, last = engine.submit(ask(6)), engine.submit(ask(6)), engine.submit(ask(6))
    engine.step()
    last.cancel()
    assert last.result().finish_reason == "cancelled" and last.result().seconds >= 0
    assert not blocked.done and not first.done
    assert blocked.result().finish_reason == "length"


def test_a_deadline_that_passed_cancels_and_says_so(text: Text) -> None:
    done = Engine(Hashed(contract=contract(text)), text).submit(ask(deadline=1e-9)).result()
    assert (done.finish_reason, done.forwards) == ("cancelled", 0)
    assert done.error is not None and "deadline of 1e-09 s" in done.error


def test_a_deadline_ends_a_row_on_its_way_and_no_other(text: Text) -> None:
    engine = Engine(Slow(text, seconds=0.02), text)
    hasty, patient = engine.submit(ask(12, deadline=0.06)), engine.submit(ask(12, deadline=60.0))
    assert patient.result().finish_reason == "length"
    assert hasty.result().finish_reason == "cancelled" and hasty.result().forwards < 12


def test_a_deadline_passes_unnoticed_until_somebody_drives_or_needs_its_place(text: Text) -> None:
    engine = Engine(Hashed(contract=contract(text)), text, max_waiting=1)
    late = engine.submit(ask(deadline=1e-9))
    assert not late.done
    other = engine.submit(ask())  # for which there is no room but that of the other
    assert late.done and late.result().finish_reason == "cancelled" and other.result().finish_reason == "length"


def test_a_handle_that_is_dropped_is_decoded_all_the_same_and_a_with_block_cancels(text: Text) -> None:
    engine = Engine(Hashed(contract=contract(text)), text)
    engine.submit(ask(12))  # dropped at once
    with engine.submit(ask(12)) as handle:
        next(iter(handle))
        assert len(engine.live) == 2
    assert handle.done and handle.completion().finish_reason == "cancelled"
    (left,) = engine.live.values()
    while not left.done:
        engine.step()
    assert left.result().finish_reason == "length" and not engine.live
    with engine.submit(ask(4)) as handle:
        done = handle.result()
    assert handle.completion().finish_reason == done.finish_reason == "length", "what has ended stays as it is"


def test_what_is_under_way_counts_by_its_steps(text: Text) -> None:
    engine = Engine(Hashed(contract=contract(text)), text)
    handles = [engine.submit(ask(length)) for length in (4, 8)]
    assert engine.under_way == 0
    engine.step()
    engine.step()
    assert engine.under_way == 2 / 4 + 2 / 8 and [handle.forwards for handle in handles] == [2, 2]


FORK = """
import os, signal, threading, time
from remask.engine.engine import Engine
from remask.engine.requests import Request
from remask.errors import RemaskError
from remask.testing import Hashed

class Slow(Hashed):
    entered, leave = threading.Event(), threading.Event()
    def hidden(self, batch):
        self.entered.set()
        self.leave.wait(60)
        return super().hidden(batch)

def child(work):
    if (pid := os.fork()) == 0:
        signal.alarm(60)
        os._exit(work())
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

model = Slow()
engine, request = Engine(model, threads=1), Request((1, 2, *[None] * 6))
model.leave.set()
expected = engine.submit(request).result().tokens
handle = engine.submit(request)
next(iter(handle))

def goes_on():
    return 0 if handle.result().tokens == engine.submit(request).result().tokens == expected else 1

def refused():
    for use in (lambda: engine.submit(request), engine.step, handle.result):
        try:
            use()
            return 1
        except RemaskError as error:
            assert "forked while another thread took a step" in str(error)
    return 0

assert child(goes_on) == 0
model.leave.clear(), model.entered.clear()
thread = threading.Thread(target=engine.step)
thread.start()
model.entered.wait(60)
assert child(refused) == 0
model.leave.set()
thread.join()
assert handle.result().tokens == expected
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no processes fork here")
def test_a_forked_process_goes_on_between_two_steps_and_is_refused_during_one() -> None:
    done = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


# --- bounds ---


def test_a_full_queue_refuses_and_loses_nothing(text: Text) -> None:
    engine = Engine(Hashed(contract=contract(text)), text, max_rows=1, max_waiting=2)
    accepted = [engine.submit(ask(3)), engine.submit(ask(3))]
    with pytest.raises(BusyError, match="2 requests are waiting"):
        engine.submit(ask(3))
    assert [handle.result().finish_reason for handle in accepted] == ["length"] * 2
    assert engine.submit(ask(3)).result().finish_reason == "length"


def test_no_more_rows_live_than_allowed_and_all_get_their_turn(text: Text) -> None:
    alive: list[int] = []
    model = Slow(text, lambda: alive.append(len(engine.batch.rows)))
    engine = Engine(model, text, max_rows=3)
    handles = [engine.submit(ask(2 + i % 3, seed=i)) for i in range(10)]
    assert [handle.result().finish_reason for handle in handles] == ["length"] * 10
    assert max(alive) == 3 and min(alive) >= 1


@given(st.lists(st.integers(1, 9), min_size=2, max_size=6), st.integers(1, 4))
def test_the_planned_bytes_of_live_rows_never_exceed_the_memory(text: Text, lengths: list[int], scale: int) -> None:
    recipes = (WHOLE, replace(WHOLE, cache=Dual(every=2)), replace(WHOLE, guidance=Guidance(1.0)))
    requests = [ask(length, recipes[i % 3]) for i, length in enumerate(lengths)]
    used: list[int] = []
    model = Slow(text, lambda: used.append(footprint(engine.batch.rows, model, engine.batch.entries).peak))
    costs = [Engine(model).submit(request).planned_bytes for request in requests]
    engine = Engine(model, text, memory=max(costs) * scale)
    handles = [engine.submit(request) for request in requests]
    while not all(handle.done for handle in handles):
        engine.step()
    assert max(used) <= max(costs) * scale


RECIPES = (WHOLE, replace(WHOLE, cache=Dual(every=2)), replace(WHOLE, guidance=Guidance(1.0), cache=Dual(every=2)))


@pytest.mark.parametrize("most", [0, 3, 16])
@pytest.mark.parametrize("seed", range(3))
def test_a_stream_of_requests_waits_in_order_and_nobody_for_ever(
    text: Text, monkeypatch: pytest.MonkeyPatch, seed: int, most: int
) -> None:
    """Small ones keep coming, faster than they leave. A large one is overtaken by so many and no more, those of one
    size by none, and at every step the bytes stay within the memory."""
    monkeypatch.setattr("remask.engine.engine.MOST_OVERTAKING", most)
    rng = random.Random(seed)
    sizes = [(rng.choice((2, 3, 4, 20)), rng.randrange(len(RECIPES))) for _ in range(40)]
    order: list[Row] = []

    def look() -> None:
        batch = engine.batch
        assert footprint(batch.rows, model, batch.entries).peak <= memory
        assert stored_bytes(batch) == footprint(batch.rows, model, batch.entries).store
        order.extend(row for row in batch.rows if row not in order)

    model = Slow(text, look)
    requests = [ask(length, RECIPES[which], seed=i) for i, (length, which) in enumerate(sizes)]
    memory = max(Engine(model).submit(request).planned_bytes for request in requests)
    engine = Engine(model, text, memory=memory)
    rows: list[Row] = []
    for request in requests:
        engine.submit(request)
        rows.append([*engine.waiting][-1])
        for _ in range(rng.choice((0, 0, 1))):
            engine.step()
    while engine.waiting or engine.live:
        engine.step()
    assert sorted(order, key=rows.index) == rows and all(row.finish_reason == "length" for row in rows)
    came = [rows.index(row) for row in order]
    overtaking = [sum(later > one for later in came[:at]) for at, one in enumerate(came)]
    assert max(overtaking) <= most and (max(overtaking) > 0) == (most > 0)
    for size in set(sizes):
        alike = [one for one in came if sizes[one] == size]
        assert alike == sorted(alike)


def test_a_request_that_can_never_fit_is_refused_with_the_numbers(text: Text) -> None:
    model = Hashed(contract=contract(text))
    cost = Engine(model).submit(ask(30)).planned_bytes
    engine = Engine(model, text, memory=cost - 1)
    with pytest.raises(
        RequestError, match=f"needs {cost:,} bytes of keys and activations, the engine has {cost - 1:,}"
    ):
        engine.submit(ask(30))
    assert Engine(model, text, memory=cost).submit(ask(30)).result().finish_reason == "length"


def refused(wrong: dict[str, Any], reason: str, kind: type[Exception] = RequestError) -> Any:
    return pytest.param(wrong, reason, kind, id=reason)


@pytest.mark.parametrize(
    ("wrong", "reason", "kind"),
    [
        refused({"tokens": (1, 2, 3)}, "no .MASK.; give gen_length or holes"),
        refused({"tokens": ()}, "nothing to decide"),
        refused({"tokens": (1, *holes(128))}, r"129 tokens \(1 given, 128 to decide\), the model's context is 128"),
        refused({"tokens": (320, None)}, "token id 320 is outside the vocabulary of 320"),
        refused({"tokens": (-1, None)}, "token id -1 is outside"),
        refused({"deadline": 0.0}, "deadline must be more than 0 seconds, got 0.0"),
        refused({"deadline": math.nan}, "deadline must be more than 0 seconds, got nan"),
        refused({"candidates": -1}, "candidates must lie in 0..100, got -1"),
        refused({"candidates": 101}, "candidates must lie in 0..100, got 101"),
        refused({"stop": ("a", "")}, "a stop string is empty"),
        refused({"stop": (5,)}, r"stop must be a list, each text, got \(5,\)"),
        refused({"stop": "ab"}, "stop must be a list, each text, got 'ab'"),
        refused({"stop_ids": (320,)}, "stop id 320 is outside the vocabulary of 320"),
        refused({"stop_ids": ("a",)}, "stop_ids must be a list, each a whole number"),
        refused({"seed": None}, "seed must be a whole number, got None"),
        refused({"seed": 0.5}, "seed must be a whole number, got 0.5"),
        refused({"candidates": 2.5}, "candidates must be a whole number, got 2.5"),
        refused({"deadline": "soon"}, "deadline must be a number, got 'soon'"),
        refused({"recipe": Recipe(blocks=Adaptive(delimiters=(10**30,)))}, "delimiters holds id 1000", RecipeError),
        refused({"recipe": Recipe(steps=1, blocks=Blocks(2))}, "got 1 for 3 blocks", RecipeError),
        refused({"recipe": Recipe(process=Process(suppress=(400,)))}, "suppress holds id 400", RecipeError),
    ],
)
def test_what_cannot_run_is_refused_before_it_is_queued(
    text: Text, wrong: dict[str, Any], reason: str, kind: type[Exception]
) -> None:
    engine = Engine(Hashed(contract=contract(text)), text)
    with pytest.raises(kind, match=reason):
        engine.submit(replace(ask(), **wrong))
    assert not engine.waiting


# --- several at once ---


def test_samples_differ_in_their_seed_alone(text: Text) -> None:
    request = ask(8, replace(WHOLE, process=Process(temperature=1.0)), seed=5)
    engine = Engine(Hashed(contract=contract(text)), text)
    handles = [engine.submit(one) for one in samples(request, 4)]
    results = [shape(handle.result()) for handle in handles]
    assert len({done.tokens for done in results}) == 4
    for i, done in enumerate(results):
        single = Engine(Hashed(contract=contract(text)), text).submit(replace(request, seed=5 + i)).result()
        assert shape(single) == done
    with pytest.raises(RequestError, match="n must be at least 1, got 0"):
        samples(request, 0)


def assorted(count: int) -> list[Request]:
    recipes = (
        replace(WHOLE, process=Process(temperature=1.0)),
        replace(WHOLE, cache=Dual(every=2)),
        Recipe(blocks=Blocks(3), guidance=Guidance(1.0)),
        Recipe(blocks=Blocks(4), revise=Edit(0.3)),
    )
    return [
        ask(6 + i % 5, replace(recipes[i % 4], cache=recipes[i % 4].cache or NoCache()), seed=i) for i in range(count)
    ]


def test_threads_that_share_an_engine_get_what_they_would_get_alone(text: Text) -> None:
    requests = assorted(12)
    expected = []
    for request in requests:
        handle = Engine(Hashed(contract=contract(text)), text).submit(request)
        expected.append((bits(list(handle)), shape(handle.result())))
    engine = Engine(Hashed(contract=contract(text)), text, max_rows=5)

    def use(request: Request) -> tuple[list[Any], Completion]:
        handle = engine.submit(request)
        return bits(list(handle)), shape(handle.result())

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(6) as pool:
            results = list(pool.map(use, requests, timeout=60))
    finally:
        sys.setswitchinterval(interval)
    assert results == expected
    assert not engine.live and not engine.batch.rows and not engine.waiting


def test_a_step_that_another_thread_takes_at_the_last_moment_is_not_lost(text: Text) -> None:
    """Between looking for steps and asking whether the row has ended, somebody else may finish it."""
    engine = Engine(Hashed(contract=contract(text)), text)
    handle = engine.submit(ask(3))

    class Racing(deque[Step]):
        def __bool__(self) -> bool:
            empty = len(self) == 0
            if empty:
                threading.Thread(target=engine.step).run()
            return not empty

    handle.steps = Racing()
    assert [step.index for step in handle] == [0, 1, 2]


def test_text_of_a_row_that_another_thread_ends_at_the_last_moment_is_held_back_all_the_same(text: Text) -> None:
    """Between looking at the answer and asking whether the row has ended, somebody else may finish it."""
    said = "日本"
    oracle, request = speaker(text, said)
    engine = Engine(oracle, text)

    class Racing(Handle):
        @property
        def done(self) -> bool:
            before = super().done
            while not super().done:
                engine.step()
            return before

    handle = engine.submit(request)
    handle.__class__ = Racing
    assert "".join(handle.pieces()) == handle.completion().text == said


def test_who_stops_half_way_through_many_leaves_nothing_under_way(text: Text) -> None:
    engine = Engine(Hashed(contract=contract(text)), text, max_rows=2, max_waiting=2)
    with closing(engine.run(ask(4 + i, seed=i) for i in range(7))) as handles:
        first = next(handles)
        assert first.done and engine.live
    assert not engine.live and not engine.waiting and not engine.batch.rows
    alone = [engine.submit(ask(4 + i, seed=i)).result() for i in range(7)]
    together = [handle.completion() for handle in engine.run(ask(4 + i, seed=i) for i in range(7))]
    assert [shape(done) for done in together] == [shape(done) for done in alone]


def test_one_refused_among_many_leaves_nothing_under_way(text: Text) -> None:
    engine = Engine(Hashed(contract=contract(text)), text)
    with pytest.raises(RequestError, match="candidates must lie"):
        list(engine.run([ask(5), ask(5, candidates=-1)]))
    assert not engine.live and not engine.waiting


def test_a_reader_of_answers_that_breaks_ends_its_own_row_alone(text: Text) -> None:
    """What looks for stop strings is no part of the step, and must not leave rows behind either."""

    class Unreadable(Text):
        def decode(self, ids: Sequence[int], *, special: bool = False) -> str:
            if self.broken:
                raise ValueError("cannot read")
            return super().decode(ids, special=special)

        broken = True

    reader = Unreadable(text.tokenizer, text.eos_id, text.mask_id)
    engine = Engine(Hashed(contract=contract(text)), reader)
    bad, good = engine.submit(ask(5, seed=1, stop=("zz",))), engine.submit(ask(5, seed=2))
    assert len(list(good)) == 5
    with pytest.raises(ValueError, match="cannot read"):
        list(bad.pieces())
    assert not engine.live and not engine.batch.rows
    assert len(list(engine.submit(ask(3)))) == 3


def test_an_iterator_that_is_dropped_half_way_disturbs_nobody(text: Text) -> None:
    engine = Engine(Hashed(contract=contract(text)), text)
    dropped, kept = engine.submit(ask(9, seed=1)), engine.submit(ask(5, seed=2))
    steps = iter(dropped)
    next(steps)
    del steps
    stream = dropped.pieces()
    next(stream, None)
    stream.close()  # type: ignore[attr-defined]
    single = Engine(Hashed(contract=contract(text)), text).submit(ask(5, seed=2)).result()
    assert shape(kept.result()) == shape(single)
    assert dropped.result().finish_reason == "length"  # whoever asks again still gets its answer
    assert not engine.live


def broken(text: Text) -> tuple[Engine, Handle, Handle]:
    """An engine with a row that breaks at its third step, and a healthy one."""
    mask = text.mask_id

    def when(position: int, seen: Tensor) -> bool:
        return bool(seen[0] == 7) and int((seen == mask).sum()) == 4

    engine = Engine(Poisoned(Hashed(contract=contract(text)), math.nan, when), text)
    bad, good = (engine.submit(Request((first, 2, *holes(6)), WHOLE)) for first in (7, 1))
    return engine, bad, good


def test_a_row_that_breaks_raises_for_its_own_caller_alone(text: Text) -> None:
    engine, bad, good = broken(text)
    with pytest.raises(RowError, match="step 2, position") as caught:
        bad.result()
    assert caught.value.step == 2
    assert good.result().finish_reason == "length"
    done = bad.completion()
    assert (done.finish_reason, done.error, done.forwards) == ("error", str(caught.value), 3)
    assert done.seconds >= 0 and not engine.live


def test_a_row_that_breaks_does_not_look_finished_to_who_streams_it(text: Text) -> None:
    _, bad, good = broken(text)
    with pytest.raises(RowError, match="step 2"):
        list(bad.pieces())
    assert list(good.pieces())


class Narrow(Hashed):
    """Has no room for more than `rows` packed rows at a time, as a device that is out of memory."""

    rows = 0

    def hidden(self, batch: Packed) -> Tensor:
        if len(batch.tokens) > self.rows:
            raise MemoryError(f"no room for {len(batch.tokens)}")
        return super().hidden(batch)


def test_a_step_that_finds_no_room_is_taken_again_in_halves_and_nobody_notices(text: Text) -> None:
    requests = [ask(4 + i, seed=i) for i in range(6)]
    expected = [Engine(Hashed(contract=contract(text)), text).submit(request).result() for request in requests]
    model = Narrow(contract=contract(text))
    model.rows = 2 * max(len(request.tokens) for request in requests)
    engine = Engine(model, text)
    handles = [engine.submit(request) for request in requests]
    assert [shape(handle.result()) for handle in handles] == [shape(done) for done in expected]


def test_a_row_that_cannot_step_alone_ends_with_its_error_and_the_others_go_on(text: Text) -> None:
    """Also when somebody drives it whose own row still waits."""
    model = Narrow(contract=contract(text))
    model.rows = 12
    engine = Engine(model, text, max_rows=2)
    large, small, waiting = engine.submit(ask(20)), engine.submit(ask(4)), engine.submit(ask(3))
    assert waiting.result().finish_reason == "length" and small.result().finish_reason == "length"
    with pytest.raises(MemoryError, match="no room"):
        large.result()
    assert large.completion().finish_reason == "error" and "no room" in str(large.completion().error)
    with pytest.raises(MemoryError):
        list(large.pieces())
    assert not engine.live and not engine.batch.rows


def test_a_row_whose_store_finds_no_room_fails_alone(text: Text) -> None:
    class Full(Hashed):
        def store(self, entries: int, length: int) -> Any:
            raise MemoryError(f"no room for {entries} x {length}")

    engine = Engine(Full(contract=contract(text)), text)
    cached, plain = engine.submit(ask(4, replace(WHOLE, cache=Dual(every=1)))), engine.submit(ask(4))
    assert plain.result().finish_reason == "length"
    with pytest.raises(MemoryError, match="no room for 1 x 32"):
        cached.result()
    assert cached.done and not engine.live and not engine.waiting
