"""Write the goldens of LLaDA: what the authors' generate.py decides, step by step, on each checkpoint of the tests.

    python -m tests.golden.make.llada DIR     DIR: a checkout of github.com/ML-GSAI/LLaDA

Then `python -m tests.golden.make.report` compares, and mends the tables of docs/golden.md.
"""

import argparse
import math
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from remask.checkpoint import Description
from tests.golden.make.checkpoints import checkpoint
from tests.golden.make.golden import digest, first_forbidden, golden, write
from tests.golden.make.oracle import THEIR_EOS, THEIR_EOT, Oracle, Reference, Run, Scores, Taken
from tests.helpers.goldens import FOLDERS, GOLDEN

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


# --- what is written ---


def runs(
    name: str, described: Description, checkout: Path, asked: Iterable[tuple[Case, list[list[int]]]]
) -> dict[str, Any]:
    """The golden of one checkpoint: each case on its prompts, as the checkout's generate.py decides it."""
    revision, source = commit(checkout), checkout / "generate.py"
    (eot,) = described.text.eot_ids
    config = described.config
    oracle = Oracle(source, Reference(described.folder), config.mask_id, config.eos_ids[0], eot)
    stored = []
    for case, prompts in asked:
        print(f"\r{name} {case.name:40}", end="", file=sys.stderr, flush=True)
        stored.append(record(oracle, described, case, prompts))
    print(file=sys.stderr)
    reference = {
        "repository": "https://github.com/ML-GSAI/LLaDA",
        "commit": revision,
        "generate.py": digest(source.read_bytes()),
    }
    patched = {
        "topk": "stable, ties to the lower position",
        "ids": {THEIR_EOS: oracle.eos_id, THEIR_EOT: oracle.eot_id},
        "rand": {"(a*step + b*position + c) mod m / m": TABLE},
    }
    return golden(name, described, reference, stored, patched=patched, cfg_without_attention_mask=crash(oracle))


def record(oracle: Oracle, described: Description, case: Case, prompts: list[list[int]]) -> dict[str, Any]:
    """One case: the authors' run, and how many rows their run with torch's own top-k agrees on."""
    longest = max(map(len, prompts))
    pads = [longest - len(prompt) for prompt in prompts]
    padded = torch.tensor([[described.config.pad_id] * pad + p for pad, p in zip(pads, prompts, strict=True)])
    mask = torch.tensor([[0] * pad + [1] * (longest - pad) for pad in pads]) if case.attention_mask else None
    scores = table(pads) if case.remasking == "random" else None
    run = oracle.run(padded, case.options, mask, scores=scores)
    plain = oracle.run(padded, case.options, mask, scores=scores, stable=False)
    endings = [oracle.eos_id, oracle.eot_id] if case.confidence_eos_eot_inf else []
    rows = []
    for row, (prompt, pad) in enumerate(zip(prompts, pads, strict=True)):
        steps = [committed(run, step, row, pad) for step in range(len(run.steps))]
        rows.append(
            {
                "prompt": prompt,
                "steps": steps,
                "gaps": [gap(taken, row, endings) for taken in run.steps],
                "final": run.canvases[-1][row, longest:].tolist(),
                "forbidden": first_forbidden(described, steps),
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, metavar="DIR", help="a checkout of github.com/ML-GSAI/LLaDA")
    parser.add_argument("--out", type=Path, default=GOLDEN, metavar="DIR", help="where to write (tests/golden)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in FOLDERS:
        made = checkpoint(name)
        asked = ((case, made.prompts(made.described, case.prompts, i)) for i, case in enumerate(cases()))
        write(arguments.out / f"{name}.json", runs(name, made.described, arguments.checkout, asked))


if __name__ == "__main__":
    main()
