"""Training: a killed run goes on as if nothing had happened, and the configuration refuses what it does not know."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from remask import checkpoint
from remask.decoding.objective import Noised, cross_entropy, masked_logits
from remask.errors import RemaskError, UsageError
from remask.models.transformer import Transformer
from remask.training import loop
from remask.training import tokenizer as bpe
from remask.training.checkpoints import TrainingState, recover, step_in
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
SHORT = CONFIG.replace("steps = 10", "steps = 4")

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
    bpe.build(320, Mixture(), None, examples_per_task=20).save(str(path))
    return path


@pytest.fixture
def folder(tmp_path: Path, tokenizer: Path) -> Path:
    (tmp_path / "tiny.toml").write_text(CONFIG)
    for name in ("straight", "killed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tokenizer.json").write_bytes(tokenizer.read_bytes())
    return tmp_path


def run(folder: Path, name: str) -> list[int]:
    """Train to the end; the steps that were reported."""
    return [progress.step for progress in execute(load(folder / "tiny.toml"), folder / name, torch.device("cpu"))]


def run_until_killed(folder: Path, name: str, kill_after: int, delay: float = 0.0) -> list[int]:
    """Train in a process of its own, and kill -9 it `delay` seconds after that step was reported."""
    command = [sys.executable, "-c", PROGRAM, str(folder / "tiny.toml"), str(folder / name)]
    steps = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            steps.append(int(line))
            if steps[-1] == kill_after:
                time.sleep(delay)
                process.send_signal(signal.SIGKILL)  # steps that it still reported are read, too
    return steps


def test_a_run_killed_at_several_points_ends_in_the_same_weights(folder: Path) -> None:
    assert run(folder, "straight") == list(range(1, 11))
    once = run_until_killed(folder, "killed", 3)
    again = run_until_killed(folder, "killed", 6, delay=0.03)
    rest = run(folder, "killed")
    for before, after in ((once, again), (again, rest)):
        assert before[-1] - 1 <= after[0] <= before[-1] + 1, "at most one interval of two steps is lost"
    assert rest[-1] == 10
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
        batches = [draw(text, mixture, "train", 0, step, 1024)[0].tokens for step in range(60)]
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
    (folder / "tiny.toml").write_text(SHORT.replace("warmup = 2", 'warmup = 2\nautocast = "off"'))  # in float32
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
    rates = [rate_at(how, step, step / 100) for step in range(100)]
    assert rates[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert rates[10:60] == [1.0] * 50
    assert rates[60:] == pytest.approx([(100 - step) / 40 for step in range(60, 100)])
    flat = Optimisation(steps=100, learning_rate=1.0, warmup=10, decay=0.0)
    assert rate_at(flat, 99, 0.99) == 1.0


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
        ("[data]\ntasks = {}", "at least one task, got none"),
        ("[data]\ntasks = { sorting = -1 }", "data.tasks: 'sorting' must lie in 1e-09..1,000,000,000, got -1"),
        ("[data]\ntasks = { sorting = inf }", "'sorting' must lie in .*, got inf; leave it out"),
        ("[data]\ntasks = { sorting = 'x' }", "data.tasks: 'sorting' must be a number, got 'x'"),
        ("[data]\ntasks = ['sorting']", r"data.tasks must be a table, got \['sorting'\]"),
        ("[data]\nstarts = 3", "data.starts must be a table, got 3"),
        ("[data]\ngroups = 0", "groups must lie in 1..2,147,483,647, got 0; leave it out for 2"),
        ("[data]\nlong_tail = 1.5", "long_tail must lie in 0..1, got 1.5; leave it out for 0.25"),
        ("[data]\ntasks = { sorting = 1 }\nstarts = { recall = 5 }", "'recall' is not in data.tasks"),
        ("[data]\ntasks = { sorting = 1 }\nstarts = { sorting = 5 }", "no task for the first step"),
        (
            "[data]\ntasks = { sorting = 1 }\nstarts = { sorting = 'late' }",
            "data.starts: 'sorting' must be a whole number, got 'late'",
        ),
        (
            "[data]\ntasks = { sorting = 1 }\nstarts = { sorting = -5 }",
            "data.starts: 'sorting' must lie in 0..2,147,483,647, got -5",
        ),
        ("[data]\npool = 0", "data.pool must lie in 1..2,147,483,647, got 0; leave it out for 1"),
        ("log_every = 0", "log_every must lie in 1..2,147,483,647, got 0; leave it out for 20"),
        ("evaluate_every = 0", "evaluate_every must lie in .*, got 0"),
        ("save_every = true", "save_every must be a whole number, got True"),
        ("seed = 100_000_000_000_000", "seed must lie in 0..2,147,483,647, got 100000000000000"),
        ("init = 5", "init must be text, got 5; leave it out"),
        ("model = 5", "model must be a table, got 5; leave it out"),
        ("name = { first = 1 }", "name must be text"),
        ("[model]\nn_heads = 0", "model.n_heads must lie in .*, got 0; leave it out for 6"),
        ("[model]\nvocab_size = 299", "vocab_size must lie in 300.*, got 299"),
        ("[model]\nattention = 'block_causal'\nblock_size = '8'", "block_size must be a whole number, got '8'"),
        ("[model]\nattention = 'block_causal'\nblock_size = 0", "block_size must lie in .*, got 0"),
        ("[model]\nblock_size = 8", "got 8, 'full'"),
        ("[optimisation]\nlearning_rate = nan", "learning_rate must lie in .*, got nan; leave it out for 0.002"),
        ("[optimisation]\nclip = -1", "clip must lie in .*, got -1"),
        ("[optimisation]\ntokens_per_step = -5", "tokens_per_step must lie in .*, got -5"),
        ("[optimisation]\nema = 1.0", "ema must lie in 0..0.999999, got 1.0"),
        ("[optimisation]\nschedule = 'steep'", "schedule must be wsd, cosine, got 'steep'; leave it out for 'wsd'"),
        (f"seed = {'9' * 5000}", "cannot read"),
        (f"name = {'[' * 5000}", "cannot read"),
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


@pytest.mark.parametrize(
    "path", sorted(Path(str(files("remask.training") / "configs")).glob("*.toml")), ids=lambda path: path.stem
)
def test_every_configuration_of_the_package_loads(path: Path) -> None:
    assert load(path).name == path.stem


# What a kill leaves


def put(folder: Path, step: int, *, cut: str = "") -> None:
    """A state of this step, or what is left of it once the file `cut` is gone or shortened."""
    folder.mkdir(parents=True)
    save_file({"model.weight": torch.full((64,), float(step))}, folder / "state.safetensors")
    (folder / "state.json").write_text(json.dumps({"step": step, "seconds": 1.5, "config": {}}))
    if cut == "gone":
        (folder / "state.safetensors").unlink()
    elif cut:
        whole = (folder / cut).read_bytes()
        (folder / cut).write_bytes(whole[: len(whole) // 2])


def left_in(run: Path) -> dict[str, int]:
    """Every folder of `run`, with the step of its state."""
    return {path.name: json.loads((path / "state.json").read_text())["step"] for path in run.iterdir()}


def test_the_furthest_whole_state_is_taken_up_whatever_its_name(tmp_path: Path) -> None:
    put(tmp_path / ".state.aaaaaaaa.part" / "old" / "xx" / "state", 400)
    (tmp_path / ".state.zzzzzzzz.part" / "new").mkdir(parents=True)
    put(tmp_path / ".state.aaaaaaaa.part" / "whole" / "state", 600)
    put(tmp_path / ".state.cccccccc.part" / "new" / "state", 800, cut="state.safetensors")
    put(tmp_path / ".state.dddddddd.part" / "new" / "state", 800, cut="state.json")
    put(tmp_path / ".state.eeeeeeee.part" / "new" / "state", 800, cut="gone")
    assert recover(tmp_path) and left_in(tmp_path) == {"state": 600}
    assert load_file(tmp_path / "state" / "state.safetensors")["model.weight"].unique() == 600


def test_a_second_training_in_the_same_folder_is_refused_and_the_first_goes_on(folder: Path) -> None:
    (folder / "tiny.toml").write_text(SHORT)
    config = load(folder / "tiny.toml")
    first = execute(config, folder / "shared", torch.device("cpu"))
    assert next(first)
    with pytest.raises(UsageError, match="another training is writing into"):
        next(execute(config, folder / "shared", torch.device("cpu")))
    assert list(first) and step_in(folder / "shared" / "state") == config.optimisation.steps
    assert list(execute(config, folder / "shared", torch.device("cpu"))) == []


def test_what_kills_left_beside_a_good_state_is_deleted(tmp_path: Path) -> None:
    put(tmp_path / "state", 600)
    put(tmp_path / ".state.aaaaaaaa.part" / "old" / "xx" / "state", 400)
    put(tmp_path / ".state.bbbbbbbb.part" / "new" / "state", 800, cut="state.safetensors")
    (tmp_path / ".checkpoint.cccccccc.part" / "new").mkdir(parents=True)
    assert recover(tmp_path) and left_in(tmp_path) == {"state": 600}


@pytest.mark.parametrize("cut", ["", "state.json"])
def test_a_state_that_is_broken_or_behind_gives_way(tmp_path: Path, cut: str) -> None:
    put(tmp_path / "state", 400, cut=cut)
    put(tmp_path / ".state.bbbbbbbb.part" / "whole" / "state", 600)
    assert recover(tmp_path) and left_in(tmp_path) == {"state": 600}


def test_without_a_whole_state_a_run_begins_from_the_start_or_says_why_not(tmp_path: Path) -> None:
    put(tmp_path / ".state.bbbbbbbb.part" / "new" / "state", 200, cut="state.safetensors")
    assert not recover(tmp_path) and left_in(tmp_path) == {}
    put(tmp_path / "state", 200, cut="state.safetensors")
    with pytest.raises(UsageError, match="state cannot be read; delete it to begin from the start"):
        recover(tmp_path)
    assert left_in(tmp_path) == {"state": 200}


class Killed(BaseException):
    """The process is gone."""


def test_a_kill_before_or_after_any_change_of_a_folder_loses_one_interval_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two kills: one while the state of step 600 replaces that of 400, one while recovering from it."""
    calls = 0

    def until(limit: int, work: Callable[[], object]) -> bool:
        """Whether `work` ended within `limit` changes of folders; from then on none happens, as after a kill."""
        nonlocal calls
        calls = 0

        def counted(change: Callable[..., Any]) -> Callable[..., Any]:
            def run(*args: Any, **options: Any) -> Any:
                nonlocal calls
                calls += 1
                if calls > limit:
                    raise Killed
                return change(*args, **options)

            return run

        with monkeypatch.context() as patch:
            for module, name in ((os, "rename"), (os, "unlink"), (os, "rmdir"), (os, "mkdir"), (os, "replace")):
                patch.setattr(module, name, counted(getattr(module, name)))
            try:
                work()
            except Killed:
                return False
        return True

    model = torch.nn.Linear(4, 4)
    for first in range(40):
        run = tmp_path / str(first)
        run.mkdir()
        TrainingState(model, {}, [], 400).save(run, {})
        done = until(first, lambda run=run: TrainingState(model, {}, [], 600).save(run, {}))  # type: ignore[misc]
        for second in range(40):
            copy = tmp_path / f"{first}-{second}"
            shutil.copytree(run, copy)
            again = until(second, lambda copy=copy: recover(copy))  # type: ignore[misc]
            found = TrainingState(model, {}, [])
            assert found.load(copy, {}) and found.step in ((600,) if done else (400, 600))
            assert [path.name for path in copy.iterdir()] == ["state"]
            if again:
                break
        if done:
            return
    raise AssertionError("saving takes more changes than were tried")


@pytest.mark.parametrize(("broken", "loss"), [(3, r"\d\.\d+"), (2, "nan")])
def test_weights_that_are_not_finite_never_replace_the_state(
    folder: Path, monkeypatch: pytest.MonkeyPatch, broken: int, loss: str
) -> None:
    rate = loop.rate_at
    monkeypatch.setattr(
        loop, "rate_at", lambda how, step, share: rate(how, step, share) if step < broken else float("nan")
    )
    (folder / "tiny.toml").write_text(CONFIG.replace("log_every = 1", "log_every = 50"))
    message = f"step 4: the loss is {loss} and .* learning_rate below 0.002 .*state still holds step 2"
    with pytest.raises(RemaskError, match=message) as refused:
        list(execute(load(folder / "tiny.toml"), folder / "straight", torch.device("cpu")))
    assert "\n" not in str(refused.value) and step_in(folder / "straight" / "state") == 2
    assert all(t.isfinite().all() for t in load_file(folder / "straight" / "state" / "state.safetensors").values())
