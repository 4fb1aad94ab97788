"""What the long-context study trains on, and the arms that it compares."""

import math
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path
from random import Random

import pytest
import torch

import remask
from remask.checkpoint import load as load_checkpoint
from remask.decoding.objective import Noised, cross_entropy
from remask.errors import UsageError
from remask.tasks import HAYSTACKS, examples
from remask.tasks.haystack import ASK, END, WORDS, Haystack, filler
from remask.text.tokenizer import Text
from remask.training.config import Geometry, Mixture, TrainConfig, load, validate
from remask.training.data import draw
from remask.training.loop import noise
from remask.training.run import prepare, save

ROOT = Path(__file__).parents[3]
CONFIGS = Path(remask.__file__).parent / "training" / "configs"
ARMS = {path.stem.removeprefix("study-"): load(path) for path in CONFIGS.glob("study-*.toml")}
BASES = {name: ARMS.pop(name) for name in ("base", "base-b", "base-ar")}
SCALES = {"a": [4, 14, 31, 55], "ar": [4, 14, 31, 55], "b": [3, 9, 16, 24], "c": [6, 89, 447, 1411]}


@pytest.mark.parametrize("name", HAYSTACKS)
def test_every_answer_is_the_value_of_a_pair_that_is_stated(name: str) -> None:
    task = HAYSTACKS[name]
    assert isinstance(task, Haystack)
    lengths = Counter[int]()
    for drawn in islice(examples(task, "train", 1), 300):
        words = drawn.answer.split()
        lengths[len(words)] += 1
        assert set(words) <= set(WORDS) and task.shortest <= len(words) <= task.longest
        assert drawn.holes and words.count(ASK) == len(drawn.holes)
        for start, stop in drawn.holes:
            answer = drawn.answer[start:stop]
            question = drawn.answer[:start].split()[-4:]
            assert question[0] == ASK and question[3] == "=" and answer.endswith(f" {END}")
            stated = f"{' '.join(question[1:])} {answer}"
            assert drawn.answer.count(stated) == 2, "once as a pair, once as the answer"
            if task.ahead == 0:
                assert drawn.answer.find(stated) < start - len(" ".join(question)), "the pair comes first"
        assert task.passes(drawn, drawn.answer)
    assert 100 < lengths[task.longest] < 250, "half of them have the full length"


