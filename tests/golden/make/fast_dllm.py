"""Write the goldens of Fast-dLLM: what the authors' three loops commit, step by step, on each checkpoint of the tests.

    python -m tests.golden.make.fast_dllm DIR     DIR: a clone of github.com/NVlabs/Fast-dLLM

Their generate.py runs on the reference forward of `oracle.py`, and is watched.
Nothing of theirs is kept here. Their source is read from a clone and compiled with stand-ins for the modules that its
main() imports; what their rule of selection is given and returns is written down.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Literal, NamedTuple
from unittest.mock import patch

import torch
from torch import Tensor

from remask.checkpoint import Description
from tests.golden.make.checkpoints import checkpoint
from tests.golden.make.golden import digest, first_forbidden, golden, write
from tests.golden.make.oracle import Reference
from tests.helpers.goldens import FOLDERS, GOLDEN

REPOSITORY = "https://github.com/NVlabs/Fast-dLLM"
PATH = "llada/generate.py"
LATEST = "af42f511f705a2db0d16aa63ebcfcbc26f29181d"  # their main branch in January 2026
FIRST = "24cc59e75f20a6384bae8c905965bb090b96388e"  # their main branch in June 2025: no factor rule yet
LOOPS = {"none": "generate", "prefix": "generate_with_prefix_cache", "dual": "generate_with_dual_cache"}
RULES = ("get_transfer_index", "get_transfer_index_dynamic")

Cached = Literal["none", "prefix", "dual"]


class Case(NamedTuple):
    """One call of one of the three loops, with a threshold, a factor, or neither: then `steps` share the tokens."""

    cache: Cached
    gen_length: int
    block_length: int
    steps: int
    threshold: float | None = None
    factor: float | None = None

    @property
    def name(self) -> str:
        """What tells the case apart."""
        how = f"{self.steps} steps"
        if self.threshold is not None:
            how = f"threshold {self.threshold:g}"
        elif self.factor is not None:
            how = f"factor {self.factor:g}"
        return f"{self.cache} {self.gen_length}/{self.block_length} {how}"


def cases() -> Iterator[Case]:
    """Every cache with every rule, over three shapes; low thresholds so that models with random weights pass them."""
    for cache in ("none", "prefix", "dual"):
        for length, block in ((16, 8), (32, 32), (64, 16)):
            for threshold in (0.9, 0.5, 0.1):
                yield Case(cache, length, block, length, threshold=threshold)
            for factor in (1.0, 1.5):
                yield Case(cache, length, block, length, factor=factor)
            yield Case(cache, length, block, length // 4)


class Taken(NamedTuple):
    """What one forward committed: (position, token) pairs; its deciding gap; the token too many, if there is one."""

    made: list[list[int]]
    gap: float | None
    surplus: int | None  # position


class Stuck(Exception):
    """Their loop does not end: a [MASK] that is "committed" is a [MASK] still."""


class FastDLLM:
    """The authors' three loops on one checkpoint, as their repository had them at `commit`."""

    def __init__(self, clone: Path, commit: str, model: Reference, mask_id: int) -> None:
        self.source, self.model, self.mask_id = read(clone, commit), model, mask_id
        self.has_factor = RULES[1] in self.source

    def run(self, prompt: list[int], case: Case) -> list[Taken]:
        """One row, greedily: what each forward committed, until the row is full or does not move any more."""
        taken: list[Taken] = []
        offset = 0

        def model(tokens: Tensor, past_key_values: Any = None, **options: Any) -> SimpleNamespace:
            nonlocal offset
            if len(taken) > 3 * case.gen_length:
                raise Stuck
            replaced = options.get("replace_position")
            past = 0 if past_key_values is None else past_key_values[0][0].shape[2]
            offset = past if replaced is None else int(replaced[0].nonzero()[0])
            return self.model(tokens, past_key_values=past_key_values, **options)

        def watched(rule: Callable[..., tuple[Tensor, Tensor]]) -> Callable[..., tuple[Tensor, Tensor]]:
            def choose(logits: Tensor, *rest: Any, **named: Any) -> tuple[Tensor, Tensor]:
                candidates = rest[2][0].clone()
                guess, chosen = rule(logits, *rest, **named)
                taken.append(look(logits[0], guess[0], candidates, chosen[0], case, offset))
                return guess, chosen

            return choose

        model.device = self.model.device  # type: ignore[attr-defined]
        namespace = self._compile()
        namespace.update({name: watched(namespace[name]) for name in RULES if name in namespace})
        options: dict[str, Any] = {"threshold": case.threshold}
        if case.factor is not None:
            options["factor"] = case.factor
        try:
            namespace[LOOPS[case.cache]](
                model, torch.tensor([prompt]), steps=case.steps, gen_length=case.gen_length,
                block_length=case.block_length, temperature=0.0, mask_id=self.mask_id, **options,
            )  # fmt: skip
        except (Stuck, IndexError):  # a schedule that runs out over such a [MASK] is an IndexError
            assert any(token == self.mask_id for one in taken for _, token in one.made), "their loop broke otherwise"
        return taken

    def _compile(self) -> dict[str, Any]:
        unused = {name: ModuleType(name) for name in ("transformers", "model", "model.modeling_llada")}
        unused["transformers"].__dict__.update(AutoTokenizer=None, AutoModel=None)
        unused["model.modeling_llada"].__dict__.update(LLaDAModelLM=None)
        namespace: dict[str, Any] = {"__name__": "fast_dllm_reference"}
        with patch.dict(sys.modules, unused):
            exec(compile(self.source, PATH, "exec"), namespace)
        return namespace


