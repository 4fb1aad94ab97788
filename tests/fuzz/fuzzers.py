"""What is fuzzed, by name."""

import json
import os
import shlex
import shutil
from importlib.resources import files
from pathlib import Path
from random import Random

import remask
from remask.decoding.recipe import Recipe
from remask.engine.handle import Handle
from remask.training import tokenizer as bpe
from remask.training.config import Mixture
from tests.fuzz import checkpoints
from tests.fuzz.calls import CALLS
from tests.fuzz.harness import Case, Fuzzer, command
from tests.fuzz.mutation import altered, damaged, of_lines, reworded, written
from tests.helpers.data import TINY_LLADA

RUN = ("run", "Sort 3 1 2.", "--gen-length", "8", "--steps", "4", "-q")
TINY = """
name = "tiny"
seed = 3
save_every = 1
log_every = 1
evaluate_every = 10

[model]
vocab_size = 320
d_model = 32
n_layers = 2
n_heads = 2
d_ff = 64
max_positions = 128
rope_theta = 100.0
attention = "full"

[optimisation]
steps = 2
tokens_per_step = 128
learning_rate = 0.002
warmup = 1
schedule = "wsd"
ema = 0.5

[data]
groups = 1
longest_canvas = 48
tasks = { sorting = 1 }
starts = { sorting = 0 }
"""


def requests(home: Path) -> Case:
    """Calls of the Python surface."""
    llm = remask.load(TINY_LLADA, device="cpu")
    calls = [CALLS[name] for name in (*CALLS, *12 * ("options",), *3 * ("infill", "score", "continuation"))]

    def case(random: Random) -> None:
        try:
            random.choice(calls)(llm, random)
        finally:
            assert not llm.engine.live and not llm.engine.waiting

    return case


def traces(home: Path) -> Case:
    """Traces: looked at, written as a page, a picture and canvases, and forked."""
    llm = remask.load(TINY_LLADA, device="cpu")
    originals: list[list[str]] = []

    def recorded(handle: Handle) -> Handle:
        path = home / f"{len(originals)}.jsonl"
        remask.record(handle, path).result()
        originals.append(path.read_text(encoding="utf-8").splitlines())
        return handle

    first = recorded(llm.submit("Sort 3 1 2.", gen_length=8, steps=4, temperature=0.7, candidates=2))
    hole = int(first.origin().given.sum()) + 2
    fast = recorded(llm.submit("Sort 3 1 2.", gen_length=8, recipe="fast"))
    recorded(llm.fork(fast, 1, ban={hole: "1"}))
    changed = home / "changed.jsonl"

    def case(random: Random) -> None:
        lines = of_lines(random, random.choice(originals), lambda line: written(altered(random, json.loads(line))))
        data = ("\n".join(lines) + "\n").encode("utf-8", "surrogatepass")
        changed.write_bytes(data if random.random() < 0.85 else damaged(random, data))
        look = random.choice(["view", "view --json", "view --step 1", "view --html v.html", "export -o v.svg"])
        command("trace", *look.split(), changed)
        if random.random() < 0.5:
            llm.fork(changed, 1, set={hole: "1"}).result()

    return case


def records(home: Path) -> Case:
    """Records of measurements, from which the same commands go on."""
    text = home / "text.txt"
    text.write_text("The cat sat on the mat. " * 20)
    work = {
        "eval.jsonl": "eval sorting -n 2 --gen-length 4 --out {}",
        "drift.jsonl": "drift hi --recipe fast --gen-length 4 --out {}",
        "kv.jsonl": "eval kv -n 1 --lengths 0.25x,0.5x -o {}",
        "ppl.jsonl": f"eval ppl --data {text} --documents 1 --length 32 --block 8 --samples 1 -o {{}}",
        "bench.jsonl": "bench llada -n 1 --rounds 1 --timed 1 --gen-length 4 -o {}",
    }
    work = {name: line for name, line in work.items() if name in ("eval.jsonl", "drift.jsonl")} | {
        f"{name[:-6]}/record.jsonl": line.replace("{}", name[:-6])
        for name, line in work.items()
        if name not in ("eval.jsonl", "drift.jsonl")
    }
    lines = {}
    for name, line in work.items():
        command(*line.format(name).split(), "-m", TINY_LLADA)
        lines[name] = (home / name).read_text(encoding="utf-8").splitlines()

    def case(random: Random) -> None:
        name = random.choice(list(work))
        mutant = of_lines(random, lines[name], lambda line: written(altered(random, json.loads(line))))
        data = ("\n".join(mutant) + "\n" * random.choice([0, 1, 1, 1])).encode("utf-8", "surrogatepass")
        (home / name).write_bytes(data if random.random() < 0.85 else damaged(random, data))
        if name == "kv/record.jsonl" and random.random() < 0.5:
            command("eval", "compare", name)
        command(*work[name].format(name).split(), "-m", TINY_LLADA)

    return case


