"""Our caches against Fast-dLLM's loops, and what a step costs as the canvas and the batch grow.

    python benchmarks/caches.py                                     the bundled model
    python benchmarks/caches.py --geometry large --dtype bfloat16   0.48 B random weights
    python benchmarks/caches.py --reference DIR                     against the authors' own generate.py
    python benchmarks/caches.py --parts growth --longest 4096       seconds a step by length, with fitted slopes
    python benchmarks/caches.py --parts batch --largest 64          tokens a second by rows

Same weights, one run, in turn; medians of the pairwise ratios. Beside each figure stands its floor: the matrix products
that it cannot do without (body on the rows that are computed, attention on the keys that they see, head on the rows
that are read) at this machine's measured peak.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import foundation
import numpy as np
import torch
from foundation import LARGE, Work, bundled_work, held, kept, peak_flops, random_large, seconds
from published import Network, fast_dllm, generate_cached
from torch import Tensor, nn

from remask import checkpoint
from remask.decoding.blocks import Blocks
from remask.decoding.caches import Cache, Dual, NoCache
from remask.decoding.canvas import Canvas
from remask.decoding.recipe import Recipe, Stop
from remask.engine.batch import Batch
from remask.engine.host import keep_freed_memory
from remask.engine.row import Row
from remask.engine.step import denoise, step
from remask.llm import LLM
from remask.models.config import ModelConfig
from remask.models.contract import Packed
from remask.models.predictor import MaskPredictor
from remask.models.transformer import Transformer

RECIPES = {"none": "threshold", "prefix": "fast-dllm-prefix", "dual": "fast-dllm"}
SMALL = ModelConfig(
    family="llada", vocab_size=4096, d_model=256, n_layers=6, n_heads=4, n_kv_heads=4, head_dim=64, d_ff=704,
    max_positions=8192, mask_id=4095, eos_ids=(4094,),
)  # fmt: skip


class Counted(MaskPredictor):
    """A predictor that counts its forwards, the FLOPs that they cannot do without, and its seconds in linear layers."""

    def __init__(self, predictor: MaskPredictor) -> None:
        super().__init__(predictor.model)
        self.contract, self.forwards, self.flops, self.linear = predictor.contract, 0, 0.0, 0.0

    def hidden(self, batch: Packed) -> Tensor:
        """Hidden rows of the reads."""
        c, self.forwards = self.model.config, self.forwards + 1
        layer = c.d_model * (2 * c.head_dim * (c.n_heads + c.n_kv_heads) + 3 * c.d_ff)
        for group in batch.groups:
            rows = group.rows * group.queries
            keys = group.queries + (0 if group.slots is None else group.slots.shape[1])
            self.flops += c.n_layers * rows * (2 * layer + 4 * keys * c.n_heads * c.head_dim)
        return super().hidden(batch)

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits of the reads."""
        self.flops += 2 * len(hidden) * self.model.config.d_model * self.model.config.vocab_size
        return super().logits(hidden)

    def time_linear(self) -> None:
        """From now on, add up what the linear layers take (on a CPU, where a call is over when it returns)."""

        def begin(module: nn.Module, _: Any) -> None:
            self.linear -= foundation.clock()

        def end(module: nn.Module, _: Any, __: Any) -> None:
            self.linear += foundation.clock()

        for module in self.model.modules():
            if isinstance(module, nn.Linear):
                module.register_forward_pre_hook(begin)
                module.register_forward_hook(end)


def peak_of(dtype: torch.dtype, device: torch.device) -> float:
    """FLOPs a second of the faster kernel here: plain matrices, or packed ones."""
    return max(peak_flops("plain", dtype, device), peak_flops("packed", dtype, device))


# --- against Fast-dLLM's loops ---


