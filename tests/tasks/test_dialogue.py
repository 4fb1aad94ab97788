"""Laws of the books of phrases: a wording has one answer, an answer passes for its own intent, copies are exact."""

import random
from itertools import islice

import pytest

from remask.tasks import TASKS, Example, Task, declines, examples, split_of
from remask.tasks.chat import COMMON, Book, book, key, passes
from remask.tasks.natural import PROMPTS
from remask.tasks.split import belongs
from remask.tasks.topics import lists
from remask.tasks.wording import SLOT, fill, frame, frames

BOOKS = {name: book(name) for name in ("dialogue", "outside")}
COPIED = {"name": "Tom", "phrase": "green apple"}
every_book = pytest.mark.parametrize("name", BOOKS)


def answers(pages: Book) -> set[str]:
    return {fill(intent.answer, **COPIED) for intent in pages.intents}


def test_a_wording_has_one_answer() -> None:
    rng = random.Random(0)
    said: dict[str, str] = {}
    for pages in BOOKS.values():
        for intent in pages.intents:
            cores = [core for line in intent.common for core in frames(line)]
            cores += [frame(rng, (pattern,)) for pattern in intent.patterns for _ in range(40)]
            for core in cores:
                assert said.setdefault(key(core), intent.answer) == intent.answer, core


@every_book
def test_every_slot_can_be_filled_and_every_answer_fits(name: str) -> None:
    for drawn in islice(examples(TASKS[name], "train", 7), 3000):
        assert not SLOT.search(drawn.prompt + drawn.answer)
        assert len(drawn.answer) <= 200 and len(drawn.prompt.split()) <= 60


@every_book
def test_no_answer_passes_for_another(name: str) -> None:
    for own in answers(BOOKS[name]):
        for other in set().union(*map(answers, BOOKS.values())):
            assert passes(BOOKS[name], Example("", own, ""), other) == (own == other)


@every_book
def test_what_everyone_types_is_in_training(name: str) -> None:
    assert split_of(TASKS[name], COMMON) == "train"
    for drawn in islice(examples(TASKS[name], "heldout", 0), 300):
        assert key(drawn.prompt) not in BOOKS[name].common


@every_book
def test_no_prompt_is_in_both_splits(name: str) -> None:
    train = {key(drawn.prompt) for drawn in islice(examples(TASKS[name], "train", 1), 3000)}
    heldout = {key(drawn.prompt) for drawn in islice(examples(TASKS[name], "heldout", 1), 300)}
    assert len(train & heldout) <= 3  # two wordings that a slip of the finger made one


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_no_natural_prompt_is_in_a_split(task: Task) -> None:
    for prompt in PROMPTS:
        for typed in (prompt, prompt.upper(), f"  {prompt} "):
            for solution in ("1", "2", "3", "4", "5", "6", "7", "8", "9"):
                drawn = Example(typed, "", solution)
                assert not belongs(task, drawn, "train") and not belongs(task, drawn, "heldout")


def test_there_are_a_hundred_natural_prompts() -> None:
    assert len({key(prompt) for prompt in PROMPTS}) == 100


def test_names_and_words_are_copied_as_they_are() -> None:
    for drawn in islice(examples(TASKS["dialogue"], "train", 2), 4000):
        if drawn.frame and "{phrase}" in drawn.frame:
            assert drawn.answer in drawn.prompt.lower()
        if drawn.answer.startswith(("Your name is", "Nice to meet you")):
            assert drawn.solution in drawn.answer and drawn.solution.lower() in drawn.prompt.lower()


def test_the_lists_are_broad() -> None:
    topics = {item for kind, items in lists().items() if kind not in ("name", "foreign", "other") for item in items}
    assert len(topics) >= 1000
    assert sum(len(intent.patterns) for intent in BOOKS["outside"].intents) >= 200


@pytest.mark.parametrize(
    ("task", "answer", "output", "right"),
    [
        ("dialogue", "You are welcome!", "you're welcome", False),
        ("dialogue", "You are welcome!", "You are very welcome.", True),
        ("dialogue", "Nice to meet you, Tom! I am the small model inside Remask.", "nice to meet you tom", True),
        ("dialogue", "Nice to meet you, Tom! I am the small model inside Remask.", "Nice to meet you, Ann!", False),
        ("dialogue", "the cat sat", "The cat sat.", True),
        ("dialogue", "the cat sat", "the cat sat on the mat", False),
        (
            "outside",
            "I will not help with that. I can sort, calculate, solve a Sudoku or tell a story.",
            "I can.",
            False,
        ),
    ],
)
def test_what_a_reasonable_person_accepts(task: str, answer: str, output: str, right: bool) -> None:
    assert TASKS[task].passes(Example("", answer, ""), output) is right


def test_every_refusal_declines_and_nothing_else_does() -> None:
    assert all(map(declines, answers(BOOKS["outside"])))
    assert [answer for answer in answers(BOOKS["dialogue"]) if declines(answer)] == []
    assert not declines("17+25=42") and not declines("")
