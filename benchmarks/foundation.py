"""Ours against the published loop: same weights, same answers, one run, pairs of runs in turn.

    python benchmarks/foundation.py                          the bundled model
    python benchmarks/foundation.py --geometry large         0.48 B random weights (d 1024, 16 layers, V 126,464)
    python benchmarks/foundation.py --reference DIR          against the authors' own generate.py
    python benchmarks/foundation.py --device cuda --dtype bfloat16 --geometry large

Prints seconds a step, kept tokens a second, the ratio pair by pair (median), whether the tokens are equal and the gain
by part; then where the time of a step goes, with the floor of each part beside it: its matrix products at this
machine's measured peak, or its weights at the measured bandwidth.
"""

import argparse
import copy
import json
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from published import Network, authors, generate
from torch import Tensor, nn

from remask import checkpoint
from remask.decoding.canvas import Canvas
from remask.decoding.recipe import Recipe, Stop
from remask.engine.host import keep_freed_memory
from remask.engine.row import Row
from remask.engine.step import denoise
from remask.evals.items import gen_length
from remask.llm import LLM
from remask.models.config import ModelConfig
from remask.models.contract import Packed
from remask.models.linear import Weights, convert, kind
from remask.models.predictor import MaskPredictor
from remask.models.transformer import Transformer
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
        hidden = super().hidden(Packed(batch.tokens, batch.positions, batch.groups, everything, batch.rotations))
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


class Timed(MaskPredictor):
    """A predictor that counts its seconds in the body and in the head."""

    def __init__(self, predictor: MaskPredictor) -> None:
        super().__init__(predictor.model)
        self.contract, self.body, self.head = predictor.contract, 0.0, 0.0

    def hidden(self, batch: Packed) -> Tensor:
        """Hidden rows of the reads."""
        took, hidden = seconds(lambda: super(Timed, self).hidden(batch), self.device)
        self.body += took
        return hidden

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits of the reads."""
        took, logits = seconds(lambda: super(Timed, self).logits(hidden), self.device)
        self.head += took
        return logits


def held(predictor: MaskPredictor, weights: Weights) -> MaskPredictor:
    """The same model with its matrices held as `weights`; everything else is shared."""
    model = copy.deepcopy(predictor.model, {id(weight): weight for weight in predictor.model.parameters()})
    for path, module in list(model.named_modules()):
        if isinstance(module, nn.Linear):
            model.set_submodule(path, convert(module, kind(weights, predictor.device, predictor.dtype)))
    other = MaskPredictor(model)
    other.contract = replace(predictor.contract, exactness=other.contract.exactness)
    return other


def ours(model: MaskPredictor, work: Work, stop: bool, name: str | None = None) -> list[list[int]]:
    """Decode with the default recipe, or the one called `name`; the tokens of each answer."""
    recipe = replace(Recipe.load(name or "llada"), stop=Stop(eos_prefix=stop))
    recipe = recipe if name else Recipe.of(recipe, steps=work.steps, block_length=work.block_length)
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


clock = time.perf_counter


def seconds(call: Callable[[], Any], device: torch.device) -> tuple[float, Any]:
    """Seconds of one call by `clock`, the device's queue drained before and after."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    began = clock()
    result = call()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return clock() - began, result


def peak_flops(weights: Weights, dtype: torch.dtype, device: torch.device) -> float:
    """Multiply-adds a second × 2 of the best of a few square products, of the kind that the model uses."""
    best = 0.0
    for size in (512, 1024, 2048) if device.type == "cpu" else (4096, 8192):
        layer = nn.Linear(size, size, bias=False, device=device, dtype=dtype).requires_grad_(False)
        x, product = torch.randn(size, size, device=device).to(dtype), convert(layer, kind(weights, device, dtype))
        best = max(best, *(2 * size**3 / seconds(lambda x=x, p=product: p(x), device)[0] for _ in range(3)))
    return best