def training_states(home: Path) -> Case:
    """Folders of training runs, which go on."""
    (home / "tiny.toml").write_text(TINY)
    whole, run = home / "whole", home / "run"
    whole.mkdir()
    bpe.build(320, Mixture(), None, examples_per_task=20).save(str(whole / "tokenizer.json"))
    command("train", "-c", "tiny.toml", "-o", whole, "--steps", 1)
    said = json.loads((whole / "state" / "state.json").read_text())
    said["config"]["optimisation"]["steps"] = 2  # as if it had been killed after the first step
    (whole / "state" / "state.json").write_text(json.dumps(said))
    shutil.rmtree(whole / "checkpoint")

    def case(random: Random) -> None:
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(whole, run)
        names = ("state/state.json", "state/state.json", "state/state.safetensors", "metrics.jsonl", "tokenizer.json")
        path = run / random.choice(names)
        path.write_bytes(checkpoints.changed(random, path))
        if random.random() < 0.05 and path.name != "tokenizer.json":  # which would be made anew, in many seconds
            path.unlink()
        command("train", "-c", "tiny.toml", "-o", run)

    return case


def toml(home: Path) -> Case:
    """Recipes, training configurations and remask.toml."""
    recipes = [_shipped("remask.decoding", f"recipes/{name}.toml") for name in Recipe.shipped()]
    trainings = [TINY, _shipped("remask.training", "configs/bundled.toml")]
    own = f'model = "{TINY_LLADA}"\nrecipe = "fast"\ndevice = "cpu"\ndtype = "float32"\nthreads = 1\n'
    words = (
        "true",
        "[]",
        "{}",
        '"off"',
        '"x"',
        "[1, 2]",
        "{ by = 3 }",
        "\n",
        '"' * 3,
        "1979-05-27",
        "é",
        "\x1b",
        "[a]\n",
    )
    words += ("threshold", "top_k", "steps", "length", '"top_k"', "inf", "-1", "0x10", "[[a]]\n", ".", "=")
    llm = remask.load(TINY_LLADA, device="cpu")

    def recipe(text: str) -> None:
        _write(home / "recipe.toml", text)
        llm.generate("Sort 3 1 2.", recipe="recipe.toml", gen_length=8)
        command("recipes", "show", "recipe.toml")

    def training(text: str) -> None:
        _write(home / "train.toml", text)
        from remask.training.config import load

        load(home / "train.toml")

    def settings(text: str) -> None:
        _write(home / "remask.toml", text)
        try:
            command("config")
            command(*RUN)
        finally:
            (home / "remask.toml").unlink()

    def case(random: Random) -> None:
        originals, use = random.choice([(recipes, recipe), (recipes, recipe), (trainings, training), ([own], settings)])
        text = random.choice(originals)
        for _ in range(random.choice([1, 1, 1, 2])):
            text = reworded(random, text, words)
        use(text)

    return case


def _shipped(package: str, name: str) -> str:
    return files(package).joinpath(name).read_text(encoding="utf-8")


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", errors="surrogatepass")


