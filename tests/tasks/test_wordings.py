"""Laws of the tasks in any wording: the wordings are many, no held-out one is trained on, and the answers are right."""

import json
import random
import re
from itertools import islice, pairwise

import pytest

from remask.tasks import TASKS, Example, Split, Tales, Task, examples, split_of
from remask.tasks.phrases.sudoku import BLANKS
from remask.tasks.split import frame_of, split_of_frame
from remask.tasks.tales import asked_for
from remask.tasks.wording import casual, expanded, in_words, sentence
from remask.tasks.words import LORE

REWORDED = {name: task for name, task in TASKS.items() if name.endswith("_reworded") and task.name != "arithmetic"}
ANY_WORDING = {**REWORDED, "reading": TASKS["reading"], "words": TASKS["words"]}
every_task = pytest.mark.parametrize("task", ANY_WORDING.values(), ids=ANY_WORDING)


def take(name: str, count: int, split: Split = "train") -> list[Example]:
    return list(islice(examples(TASKS[name], split, 0), count))


def drawn_freely(task: Task, count: int) -> list[Example]:
    rng = random.Random(5)
    return [task.draw(rng) for _ in range(count)]


@every_task
def test_the_wordings_are_many_and_none_is_in_both_splits(task: Task) -> None:
    frames = {one.frame for one in drawn_freely(task, 3000)}
    assert len(frames) > 100
    heldout = sum(split_of_frame(task, frame) == "heldout" for frame in frames)
    assert 0.05 < heldout / len(frames) < 0.95
    for one in islice(examples(task, "train", 1), 300):
        assert split_of_frame(task, one.frame) == "train"


@every_task
def test_a_prompt_is_as_people_type_it(task: Task) -> None:
    for one in drawn_freely(task, 2000):
        assert not re.search(
            r"[{}<>]|  |[?!]\.|:!|[a-z]\.\.$|\(\||\|\)", one.prompt.replace("...", "").replace("->", "-")
        )
        assert len(one.prompt.split()) <= 150 and len(one.answer) <= 400


@pytest.mark.parametrize("name", REWORDED)
def test_what_a_task_holds_out_it_holds_out_in_every_wording(name: str) -> None:
    for one in take(name, 30, "heldout"):
        assert split_of(TASKS[name.removesuffix("_reworded")], one.solution) == "heldout"


def test_the_frame_of_several_wordings_is_a_heldout_one_if_any_is() -> None:
    task = TASKS["words"]
    wordings = [f"wording {number}" for number in range(400)]
    heldout = next(wording for wording in wordings if split_of_frame(task, wording) == "heldout")
    train = [wording for wording in wordings if split_of_frame(task, wording) == "train"]
    assert frame_of(task, train[0], train[1]) == train[0]
    assert frame_of(task, train[0], heldout, train[1]) == heldout


# Wordings


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("sort 5 3 8", "Sort 5 3 8."),
        ("can you sort 5 3 8", "Can you sort 5 3 8?"),
        ("here are words: a, b. please sort them", "Here are words: a, b. Please sort them."),
        ("it is May. what comes next", "It is May. What comes next?"),
        ("a dog has how many legs", "A dog has how many legs?"),
        ("sort this:", "Sort this:"),
        ('it rained. he said, "go." then it stopped', 'It rained. He said, "go." Then it stopped.'),
    ],
)
def test_a_sentence_has_its_capital_and_its_mark(text: str, whole: str) -> None:
    assert sentence(text) == whole


def test_macros_are_written_out() -> None:
    assert expanded({"a": "(x|y)"}, "<a> {b}", "<a><a>") == ("(x|y) {b}", "(x|y)(x|y)")
    with pytest.raises(KeyError):
        expanded({}, "<a>")


def test_casual_text_keeps_its_words() -> None:
    rng = random.Random(0)
    for _ in range(300):
        assert re.findall(r"\w+", casual(rng, "Sort 5 3 8: now.", 1.0).lower()) == ["sort", "5", "3", "8", "now"]


# Sorting


def test_the_items_are_those_of_the_question_sorted_or_reversed() -> None:
    for one in take("sorting_reworded", 1500):
        separator = next((mark for mark in (", ", ",", " ") if mark in one.answer), None)
        items = one.answer.split(separator) if separator else list(one.answer)
        ranks = [int(item) if item.isdecimal() else item for item in items]
        backwards = (separator or "").join(reversed(items))
        said = one.prompt.lower().replace(" and ", ", ")
        assert ranks in (sorted(ranks), sorted(ranks, reverse=True)) or backwards in said
        assert all(item in said for item in items)


