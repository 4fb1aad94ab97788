"""LLaDA-8B's geometry with random weights: it decodes on one device, and takes the memory that was planned for it.

    python benchmarks/eight_billion.py                        on a GPU: 16 GB of weights in bf16
    python benchmarks/eight_billion.py --device cpu --layers 2 --context 256    the same path, small enough to try

For each recipe: planned and measured bytes beside each other, seconds a step, tokens a second. Nothing is downloaded.
"""

import argparse
import statistics
import time
from dataclasses import replace
from itertools import pairwise

import torch
from common import print_row, print_table

from remask.decoding.canvas import Canvas
from remask.decoding.recipe import Recipe
from remask.engine.memory import footprint, peak_bytes
from remask.engine.row import Row
from remask.engine.step import denoise
from remask.models.config import ModelConfig
from remask.models.predictor import MaskPredictor
from remask.models.transformer import Transformer

EIGHT_BILLION = ModelConfig(
    family="llada", vocab_size=126464, d_model=4096, n_layers=32, n_heads=32, n_kv_heads=32, head_dim=128, d_ff=12288,
    rope_theta=500000.0, mask_id=126336, eos_ids=(126081,), max_positions=4096,
)  # fmt: skip


def random_model(layers: int, dtype: torch.dtype, device: torch.device) -> MaskPredictor:
    """The published geometry, drawn where it will be used."""
    with torch.device("meta"):
        model = Transformer(replace(EIGHT_BILLION, n_layers=layers)).to(dtype)
    model = model.to_empty(device=device).initialise(torch.Generator(device).manual_seed(0))
    return MaskPredictor(model, known_tokens=126349)


def rows_of(model: MaskPredictor, recipe: Recipe, context: int, gen_length: int, count: int) -> list[Row]:
    """Rows with random prompts that fill the context."""
    draw = torch.Generator().manual_seed(1)
    prompts = torch.randint(0, 126000, (count, context - gen_length), generator=draw).tolist()
    contract = model.contract
    return [Row(Canvas.after(prompt, gen_length, contract.mask_id), recipe, contract) for prompt in prompts]


def main() -> None:
    """Plan, decode, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="bfloat16", choices=("bfloat16", "float16", "float32"))
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--context", type=int, default=1024)
    parser.add_argument("--gen-length", type=int, default=64)
    parser.add_argument("--rows", type=int, nargs="*", default=[1, 8])
    parser.add_argument("--recipes", nargs="*", default=["llada", "threshold", "fast-dllm"])
    asked = parser.parse_args()
    device = torch.device(asked.device)
    model = random_model(asked.layers, getattr(torch, asked.dtype), device)
    weights = sum(w.nbytes for w in model.model.parameters())
    print(f"{weights / 1e9:.1f} GB of weights in {asked.dtype} on {device}, context {asked.context}\n")
    print_table(["recipe", "rows", "planned beside weights", "measured", "ms/step", "forwards", "tokens/s"])
    for name in asked.recipes:
        for count in asked.rows:
            rows = rows_of(model, Recipe.load(name), asked.context, asked.gen_length, count)
            planned, ticks = footprint(rows, model).peak, [time.perf_counter()]

            def run(rows: list[Row] = rows, ticks: list[float] = ticks) -> None:
                for _, step in denoise(model, rows):
                    if not ticks or step.forwards >= len(ticks):
                        ticks.append(time.perf_counter())

            measured = peak_bytes(device, run)
            steps = [b - a for a, b in pairwise(ticks)]
            spent = ticks[-1] - ticks[0]
            took = f"{measured / 1e6:,.0f} MB ({planned / measured - 1:+.1%})"
            pace, forwards = f"{1000 * statistics.median(steps):.1f}", max(row.forwards for row in rows)
            speed = f"{count * asked.gen_length / spent:.1f}"
            print_row([name, count, f"{planned / 1e6:,.0f} MB", took, pace, forwards, speed])


if __name__ == "__main__":
    main()
