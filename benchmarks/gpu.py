"""What only a CUDA GPU can show, in one command of about a minute, with random weights and without a network.

    python benchmarks/gpu.py --out gpu.json                  all parts
    python benchmarks/gpu.py --parts graph runs              some of them
    python benchmarks/gpu.py --device cpu                    a rehearsal in small sizes, of all that a CPU can do

decisions  float32 on the device against float32 on the CPU: steps that are equal, and how near the first other one was.
attention  one call for unlike sequences against a call a group: errors, invariance, ms a layer and a forward.
questions  where the device's half of a step asks the device for a number, recipe by recipe; by design nowhere.
graph      the forward of a cached step, and all of the device's half of it, eager and as a CUDA graph.
runs       tokens a second of whole runs, 0.48 B in bf16; the longest part, so it comes last.

A part that fails says so, and the next one begins. The table at the end has all figures, `--out` too, as JSON, from the
first one on. `ok` is what must hold.
"""

import argparse
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from attention import attention
from common import LARGE, SMALL, Stopwatch, print_table, random_model, save
from device import Half, advance, batch_of, decisions, first_line, questions
from torch import Tensor
from torch.utils._pytree import tree_leaves

from remask.decoding.blocks import Blocks
from remask.decoding.caches import Dual
from remask.decoding.recipe import Recipe, Stop
from remask.engine.step import decide

CACHED = Recipe(blocks=Blocks(32), cache=Dual())
Figures = dict[str, Any]


def runs(watch: Stopwatch) -> Iterator[tuple[str, Figures]]:
    """Decode whole answers with a recipe of each kind, of one row and of many with unlike prompts; none stops early."""
    model = random_model(LARGE if watch.cuda else SMALL, watch.device, torch.bfloat16)
    counts, gen_length = ((1, 32), 64) if watch.cuda else ((1, 3), 8)
    alone: dict[str, list[int]] = {}
    for count in counts:
        for name in ("llada", "fast-dllm", "threshold", "cached"):
            recipe = replace(CACHED if name == "cached" else Recipe.load(name), stop=Stop(eos_prefix=False))
            for _ in range(2):  # the first is a warm-up
                batch, taken, began = batch_of(model, recipe, unlike(count), gen_length), 0, time.perf_counter()
                first = batch.rows[0]
                while batch.rows:
                    advance(batch)
                    taken += 1
            seconds, answer = time.perf_counter() - began, first.canvas.tokens[-gen_length:].tolist()
            same = sum(a == b for a, b in zip(answer, alone.setdefault(name, answer), strict=True))
            yield f"{name}, {count} rows", {
                "tokens/s": gen_length * count / seconds, "steps": taken, "ms a step": 1e3 * seconds / taken,
                "first row as alone": same / gen_length,
            }  # fmt: skip


def unlike(count: int) -> list[int]:
    """Lengths of prompts of which no two are equal."""
    return [64 + 4 * i for i in range(count)]


def graph(watch: Stopwatch) -> Iterator[tuple[str, Figures]]:
    """Capture a step that reads stored keys: the forward alone, then with scan and settle."""
    for name, config in {"2.2 M": SMALL, "0.48 B": LARGE}.items():
        model = random_model(config, watch.device, torch.bfloat16)
        mixes = {"1 row": [64], "32 equal rows": [64] * 32, "32 unlike rows": unlike(32)}
        for mix, prompts in mixes.items():
            batch = batch_of(model, CACHED, prompts if watch.cuda else prompts[:3])
            advance(batch)
            half = Half.of(batch)
            assert all(group.slots is not None for group in half.packed.groups), "this step reads no stored keys"
            tokens = half.packed.tokens
            yield f"{name}, {mix}, forward", attempt(watch, tokens, lambda m=model, h=half: m.hidden(h.packed))
            yield f"{name}, {mix}, all", attempt(watch, tokens, lambda m=model, h=half: decide(m, *h))
        if not watch.cuda:
            return


def attempt(watch: Stopwatch, tokens: Tensor, work: Callable[[], Any]) -> Figures:
    """Time `work` eager and captured; a replay with other `tokens` in the same place must give what eager gives."""
    eager = watch.milliseconds(work)
    if not watch.cuda:
        return {"eager ms": eager, "captured ms": "needs CUDA"}
    try:
        captured, result = capture(work)
    except RuntimeError as broken:
        return {"ok": False, "eager ms": eager, "error": first_line(broken)}
    tokens.copy_(tokens.roll(1))
    captured.replay()
    apart = max(apart_of(a, b) for a, b in zip(tree_leaves(result), tree_leaves(work()), strict=True))
    replay = watch.milliseconds(captured.replay)
    return {"ok": apart < 0.01, "eager ms": eager, "captured ms": replay, "times": eager / replay, "apart": apart}


def apart_of(a: Tensor, b: Tensor) -> float:
    """The largest difference of two tensors, relative to the largest number; 0 if their bits are equal."""
    if torch.equal(a, b) or not b.numel():
        return 0.0
    a, b = (x.double().nan_to_num() for x in (a, b))
    return float((a - b).abs().max() / b.abs().max().clamp(min=1e-30))


def capture(work: Callable[[], Any]) -> tuple[torch.cuda.CUDAGraph, Any]:
    """Return the CUDA graph of `work`, and its result, which every replay overwrites."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(2):
            work()
    torch.cuda.current_stream().wait_stream(side)
    captured = torch.cuda.CUDAGraph()
    with torch.cuda.graph(captured):
        result = work()
    return captured, result


PARTS: dict[str, Callable[[Stopwatch], Iterator[tuple[str, Figures]]]] = {
    "decisions": decisions, "attention": attention, "questions": questions, "graph": graph, "runs": runs,
}  # fmt: skip


def measured(parts: Sequence[str], watch: Stopwatch, end: float) -> Iterator[tuple[str, str, Figures]]:
    """Yield part, case and figures until the clock says `end`; the error of a part is a figure too."""
    for part in parts:
        try:
            for case, figures in PARTS[part](watch):
                yield part, case, figures
                if time.perf_counter() > end:
                    return
        except Exception as broken:  # noqa: BLE001  (one part must not cost the others)
            traceback.print_exc()
            yield part, "error", {"ok": False, "error": first_line(broken), "trace": traceback.format_exc().split("\n")}


def cell(value: object) -> str:
    """A figure in the table; of lists and the like, how many."""
    return f"{value:.3g}" if isinstance(value, float) else str(len(value) if isinstance(value, list | dict) else value)


def main() -> None:
    """Run the parts that are asked for, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--seconds", type=float, default=65, help="behind these, no other figure is begun")
    parser.add_argument("--out", type=Path, help="JSON, written anew with each figure")
    asked = parser.parse_args()
    began, watch = time.perf_counter(), Stopwatch(torch.device(asked.device))
    name = torch.cuda.get_device_name() if watch.cuda else "CPU"
    report: dict[str, Any] = {"device": name, "torch": torch.__version__, "python": sys.version.split()[0]}
    rows = []
    for part, case, figures in measured(asked.parts, watch, began + asked.seconds):
        report[f"{part}: {case}"] = figures
        rows.append((part, case, ", ".join(f"{key} {cell(value)}" for key, value in figures.items())))
        print(f"{time.perf_counter() - began:5.1f} s  {part}: {case}: {figures}", flush=True)
        save(asked.out, report)
    print(f"\n{name}, torch {torch.__version__}, {time.perf_counter() - began:.0f} s\n")
    print_table(["part", "case", "figures"], rows)


if __name__ == "__main__":
    with torch.inference_mode():
        main()
