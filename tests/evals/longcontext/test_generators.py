"""Probes are exact: in length, in depth, in distance, and each a function of its seed."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remask.errors import RequestError
from remask.evals.longcontext.conditions import Condition
from remask.evals.longcontext.haystack import Document, Frequent, Hidden, Listed, TooShort, essays, noise, stories
from remask.evals.longcontext.layout import Form, Frame
from remask.evals.longcontext.suite import KV, LONGQA, NIAH, RULER, LongTask, Site, language_of, says
from remask.evals.longcontext.sweep import Sweep, probes
from remask.llm import LLM
from remask.tasks.haystack import WORDS
from remask.text.tokenizer import Text

TASKS = {"niah": NIAH, "recall": KV["recall"], **RULER, **LONGQA}


@pytest.fixture(scope="session")
def frame(llm: LLM) -> Frame:
    return Frame.of(llm.text)


@pytest.mark.parametrize("name", sorted(TASKS))
@pytest.mark.parametrize("length", [288, 701])
def test_every_canvas_has_the_length_asked_for_and_the_seed_makes_it(name: str, length: int, frame: Frame) -> None:
    cell, settings = Condition(name, length), Sweep(repeats=3)
    made = list(probes(cell, TASKS[name], frame, settings))
    assert [probe.length for probe in made] == [length] * 3
    assert len({probe.prompt for probe in made}) == 3
    assert made == list(probes(cell, TASKS[name], frame, settings))
    assert made != list(probes(cell, TASKS[name], frame, Sweep(repeats=3, seed=1)))


@pytest.mark.parametrize("name", sorted(TASKS))
def test_what_is_asked_for_is_in_the_prompt(name: str, llm: LLM, frame: Frame) -> None:
    for probe in probes(Condition(name, 400), TASKS[name], frame, Sweep(repeats=4)):
        text = llm.text.decode(probe.prompt)
        assert all(reference in text for reference in probe.references)
        assert probe.needle in text
        assert all(len(llm.text.encode(f" {one}")) <= probe.gen_length for one in probe.references)


@given(st.integers(0, 100), st.integers(120, 2000), st.integers(0, 2**32))
def test_a_needle_lies_at_its_depth_and_its_distance_is_counted_in_tokens(
    frame: Frame, depth: int, length: int, seed: int
) -> None:
    rng = Random(seed)
    form = NIAH.draw(rng, Site(length, depth / 100))
    probe = frame.lay(form, length, 16, rng)
    needle = frame.encode(" " + form.needle)
    at = next(i for i in range(length) if list(probe.prompt[i : i + len(needle)]) == needle)
    before = len(frame.opening) + len(frame.encode(form.intro))
    behind = len(frame.encode(f"\n\n{form.question}")) + len(frame.closing) + len(frame.encode(form.stem))
    free = length - 16 - before - behind - len(needle)
    assert at - before == free * depth // 100
    assert probe.distance == len(probe.prompt) - (at + len(needle) - 1)


def test_distances_are_spread_evenly_over_the_context(words: Text) -> None:
    frame = Frame.of(words)
    settings = Sweep(repeats=1000)
    distances = [probe.distance for probe in probes(Condition("kv", 256), KV["symbols"], frame, settings)]
    histogram = [0] * 8
    for distance in distances:
        assert distance is not None and 4 <= distance <= 252
        histogram[distance * 8 // 256] += 1
    assert all(80 < count < 170 for count in histogram[:7]), histogram  # 1000 / 8, less at the far end


def test_needles_are_whole_and_in_order_whatever_the_filler_is_cut_to(frame: Frame) -> None:
    needles = tuple(says(f"key{i}", str(10**6 + i)) for i in range(5))
    for room in range(150, 260, 7):
        body = Hidden(needles, (0.0, 0.1, 0.1, 0.5, 1.0), stories).fill(frame.encode, room, Random(room))
        assert len(body.tokens) == room and list(body.ends) == list(needles)
        for needle, end in body.ends.items():
            tokens = frame.encode(" " + needle)
            assert body.tokens[end - len(tokens) : end] == tokens
    with pytest.raises(TooShort) as short:
        Hidden(needles, (0.0, 0.1, 0.1, 0.5, 1.0), stories).fill(frame.encode, 40, Random(0))
    assert len(Hidden(needles, (0.0,) * 5, stories).fill(frame.encode, short.value.needed, Random(0)).tokens)


@given(st.integers(60, 400), st.integers(0, 99))
def test_common_words_are_more_common_than_all_others(words: Text, room: int, seed: int) -> None:
    common = ("K0", "K1")
    draw = iter(WORDS[:256])
    body = Listed(common, 6, 1, lambda rng: next(draw)).fill(
        lambda text: [hash_of(word) for word in text.split()], room, Random(seed)
    )
    counts = {word: body.tokens.count(hash_of(word)) for word in {*common, *WORDS[:256]}}
    assert len(body.tokens) == room
    assert all(counts[word] == 6 for word in common)
    assert max(count for word, count in counts.items() if word not in common) <= 1


def hash_of(word: str) -> int:
    return sum(ord(letter) * 131**i for i, letter in enumerate(word))


@given(st.integers(40, 900), st.integers(0, 99))
def test_the_three_frequent_words_are_strictly_the_most_frequent(room: int, seed: int) -> None:
    names = tuple(f"w{i}" for i in range(20))
    body = Frequent(names).fill(lambda text: [hash_of(word) for word in text.split()], room, Random(seed))
    counts = [body.tokens.count(hash_of(name)) for name in names]
    assert len(body.tokens) == room
    assert counts[0] > counts[1] > counts[2] > max(counts[3:])
    noisy = sum(body.tokens.count(hash_of(word)) for word in ["The", "grass", "is", "green."])
    assert noisy < 12, "what is left over is small"


def test_a_long_document_loses_its_middle_and_a_short_one_nothing() -> None:
    text = " ".join(map(str, range(100)))

    def encode(text: str) -> list[int]:
        return [int(word) for word in text.split()]

    assert Document(text).fill(encode, 11, Random(0)).tokens == [0, 1, 2, 3, 4, 94, 95, 96, 97, 98, 99]
    assert Document(text).fill(encode, 500, Random(0)).tokens == list(range(100))


def test_a_needle_longer_than_the_context_is_refused_with_the_length_it_needs(frame: Frame) -> None:
    settings = Sweep(gen_length=15)
    with pytest.raises(RequestError, match=r"of 40 tokens is too short: .* need \d+; raise the length") as told:
        next(probes(Condition("niah", 40, 50), NIAH, frame, settings))
    needed = int(str(told.value).split("need ")[1].split(";")[0])
    same = replaced(NIAH, "niah", 40)
    assert next(probes(Condition("niah", needed, 50), same, frame, settings)).length == needed
    with pytest.raises(RequestError, match="too short"):
        next(probes(Condition("niah", needed - 1, 50), same, frame, settings))


def replaced(task: LongTask, name: str, length: int) -> LongTask:
    """`task` drawing what it draws for the first probe of another cell."""
    draw = task.draw
    return LongTask(name, "", lambda rng, sought: draw(Random(f"0:{name}/{length}/50:0"), sought))


def test_a_filler_without_words_is_refused(frame: Frame) -> None:
    with pytest.raises(RequestError, match="is empty"):
        essays(" . ")
    with pytest.raises(RequestError, match="the filler ended"):
        Hidden((), (), lambda rng: iter(["one."])).fill(frame.encode, 50, Random(0))


def test_a_frame_puts_the_chat_template_around_what_is_said(llm: LLM, frame: Frame) -> None:
    form = Form(Hidden((), (), noise), "Which?", "It is", ("x",), intro="Read.")
    probe = frame.lay(form, 100, 4, Random(0))
    text = llm.text.decode(probe.prompt, special=True)
    assert text.startswith("<|startoftext|><|start_header_id|>user<|end_header_id|>\n\nRead.")
    assert text.endswith("Which?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nIt is")
    raw = Frame.of(llm.text, raw=True).lay(form, 100, 4, Random(0))
    assert raw.length == 100 and "user" not in llm.text.decode(raw.prompt, special=True)


def test_the_language_of_recall_is_what_the_tokenizer_knows(llm: LLM, words: Text) -> None:
    assert language_of(llm.text) == "recall" and language_of(words) == "symbols"
