"""Ours against the published loop: same weights, same answers, one run, pairs of runs in turn.

    python benchmarks/foundation.py                          the bundled model
    python benchmarks/foundation.py --geometry large         0.48 B random weights (d 1024, 16 layers, V 126,464)
    python benchmarks/foundation.py --reference DIR          against the authors' own generate.py
    python benchmarks/foundation.py --device cuda --dtype bfloat16 --geometry large

Prints seconds a step, kept tokens a second, the ratio pair by pair (median), whether the tokens are equal, the gain by
part, and the floor: the matrix products of one step at this machine's measured peak.
"""

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from published import Network, authors, generate
from torch import Tensor

from remask import checkpoint
from remask.allocator import keep_freed_memory
from remask.canvas import Canvas
from remask.evals.items import gen_length
from remask.llm import LLM
from remask.models.config import ModelConfig
from remask.models.masked import MaskPredictor
from remask.models.transformer import Transformer
from remask.predictor import Packed
from remask.recipe import Recipe, Stop
from remask.row import Row
from remask.sampler import denoise
from remask.tasks import TASKS, examples

LARGE = ModelConfig(
    family="llada", vocab_size=126464, d_model=1024, n_layers=16, n_heads=16, n_kv_heads=16, head_dim=64, d_ff=2816,
    rope_theta=500000.0, mask_id=126336, eos_ids=(126081,), tie_embeddings=False,
)  # fmt: skip


@dataclass(frozen=True)
class Work:
    """One fixed workload: prompts, and how they are decoded."""

    name: str
    prompts: list[list[int]]
    gen_length: int
    block_length: int
    steps: int
    stop_ids: tuple[int, ...]


class DenseHead(MaskPredictor):
    """Our loop, but logits of every position at every step, as the published loop makes them."""

    def hidden(self, batch: Packed) -> Tensor:
        """Hidden rows of the reads, after a head over all rows that is thrown away."""
        everything = torch.arange(len(batch.tokens), device=batch.tokens.device)
        hidden = super().hidden(Packed(batch.tokens, batch.positions, batch.groups, everything, batch.rotary_scale))
        super().logits(hidden)
        return hidden[batch.reads]


class PlainBody(MaskPredictor):
    """Our loop over the published network: separate projections, one (B, L) batch. For rows of one length."""

    def __init__(self, predictor: MaskPredictor, network: Network, dense: bool) -> None:
        super().__init__(predictor.model)
        self.contract, self.network, self.dense = predictor.contract, network, dense

    @torch.inference_mode()
    def hidden(self, batch: Packed) -> Tensor:
        """Hidden rows from the published body; with `dense` after a head over all rows that is thrown away."""
        group = batch.groups[0]
        hidden = self.network.body(batch.tokens[: group.stop].view(group.rows, group.queries)).flatten(0, 1)
        if self.dense:
            super().logits(hidden)
        return hidden[batch.reads]


def ours(model: MaskPredictor, work: Work, stop: bool) -> list[list[int]]:
    """Decode with the default recipe; the tokens of each answer."""
    recipe = Recipe(stop=Stop(eos_prefix=stop))
    recipe = Recipe.of(recipe, steps=work.steps, block_length=work.block_length)
    contract = model.contract
    rows = [
        Row(Canvas.after(p, work.gen_length, contract.mask_id), recipe, contract, stop_ids=work.stop_ids)
        for p in work.prompts
    ]
    for _ in denoise(model, rows):
        pass
    return [row.canvas.tokens[len(p) :].tolist() for row, p in zip(rows, work.prompts, strict=True)]


def theirs(network: Network, work: Work, call: Callable[..., Tensor], pad: int, mask: int) -> list[list[int]]:
    """Decode as published, the prompts left-padded to one length."""
    longest = max(map(len, work.prompts))
    prompt = torch.tensor([[pad] * (longest - len(p)) + p for p in work.prompts], device=network.device)
    attend = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in work.prompts], device=network.device)
    out = call(
        network, prompt, attend, steps=work.steps, gen_length=work.gen_length, block_length=work.block_length,
        mask_id=mask,
    )  # fmt: skip
    return out[:, longest:].tolist()


def kept(tokens: list[int], stop_ids: tuple[int, ...]) -> list[int]:
    """The answer before its first end."""
    ends = [i for i, token in enumerate(tokens) if token in stop_ids]
    return tokens[: ends[0]] if ends else tokens


