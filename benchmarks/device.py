"""What must hold on a device: decisions as on the CPU, and no question to it within a step. Parts of `gpu.py`."""

import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from common import Stopwatch, random_model

from remask import checkpoint
from remask.decoding.caches import Dual
from remask.decoding.canvas import Canvas
from remask.decoding.recipe import Recipe, Stop
from remask.engine.batch import Batch
from remask.engine.part import Part, partition
from remask.engine.requests import Step
from remask.engine.row import Row
from remask.engine.step import decide, denoise, prepare, step
from remask.engine.transfer import Tensors
from remask.models.config import ModelConfig, MoE
from remask.models.contract import Packed
from remask.models.predictor import MaskPredictor

DATA = Path(__file__).resolve().parents[1] / "tests" / "data"
TIE = 1e-5  # decisions that were nearer than this are rounding
TINY = ModelConfig("tiny", 64, 64, 2, 4, 4, 16, 128, max_positions=96, mask_id=63, eos_ids=(62,), editable=True)
Figures = dict[str, Any]


# --- steps ---


def batch_of(model: MaskPredictor, recipe: Recipe, prompts: Sequence[int], gen_length: int = 64) -> Batch:
    """A batch of rows with random prompts of these lengths."""
    batch, generator = Batch(model), torch.Generator().manual_seed(0)
    for seed, length in enumerate(prompts):
        tokens = torch.randint(0, model.contract.mask_id - 10, (length,), generator=generator).tolist()
        canvas = Canvas.after(tokens, gen_length, model.contract.mask_id)
        batch.admit(Row(canvas, recipe, model.contract, seed=seed))
    return batch


class Half(NamedTuple):
    """The device's half of a step: what `decide` takes, on the device."""

    packed: Packed
    parts: list[Part]
    inputs: list[Tensors]

    @classmethod
    def of(cls, batch: Batch) -> "Half":
        """Plan the next step of a batch and upload it."""
        plans = [row.plan() for row in batch.rows]
        parts = partition(batch.rows, plans)
        packed, inputs = prepare(batch, batch.rows, plans, parts)
        return cls(packed, parts, inputs)


def advance(batch: Batch) -> None:
    """Take a step; rows that end leave."""
    step(batch)
    for row in [row for row in batch.rows if row.finish_reason]:
        batch.evict(row)


# --- decisions ---


def decisions(watch: Stopwatch) -> Iterator[tuple[str, Figures]]:
    """Compare the steps of the checkpoints in `tests/data`, in float32, on the device and on the CPU."""
    texts = ["Sort 5380217.", "Sort 94.", "Calculate 3+4.", "Tell me a story about a cat."]
    recipes = {
        "tiny-llada": ["llada", "threshold", "fast-dllm", "fast-dllm-prefix", "dkv"],
        "tiny-blockwise": ["sdar", "fast-dllm-v2"],
    }
    for folder, names in recipes.items():
        here, there = (
            checkpoint.load(str(DATA / folder), device=device, dtype="float32", weights="plain")
            for device in ("cpu", str(watch.device))
        )
        prompts = [here.text.encode(text) for text in texts]
        for name in names:
            pairs = zip(steps(here.predictor, name, prompts), steps(there.predictor, name, prompts), strict=True)
            yield f"{folder}, {name}", compared(list(pairs), Recipe.load(name))


def steps(model: MaskPredictor, name: str, prompts: Sequence[Sequence[int]]) -> list[list[Step]]:
    """The steps of each prompt, all in one batch, to the end of the canvas."""
    recipe = replace(Recipe.load(name), stop=Stop(eos_prefix=False))
    rows = [Row(Canvas.after(p, 32, model.contract.mask_id), recipe, model.contract, candidates=2) for p in prompts]
    made: dict[Row, list[Step]] = {row: [] for row in rows}
    for row, one in denoise(model, rows):
        made[row].append(one)
    return list(made.values())


