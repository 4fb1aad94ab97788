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
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import (
    Answers,
    Stopwatch,
    Work,
    bundled_work,
    decode,
    held,
    in_turn,
    kept,
    parser,
    peak_flops,
    prepare,
    print_row,
    print_table,
    random_large,
    random_work,
    save,
)
from published import Network, fast_dllm, generate_cached
from torch import Tensor, nn

from remask import checkpoint
from remask.decoding.blocks import Blocks
from remask.decoding.caches import Cache, Dual, NoCache
from remask.decoding.canvas import Canvas
from remask.decoding.recipe import Recipe, Stop
from remask.engine.batch import Batch
from remask.engine.row import Row
from remask.engine.step import step
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

    def fresh(self) -> "Counted":
        """Itself, counting from nothing again."""
        self.forwards, self.flops = 0, 0.0
        return self

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits of the reads."""
        self.flops += 2 * len(hidden) * self.model.config.d_model * self.model.config.vocab_size
        return super().logits(hidden)

    def time_linear(self, watch: Stopwatch) -> None:
        """From now on, add up what the linear layers take (on a CPU, where a call is over when it returns)."""

        def begin(module: nn.Module, _: Any) -> None:
            self.linear -= watch.read()

        def end(module: nn.Module, _: Any, __: Any) -> None:
            self.linear += watch.read()

        for module in self.model.modules():
            if isinstance(module, nn.Linear):
                module.register_forward_pre_hook(begin)
                module.register_forward_hook(end)


def peak_of(dtype: torch.dtype, watch: Stopwatch) -> float:
    """FLOPs a second of the faster kernel here: plain matrices, or packed ones."""
    return max(peak_flops("plain", dtype, watch), peak_flops("packed", dtype, watch))


# --- against Fast-dLLM's loops ---


def ours(model: MaskPredictor, work: Work, cache: str, stop: bool) -> Answers:
    """Decode with the shipped recipe of that cache."""
    recipe = replace(Recipe.load(RECIPES[cache]), blocks=Blocks(work.block_length), stop=Stop(stop))
    return decode(model, work, recipe)


def theirs(network: Network, work: Work, cache: str, reference: Path | None) -> Answers:
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


def compare(
    name: str, predictor: MaskPredictor, work: Work, asked: argparse.Namespace, watch: Stopwatch
) -> dict[str, Any]:
    """Time all variants in turn; medians of the pairwise ratios to Fast-dLLM's dual-cache loop."""
    network, packed = Network(predictor.model), held(predictor, "packed")
    source = "authors'" if asked.reference else "published"
    variants: dict[str, Callable[[Work], Answers]] = {
        f"{source} loop, {cache}": lambda w, cache=cache: theirs(network, w, cache, asked.reference)
        for cache in ("dual", *asked.caches)
    }
    counted: dict[str, Counted] = {}

    def count(label: str, predictor: MaskPredictor, cache: str, stop: bool) -> None:
        counted[label] = model = Counted(predictor)
        variants[label] = lambda w: ours(model.fresh(), w, cache, stop)

    for cache in dict.fromkeys((*asked.caches, "dual")):
        count(f"ours, {cache}", predictor, cache, False)
    count("ours, dual, packed weights", packed, "dual", False)
    count("+ lossless stop", packed, "dual", True)
    brief = replace(work, gen_length=8, block_length=8)
    timings = in_turn(variants, work, asked.pairs, watch, brief)
    peak, base = peak_of(predictor.dtype, watch), f"{source} loop, dual"
    tokens = timings.tokens(base, work.stop_ids)
    result = {
        variant: {
            "seconds": (median := timings.median(variant)),
            "floor": counted[variant].flops / peak if variant in counted else None,
            "forwards": counted[variant].forwards if variant in counted else None,
            "tokens_per_second": tokens / median,
            "ratio": timings.ratio(variant, base),
            "same_answers": timings.same(variant, base, work.stop_ids),
        }
        for variant in variants
    }
    report(name, work, result, peak)
    return {"name": name, "variants": result, "peak": peak}


def report(name: str, work: Work, result: dict[str, Any], peak: float) -> None:
    """Print one table in Markdown."""
    print(f"\n**{name}**: {len(work.prompts)} row(s), prompt {len(work.prompts[0])}, gen {work.gen_length}, ", end="")
    print(f"block {work.block_length}, threshold 0.9; {peak / 1e9:,.0f} GFLOP/s measured here\n")
    print_table(["variant", "s", "floor s", "forwards", "kept tokens/s", "× their dual", "same answers"])
    for variant, r in result.items():
        least, forwards = ("", "") if r["floor"] is None else (f"{r['floor']:.2f}", r["forwards"])
        rates = (f"{r['tokens_per_second']:.1f}", f"{r['ratio']:.2f}", r["same_answers"])
        print_row([variant, f"{r['seconds']:.2f}", least, forwards, *rates])


# --- by length ---


def small(device: torch.device, dtype: torch.dtype) -> MaskPredictor:
    """Random weights in a geometry whose forward of 4,096 positions is bearable on a CPU."""
    model = Transformer(SMALL).to(dtype).initialise(torch.Generator().manual_seed(0)).to(device)
    return MaskPredictor(model)


