"""Training: a killed run goes on as if nothing had happened, and the configuration refuses what it does not know."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

from remask import checkpoint
from remask.errors import UsageError
from remask.models.transformer import Transformer
from remask.objective import Noised, cross_entropy, masked_logits
from remask.training import tokenizer as bpe
from remask.training.config import Geometry, Mixture, TrainConfig, load, validate
from remask.training.data import draw
from remask.training.induction import wire
from remask.training.loop import noise, rate_at
from remask.training.muon import orthogonalise
from remask.training.run import execute

CONFIG = """
name = "tiny"
seed = 3
save_every = 2
log_every = 1
evaluate_every = 10

[model]
vocab_size = 320
d_model = 32
n_layers = 2
n_heads = 2
d_ff = 64
max_positions = 128

[optimisation]
steps = 10
tokens_per_step = 256
warmup = 2

[data]
groups = 2
longest_canvas = 48
tasks = { sorting = 1, sudoku4 = 1 }
"""

PROGRAM = """
import sys
from pathlib import Path
import torch
from remask.training.config import load
from remask.training.run import execute
torch.set_num_threads(1)
for progress in execute(load(Path(sys.argv[1])), Path(sys.argv[2]), torch.device("cpu")):
    print(progress.step, flush=True)
"""


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bpe") / "tokenizer.json"
    bpe.build(320, examples_per_task=20).save(str(path))
    return path


@pytest.fixture
def folder(tmp_path: Path, tokenizer: Path) -> Path:
    (tmp_path / "tiny.toml").write_text(CONFIG)
    for name in ("straight", "killed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tokenizer.json").write_bytes(tokenizer.read_bytes())
    return tmp_path


def run(folder: Path, name: str, kill_after: int | None = None, delay: float = 0.0) -> list[int]:
    """Train in a process of its own; with `kill_after`, kill -9 it `delay` seconds after that step was reported."""
    command = [sys.executable, "-c", PROGRAM, str(folder / "tiny.toml"), str(folder / name)]
    steps = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            steps.append(int(line))
            if steps[-1] == kill_after:
                time.sleep(delay)
                process.send_signal(signal.SIGKILL)
                break
    assert kill_after is not None or process.returncode == 0
    return steps


def test_a_run_killed_at_several_points_ends_in_the_same_weights(folder: Path) -> None:
    assert run(folder, "straight") == list(range(1, 11))
    run(folder, "killed", kill_after=3)
    again = run(folder, "killed", kill_after=6, delay=0.03)
    assert again[0] == 3, "at most one interval of two steps is lost"
    rest = run(folder, "killed")
    assert rest[-1] == 10 and rest[0] >= 5
    one, other = (load_file(folder / name / "checkpoint" / "model.safetensors") for name in ("straight", "killed"))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    lines = [json.loads(line) for line in (folder / "killed" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 11))
    assert checkpoint.load(str(folder / "killed" / "checkpoint"), device="cpu").predictor.contract.max_positions == 128
    (folder / "tiny.toml").write_text(CONFIG.replace("seed = 3", "seed = 4"))
    other = execute(load(folder / "tiny.toml"), folder / "killed", torch.device("cpu"))
    with pytest.raises(UsageError, match="another"):
        next(other)


def test_prompts_are_never_masked_and_answers_always_are(tokenizer: Path) -> None:
    text = bpe.wrap(Tokenizer.from_file(str(tokenizer)))
    mixture = Mixture(tasks={"sorting": 1.0}, random_length=0.0)
    shape = Geometry(vocab_size=320).model(mask_id=text.mask_id, eos_id=text.eos_id, pad_id=text.eos_id, editable=False)
    generator = torch.Generator().manual_seed(0)
    for rows in draw(text, mixture, "train", 0, 0, 2048):
        noised = noise(rows, shape, 0.0, generator, torch.device("cpu"))
        assert not (noised.masked & ~rows.maskable).any()
        assert noised.masked.any(1).all()
        assert (noised.tokens[noised.masked] == text.mask_id).all()
        assert torch.equal(noised.tokens[~noised.masked], rows.tokens[~noised.masked])


def test_a_task_is_drawn_from_its_step_on_and_the_batches_before_do_not_know_of_it(tokenizer: Path) -> None:
    text = bpe.wrap(Tokenizer.from_file(str(tokenizer)))
    alone = Mixture(tasks={"sorting": 1.0}, groups=1)
    joined = Mixture(tasks={"sorting": 1.0, "extraction": 9.0}, starts={"extraction": 5}, groups=1)
    for step in range(10):
        one, other = (draw(text, mixture, "train", 0, step, 256)[0] for mixture in (alone, joined))
        assert torch.equal(one.tokens, other.tokens) if step < 5 else other.task in ("sorting", "extraction")
    later = {draw(text, joined, "train", 0, step, 256)[0].task for step in range(5, 25)}
    assert later == {"sorting", "extraction"}


def test_a_drill_in_a_chat_is_learned_where_its_holes_are(tokenizer: Path) -> None:
    text = bpe.wrap(Tokenizer.from_file(str(tokenizer)))
    for rows in draw(text, Mixture(tasks={"recall_drill": 1.0}, random_length=0.0), "train", 0, 0, 2048):
        for tokens, maskable in zip(rows.tokens.tolist(), rows.maskable.tolist(), strict=True):
            answer = text.decode(tokens, special=True).rpartition("<|end_header_id|>")[2].partition("<|eot_id|>")[0]
            learned = text.decode([t for t, m in zip(tokens, maskable, strict=True) if m], special=True)
            assert learned == "".join(pair[1] for pair in answer.split()) + "<|eot_id|>"


def test_a_pool_makes_rows_alike_in_length_and_leaves_none_out(tokenizer: Path) -> None:
    text = bpe.wrap(Tokenizer.from_file(str(tokenizer)))
    spent = []
    for pool in (1, 4):
        mixture = Mixture(tasks={"equations": 1.0}, groups=1, random_length=0.0, long_tail=0.0, pool=pool)
        batches = [draw(text, mixture, "train", 0, step, 1024)[0].tokens for step in range(200)]
        ends = torch.cat([(batch == text.eos_id).sum(1) for batch in batches]).float().mean()
        steps = [text.decode(row).count("=") for batch in batches for row in batch.tolist()]
        assert all(steps.count(count) > len(steps) / 20 for count in range(3, 13)), "a tenth of the rows each"
        spent.append(ends)
    assert spent[1] < spent[0] / 2


def test_the_edit_objective_replaces_visible_answer_tokens_and_asks_for_the_true_ones(tokenizer: Path) -> None:
    text = bpe.wrap(Tokenizer.from_file(str(tokenizer)))
    shape = Geometry(vocab_size=320).model(mask_id=text.mask_id, eos_id=text.eos_id, pad_id=text.eos_id, editable=True)
    rows = draw(text, Mixture(tasks={"sorting": 1.0}), "train", 0, 0, 4096)[0]
    noised = noise(rows, shape, 0.3, torch.Generator().manual_seed(0), torch.device("cpu"))
    wrong = (noised.tokens != noised.clean) & (noised.tokens != text.mask_id)
    assert wrong.any() and not (wrong & ~rows.maskable).any()
    assert torch.equal(noised.masked, rows.maskable), "every answer token is asked for"


def test_groups_on_threads_of_their_own_learn_the_same(folder: Path) -> None:
    before, config = torch.get_num_threads(), load(folder / "tiny.toml")
    found = {}
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            list(execute(config, folder / f"on-{threads}", torch.device("cpu")))
            assert torch.get_num_threads() == threads, "as it was"
            found[threads] = load_file(folder / f"on-{threads}" / "state" / "state.safetensors")
    finally:
        torch.set_num_threads(before)
    for name, alone in found[1].items():
        torch.testing.assert_close(found[2][name], alone, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("attention", ["full", "block_causal"])
def test_a_batch_of_two_tasks_scores_as_each_alone(attention: str, tokenizer: Path) -> None:
    text = bpe.wrap(Tokenizer.from_file(str(tokenizer)))
    block = {"block_size": 8} if attention == "block_causal" else {}
    small = {"vocab_size": 320, "d_model": 32, "n_layers": 2, "n_heads": 2, "d_ff": 64}
    geometry = Geometry(**small, **block, attention=attention)  # type: ignore[arg-type]
    shape = geometry.model(mask_id=text.mask_id, eos_id=text.eos_id, pad_id=text.eos_id, editable=False)
    model = Transformer(shape).initialise(torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(0)
    rows = draw(text, Mixture(tasks={"sorting": 1.0, "sudoku4": 1.0}, groups=3), "train", 1, 0, 1024)
    noised = [noise(r, shape, 0.0, generator, torch.device("cpu")) for r in rows]
    together = cross_entropy(model, noised, 0, shape.block_size)
    alone = torch.cat([cross_entropy(model, [one], 0, shape.block_size) for one in noised])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_the_rate_rises_stays_and_falls_to_zero() -> None:
    from remask.training.config import Optimisation

    how = Optimisation(steps=100, learning_rate=1.0, warmup=10, decay=0.4)
    rates = [rate_at(how, step) for step in range(100)]
    assert rates[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert rates[10:60] == [1.0] * 50
    assert rates[60:] == pytest.approx([(100 - step) / 40 for step in range(60, 100)])
    flat = Optimisation(steps=100, learning_rate=1.0, warmup=10, decay=0.0)
    assert rate_at(flat, 99) == 1.0


def looked_up(model: Transformer) -> float:
    """How often, of six values that were told, the one behind the key that is repeated gets the largest logit."""
    generator = torch.Generator().manual_seed(0)
    keys, values = (100 * i + torch.rand(200, 100, generator=generator).argsort(1)[:, :6] for i in range(2))
    asked = torch.randint(6, (200, 1), generator=generator)
    told = torch.stack((keys, values), 2).flatten(1)
    tokens = torch.cat((told, keys.gather(1, asked), values.gather(1, asked)), 1)
    masked = torch.zeros_like(tokens, dtype=torch.bool)
    masked[:, -1] = True
    with torch.no_grad():
        logits = masked_logits(model, [Noised(tokens, tokens.masked_fill(masked, 299), masked)])
    return float((logits.gather(1, values).argmax(1) == asked[:, 0]).float().mean())


def test_an_induction_head_looks_up_before_anything_is_trained() -> None:
    geometry = Geometry(300, d_model=128, n_layers=4, n_heads=2, d_ff=64, max_positions=64, rope_theta=488.28125)
    shape = geometry.model(mask_id=299, eos_id=298, pad_id=298, editable=False)
    generator = torch.Generator().manual_seed(0)
    plain = Transformer(shape).initialise(generator)
    assert looked_up(plain) < 0.3, "one in six is chance"
    assert looked_up(wire(plain, generator)) > 0.7


def test_orthogonalised_updates_have_singular_values_near_one() -> None:
    for shape in ((48, 16), (16, 48), (24, 24)):
        matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        values = torch.linalg.svdvals(orthogonalise(matrix))
        assert values.min() > 0.3 and values.max() < 1.3


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ("[optimisation]\nstepz = 3", "stepz"),
        ("[modle]\nd_model = 3", "modle"),
        ("[optimisation]\nsteps = 0", "got 0"),
        ("[optimisation]\nsteps = 'many'", "steps"),
        ("[model]\nd_model = 33", "33"),
        ("[model]\nattention = 'block_causal'", "block_size"),
        ("[data]\ntasks = { chess = 1 }", "chess"),
        ("[data]\ntasks = { sorting = -1 }", "positive"),
        ("[data]\ntasks = { sorting = 1 }\nstarts = { recall = 5 }", "'recall' is not in data.tasks"),
        ("[data]\ntasks = { sorting = 1 }\nstarts = { sorting = 5 }", "no task for the first step"),
        ("[data]\ntasks = { sorting = 1 }\nstarts = { sorting = 'late' }", "got sorting = 'late'"),
        ("[data]\ntasks = { sorting = 1 }\nstarts = { sorting = -5 }", "got sorting = -5"),
        ("[data]\npool = 0", "pool must be at least 1, got 0"),
        ("induction = true\ninit = 'runs/x'", "init = 'runs/x' has weights"),
        ("induction = true\n[model]\nn_layers = 1", "2 layers, 2 heads of 8; got 1, 6 of 192"),
        ("induction = true\n[model]\nn_heads = 48", "got 6, 48 of 192"),
        ("not toml", "cannot read"),
    ],
)
def test_a_configuration_with_a_slip_is_refused_by_name(change: str, names: str, tmp_path: Path) -> None:
    path = tmp_path / "slip.toml"
    path.write_text(change)
    with pytest.raises(UsageError, match=names) as refused:
        load(path)
    assert "\n" not in str(refused.value).strip()


def test_the_defaults_are_a_valid_configuration() -> None:
    assert validate(TrainConfig()) == TrainConfig()