def look(logits: Tensor, guess: Tensor, candidates: Tensor, chosen: Tensor, case: Case, offset: int) -> Taken:
    """One decision over W rows: logits (W, V), the others (W,)."""
    at = chosen.nonzero().flatten()
    made = [[offset + int(i), int(guess[i])] for i in at]
    if not len(at):
        return Taken([], None, None)
    best = logits[at].topk(2).values
    gaps = best[:, 0] - best[:, 1]
    confidence = logits.double().softmax(-1).amax(-1)
    ordered, order = confidence.masked_fill(~candidates, -torch.inf).sort(descending=True, stable=True)
    ordered, count = ordered[: int(candidates.sum())], len(at)
    surplus = None
    if case.threshold is not None:
        bounds = torch.full_like(ordered, case.threshold)
    elif case.factor is not None:
        bounds = 1 - case.factor / torch.arange(2, len(ordered) + 2).double()
        if count == len(ordered) > 1 and ordered[-1] < bounds[-1]:
            surplus = offset + int(order[count - 1])
    else:
        bounds = ordered.new_empty(0)
    by_rank = case.threshold is None or count == 1  # else who leaves does not hang on the order
    cut = ordered[count - 1 : count + 1].diff().abs() if by_rank else ordered[:0]
    test = (ordered - bounds).abs()[1:] if len(bounds) else ordered[:0]  # the first leaves in any case
    least = float(torch.cat((gaps.double(), cut, test)).min())
    return Taken(made, float(f"{least:.3g}"), surplus)


def read(clone: Path, commit: str) -> str:
    """Their generate.py as it was at `commit`."""
    command = ["git", "-C", str(clone), "show", f"{commit}:{PATH}"]
    try:
        return subprocess.run(command, check=True, capture_output=True).stdout.decode()
    except (OSError, subprocess.CalledProcessError):
        raise SystemExit(f"{clone} does not hold commit {commit[:7]}; clone {REPOSITORY} and name the folder") from None


# --- what is written ---


def runs(name: str, described: Description, clone: Path, asked: Iterable[tuple[Case, list[int]]]) -> dict[str, Any]:
    """The golden of one checkpoint: each case on its prompt, as their loops decide it."""
    network, mask_id = Reference(described.folder), described.config.mask_id
    latest, first = (FastDLLM(clone, commit, network, mask_id) for commit in (LATEST, FIRST))
    stored = []
    for case, prompt in asked:
        print(f"\r{name} {case.name:40}", end="", file=sys.stderr, flush=True)
        stored.append(record(latest, first, described, case, prompt))
    print(file=sys.stderr)
    reference = {
        "repository": REPOSITORY,
        "commit": LATEST,
        "first_release": FIRST,
        "generate.py": digest(latest.source.encode()),
    }
    return golden(name, described, reference, stored)


def record(latest: FastDLLM, first: FastDLLM, described: Description, case: Case, prompt: list[int]) -> dict[str, Any]:
    """One case: their run, and whether the first release's commits the same (it takes more forwards)."""
    taken = latest.run(prompt, case)
    earlier = [] if case.factor is not None and not first.has_factor else first.run(prompt, case)
    steps = [one.made for one in taken]
    barred = first_forbidden(described, steps)
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clone", type=Path, metavar="DIR", help="a clone of github.com/NVlabs/Fast-dLLM")
    parser.add_argument("--out", type=Path, default=GOLDEN, metavar="DIR", help="where to write (tests/golden)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in FOLDERS:
        made = checkpoint(name)
        asked = ((case, made.prompts(made.described, 1, i)[0]) for i, case in enumerate(cases()))
        write(arguments.out / f"fast-dllm-{name}.json", runs(name, made.described, arguments.clone, asked))


if __name__ == "__main__":
    main()