@pytest.mark.parametrize(
    ("output", "right"), [("1, 2, 3", True), ("1 2 3.", True), ("1,2,3", True), ("1, 3, 2", False), ("1, 2", False)]
)
def test_what_separates_the_items_does_not_matter(output: str, right: bool) -> None:
    assert TASKS["sorting_reworded"].passes(Example("", "1, 2, 3", ""), output) is right


# Recall and reading


def test_what_is_recalled_was_said() -> None:
    for one in take("recall_reworded", 1500):
        if re.fullmatch(r"[A-Z]\d( [A-Z]\d)*", one.answer):
            letters = re.findall(r"\b([a-z])\W*(?:is |has |equals |stands for )?\W*(\d)", one.prompt.lower())
            assert {(pair[0].lower(), pair[1]) for pair in one.answer.split()} <= set(letters)
        else:
            assert one.answer.split()[-1].lower() in one.prompt.lower()


def test_one_letter_may_be_answered_with_its_digit_alone() -> None:
    task = TASKS["recall_reworded"]
    assert task.passes(Example("", "B7", ""), "7") and task.passes(Example("", "B7", ""), "B=7")
    assert not task.passes(Example("", "B7 K4", ""), "7 4") and not task.passes(Example("", "B7", ""), "4")
    assert task.passes(Example("", "the cat", ""), "The cat.") and not task.passes(Example("", "the cat", ""), "dog")


def test_the_answer_to_a_question_is_in_the_text() -> None:
    for one in take("reading", 1500):
        assert set(re.findall(r"\w+", one.answer.lower())) <= set(re.findall(r"\w+", one.prompt.lower()))


# Extraction


def test_every_value_is_in_the_sentence_and_the_fields_have_their_order() -> None:
    orders = ("name age city job", "item price", "event day time", "name animal age", "title author year", "item count")
    for one in take("extraction_reworded", 1500):
        facts = json.loads(one.answer)
        prompt = one.prompt.lower()
        for value in facts.values():
            assert str(value).lower() in prompt or in_words(value) in prompt
        assert any([field for field in order.split() if field in facts] == list(facts) for order in orders)
        assert one.answer == json.dumps(facts) and one.solution == one.answer


# Sudoku


def test_the_grid_of_the_prompt_is_the_answer_with_blanks() -> None:
    for one in take("sudoku4_reworded", 500):
        digits = one.answer.replace("\n", "")
        assert any(
            re.search(r"[\s/,|;]*".join(f"(?:{digit}|{re.escape(blank)})" for digit in digits), one.prompt)
            for blank in set(BLANKS)
        )


# Words


def test_there_are_hundreds_of_facts_and_each_has_several_wordings() -> None:
    assert sum(len(lore.facts) for lore, _ in LORE) >= 400
    assert all(len(lore.asks) >= 4 and all(lore.facts.values()) for lore, _ in LORE)


@pytest.mark.parametrize(
    ("answer", "output", "right"),
    [
        ("a kitten", "kitten", True),
        ("a kitten", "A kitten.", True),
        ("4", "four", True),
        ("grey", "gray", True),
        ("grey", "green", False),
        ("CAT", "cat", False),
        ("yes", "no", False),
    ],
)
def test_articles_and_the_form_of_numbers_do_not_matter(answer: str, output: str, right: bool) -> None:
    assert TASKS["words"].passes(Example("", answer, ""), output) is right


# Tales


def test_a_tale_names_what_was_asked_for_and_says_nothing_twice() -> None:
    task = TASKS["stories_reworded"]
    assert isinstance(task, Tales)
    for one in take("stories_reworded", 300):
        sentences = re.findall(r"[^.!?\s][^.!?]*[.!?]", one.answer)
        assert 4 <= len(sentences) <= 10
        assert not task.passes(one, f"{one.answer} {sentences[0]}")
        assert not task.passes(one, one.answer.rstrip('."?!'))
        assert not task.passes(one, "".join(sentences[:2]))
        for asked in asked_for(one):
            assert not task.passes(one, re.sub(rf"\b{asked}\b", "stranger", one.answer, flags=re.IGNORECASE))


def test_tales_differ() -> None:
    drawn = take("stories_reworded", 200)
    assert all(one.answer != other.answer for one, other in pairwise(drawn))
