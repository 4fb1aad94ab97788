"""Write the golden traces: what the authors' generate.py decides, step by step, on three checkpoints.

    python tests/golden/make/llada.py --reference DIR     DIR: a checkout of github.com/ML-GSAI/LLaDA
    python tests/golden/make/llada.py --fast-dllm DIR     DIR: a clone of github.com/NVlabs/Fast-dLLM
    python tests/golden/make/llada.py --report            the tables of docs/golden.md, from what is stored

Run all three again whenever the bundled weights change; tests/test_golden.py says so when they have. The two random
checkpoints are made once and then kept: delete their folders to draw them anew.
"""

import argparse
import hashlib
import importlib.util
import json
import math
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import fast_dllm
import torch
from fast_dllm import FastDLLM
from oracle import THEIR_EOS, THEIR_EOT, Oracle, Reference, Run, Scores, Taken
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))

from remask.checkpoint import Description, inspect, save  # noqa: E402
from remask.models.config import ModelConfig  # noqa: E402
from remask.models.transformer import Transformer  # noqa: E402
from remask.tasks import TASKS, examples  # noqa: E402
from remask.text.tokenizer import Text  # noqa: E402

GOLDEN = ROOT / "tests" / "golden"
PAGE = ROOT / "docs" / "golden.md"
BUNDLED = ROOT / "remask" / "bundled"
# Every second is a story, where the model is unsure: a step that rounding decides proves nothing.
CHAT_TASKS = (
    *("arithmetic", "stories", "recall", "stories", "sorting", "stories"),
    *("extraction", "stories", "sudoku4", "stories", "sudoku6"),
)

# Injected scores of random remasking: (a·step + b·position + c) mod m, over m. Distinct along a row, exact in float32.
TABLE = {"a": 7_368_787, "b": 10_368_889, "c": 1_299_709, "m": 16_777_213}

# --- what is run ---


class Case(NamedTuple):
    """One call of the authors' `generate`; three prompts are padded on the left."""

    name: str
    gen_length: int
    block_length: int
    steps: int
    cfg_scale: float = 0.0
    prompts: int = 1
    attention_mask: bool = False
    logits_eos_inf: bool = False
    confidence_eos_eot_inf: bool = False
    remasking: str = "low_confidence"

    @property
    def options(self) -> dict[str, Any]:
        """What `generate` takes by name."""
        return {k: v for k, v in self._asdict().items() if k not in ("name", "prompts", "attention_mask")}


def cases() -> Iterator[Case]:
    """Lengths, blocks and steps; then guidance, padding, both EOS flags, and random remasking."""
    plain = [
        (8, 8, 8), (8, 4, 4), (8, 4, 2), (8, 8, 16),  # the last has steps that commit nothing
        (16, 16, 16), (16, 8, 8), (16, 4, 16), (16, 4, 4),
        (32, 32, 32), (32, 8, 16), (32, 16, 10), (32, 32, 8),  # 16 over 5 steps is uneven
        (64, 64, 32), (64, 16, 16), (64, 32, 32),
    ]  # fmt: skip
    for i, (length, block, steps) in enumerate(plain):
        yield Case(f"{length}/{block}/{steps}", length, block, steps, attention_mask=i % 3 == 2)
    for scale, length, block, steps in ((0.5, 16, 8, 16), (1.0, 32, 16, 16), (2.0, 32, 32, 8)):
        yield Case(f"{length}/{block}/{steps} cfg {scale:g}", length, block, steps, scale, attention_mask=True)
    for scale, length, block, steps in ((0.0, 16, 8, 16), (0.0, 32, 32, 32), (1.0, 32, 16, 8), (0.5, 64, 32, 16)):
        yield Case(f"{length}/{block}/{steps} cfg {scale:g} padded", length, block, steps, scale, 3, True)
    base = Case("", 32, 16, 16, attention_mask=True)
    yield base._replace(name="logits eos", logits_eos_inf=True)
    yield base._replace(name="confidence eos", confidence_eos_eot_inf=True)
    yield base._replace(name="confidence eos, whole", block_length=32, steps=8, confidence_eos_eot_inf=True)
    yield base._replace(name="both eos, cfg 1", cfg_scale=1.0, logits_eos_inf=True, confidence_eos_eot_inf=True)
    yield base._replace(name="confidence eos, padded", prompts=3, confidence_eos_eot_inf=True)
    yield base._replace(name="random", gen_length=16, block_length=8, remasking="random")
    yield base._replace(name="random, padded", prompts=3, remasking="random")