def seconds(call: Callable[[], Any], device: torch.device) -> tuple[float, Any]:
    """Wall seconds of one call, the device's queue drained before and after."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    began = time.perf_counter()
    result = call()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began, result


def peak_flops(dtype: torch.dtype, device: torch.device) -> float:
    """Multiply-adds a second × 2 of the best of a few square products, of the kind that the model uses."""
    best = 0.0
    for size in (512, 1024, 2048) if device.type == "cpu" else (4096, 8192):
        a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
        for _ in range(3):
            took, _ = seconds(lambda a=a, b=b: a @ b, device)
            best = max(best, 2 * size**3 / took)
    return best


def step_flops(config: ModelConfig, work: Work) -> float:
    """FLOPs of the products that one step cannot do without: the body on every position, the head on what is open."""
    length = sum(len(p) + work.gen_length for p in work.prompts)
    attend = 2 * config.head_dim * (config.n_heads + config.n_kv_heads)
    layer = config.d_model * (attend + 3 * config.d_ff)
    per_block = work.steps * work.block_length / work.gen_length
    open_rows = len(work.prompts) * (work.block_length * (per_block + 1) / (2 * per_block))
    scores = sum(4 * (len(p) + work.gen_length) ** 2 * config.n_heads * config.head_dim for p in work.prompts)
    return config.n_layers * (2 * layer * length + scores) + 2 * open_rows * config.d_model * config.vocab_size


def compare(name: str, predictor: MaskPredictor, work: Work, pairs: int, reference: Path | None) -> dict[str, Any]:
    """Time all variants in turn, `pairs` times; medians of the pairwise ratios to the published loop."""
    network, contract, device = Network(predictor.model), predictor.contract, predictor.device
    published = authors(reference) or generate
    pad = predictor.model.config.pad_id
    variants: dict[str, Callable[[], list[list[int]]]] = {
        "published": lambda: theirs(network, work, published, pad, contract.mask_id),
    }
    if len(set(map(len, work.prompts))) == 1:  # the published body takes rows of one length
        plain, windowed = (PlainBody(predictor, network, dense) for dense in (True, False))
        variants["our loop, their network, full head"] = lambda: ours(plain, work, False)
        variants["+ head on open positions only"] = lambda: ours(windowed, work, False)
    else:
        full = DenseHead(predictor.model)
        full.contract = contract
        variants["our loop and network, full head"] = lambda: ours(full, work, False)
    variants["+ our network"] = lambda: ours(predictor, work, False)
    variants["+ lossless stop (remask)"] = lambda: ours(predictor, work, True)
    times: dict[str, list[float]] = {variant: [] for variant in variants}
    answers: dict[str, list[list[int]]] = {}
    for turn in range(pairs + 1):
        for variant, call in variants.items():
            took, answers[variant] = seconds(call, device)
            if turn:  # the first turn warms up
                times[variant].append(took)
    base = answers["published"]
    tokens = sum(len(kept(answer, work.stop_ids)) for answer in base)
    result = {}
    for variant, took in times.items():
        same = [kept(a, work.stop_ids) == kept(b, work.stop_ids) for a, b in zip(answers[variant], base, strict=True)]
        result[variant] = {
            "seconds": statistics.median(took),
            "ms_per_step": 1000 * statistics.median(took) / work.steps,
            "tokens_per_second": tokens / statistics.median(took) if tokens else 0.0,
            "ratio": statistics.median(a / b for a, b in zip(times["published"], took, strict=True)),
            "same_answers": f"{sum(same)}/{len(same)}",
        }
    peak = peak_flops(predictor.dtype, device)
    floor = step_flops(predictor.model.config, work) / peak
    report(name, work, result, peak, floor)
    said = asdict(work) | {"prompts": len(work.prompts)}
    return {"name": name, "work": said, "variants": result, "peak": peak, "floor": floor}


def report(name: str, work: Work, result: dict[str, Any], peak: float, floor: float) -> None:
    """Print one table in Markdown."""
    shape = f"gen {work.gen_length}, block {work.block_length}, steps {work.steps}"
    print(f"\n**{name}**: {len(work.prompts)} row(s), {shape}\n")
    print("| variant | s | ms/step | kept tokens/s | × published | same answers |\n|---|---|---|---|---|---|")
    for variant, r in result.items():
        print(
            f"| {variant} | {r['seconds']:.2f} | {r['ms_per_step']:.1f} | {r['tokens_per_second']:.1f} "
            f"| {r['ratio']:.2f} | {r['same_answers']} |"
        )
    print(f"\nFloor: {1000 * floor:.1f} ms a step of matrix products at {peak / 1e9:,.0f} GFLOP/s measured here.")


def bundled_work(llm: LLM, task: str, rows: int) -> Work:
    """The fixed workload: held-out prompts of a task, gen_length its longest answer rounded up to 32, block 32."""
    length = gen_length(llm, TASKS[task])
    drawn = islice(examples(TASKS[task], "heldout", 7), rows)
    return Work(task, [llm.encode(e.prompt) for e in drawn], length, 32, length, llm.stop_ids)


def random_large(dtype: torch.dtype, device: torch.device) -> MaskPredictor:
    """Random weights in the large geometry, the head scaled up so that answers are not all one token."""
    model = Transformer(LARGE).to(dtype).initialise(torch.Generator().manual_seed(0)).to(device)
    with torch.no_grad():
        model.unembed.mul_(20)
    return MaskPredictor(model, known_tokens=126349)


def main() -> None:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--geometry", choices=("bundled", "large"), default="bundled")
    parser.add_argument("--reference", type=Path, help="a checkout of ML-GSAI/LLaDA")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16", "float16"))
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--rows", type=int, nargs="*", default=[1, 8])
    parser.add_argument("--tasks", nargs="*", default=["arithmetic", "sorting"])
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    keep_freed_memory()
    device, dtype = torch.device(asked.device), getattr(torch, asked.dtype)
    results = []
    if asked.geometry == "large":
        predictor = random_large(dtype, device)
        for rows in asked.rows:
            generator = torch.Generator().manual_seed(rows)
            prompts = torch.randint(0, 126000, (rows, 64), generator=generator).tolist()
            work = Work("random", prompts, 64, 32, 64, LARGE.eos_ids)
            results.append(compare(f"0.48 B, {asked.dtype}", predictor, work, asked.pairs, asked.reference))
    else:
        llm = LLM(checkpoint.load("bundled", device=asked.device, dtype=asked.dtype))
        for task in asked.tasks:
            for rows in asked.rows:
                work = bundled_work(llm, task, rows)
                results.append(compare(f"bundled, {task}", llm.model, work, asked.pairs, asked.reference))
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    build = f"torch {torch.__version__}, {torch.get_num_threads()} threads"
    print(f"\nPeak memory of the process: {kilobytes / 2**20:.2f} GiB; {build}.")
    if asked.json:
        asked.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