def compared(pairs: Sequence[tuple[list[Step], list[Step]]], recipe: Recipe) -> Figures:
    """Count equal steps up to the first that differs, row by row; a row that parts at more than a tie is a fault."""
    equal, apart, gaps = 0, 0.0, []
    for ours, theirs in pairs:
        for a, b in zip(ours, theirs, strict=False):
            if [(c.position, c.token) for c in a.changes] != [(c.position, c.token) for c in b.changes]:
                gaps.append(gap(a, b, getattr(recipe.select, "threshold", None)))
                break
            equal += 1
            apart = max([apart, *(abs(x.confidence - y.confidence) for x, y in zip(a.changes, b.changes, strict=True))])
    faults = sum(not found < TIE for found in gaps)
    return {
        "ok": not faults,
        "steps": equal,
        "ties": len(gaps) - faults,
        "faults": faults,
        "gaps": gaps,
        "apart": apart,
    }


def gap(ours: Step, theirs: Step, threshold: float | None) -> float:
    """How near our decision was to the other: between tokens of one position, between positions, or to a threshold."""
    mine, other = ({c.position: c for c in one.changes} for one in (ours, theirs))
    near = []
    for position in mine.keys() & other.keys():
        if mine[position].token != other[position].token:
            best, second = ours.candidates[position][:2]
            near.append(best.probability - second.probability)
    seen = {c.position: c.confidence for c in ours.guesses}
    lost, gained = mine.keys() - other.keys(), other.keys() - mine.keys()
    if lost and gained:
        near.append(min(seen[p] for p in lost) - max(seen[p] for p in gained))
    elif lost or gained:
        near += [abs(seen[p] - (threshold or float("nan"))) for p in lost | gained]
    return max(map(abs, near), default=float("nan"))


# --- questions ---


def questions(watch: Stopwatch) -> Iterator[tuple[str, Figures]]:
    """Run every shipped recipe twice on a tiny model, the second time with an error for each question in `decide`."""
    for dtype in (torch.bfloat16, torch.float32) if watch.cuda else (torch.float32,):
        full = random_model(TINY, watch.device, dtype)
        blockwise = replace(TINY, attention="block_causal", block_size=8)
        models = {"any": full, "full": full, "block_causal": random_model(blockwise, watch.device, dtype)}
        asked = {}
        for name in Recipe.shipped():
            recipe = Recipe.load(name).spelled(lambda text: [2])
            if place := asking(watch, models[recipe.cache.attention], recipe):
                asked[name] = place
        yield f"recipes, {dtype}", {"ok": not asked, "recipes": len(Recipe.shipped()), "asked": asked}
        if watch.cuda and dtype == torch.float32:
            continue  # torch multiplies experts side by side in bf16 alone; in float32 its own product asks
        experts = random_model(replace(TINY, moe=MoE(8, 2, 32)), watch.device, dtype)
        place = asking(watch, experts, Recipe())
        yield f"experts, {dtype}", {"ok": not place, "asked": place}
    batch = batch_of(full, Recipe(cache=Dual()), (8, 9, 12), 24)
    advance(batch)
    with warnings.catch_warnings(record=True) as waits:
        warnings.simplefilter("always")
        watched(watch, "warn", lambda: advance(batch))
    yield "a whole step", {"ok": len(waits) <= 1, "waits": [f"{Path(w.filename).name}:{w.lineno}" for w in waits]}


def asking(watch: Stopwatch, model: MaskPredictor, recipe: Recipe) -> str:
    """Where the device's half of a step first asks the device for a number; nothing if it never does."""
    for mode in (None, "error"):  # what is made once is made before
        batch = batch_of(model, recipe, (3, 6), 12)
        while batch.rows:
            try:
                if mode is not None:
                    half = Half.of(batch)
                    watched(watch, mode, lambda half=half: decide(model, *half))
                advance(batch)
            except RuntimeError as broken:
                frame = [f for f in traceback.extract_tb(broken.__traceback__) if "/remask/" in f.filename][-1]
                return f"{Path(frame.filename).name}:{frame.lineno} {frame.line}: {first_line(broken)}"
    return ""


def watched(watch: Stopwatch, mode: str, work: Callable[[], object]) -> None:
    """Do `work` while torch tells of every wait for the device in this way."""
    if not watch.cuda:
        work()
        return
    torch.cuda.set_sync_debug_mode(mode)
    try:
        work()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def first_line(broken: BaseException) -> str:
    """The kind of an error and the first line of its message."""
    return f"{type(broken).__name__}: {str(broken).strip().partition(chr(10))[0]}"