def chat_prompts(described: Description, prompts: int, index: int) -> list[list[int]]:
    """Prompts of the bundled tasks, through the chat template, each from another task."""
    found = []
    for row in range(prompts):
        task = TASKS[CHAT_TASKS[(index + row) % len(CHAT_TASKS)]]
        drawn = next(x for x in examples(task, "heldout", index) if x.prompt)
        found.append(described.text.encode(described.text.chat([{"role": "user", "content": drawn.prompt}])))
    return found


def random_prompts(described: Description, prompts: int, index: int) -> list[list[int]]:
    """Random words, of three lengths."""
    draw = random.Random(index)
    words = described.config.eos_ids[0] - 1
    lengths = draw.sample(range(4, 25), prompts)
    return [[draw.randrange(words) for _ in range(length)] for length in lengths]


# --- the random checkpoints ---

SCALE, ENDING = 3.0, 0.4  # standard deviation of logits; what a [MASK] adds to those of both endings, in such units
SEEDS = {"random-a": 2, "random-b": 3}  # chosen so that endings are common and forbidden ids rare
RANDOM = {
    "random-a": ModelConfig(
        family="llada", vocab_size=320, d_model=48, n_layers=2, n_heads=3, n_kv_heads=3, head_dim=16, d_ff=96,
        rope_theta=100.0, max_positions=256, eos_ids=(313,), mask_id=314, pad_id=313,
    ),  # four rows beyond the tokenizer
    "random-b": ModelConfig(
        family="llada", vocab_size=400, d_model=64, n_layers=3, n_heads=4, n_kv_heads=2, head_dim=16, d_ff=128,
        rope_theta=500.0, max_positions=256, eos_ids=(397,), mask_id=398, pad_id=397,
    ),
}  # fmt: skip