def bandwidth(device: torch.device) -> float:
    """Bytes a second that are read from memory, of the best of a few sums over 512 MiB."""
    data = torch.ones(2**29, dtype=torch.uint8, device=device).view(torch.int64)
    return max(data.nbytes / seconds(data.max, device)[0] for _ in range(3))


@dataclass(frozen=True)
class Part:
    """One part of a step: its products, the weights that it reads, and what it took."""

    name: str
    flops: float
    bytes: float
    seconds: float

    def floor(self, peak: float, memory: float) -> tuple[float, str]:
        """Seconds that it cannot do without, and what bounds it."""
        return max((self.flops / peak, "products"), (self.bytes / memory, "memory"))


def parts(predictor: MaskPredictor, weights: Weights, work: Work) -> list[Part]:
    """Body, head and loop of a step without the lossless stop; seconds a step, and what body and head must do.

    The body is needed on every position, the head on what is open.
    """
    config = predictor.model.config
    timed = Timed(predictor)
    ours(timed, work, False)  # warms up
    timed.body = timed.head = 0.0
    whole, _ = seconds(lambda: ours(timed, work, False), predictor.device)
    length = sum(len(p) + work.gen_length for p in work.prompts)
    attend = 2 * config.head_dim * (config.n_heads + config.n_kv_heads)
    layer = config.d_model * (attend + 3 * config.d_ff)
    per_block = work.steps * work.block_length / work.gen_length
    open_rows = len(work.prompts) * (work.block_length * (per_block + 1) / (2 * per_block))
    scores = sum(4 * (len(p) + work.gen_length) ** 2 * config.n_heads * config.head_dim for p in work.prompts)
    head = config.d_model * config.vocab_size
    size = 1 if weights.startswith("int8") else predictor.dtype.itemsize
    body, rest = timed.body / work.steps, (whole - timed.body - timed.head) / work.steps
    return [
        Part("body", config.n_layers * (2 * layer * length + scores), size * config.n_layers * layer, body),
        Part("head", 2 * open_rows * head, size * head, timed.head / work.steps),
        Part("loop", 0.0, 0.0, rest),
    ]


def attribute(name: str, predictor: MaskPredictor, weights: Weights, work: Work) -> dict[str, Any]:
    """Print where the time of a step goes, and the floor of each part: its products and its weights at what the
    machine was measured to do with weights of that kind."""
    peak = peak_flops(weights, predictor.dtype, predictor.device)
    memory = bandwidth(predictor.device)
    print(f"\n**{name}, {weights}**: at most {peak / 1e9:,.0f} GFLOP/s, {memory / 1e9:.1f} GB/s here\n")
    print("| part | ms/step | floor | bound by |\n|---|---|---|---|")
    found = parts(predictor, weights, work)
    for part in found:
        floor, bound = part.floor(peak, memory)
        print(f"| {part.name} | {1000 * part.seconds:.1f} | {1000 * floor:.1f} | {bound if floor else '-'} |")
    floors = sum(part.floor(peak, memory)[0] for part in found)
    print(f"| all | {1000 * sum(part.seconds for part in found):.1f} | {1000 * floors:.1f} | |")
    return {"peak": peak, "memory": memory, "parts": [asdict(part) for part in found]}


def compare(
    name: str, predictor: MaskPredictor, work: Work, pairs: int, reference: Path | None, quantize: Sequence[Weights],
    recipes: Sequence[str] = (),
) -> dict[str, Any]:  # fmt: skip
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
    packed = held(predictor, "packed")
    variants["+ packed weights"] = lambda: ours(packed, work, False)
    variants["+ lossless stop (remask)"] = lambda: ours(packed, work, True)
    rounded = {weights: held(predictor, weights) for weights in quantize}
    for weights, other in rounded.items():
        variants[f"{weights} (other numbers)"] = lambda other=other: ours(other, work, True)
    for recipe in recipes:
        variants[f"recipe {recipe} ({Recipe.load(recipe).exactness})"] = lambda r=recipe: ours(packed, work, True, r)
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
    report(name, work, result)
    kinds: dict[Weights, MaskPredictor] = {"packed": packed, **rounded}
    attributed = {weights: attribute(name, other, weights, work) for weights, other in kinds.items()}
    said = asdict(work) | {"prompts": len(work.prompts)}
    return {"name": name, "work": said, "variants": result, "attributed": attributed}