def test_distances_from_question_to_pair_reach_to_both_ends_of_the_context() -> None:
    distances = []
    for drawn in islice(examples(HAYSTACKS["haystack128"], "train", 2), 3000):
        for start, stop in drawn.holes:
            stated = " ".join([*drawn.answer[:start].split()[-3:], drawn.answer[start:stop]])
            first = drawn.answer.find(stated)
            again = drawn.answer.find(stated, first + 1)
            pair = first if drawn.answer[max(0, first - 2)] != ASK else again
            distances.append(drawn.answer[:start].count(" ") - drawn.answer[:pair].count(" "))
    behind = [distance for distance in distances if distance < 0]
    assert 0.05 < len(behind) / len(distances) < 0.25, "some questions come before their pair"
    spread = Counter(distance // 16 for distance in distances if distance > 0)
    assert max(distances) > 118 and all(spread[i] > len(distances) / 40 for i in range(6)), spread


def test_filler_is_predictable_from_two_words_and_visits_them_all() -> None:
    words = list(islice(filler(Random(0)), 40_000))
    followers = Counter(zip(words, words[1:], words[2:], strict=False))
    contexts = Counter(pairwise(words))
    bits = -sum(n * math.log2(n / contexts[key[:2]]) for key, n in followers.items()) / len(words)
    assert len(set(words)) == 256 and bits < 1.75


def test_of_a_haystack_the_answers_are_learned_and_the_end_behind_them(words: Text) -> None:
    mixture = Mixture(tasks={"haystack64": 1.0}, random_length=0.0, long_tail=0.0)
    whole = answers = 0
    for rows in draw(words, mixture, "train", 0, 0, 8192):
        for tokens, maskable in zip(rows.tokens.tolist(), rows.maskable.tolist(), strict=True):
            learned = words.decode([t for t, m in zip(tokens, maskable, strict=True) if m], special=True).split()
            if all(maskable):
                whole += 1
                continue
            answers += 1
            text = words.decode(tokens, special=True).split()
            ends = learned.count("<|endoftext|>")
            last = text[: text.index("<|endoftext|>")][-8:]
            assert learned.count(END) == text.count(ASK) and len(learned) == 4 * text.count(ASK) + ends
            assert ends == int(last[0] == ASK and last[-1] == END), "the end is learned where an answer comes before it"
    assert 0.15 < whole / (whole + answers) < 0.45


def test_the_arms_differ_in_theta_and_in_attention_alone() -> None:
    assert set(ARMS) == {"a", "b", "c", "ar"}
    for name, config in ARMS.items():
        model = config.model.model(mask_id=516, eos_id=515, pad_id=515, editable=False)
        assert 0.9e6 < model.parameters < 1e6 and config.model.max_positions == 128
        assert config.optimisation == ARMS["a"].optimisation
        assert [key.removesuffix("_behind") for key in config.data.tasks] == list(ARMS["a"].data.tasks)
        base = BASES.get(f"base-{name}", BASES["base"])
        assert replace(base.model, rope_theta=config.model.rope_theta) == config.model, "it can begin from its base"
        scales = [math.ceil(model.rotary.scale(m * 128)) for m in (2, 4, 6, 8)]
        assert scales == SCALES[name]


def test_the_bases_have_the_same_curriculum_and_the_arms_it_ends_in() -> None:
    base, causal = BASES["base"], BASES["base-ar"]
    assert replace(causal.model, attention="full") == base.model and causal.optimisation == base.optimisation
    for theirs in (base.data.tasks, base.data.starts):
        mine = causal.data.tasks if theirs is base.data.tasks else causal.data.starts
        assert {key.removesuffix("_behind"): value for key, value in mine.items()} == theirs
    again = replace(BASES["base-b"], name="study-b")
    assert again == ARMS["b"], "arm B takes its second stage twice"
    assert base.data.tasks == ARMS["a"].data.tasks and causal.data.tasks == ARMS["ar"].data.tasks


def test_a_checkpoint_goes_on_under_another_theta_and_not_under_another_width(tmp_path: Path) -> None:
    geometry = Geometry(528, d_model=32, n_layers=1, n_heads=2, d_ff=32, max_positions=64, rope_theta=488.0)
    tasks = Mixture(tasks={"haystack64": 1.0})
    model, text = prepare(TrainConfig(model=geometry, data=tasks), tmp_path, None)
    init = str(save(model, text, tmp_path))
    changed, _ = prepare(TrainConfig(model=replace(geometry, rope_theta=100.0), data=tasks, init=init), tmp_path, None)
    assert changed.config.rope_theta == 100
    assert all(torch.equal(weight.bfloat16(), changed.state_dict()[name].bfloat16())
               for name, weight in model.state_dict().items())  # fmt: skip
    with pytest.raises(UsageError, match=r"model\.d_ff is 64, and the checkpoint"):
        prepare(TrainConfig(model=replace(geometry, d_ff=64), data=tasks, init=init), tmp_path, None)


def test_a_causal_model_learns_the_next_token_and_answers_left_to_right(tmp_path: Path) -> None:
    geometry = Geometry(528, d_model=32, n_layers=1, n_heads=2, d_ff=32, max_positions=64, attention="causal")
    config = validate(TrainConfig(model=geometry, data=Mixture(tasks={"haystack64_behind": 1.0})))
    save(*prepare(config, tmp_path, None), tmp_path)
    loaded = load_checkpoint(str(tmp_path / "checkpoint"))
    contract, model = loaded.predictor.contract, loaded.predictor.model
    assert (contract.shift, contract.block_size) == (1, 1)
    rows = draw(loaded.text, config.data, "train", 0, 0, 512)[0]
    noised = noise(rows, model.config, 0.0, torch.Generator().manual_seed(0), torch.device("cpu"))
    assert torch.equal(noised.tokens, noised.clean) and not noised.masked[:, 0].any()
    nats = cross_entropy(loaded.predictor, [noised], 1)
    row, column = noised.masked.nonzero()[-1].tolist()
    changed = noised.clean[row].clone()
    changed[column:] = 7  # what comes at or after a token does not help to predict it
    asked = torch.zeros_like(changed, dtype=torch.bool)
    asked[column] = True
    alone = Noised(noised.clean[row][None], changed[None], asked[None])
    assert cross_entropy(loaded.predictor, [alone], 1)[0] == pytest.approx(float(nats[-1]), abs=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": Mixture(tasks={"haystack64": 1.0, "sorting": 1.0})}, "'sorting' has other words than haystack64"),
        ({"model": Geometry(attention="sideways")}, "must be full, block_causal, causal"),  # type: ignore[arg-type]
        ({"data": Mixture(tasks={"haystack99": 1.0})}, "unknown task 'haystack99'"),
    ],
)
def test_what_cannot_be_trained_together_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        validate(TrainConfig(**changes))  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_study_runs_from_end_to_end_and_goes_on_from_its_records(tmp_path: Path) -> None:
    script = str(ROOT / "benchmarks" / "longcontext_study.py")
    command = [sys.executable, script, "--out", str(tmp_path), "--quick", "--arms", "a", "ar"]
    first = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    results = (tmp_path / "results.json").read_bytes()
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "step 3" in first.stdout and again.stdout == f"{tmp_path / 'results.md'}\n"
    assert (tmp_path / "results.json").read_bytes() == results
    assert "NOT passed: no claims" in (tmp_path / "results.md").read_text()
