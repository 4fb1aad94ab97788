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
import resource
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from common import (
    Answers,
    Stopwatch,
    Work,
    bandwidth,
    bundled_work,
    decode,
    held,
    in_turn,
    parser,
    peak_flops,
    prepare,
    print_row,
    print_table,
    random_large,
    random_work,
    save,
)
from published import Network, authors, generate
from torch import Tensor

from remask import checkpoint
from remask.decoding.recipe import Recipe, Stop
from remask.llm import LLM
from remask.models.contract import Packed
from remask.models.linear import Weights
from remask.models.predictor import MaskPredictor
from remask.options import apply

PUBLISHED = "published"


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

    def __init__(self, predictor: MaskPredictor, watch: Stopwatch) -> None:
        super().__init__(predictor.model)
        self.contract, self.watch, self.body, self.head = predictor.contract, watch, 0.0, 0.0

    def hidden(self, batch: Packed) -> Tensor:
        """Hidden rows of the reads."""
        took, hidden = self.watch.seconds(lambda: super(Timed, self).hidden(batch))
        self.body += took
        return hidden

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits of the reads."""
        took, logits = self.watch.seconds(lambda: super(Timed, self).logits(hidden))
        self.head += took
        return logits


def ours(model: MaskPredictor, work: Work, stop: bool, name: str | None = None) -> Answers:
    """Decode with the default recipe, or the one called `name`."""
    recipe = replace(Recipe.load(name or "llada"), stop=Stop(eos_prefix=stop))
    return decode(model, work, recipe if name else apply(recipe, steps=work.steps, block_length=work.block_length))


def theirs(network: Network, work: Work, call: Callable[..., Tensor], pad: int, mask: int) -> Answers:
    """Decode as published, the prompts left-padded to one length."""
    longest = max(map(len, work.prompts))
    prompt = torch.tensor([[pad] * (longest - len(p)) + p for p in work.prompts], device=network.device)
    attend = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in work.prompts], device=network.device)
    out = call(
        network, prompt, attend, steps=work.steps, gen_length=work.gen_length, block_length=work.block_length,
        mask_id=mask,
    )  # fmt: skip
    return out[:, longest:].tolist()


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


def parts(predictor: MaskPredictor, weights: Weights, work: Work, watch: Stopwatch) -> list[Part]:
    """Body, head and loop of a step without the lossless stop; seconds a step, and what body and head must do.

    The body is needed on every position, the head on what is open.
    """
    config = predictor.model.config
    timed = Timed(predictor, watch)
    ours(timed, work, False)  # warms up
    timed.body = timed.head = 0.0
    whole, _ = watch.seconds(lambda: ours(timed, work, False))
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


def attribute(name: str, predictor: MaskPredictor, weights: Weights, work: Work, watch: Stopwatch) -> dict[str, Any]:
    """Print where the time of a step goes, and the floor of each part: its products and its weights at what the
    machine was measured to do with weights of that kind."""
    peak, memory = peak_flops(weights, predictor.dtype, watch), bandwidth(watch)
    print(f"\n**{name}, {weights}**: at most {peak / 1e9:,.0f} GFLOP/s, {memory / 1e9:.1f} GB/s here\n")
    print_table(["part", "ms/step", "floor", "bound by"])
    measured = parts(predictor, weights, work, watch)
    floors = [part.floor(peak, memory) for part in measured]
    for part, (floor, bound) in zip(measured, floors, strict=True):
        print_row([part.name, f"{1000 * part.seconds:.1f}", f"{1000 * floor:.1f}", bound if floor else "-"])
    whole, least = sum(part.seconds for part in measured), sum(floor for floor, _ in floors)
    print_row(["all", f"{1000 * whole:.1f}", f"{1000 * least:.1f}", ""])
    return {"peak": peak, "memory": memory, "parts": [asdict(part) for part in measured]}


def variants_of(
    predictor: MaskPredictor, work: Work, reference: Path | None, models: Mapping[Weights, MaskPredictor],
    recipes: Sequence[str],
) -> dict[str, Callable[[Work], Answers]]:  # fmt: skip
    """The published loop, then ours part by part; behind it other numbers and other recipes."""
    network, contract, pad = Network(predictor.model), predictor.contract, predictor.model.config.pad_id
    published = authors(reference) or generate
    variants: dict[str, Callable[[Work], Answers]] = {
        PUBLISHED: lambda w: theirs(network, w, published, pad, contract.mask_id)
    }
    if len(set(map(len, work.prompts))) == 1:  # the published body takes rows of one length
        plain, windowed = (PlainBody(predictor, network, dense) for dense in (True, False))
        variants["our loop, their network, full head"] = lambda w: ours(plain, w, False)
        variants["+ head on open positions only"] = lambda w: ours(windowed, w, False)
    else:
        full = DenseHead(predictor.model)
        full.contract = contract
        variants["our loop and network, full head"] = lambda w: ours(full, w, False)
    packed = models["packed"]
    variants["+ our network"] = lambda w: ours(predictor, w, False)
    variants["+ packed weights"] = lambda w: ours(packed, w, False)
    variants["+ lossless stop (remask)"] = lambda w: ours(packed, w, True)
    for weights, other in models.items():
        if weights != "packed":
            variants[f"{weights} (other numbers)"] = lambda w, other=other: ours(other, w, True)
    for name in recipes:
        variants[f"recipe {name} ({Recipe.load(name).exactness})"] = lambda w, name=name: ours(packed, w, True, name)
    return variants


def compare(
    name: str, predictor: MaskPredictor, work: Work, asked: argparse.Namespace, watch: Stopwatch
) -> dict[str, Any]:
    """Time all variants in turn; medians of the pairwise ratios to the published loop, then the parts of a step."""
    weights: list[Weights] = ["packed", *asked.quantize]
    models = {one: held(predictor, one) for one in weights}
    timings = in_turn(variants_of(predictor, work, asked.reference, models, asked.recipes), work, asked.pairs, watch)
    tokens = timings.tokens(PUBLISHED, work.stop_ids)
    result = {
        variant: {
            "seconds": (median := timings.median(variant)),
            "ms_per_step": 1000 * median / work.steps,
            "tokens_per_second": tokens / median,
            "ratio": timings.ratio(variant, PUBLISHED),
            "same_answers": timings.same(variant, PUBLISHED, work.stop_ids),
        }
        for variant in timings.seconds
    }
    report(name, work, result)
    attributed = {one: attribute(name, model, one, work, watch) for one, model in models.items()}
    return {
        "name": name,
        "work": asdict(work) | {"prompts": len(work.prompts)},
        "variants": result,
        "attributed": attributed,
    }


def report(name: str, work: Work, result: dict[str, Any]) -> None:
    """Print one table in Markdown."""
    shape = f"gen {work.gen_length}, block {work.block_length}, steps {work.steps}"
    print(f"\n**{name}**: {len(work.prompts)} row(s), {shape}\n")
    rows = (
        [
            variant, f"{r['seconds']:.2f}", f"{r['ms_per_step']:.1f}", f"{r['tokens_per_second']:.1f}",
            f"{r['ratio']:.2f}", r["same_answers"],
        ]
        for variant, r in result.items()
    )  # fmt: skip
    print_table(["variant", "s", "ms/step", "kept tokens/s", "× published", "same answers"], rows)


def main() -> None:
    """Run what the arguments ask for."""
    arguments = parser(__doc__)
    arguments.add_argument("--reference", type=Path, help="a checkout of ML-GSAI/LLaDA")
    arguments.add_argument("--quantize", nargs="*", default=[], choices=("int8", "int8-dynamic"))
    arguments.add_argument("--recipes", nargs="*", default=[], help="named recipes, measured after the exact ones")
    arguments.add_argument("--steps", type=int, help="of the large geometry; its 64 tokens take 64 without it")
    asked = arguments.parse_args()
    watch, dtype = prepare(asked)
    if asked.geometry == "large":
        name, predictor = f"0.48 B, {asked.dtype}", random_large(dtype, watch.device)
        works = [(name, random_work(rows, steps=asked.steps)) for rows in asked.rows]
    else:
        llm = LLM(checkpoint.load("bundled", device=asked.device, dtype=asked.dtype))
        predictor = llm.model
        works = [(f"bundled, {task}", bundled_work(llm, task, rows)) for task in asked.tasks for rows in asked.rows]
    results = [compare(name, predictor, work, asked, watch) for name, work in works]
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    build = f"torch {torch.__version__}, {torch.get_num_threads()} threads"
    print(f"\nPeak memory of the process: {kilobytes / 2**20:.2f} GiB; {build}.")
    save(asked.json, results)


if __name__ == "__main__":
    main()