def ours(model: MaskPredictor, work: Work, cache: str, stop: bool) -> list[list[int]]:
    """Decode with the shipped recipe of that cache; the tokens of each answer."""
    recipe = replace(Recipe.load(RECIPES[cache]), blocks=Blocks(work.block_length), stop=Stop(stop))
    rows = [
        Row(Canvas.after(p, work.gen_length, model.contract.mask_id), recipe, model.contract, stop_ids=work.stop_ids)
        for p in work.prompts
    ]
    for _ in denoise(model, rows):
        pass
    return [row.canvas.tokens[len(p) :].tolist() for row, p in zip(rows, work.prompts, strict=True)]


def theirs(network: Network, work: Work, cache: str, reference: Path | None) -> list[list[int]]:
    """Decode as published: rows of one length in one batch, others one after the other."""
    batches = [work.prompts] if len(set(map(len, work.prompts))) == 1 else [[p] for p in work.prompts]
    options = {"gen_length": work.gen_length, "block_length": work.block_length, "threshold": 0.9}
    options["mask_id"] = network.config.mask_id
    loops, answers = fast_dllm(reference), []
    for prompts in batches:
        prompt = torch.tensor(prompts, device=network.device)
        if loops is None:
            x = generate_cached(network, prompt, cache=cache, **options)
        else:
            x, _ = loops[cache](network, prompt, steps=work.gen_length, **options)
        answers += x[:, prompt.shape[1] :].tolist()
    return answers


def compare(name: str, predictor: MaskPredictor, work: Work, asked: argparse.Namespace) -> dict[str, Any]:
    """Time all variants in turn; medians of the pairwise ratios to Fast-dLLM's dual-cache loop."""
    network, packed = Network(predictor.model), held(predictor, "packed")
    source = "authors'" if asked.reference else "published"
    variants: dict[str, Callable[[Work], list[list[int]]]] = {
        f"{source} loop, {cache}": lambda w, cache=cache: theirs(network, w, cache, asked.reference)
        for cache in ("dual", *asked.caches)
    }
    counted = {}
    for cache in dict.fromkeys((*asked.caches, "dual")):
        counted[f"ours, {cache}"] = model = Counted(predictor)
        variants[f"ours, {cache}"] = lambda w, m=model, cache=cache: ours(m, w, cache, False)
    for label, stop in (("ours, dual, packed weights", False), ("+ lossless stop", True)):
        counted[label] = model = Counted(packed)
        variants[label] = lambda w, m=model, stop=stop: ours(m, w, "dual", stop)
    brief = replace(work, gen_length=8, block_length=8)
    times: dict[str, list[float]] = {variant: [] for variant in variants}
    answers: dict[str, list[list[int]]] = {}
    for turn in range(asked.pairs + 1):
        for variant, call in variants.items():
            if variant in counted:
                counted[variant].forwards, counted[variant].flops = 0, 0.0
            took, answer = seconds(lambda c=call, t=turn: c(work if t else brief), predictor.device)
            if turn:  # the first turn warms up
                times[variant].append(took)
                answers[variant] = answer
    peak = peak_of(predictor.dtype, predictor.device)
    base = f"{source} loop, dual"
    tokens = sum(len(kept(answer, work.stop_ids)) for answer in answers[base])
    print(f"\n**{name}**: {len(work.prompts)} row(s), prompt {len(work.prompts[0])}, gen {work.gen_length}, ", end="")
    print(f"block {work.block_length}, threshold 0.9; {peak / 1e9:,.0f} GFLOP/s measured here\n")
    print("| variant | s | floor s | forwards | kept tokens/s | × their dual | same answers |")
    print("|---|---|---|---|---|---|---|")
    result = {}
    for variant, took in times.items():
        median = statistics.median(took)
        model = counted.get(variant)
        pairs = zip(answers[variant], answers[base], strict=True)
        same = sum(kept(a, work.stop_ids) == kept(b, work.stop_ids) for a, b in pairs)
        result[variant] = {
            "seconds": median,
            "floor": model.flops / peak if model else None,
            "forwards": model.forwards if model else None,
            "tokens_per_second": tokens / median,
            "ratio": statistics.median(a / b for a, b in zip(times[base], took, strict=True)),
            "same_answers": f"{same}/{len(work.prompts)}",
        }
        r = result[variant]
        floor, forwards = (f"{r['floor']:.2f}", r["forwards"]) if model else ("", "")
        print(
            f"| {variant} | {median:.2f} | {floor} | {forwards} | {r['tokens_per_second']:.1f} | {r['ratio']:.2f} "
            f"| {r['same_answers']} |"
        )
    return {"name": name, "variants": result, "peak": peak}


