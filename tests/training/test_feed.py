"""Laws of batches of one shape: what is learned, what is never masked, and that they depend on (seed, number) alone."""

import json
import lzma
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch

from remask.errors import UsageError
from remask.tasks import TASKS, Example, examples
from remask.tasks.corpus import corpus_tasks, overlap, stories
from remask.text.tokenizer import Text
from remask.training import tokenizer as bpe
from remask.training.config import Mixture, TrainConfig, load, validate
from remask.training.feed import IGNORED, Batch, Maker, Shape, batches, tokenise
from remask.training.run import execute

MIXTURE = Mixture(
    tasks={"sorting": 2.0, "equations": 1.0, "continuation": 1.0, "qa": 1.0},
    rows={"32": 6, "64": 6, "128": 4, "256": 2},
    text={"simple": 2.0, "children": 1.0, "classic": 1.0},
    turns=0.3,
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small corpus in the shape of a large one: the stories of the grammar, and questions about them."""
    folder = tmp_path_factory.mktemp("corpus")
    for part, seed in (("train", 1), ("valid", 2)):
        drawn = [e.answer for e, _ in zip(examples(TASKS["stories"], "train", seed), range(60), strict=False)]
        told = [
            {"text": " ".join(drawn[i : i + 5]), "level": level, "source": "", "title": ""}
            for i, level in zip(range(0, 60, 5), ("simple", "children", "classic") * 4, strict=True)
        ]
        asked = [{"context": text, "question": "Who sat there?", "answers": ["The cat", "a cat"]} for text in drawn]
        for name, rows in (("stories", told), ("qa", asked)):
            with lzma.open(folder / f"{name}-{part}.jsonl.xz", "wt") as file:
                file.writelines(json.dumps(row) + "\n" for row in rows)
    return folder


@pytest.fixture(scope="module")
def text(corpus: Path) -> Text:
    return bpe.wrap(bpe.build(400, MIXTURE, corpus, examples_per_task=20))


@pytest.fixture(scope="module")
def maker(text: Text, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Maker:
    return Maker(text, MIXTURE, 3, corpus, tokenise(text, corpus, tmp_path_factory.mktemp("out")))


def clean(batch: Batch) -> np.ndarray:
    """The tokens before they were masked, as far as they are learned."""
    tokens = batch.tokens.copy()
    learned = batch.targets != IGNORED
    tokens[batch.reads[learned]] = batch.targets[learned]
    return tokens


def test_a_batch_is_a_function_of_the_seed_and_its_number(maker: Maker, text: Text, corpus: Path) -> None:
    first, again, other = maker(5), maker(5), maker(6)
    assert all(np.array_equal(a, b) for a, b in zip(vars(first).values(), vars(again).values(), strict=True))
    assert not np.array_equal(first.tokens, other.tokens)
    with batches(text, maker.mixture, 3, corpus, None, first=5, workers=2) as made:
        here, there = [next(made) for _ in range(3)], Maker(text, maker.mixture, 3, corpus, None)
        assert all(np.array_equal(b.tokens, there(5 + i).tokens) for i, b in enumerate(here))


def test_every_batch_has_one_shape_and_what_is_read_is_masked(maker: Maker) -> None:
    for number in range(8):
        batch = maker(number)
        learned = batch.targets != IGNORED
        assert batch.tokens.shape == (maker.shape.tokens,) and batch.reads.shape == (maker.shape.learned,)
        assert (batch.tokens[batch.reads[learned]] == maker.text.mask_id).all()
        assert len(set(batch.reads[learned].tolist())) == learned.sum() > maker.shape.learned // 4


def test_prompts_are_never_masked(maker: Maker) -> None:
    start = maker.text.encode("<|start_header_id|>user<|end_header_id|>")
    seen = 0
    for number in range(8):
        batch, first = maker(number), 0
        for count, length in maker.shape.groups:
            rows = batch.tokens[first : first + count * length].reshape(count, length)
            first += count * length
            for row in rows[[row[0] == maker.turn.before[0] for row in rows]]:
                said = row.tolist()
                prompt = said[: _last(said, maker.turn.behind) + len(maker.turn.behind)]
                assert maker.text.mask_id not in prompt and prompt[1 : 1 + len(start)] == start
                seen += 1
    assert seen > 40


def _last(ids: list[int], part: list[int]) -> int:
    return max(i for i in range(len(ids)) if ids[i : i + len(part)] == part)


def test_examples_are_laid_as_the_chat_template_lays_them(maker: Maker) -> None:
    text, past, now = maker.text, Example("hi there", "Hello!", ""), Example(" Sort 321. ", "123", "")
    said = [{"role": "user", "content": "Sort 321."}]
    one = maker.turn.encode([now])[0]
    assert list(one.ids) == [*text.encode(text.chat(said)), *text.encode("123"), *text.eot_ids]
    talk = [{"role": "user", "content": "hi there"}, {"role": "assistant", "content": "Hello!"}, *said]
    two = maker.turn.after(past, one)
    assert list(two.ids) == [*text.encode(text.chat(talk)), *text.encode("123"), *text.eot_ids]
    assert sum(two.maskable) == sum(one.maskable) == len(text.encode("123")) + len(text.eot_ids)


def test_the_number_of_masked_tokens_is_uniform(maker: Maker) -> None:
    shares = []
    shape = replace(MIXTURE, tasks={"sorting": 1.0}, rows={"64": 64}, text_share=1.0)
    text_alone = Maker(maker.text, shape, 0, None, None)
    text_alone.streams, text_alone.levels = maker.streams, [1.0, 1.0, 1.0]
    for number in range(12):
        masked = text_alone(number).tokens.reshape(64, 64) == maker.text.mask_id
        shares += masked.mean(1).tolist()
    edges = np.histogram(shares, bins=4, range=(0, 1))[0] / len(shares)
    assert (abs(edges - 0.25) < 0.03).all()


def test_a_run_of_one_shape_learns_ends_by_the_clock_and_goes_on(corpus: Path, tmp_path: Path) -> None:
    config = tmp_path / "one.toml"
    config.write_text(
        "save_every = 5\nevaluate_every = 10\nlog_every = 5\n[model]\nvocab_size = 400\nd_model = 32\nn_layers = 1\n"
        "n_heads = 2\nd_ff = 32\n[optimisation]\nsteps = 20\nwarmup = 2\n[data]\ntext = { simple = 1 }\n"
        "rows = { 32 = 8, 64 = 4, 128 = 2 }\ntasks = { sorting = 1, continuation = 1 }\n"
    )
    run = list(execute(load(config), tmp_path / "run", torch.device("cpu"), corpus=corpus))
    assert [p.step for p in run] == [5, 10, 15, 20] and run[-1].loss < run[0].loss
    assert set(run[-1].heldout or {}) == {"sorting", "continuation"}
    timed = replace(load(config), optimisation=replace(load(config).optimisation, steps=10**6, minutes=0.02))
    ended = list(execute(timed, tmp_path / "timed", torch.device("cpu"), corpus=corpus))
    assert ended[-1].step < 10**6 and ended[-1].rate == 0
    with pytest.raises(UsageError, match="learns from real text; give its folder"):
        list(execute(load(config), tmp_path / "none", torch.device("cpu")))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (Mixture(rows={"9999": 1}), r"a length is a number from 8 to max_positions = 256, got '9999'"),
        (Mixture(text={"simple": 1.0}), r"data\.text needs batches of one shape; give data\.rows"),
        (Mixture(text={"grown": 1.0}, rows={"64": 1}), r"data\.text: .*'grown'"),
    ],
)
def test_keys_that_do_not_fit_are_refused(data: Mixture, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        validate(TrainConfig(data=data))


def test_corpus_tasks_hold_out_by_file_and_judge(corpus: Path, tmp_path: Path) -> None:
    for part, split in (("train", "train"), ("valid", "heldout")):
        for name, task in corpus_tasks(corpus, part).items():  # type: ignore[arg-type]
            example = next(examples(task, split, 0))  # type: ignore[arg-type]
            assert task.passes(example, example.answer), name
            assert not task.passes(example, ""), name
    assert overlap("The cat.", "a cat") == 1 and overlap("a dog", "a cat") == 0
    assert overlap("the black cat", "the cat") == pytest.approx(2 / 3)
    (tmp_path / "stories-test.jsonl.xz").write_bytes(b"no xz")
    with pytest.raises(UsageError, match="cannot read the corpus file"):
        stories(tmp_path, "test")


def test_the_shape_counts_its_tokens() -> None:
    shape = Shape.of({"64": 3, "8": 2})
    assert shape.groups == ((2, 8), (3, 64)) and shape.tokens == 208 and shape.learned == 64


def test_examples_that_fit_nowhere_are_left_out(maker: Maker) -> None:
    narrow = Maker(maker.text, replace(MIXTURE, tasks={"sorting": 1.0}, rows={"16": 4}), 0, None, None)
    assert narrow.place(Random(0)) == [[]]
