"""What the benchmarks share: workloads, a stopwatch, variants timed in turn, tables and arguments."""

import argparse
import copy
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn

from remask import files
from remask.decoding.canvas import Canvas
from remask.decoding.recipe import Recipe
from remask.engine.host import keep_freed_memory
from remask.engine.row import Row
from remask.engine.step import denoise
from remask.evals.items import gen_length
from remask.llm import LLM
from remask.models.config import ModelConfig
from remask.models.linear import Weights, convert, kind
from remask.models.predictor import MaskPredictor
from remask.models.transformer import Transformer
from remask.tasks import TASKS, examples

LARGE = ModelConfig(
    family="llada", vocab_size=126464, d_model=1024, n_layers=16, n_heads=16, n_kv_heads=16, head_dim=64, d_ff=2816,
    rope_theta=500000.0, mask_id=126336, eos_ids=(126081,), tie_embeddings=False,
)  # fmt: skip
SMALL = ModelConfig("llada", 1024, 160, 6, 5, 5, 32, 448, mask_id=1020, eos_ids=(1019,))  # the bundled geometry
Answers = list[list[int]]  # the tokens of each answer


# --- workloads ---


@dataclass(frozen=True)
class Work:
    """One fixed workload: prompts, and how they are decoded."""

    name: str
    prompts: list[list[int]]
    gen_length: int
    block_length: int
    steps: int
    stop_ids: tuple[int, ...]


def bundled_work(llm: LLM, task: str, rows: int) -> Work:
    """Held-out prompts of a task, gen_length its longest answer rounded up to 32, block 32, one token a step."""
    length = gen_length(llm, TASKS[task])
    drawn = islice(examples(TASKS[task], "heldout", 7), rows)
    return Work(task, [llm.encode(e.prompt) for e in drawn], length, 32, length, llm.stop_ids)


def random_work(rows: int, gen_length: int = 64, steps: int | None = None) -> Work:
    """Random prompts of 64 tokens for the large geometry, block 32; one token a step without `steps`."""
    prompts = torch.randint(0, 126000, (rows, 64), generator=torch.Generator().manual_seed(rows)).tolist()
    return Work("random", prompts, gen_length, 32, steps or gen_length, LARGE.eos_ids)


def random_large(dtype: torch.dtype, device: torch.device) -> MaskPredictor:
    """Random weights in the large geometry: small embeddings and a head of its own, or the mask would predict itself
    and every answer be one token."""
    generator = torch.Generator().manual_seed(0)
    model = Transformer(LARGE).to(dtype).initialise(generator)
    with torch.no_grad():
        model.embed.weight.normal_(0.0, 0.02, generator=generator)
        model.unembed.weight.normal_(0.0, 0.4, generator=generator)
    return MaskPredictor(model.to(device), known_tokens=126349)


def random_model(config: ModelConfig, device: torch.device, dtype: torch.dtype) -> MaskPredictor:
    """Random weights, drawn on the device; guesses are as unlike in `random_large`."""
    generator = torch.Generator(device).manual_seed(0)
    with torch.device(device):
        model = Transformer(config).to(dtype).initialise(generator)
    with torch.no_grad():
        model.embed.weight.normal_(0.0, 0.02, generator=generator)
        model.unembed.weight.normal_(0.0, 0.4, generator=generator)
    return MaskPredictor(model)


def held(predictor: MaskPredictor, weights: Weights) -> MaskPredictor:
    """The same model with its matrices held as `weights`; everything else is shared."""
    model = copy.deepcopy(predictor.model, {id(weight): weight for weight in predictor.model.parameters()})
    for path, module in list(model.named_modules()):
        if isinstance(module, nn.Linear):
            model.set_submodule(path, convert(module, kind(weights, predictor.device, predictor.dtype)))
    other = MaskPredictor(model)
    other.contract = replace(predictor.contract, exactness=other.contract.exactness)
    return other


def decode(model: MaskPredictor, work: Work, recipe: Recipe) -> Answers:
    """Decode with our loop, all rows side by side."""
    rows = [
        Row(Canvas.after(p, work.gen_length, model.contract.mask_id), recipe, model.contract, stop_ids=work.stop_ids)
        for p in work.prompts
    ]
    for _ in denoise(model, rows):
        pass
    return [row.canvas.tokens[len(p) :].tolist() for row, p in zip(rows, work.prompts, strict=True)]


def kept(tokens: list[int], stop_ids: tuple[int, ...]) -> list[int]:
    """The answer before its first end."""
    ends = [i for i, token in enumerate(tokens) if token in stop_ids]
    return tokens[: ends[0]] if ends else tokens


# --- time ---