def steps_at(
    model: Counted, length: int, cache: Cache, count: int, watch: Stopwatch
) -> list[tuple[float, float, float]]:
    """Seconds, seconds in linear layers and FLOPs of the first `count` steps in the middle of a canvas of `length`."""
    contract = model.contract
    recipe = Recipe(blocks=Blocks(32), cache=cache, stop=Stop(False))
    draw = np.random.default_rng(length).integers(0, 4000, length // 2).tolist()
    row, batch = Row(Canvas.after(draw, length - len(draw), contract.mask_id), recipe, contract), Batch(model)
    batch.admit(row)
    measured = []
    for _ in range(count):
        model.linear, model.flops = 0.0, 0.0
        took, _ = watch.seconds(lambda: step(batch))
        measured.append((took, model.linear, model.flops))
    return measured


def growth(asked: argparse.Namespace, dtype: torch.dtype, watch: Stopwatch) -> dict[str, Any]:
    """Milliseconds of a plain step, a refresh and a cached step by length, and the cost of a token at one a step."""
    model = Counted(small(watch.device, dtype))
    model.time_linear(watch)
    peak = peak_of(dtype, watch)
    lengths = [n for n in (256, 512, 1024, 2048, 4096, 8192) if n <= asked.longest]
    print(f"\n**Growth**: {SMALL.parameters / 1e6:.0f} M weights, block 32, {peak / 1e9:,.0f} GFLOP/s measured here\n")
    milliseconds = ("plain", "refresh", "cached", "its linear layers", "its floor")
    print_table(["positions", *(f"{part} ms" for part in milliseconds), "ms a token"])
    table = []
    steps_at(model, lengths[0], Dual(), 3, watch)  # warms up
    for length in lengths:
        plain = steps_at(model, length, NoCache(), asked.repeats, watch)
        refresh, *cached = steps_at(model, length, Dual(), 1 + 4 * asked.repeats, watch)
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
        print_row([length, *(f"{1000 * value:.2f}" for part, value in line.items() if part != "positions")])
    slopes = {
        part: float(np.polyfit([line["positions"] for line in table], [line[part] for line in table], 1)[0])
        for part in ("plain", "refresh", "cached", "linear", "token")
    }
    rates = ", ".join(f"{part} {1e9 * slope:,.0f}" for part, slope in slopes.items())
    print(f"\nFitted slopes, microseconds for each thousand positions: {rates}.")
    return {"lengths": table, "slopes": slopes, "peak": peak}


# --- by rows ---


def by_rows(asked: argparse.Namespace, watch: Stopwatch) -> dict[str, Any]:
    """Kept tokens a second of the dual recipe by rows in the batch, on the bundled model."""
    llm = LLM(checkpoint.load("bundled", device=asked.device, dtype="float32", weights="packed"))
    model = Counted(llm.model)
    peak = peak_of(model.dtype, watch)
    print("\n**Rows**: bundled, arithmetic, fast-dllm\n")
    print_table(["rows", "s", "floor s", "forwards", "kept tokens/s"])
    table = []
    for rows in [2**i for i in range(asked.largest.bit_length()) if 2**i <= asked.largest]:
        work = bundled_work(llm, "arithmetic", rows)
        ours(model, replace(work, gen_length=8, block_length=8), "dual", True)  # warms up
        took, answers = watch.seconds(lambda w=work: ours(model.fresh(), w, "dual", True))
        tokens = sum(len(kept(answer, work.stop_ids)) for answer in answers)
        line = {"rows": rows, "seconds": took, "floor": model.flops / peak, "tokens_per_second": tokens / took}
        table.append(line)
        print_row([rows, f"{took:.2f}", f"{line['floor']:.2f}", model.forwards, f"{tokens / took:.1f}"])
    return {"rows": table, "peak": peak}


def pairs(asked: argparse.Namespace, dtype: torch.dtype, watch: Stopwatch) -> list[dict[str, Any]]:
    """The comparison, on the geometry and the rows that were asked for."""
    if asked.geometry == "large":
        name, predictor = f"0.48 B, {asked.dtype}", random_large(dtype, watch.device)
        works = [(name, random_work(rows, asked.gen_length)) for rows in asked.rows]
    else:
        llm = LLM(checkpoint.load("bundled", device=asked.device, dtype=asked.dtype))
        predictor = llm.model
        works = [(f"bundled, {task}", bundled_work(llm, task, rows)) for task in asked.tasks for rows in asked.rows]
    return [compare(name, predictor, work, asked, watch) for name, work in works]


def main(words: Sequence[str] | None = None) -> None:
    """Run what the arguments ask for."""
    known = ("pairs", "growth", "batch")
    arguments = parser(__doc__)
    arguments.add_argument("--parts", nargs="*", default=list(known), choices=known)
    arguments.add_argument("--reference", type=Path, help="a checkout of NVlabs/Fast-dLLM")
    arguments.add_argument("--caches", nargs="*", default=["prefix"], choices=("none", "prefix"), help="beside dual")
    arguments.add_argument("--gen-length", type=int, default=64, help="of the large geometry")
    arguments.add_argument("--longest", type=int, default=4096, help="positions of the growth part")
    arguments.add_argument("--repeats", type=int, default=3, help="steps of a kind in the growth part")
    arguments.add_argument("--largest", type=int, default=64, help="rows of the batch part")
    asked = arguments.parse_args(words)
    watch, dtype = prepare(asked)
    figures: dict[str, Any] = {}
    if "pairs" in asked.parts:
        figures["pairs"] = pairs(asked, dtype, watch)
    if "growth" in asked.parts:
        figures["growth"] = growth(asked, dtype, watch)
    if "batch" in asked.parts:
        figures["batch"] = by_rows(asked, watch)
    print(f"\ntorch {torch.__version__}, {torch.get_num_threads()} threads, {asked.clock} clock.")
    save(asked.json, figures)


if __name__ == "__main__":
    main()