def draw_checkpoint(folder: Path, config: ModelConfig, seed: int) -> None:
    """Random weights that decide: sharp attention, logits of a few units, and endings that are guessed now and then.

    Ids are w0, w1, … then start, end, mask, end of turn; rows after these have no token.
    """
    generator = torch.Generator().manual_seed(seed)
    model = Transformer(config).requires_grad_(False)
    looked_at = (config.n_heads + config.n_kv_heads) * config.head_dim
    for name, weight in model.named_parameters():
        weight.normal_(generator=generator)
        if weight.ndim == 1:
            weight.mul_(0.1).add_(1)
        elif name != "embed.weight":
            weight.div_(weight.shape[1] ** 0.5)
        if name.endswith("qkv.weight"):
            weight[:looked_at].mul_(3)
    eos = config.eos_ids[0]
    eot = eos + 2
    model.unembed.weight[[eos, eot]] += model.embed.weight[config.mask_id] * ENDING / config.d_model**0.5
    model.unembed.weight.mul_(SCALE)
    special = {
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
        "mask_token": "<|mdm_mask|>",
    }
    names = [*(f"w{i}" for i in range(eos - 1)), "<|startoftext|>", "<|endoftext|>", "<|mdm_mask|>", "<|eot_id|>"]
    tokenizer = Tokenizer(models.WordLevel({name: i for i, name in enumerate(names)}, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(names[eos - 1 :])
    text = Text(tokenizer, eos_id=eos, mask_id=config.mask_id, special=special, eot="<|eot_id|>")
    save(folder, model, text, dtype=torch.float32, sampler={})


# --- what is written ---


def golden(name: str, folder: Path, reference: Path) -> dict[str, Any]:
    """The golden of one checkpoint: a header, and every case with its rows."""
    described, revision = inspect(folder), commit(reference)
    (eot,) = described.text.eot_ids
    source = reference / "generate.py"
    config = described.config
    oracle = Oracle(source, Reference(folder), config.mask_id, config.eos_ids[0], eot)
    asked = chat_prompts if folder == BUNDLED else random_prompts
    stored = []
    for index, case in enumerate(cases()):
        print(f"\r{name} {case.name:40}", end="", file=sys.stderr, flush=True)
        stored.append(record(oracle, described, case, asked(described, case.prompts, index)))
    print(file=sys.stderr)
    return {
        "format": "remask-golden",
        "version": 1,
        "checkpoint": name,
        "sha256": digest(folder / "model.safetensors"),
        "reference": {
            "repository": "https://github.com/ML-GSAI/LLaDA",
            "commit": revision,
            "generate.py": digest(source),
        },
        "torch": torch.__version__,
        "dtype": "float32",
        "patched": {
            "topk": "stable, ties to the lower position",
            "ids": {THEIR_EOS: oracle.eos_id, THEIR_EOT: oracle.eot_id},
            "rand": {"(a*step + b*position + c) mod m / m": TABLE},
        },
        "cfg_without_attention_mask": crash(oracle),
        "cases": stored,
    }


def fast_golden(name: str, folder: Path, clone: Path) -> dict[str, Any]:
    """The golden of one checkpoint under Fast-dLLM's loops."""
    described = inspect(folder)
    network, mask_id = Reference(folder), described.config.mask_id
    latest, first = (FastDLLM(clone, commit, network, mask_id) for commit in (fast_dllm.LATEST, fast_dllm.FIRST))
    asked = chat_prompts if folder == BUNDLED else random_prompts
    stored = []
    for index, case in enumerate(fast_dllm.cases()):
        print(f"\r{name} {case.name:40}", end="", file=sys.stderr, flush=True)
        (prompt,) = asked(described, 1, index)
        stored.append(fast_record(latest, first, described, case, prompt))
    print(file=sys.stderr)
    return {
        "format": "remask-golden",
        "version": 1,
        "checkpoint": name,
        "sha256": digest(folder / "model.safetensors"),
        "reference": {
            "repository": fast_dllm.REPOSITORY,
            "commit": fast_dllm.LATEST,
            "first_release": fast_dllm.FIRST,
            "generate.py": hashlib.sha256(latest.source.encode()).hexdigest(),
        },
        "torch": torch.__version__,
        "dtype": "float32",
        "cases": stored,
    }


def fast_record(
    latest: FastDLLM, first: FastDLLM, described: Description, case: fast_dllm.Case, prompt: list[int]
) -> dict[str, Any]:
    """One case: their run, and whether the first release's commits the same (it takes more forwards)."""
    taken = latest.run(prompt, case)
    earlier = [] if case.factor is not None and not first.has_factor else first.run(prompt, case)
    steps = [one.made for one in taken]
    forbidden = {latest.mask_id, *range(described.known_tokens, described.config.vocab_size)}
    barred = next((i for i, made in enumerate(steps) if any(token in forbidden for _, token in made)), None)
    end = None if barred is None else barred + 1
    return {
        "name": case.name,
        "params": case._asdict(),
        "first_release": None
        if not earlier
        else {
            "agrees": [one.made for one in earlier if one.made][:end] == [made for made in steps if made][:end],
            "forwards": len(earlier),
        },
        "rows": [
            {
                "prompt": prompt,
                "steps": steps[:end],
                "gaps": [one.gap for one in taken[:end]],
                "surplus": [one.surplus for one in taken[:end]],  # the token too many of the released factor rule
                "forbidden": barred,  # the first step that commits a forbidden id: the last one stored
            }
        ],
    }


def record(oracle: Oracle, described: Description, case: Case, prompts: list[list[int]]) -> dict[str, Any]:
    """One case: the authors' run, and how many rows their run with torch's own top-k agrees on."""
    longest = max(map(len, prompts))
    pads = [longest - len(prompt) for prompt in prompts]
    padded = torch.tensor([[described.config.pad_id] * pad + p for pad, p in zip(pads, prompts, strict=True)])
    mask = torch.tensor([[0] * pad + [1] * (longest - pad) for pad in pads]) if case.attention_mask else None
    scores = table(pads) if case.remasking == "random" else None
    run = oracle.run(padded, case.options, mask, scores=scores)
    plain = oracle.run(padded, case.options, mask, scores=scores, stable=False)
    forbidden = {oracle.mask_id, *range(described.known_tokens, described.config.vocab_size)}
    endings = [oracle.eos_id, oracle.eot_id] if case.confidence_eos_eot_inf else []
    rows = []
    for row, (prompt, pad) in enumerate(zip(prompts, pads, strict=True)):
        steps = [committed(run, step, row, pad) for step in range(len(run.steps))]
        barred = [i for i, made in enumerate(steps) if any(token in forbidden for _, token in made)]
        rows.append(
            {
                "prompt": prompt,
                "steps": steps,
                "gaps": [gap(taken, row, endings) for taken in run.steps],
                "final": run.canvases[-1][row, longest:].tolist(),
                "forbidden": barred[0] if barred else None,  # the first step that commits a forbidden id
            }
        )
    agree = (run.canvases[-1] == plain.canvases[-1]).all(1)
    return {
        "name": case.name,
        "params": {**case.options, "attention_mask": case.attention_mask},
        "unpatched_agrees": int(agree.sum()),
        "rows": rows,
    }


def committed(run: Run, step: int, row: int, pad: int) -> list[list[int]]:
    """[position, token] of what a step committed in a row; positions count from the row's own start."""
    before, after = run.canvases[step][row], run.canvases[step + 1][row]
    chosen = sorted(run.steps[step].chosen[row])
    assert set(torch.nonzero(before != after).flatten().tolist()) <= set(chosen), "a position changed unasked"
    return [[position - pad, int(after[position])] for position in chosen]


def gap(taken: Taken, row: int, endings: list[int]) -> float | None:
    """How far a step was from being decided otherwise: None if nothing could have been.

    The least of: top logit less the second, where a token was committed, and where `endings` rank last and one of
    the two is an ending; lowest confidence taken less the highest left.
    """
    confidence, chosen = taken.confidence[row], taken.chosen[row]
    if not chosen:
        return None
    candidates = confidence.isfinite()
    took = torch.zeros_like(candidates).index_fill(0, torch.tensor(chosen), True)
    torn = torch.isin(taken.guess[row], torch.tensor(endings)) != torch.isin(taken.rival[row], torch.tensor(endings))
    margins = taken.margin[row][took | (candidates & torn)]
    left = confidence[candidates & ~took]
    cut = confidence[took].min() - left.max() if len(left) else torch.tensor(math.inf)
    least = min(float(margins.min()), float(cut))
    return float(f"{least:.3g}") if math.isfinite(least) else None


def table(pads: list[int]) -> Scores:
    """The injected scores of rows that begin after `pads`."""
    start = torch.tensor(pads)[:, None]

    def scores(step: int, like: Tensor) -> Tensor:
        position = torch.arange(like.shape[1]) - start
        return (TABLE["a"] * step + TABLE["b"] * position + TABLE["c"]).remainder(TABLE["m"]).float() / TABLE["m"]

    return scores


def crash(oracle: Oracle) -> str:
    """What guidance without an attention mask raises: why every guided case has one."""
    try:
        oracle.run(torch.tensor([[0, 1]]), {"gen_length": 2, "block_length": 2, "steps": 2, "cfg_scale": 1.0})
    except UnboundLocalError as error:
        return type(error).__name__
    return "nothing"


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def commit(reference: Path) -> str:
    """The commit of the checkout; its generate.py must be the one of that commit."""

    def git(*command: str) -> bytes:
        return subprocess.run(["git", "-C", str(reference), *command], check=True, capture_output=True).stdout

    try:
        found, kept = git("rev-parse", "HEAD").decode().strip(), git("show", "HEAD:generate.py")
    except (OSError, subprocess.CalledProcessError):
        raise SystemExit(f"{reference} is no git checkout of ML-GSAI/LLaDA; clone it and name the folder") from None
    if kept != (reference / "generate.py").read_bytes():
        raise SystemExit(f"{reference}/generate.py differs from its commit {found}; restore it")
    return found


def write(path: Path, golden: dict[str, Any]) -> None:
    """JSON with a line for each row, so that a changed one shows as one line."""
    compact = json.JSONEncoder(separators=(",", ":")).encode
    lines = []
    for case in golden["cases"]:
        rows = ",\n  ".join(map(compact, case["rows"]))
        about = compact({k: v for k, v in case.items() if k != "rows"})
        lines.append(f'{about[:-1]},"rows":[\n  {rows}]}}')
    header = json.dumps({k: v for k, v in golden.items() if k != "cases"}, indent=1)
    path.write_text(header[:-2] + ',\n "cases":[\n' + ",\n".join(lines) + "]}\n", encoding="utf-8")


# --- the report ---


def report() -> Iterator[str]:
    """The tables of docs/golden.md: what is stored, and what this repository's sampler makes of it on this machine."""
    for name in ("test_golden", "test_fast_dllm"):
        spec = importlib.util.spec_from_file_location(name, ROOT / "tests" / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        yield tabulate(module.count_all())


def tabulate(counts: dict[str, dict[str, Any]]) -> str:
    """A column for each checkpoint, a line for each count."""
    names = list(counts)
    lines = ["| | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
    labels = dict.fromkeys(label for column in counts.values() for label in column)
    lines += [f"| {label} | " + " | ".join(str(counts[name][label]) for name in names) + " |" for label in labels]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, metavar="DIR", help="a checkout of github.com/ML-GSAI/LLaDA")
    parser.add_argument("--fast-dllm", type=Path, metavar="DIR", help="a clone of github.com/NVlabs/Fast-dLLM")
    parser.add_argument("--checkpoint", metavar="NAME", help="one of bundled, random-a, random-b; without it, all")
    parser.add_argument("--out", type=Path, default=GOLDEN, metavar="DIR", help="where to write (tests/golden)")
    parser.add_argument("--report", action="store_true", help="compare with what is stored; mend docs/golden.md")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.report:
        tables = list(report())
        told, page = iter(tables), PAGE.read_text(encoding="utf-8")
        mended = re.sub(r"(?s)\| \| .*?\n(?!\|)", lambda _: next(told) + "\n", page)
        PAGE.write_text(mended, encoding="utf-8")
        print("\n\n".join(tables))
        return
    if not (arguments.reference or arguments.fast_dllm):
        parser.error("--reference is missing; clone https://github.com/ML-GSAI/LLaDA and name the folder")
    for name, config in RANDOM.items():
        if not (arguments.out / name / "model.safetensors").exists():
            draw_checkpoint(arguments.out / name, config, SEEDS[name])
    folders = {"bundled": BUNDLED} | {name: arguments.out / name for name in RANDOM}
    for name in [arguments.checkpoint] if arguments.checkpoint else folders:
        for prefix, source, make in (
            ("", arguments.reference, golden),
            ("fast-dllm-", arguments.fast_dllm, fast_golden),
        ):
            if source is not None:
                began = time.perf_counter()
                path = arguments.out / f"{prefix}{name}.json"
                write(path, make(name, folders[name], source))
                print(f"{path}: {path.stat().st_size / 1000:.0f} kB in {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