@dataclass(frozen=True)
class Stopwatch:
    """Seconds of calls on a device: wall time, or `read` something else, such as this process's CPU time."""

    device: torch.device
    read: Callable[[], float] = time.perf_counter

    def seconds(self, call: Callable[[], Any]) -> tuple[float, Any]:
        """Seconds and the result of one call, the device's queue drained before and after."""
        self.drain()
        began = self.read()
        result = call()
        self.drain()
        return self.read() - began, result

    def milliseconds(self, call: Callable[[], Any], times: int = 20) -> float:
        """The median of `times` calls behind three that do not count; of one behind one on a CPU, to rehearse."""
        first, count = (3, times) if self.cuda else (1, 1)
        return 1e3 * statistics.median([self.seconds(call)[0] for _ in range(first + count)][first:])

    @property
    def cuda(self) -> bool:
        """Whether the device is an NVIDIA GPU."""
        return self.device.type == "cuda"

    def drain(self) -> None:
        """Wait for what the device has been given."""
        if self.cuda:
            torch.cuda.synchronize()


@dataclass
class Timings:
    """Seconds of each variant, round by round, and its last answers."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    answers: dict[str, Answers] = field(default_factory=dict)

    def median(self, variant: str) -> float:
        """The median of its seconds."""
        return statistics.median(self.seconds[variant])

    def ratio(self, variant: str, base: str) -> float:
        """How many times as fast as `base`: the median over rounds, in each of which both met the same machine."""
        pairs = zip(self.seconds[base], self.seconds[variant], strict=True)
        return statistics.median(a / b for a, b in pairs)

    def same(self, variant: str, base: str, stop_ids: tuple[int, ...]) -> str:
        """How many answers equal those of `base` up to their first end, as in 7/8."""
        pairs = list(zip(self.answers[variant], self.answers[base], strict=True))
        return f"{sum(kept(a, stop_ids) == kept(b, stop_ids) for a, b in pairs)}/{len(pairs)}"

    def tokens(self, variant: str, stop_ids: tuple[int, ...]) -> int:
        """Tokens of its answers before their ends."""
        return sum(len(kept(answer, stop_ids)) for answer in self.answers[variant])


def in_turn(
    variants: Mapping[str, Callable[[Work], Answers]],
    work: Work,
    rounds: int,
    watch: Stopwatch,
    warm_up: Work | None = None,
) -> Timings:
    """Time every variant once a round, after one round on `warm_up`, or `work`, that does not count."""
    timings = Timings({variant: [] for variant in variants})
    for call in variants.values():
        call(warm_up or work)
    for _ in range(rounds):
        for variant, call in variants.items():
            took, timings.answers[variant] = watch.seconds(lambda call=call: call(work))
            timings.seconds[variant].append(took)
    return timings


def peak_flops(weights: Weights, dtype: torch.dtype, watch: Stopwatch) -> float:
    """Multiply-adds a second × 2 of the best of a few square products, of the kind that the model uses."""
    best, device = 0.0, watch.device
    for size in (512, 1024, 2048) if device.type == "cpu" else (4096, 8192):
        layer = nn.Linear(size, size, bias=False, device=device, dtype=dtype).requires_grad_(False)
        x, product = torch.randn(size, size, device=device).to(dtype), convert(layer, kind(weights, device, dtype))
        best = max(best, *(2 * size**3 / watch.seconds(lambda x=x, p=product: p(x))[0] for _ in range(3)))
    return best


def bandwidth(watch: Stopwatch) -> float:
    """Bytes a second that are read from memory, of the best of a few sums over 512 MiB."""
    data = torch.ones(2**29, dtype=torch.uint8, device=watch.device).view(torch.int64)
    return max(data.nbytes / watch.seconds(data.max)[0] for _ in range(3))


# --- input and output ---


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]] = ()) -> None:
    """Print a table in Markdown; rows that come later are printed by `print_row`."""
    print_row(columns)
    print("|---" * len(columns) + "|")
    for row in rows:
        print_row(row)


def print_row(cells: Sequence[object]) -> None:
    """Print one line of a table at once."""
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def parser(description: str | None) -> argparse.ArgumentParser:
    """The arguments that all benchmarks of whole answers take."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--device", default="cpu")
    made.add_argument("--dtype", default="float32", choices=("float32", "bfloat16", "float16"))
    made.add_argument("--geometry", choices=("bundled", "large"), default="bundled")
    made.add_argument("--pairs", type=int, default=5)
    made.add_argument("--rows", type=int, nargs="*", default=[1, 8])
    made.add_argument("--tasks", nargs="*", default=["arithmetic", "sorting"])
    made.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="cpu: of this process alone")
    made.add_argument("--threads", type=int, help="of torch; as it chooses without it")
    made.add_argument("--json", type=Path)
    return made


def prepare(asked: argparse.Namespace) -> tuple[Stopwatch, torch.dtype]:
    """Set this process up as the arguments say; the stopwatch and the type to compute in."""
    if asked.threads:
        torch.set_num_threads(asked.threads)
    keep_freed_memory()
    read = time.process_time if asked.clock == "cpu" else time.perf_counter
    return Stopwatch(torch.device(asked.device), read), getattr(torch, asked.dtype)


def save(path: Path | None, figures: object) -> None:
    """Keep the figures as JSON, if there is a path."""
    if path is not None:
        files.write_json(path, figures)