LINES = """
run "Sort 3 1 2." --gen-length 4 --steps 2
run --raw "Once upon" --gen-length 8 --recipe fast --seed 3 -q
run "Sort 3 1 2." --temperature 0.7 --top-p 0.9 --set cache=dual --json
run a b c --gen-length 4 --trace new.jsonl
run --prompts prompts.txt --gen-length 4 --steps 2
infill "The {{1}} sat on the {{2}}." --seed 1
chat --gen-length 4 --steps 2
explain hi --gen-length 2 --html page.html
explain hi --gen-length 2 --svg page.svg
examples bundled-blockwise
trace view run.jsonl --step 1
trace view run.jsonl --json
trace view run.jsonl --html page.html
trace export run.jsonl -o out.svg
trace export run.jsonl -o out.json
eval sorting -n 1 --gen-length 4 --out eval.jsonl --json
eval tasks sorting sudoku4 -n 1 --gen-length 4
eval kv -n 1 --lengths 0.25x --json
eval ppl --data text.txt --documents 1 --length 32 --block 8 --samples 1
eval bits-per-byte --data text.txt
eval compare kv/record.jsonl
bench llada fast -n 1 --rounds 1 --timed 1 --gen-length 4 --json
drift hi --recipe fast --gen-length 4 --json
models list
models show tiny --json
models convert tiny copy
models convert tiny copy.gguf --dtype float16
recipes list
recipes show fast
recipes show llada+cache=dual
plan -m tiny --context 128 --rows 2
doctor
config
train -c tiny.toml -o trained --steps 1 --threads 1
--version
--help
""".strip().splitlines()
WORDS = (
    "", "x", "--", "-", "é", "\udce9", "a\x1b[2Jb", "a=b", "no/x", "0", "-1", "1", "2", "3", "0.5", "nan", "1e999",
    "auto", "x" * 3000, "{{1}}", "{{", "tiny", "run.jsonl", "text.txt", ".", "cache=dual", "steps=2", "[bold]", "\0",
    "select.threshold=0.8",
    "llada+cache=dual", "yarn:2", "--json", "--html", "-o", "-m", "--help", "--raw", "--seed", "--set", "--recipe",
    "--rope", "--dtype", "--device", "cuda:9", "int8", "--quantize", "--threads", "--trace", "--overwrite", "--debug-",
    "--gen-length", "--steps", "--stop", "--suppress", "--blok", "--temperature", "--system", "%s",
)  # fmt: skip
OPTIONS = (
    "--seed 3", "--threads 1", "--device cpu", "--dtype float32", "--recipe llada", "--set select=threshold", "--json",
    "-q", "--gen-length 6", "--steps 3", "-m tiny", "--temperature 0.5", "--overwrite", "--help",
)  # fmt: skip


def command_lines(home: Path) -> Case:
    """What may be typed, with a word that is another."""
    whole, here = home / "whole", home / "here"
    whole.mkdir()
    shutil.copytree(TINY_LLADA, whole / "tiny")
    (whole / "text.txt").write_text("The cat sat on the mat. " * 20)
    (whole / "prompts.txt").write_text("Sort 3 1 2.\nSort 2 1.\n")
    (whole / "tiny.toml").write_text(TINY)
    (whole / "trained").mkdir()
    bpe.build(320, Mixture(), None, examples_per_task=20).save(str(whole / "trained" / "tokenizer.json"))
    os.environ["REMASK_MODEL"] = TINY_LLADA
    os.chdir(whole)
    command(*RUN, "--trace", "run.jsonl")
    command("eval", "kv", "-n", "1", "--lengths", "0.25x", "-o", "kv")
    lines = [shlex.split(line) for line in LINES]

    def case(random: Random) -> None:
        os.chdir(home)
        shutil.rmtree(here, ignore_errors=True)
        shutil.copytree(whole, here)
        os.chdir(here)
        words = list(random.choice(lines))
        for _ in range(random.choice([0, 1, 1, 1])):
            at = random.randrange(len(words) + 1)
            match random.randrange(7):
                case 0:
                    words[at : at + 1] = [random.choice(WORDS)]
                case 1:
                    words.insert(at, random.choice(WORDS))
                case 2:
                    words[at : at + 1] = []
                case 3:
                    words.insert(at, random.choice(random.choice(lines)))
                case _:
                    words.extend(random.choice(OPTIONS).split())
        command(*words, stdin=random.choice(["", "Sort 3 1 2.\n", "/set steps x\n/bye\n", "\udce9\n"]))

    return case


FUZZERS: dict[str, Fuzzer] = {
    "requests": requests,
    "checkpoints": checkpoints.fuzzer,
    "traces": traces,
    "records": records,
    "training states": training_states,
    "TOML": toml,
    "command lines": command_lines,
}
COUNTS: dict[str, tuple[int, int]] = {  # of cases in each run of the tests, and in a slow one
    "requests": (300, 10_000),
    "checkpoints": (60, 3_000),
    "traces": (60, 2_000),
    "records": (10, 300),
    "training states": (12, 300),
    "TOML": (60, 1_000),
    "command lines": (30, 600),
}