# --- by length ---


def small(device: torch.device, dtype: torch.dtype) -> MaskPredictor:
    """Random weights in a geometry whose forward of 4,096 positions is bearable on a CPU."""
    model = Transformer(SMALL).to(dtype).initialise(torch.Generator().manual_seed(0)).to(device)
    return MaskPredictor(model)


def steps_at(predictor: MaskPredictor, length: int, cache: Cache, count: int) -> list[tuple[float, float, float]]:
    """Seconds, seconds in linear layers and FLOPs of the first `count` steps in the middle of a canvas of `length`."""
    model, contract = predictor, predictor.contract
    assert isinstance(model, Counted)
    recipe = Recipe(blocks=Blocks(32), cache=cache, stop=Stop(False))
    draw = np.random.default_rng(length).integers(0, 4000, length // 2).tolist()
    row, batch = Row(Canvas.after(draw, length - len(draw), contract.mask_id), recipe, contract), Batch(model)
    batch.admit(row)
    found = []
    for _ in range(count):
        model.linear, model.flops = 0.0, 0.0
        took, _ = seconds(lambda: step(batch), model.device)
        found.append((took, model.linear, model.flops))
    return found


def growth(asked: argparse.Namespace, device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    """Milliseconds of a plain step, a refresh and a cached step by length, and the cost of a token at one a step."""
    model = Counted(small(device, dtype))
    model.time_linear()
    peak = peak_of(dtype, device)
    lengths = [n for n in (256, 512, 1024, 2048, 4096, 8192) if n <= asked.longest]
    print(f"\n**Growth**: {SMALL.parameters / 1e6:.0f} M weights, block 32, {peak / 1e9:,.0f} GFLOP/s measured here\n")
    print("| positions | plain ms | refresh ms | cached ms | its linear layers ms | its floor ms | ms a token |")
    print("|---|---|---|---|---|---|---|")
    table = []
    steps_at(model, lengths[0], Dual(), 3)  # warms up
    for length in lengths:
        plain = steps_at(model, length, NoCache(), asked.repeats)
        refresh, *cached = steps_at(model, length, Dual(), 1 + 4 * asked.repeats)
        whole, linear, flops = (statistics.median(column) for column in zip(*cached, strict=True))
        line = {
            "positions": length,
            "plain": statistics.median(took for took, _, _ in plain),
            "refresh": refresh[0],
            "cached": whole,
            "linear": linear,
            "floor": flops / peak,
            "token": (refresh[0] + 31 * whole) / 32,
        }
        table.append(line)
        print(
            "| " + " | ".join([str(length), *(f"{1000 * v:.2f}" for k, v in line.items() if k != "positions")]) + " |"
        )
    slopes = {
        part: float(np.polyfit([line["positions"] for line in table], [line[part] for line in table], 1)[0])
        for part in ("plain", "refresh", "cached", "linear", "token")
    }
    told = ", ".join(f"{part} {1e9 * slope:,.0f}" for part, slope in slopes.items())
    print(f"\nFitted slopes, microseconds for each thousand positions: {told}.")
    return {"lengths": table, "slopes": slopes, "peak": peak}


# --- by rows ---


def by_rows(asked: argparse.Namespace, device: str) -> dict[str, Any]:
    """Kept tokens a second of the dual recipe by rows in the batch, on the bundled model."""
    llm = LLM(checkpoint.load("bundled", device=device, dtype="float32", weights="packed"))
    model = Counted(llm.model)
    peak = peak_of(model.dtype, model.device)
    print("\n**Rows**: bundled, arithmetic, fast-dllm\n")
    print("| rows | s | floor s | forwards | kept tokens/s |\n|---|---|---|---|---|")
    table = []
    for rows in [2**i for i in range(asked.largest.bit_length()) if 2**i <= asked.largest]:
        work = bundled_work(llm, "arithmetic", rows)
        ours(model, replace(work, gen_length=8, block_length=8), "dual", True)  # warms up
        model.forwards, model.flops = 0, 0.0
        took, answers = seconds(lambda w=work: ours(model, w, "dual", True), model.device)
        tokens = sum(len(kept(answer, work.stop_ids)) for answer in answers)
        line = {"rows": rows, "seconds": took, "floor": model.flops / peak, "tokens_per_second": tokens / took}
        table.append(line)
        print(f"| {rows} | {took:.2f} | {line['floor']:.2f} | {model.forwards} | {tokens / took:.1f} |")
    return {"rows": table, "peak": peak}


def pairs(asked: argparse.Namespace, device: torch.device, dtype: torch.dtype) -> list[dict[str, Any]]:
    """The comparison, on the geometry and the rows that were asked for."""
    found = []
    if asked.geometry == "large":
        predictor = random_large(dtype, device)
        for rows in asked.rows:
            prompts = torch.randint(0, 126000, (rows, 64), generator=torch.Generator().manual_seed(rows)).tolist()
            work = Work("random", prompts, asked.gen_length, 32, asked.gen_length, LARGE.eos_ids)
            found.append(compare(f"0.48 B, {asked.dtype}", predictor, work, asked))
        return found
    llm = LLM(checkpoint.load("bundled", device=asked.device, dtype=asked.dtype))
    for task in asked.tasks:
        found += [compare(f"bundled, {task}", llm.model, bundled_work(llm, task, rows), asked) for rows in asked.rows]
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--parts", nargs="*", default=["pairs", "growth", "batch"], choices=("pairs", "growth", "batch")
    )
    parser.add_argument("--geometry", choices=("bundled", "large"), default="bundled")
    parser.add_argument("--reference", type=Path, help="a checkout of NVlabs/Fast-dLLM")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16", "float16"))
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--rows", type=int, nargs="*", default=[1, 8])
    parser.add_argument("--tasks", nargs="*", default=["arithmetic", "sorting"])
    parser.add_argument("--caches", nargs="*", default=["prefix"], choices=("none", "prefix"), help="beside dual")
    parser.add_argument("--gen-length", type=int, default=64, help="of the large geometry")
    parser.add_argument("--longest", type=int, default=4096, help="positions of the growth part")
    parser.add_argument("--repeats", type=int, default=3, help="steps of a kind in the growth part")
    parser.add_argument("--largest", type=int, default=64, help="rows of the batch part")
    parser.add_argument("--threads", type=int, help="of torch; as it chooses without it")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="cpu: of this process alone")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args(arguments)
    if asked.clock == "cpu":
        foundation.clock = time.process_time
    if asked.threads:
        torch.set_num_threads(asked.threads)
    keep_freed_memory()
    device, dtype = torch.device(asked.device), getattr(torch, asked.dtype)
    found: dict[str, Any] = {}
    if "pairs" in asked.parts:
        found["pairs"] = pairs(asked, device, dtype)
    if "growth" in asked.parts:
        found["growth"] = growth(asked, device, dtype)
    if "batch" in asked.parts:
        found["batch"] = by_rows(asked, asked.device)
    print(f"\ntorch {torch.__version__}, {torch.get_num_threads()} threads, {asked.clock} clock.")
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