def report(name: str, work: Work, result: dict[str, Any]) -> None:
    """Print one table in Markdown."""
    shape = f"gen {work.gen_length}, block {work.block_length}, steps {work.steps}"
    print(f"\n**{name}**: {len(work.prompts)} row(s), {shape}\n")
    print("| variant | s | ms/step | kept tokens/s | × published | same answers |\n|---|---|---|---|---|---|")
    for variant, r in result.items():
        print(
            f"| {variant} | {r['seconds']:.2f} | {r['ms_per_step']:.1f} | {r['tokens_per_second']:.1f} "
            f"| {r['ratio']:.2f} | {r['same_answers']} |"
        )


def bundled_work(llm: LLM, task: str, rows: int) -> Work:
    """The fixed workload: held-out prompts of a task, gen_length its longest answer rounded up to 32, block 32."""
    length = gen_length(llm, TASKS[task])
    drawn = islice(examples(TASKS[task], "heldout", 7), rows)
    return Work(task, [llm.encode(e.prompt) for e in drawn], length, 32, length, llm.stop_ids)


def random_large(dtype: torch.dtype, device: torch.device) -> MaskPredictor:
    """Random weights in the large geometry: small embeddings and a head of its own, or the mask would predict itself
    and every answer be one token."""
    generator = torch.Generator().manual_seed(0)
    model = Transformer(LARGE).to(dtype).initialise(generator)
    with torch.no_grad():
        model.embed.weight.normal_(0.0, 0.02, generator=generator)
        model.unembed.weight.normal_(0.0, 0.4, generator=generator)
    model = model.to(device)
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
    parser.add_argument("--quantize", nargs="*", default=[], choices=("int8", "int8-dynamic"))
    parser.add_argument("--recipes", nargs="*", default=[], help="named recipes, measured after the exact ones")
    parser.add_argument("--steps", type=int, help="of the large geometry; its 64 tokens take 64 without it")
    parser.add_argument(
        "--clock", choices=("wall", "cpu"), default="wall", help="cpu: of this process, where others run"
    )
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    if asked.clock == "cpu":
        global clock
        clock = time.process_time
    keep_freed_memory()
    device, dtype = torch.device(asked.device), getattr(torch, asked.dtype)
    results = []
    if asked.geometry == "large":
        predictor = random_large(dtype, device)
        for rows in asked.rows:
            generator = torch.Generator().manual_seed(rows)
            prompts = torch.randint(0, 126000, (rows, 64), generator=generator).tolist()
            work = Work("random", prompts, 64, 32, asked.steps or 64, LARGE.eos_ids)
            results.append(
                compare(
                    f"0.48 B, {asked.dtype}",
                    predictor,
                    work,
                    asked.pairs,
                    asked.reference,
                    asked.quantize,
                    asked.recipes,
                )
            )
    else:
        llm = LLM(checkpoint.load("bundled", device=asked.device, dtype=asked.dtype))
        for task in asked.tasks:
            for rows in asked.rows:
                work = bundled_work(llm, task, rows)
                results.append(
                    compare(
                        f"bundled, {task}", llm.model, work, asked.pairs, asked.reference, asked.quantize, asked.recipes
                    )
                )
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    build = f"torch {torch.__version__}, {torch.get_num_threads()} threads"
    print(f"\nPeak memory of the process: {kilobytes / 2**20:.2f} GiB; {build}.")
    if asked.json:
        asked.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
