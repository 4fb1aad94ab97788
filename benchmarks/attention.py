"""Attention group by group against one call for all sequences, on a CUDA GPU: correctness, invariance and time.

    python benchmarks/attention.py [--layers 32] [--dtype bfloat16]

Three mixes of rows without a cache, in the geometry of LLaDA-8B: all of one length, of two lengths, of all lengths. The
error is the largest difference from float64, sequence by sequence. A sequence is `invariant` if it has the same bits
alone and in the batch. Times are medians, in milliseconds for one layer. Without a GPU there is nothing to compare.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from remask.models.attention import Mixing, mixing
from remask.models.attention.sdpa import Sdpa
from remask.models.config import ModelConfig
from remask.models.contract import Group

HEADS, WIDTH, ROWS, TIMES = 32, 128, 32, 20
CONFIG = ModelConfig("llada", 126464, HEADS * WIDTH, 32, HEADS, HEADS, WIDTH, 12288)
MIXES = {
    "all of one length": [512] * ROWS,
    "two lengths": [256] * (ROWS // 2) + [512] * (ROWS // 2),
    "all unlike": [256 + 8 * i for i in range(ROWS)],
}


def groups_of(lengths: list[int]) -> list[Group]:
    """Return the groups that the engine makes of rows of these lengths: those of a length are one."""
    groups, start = [], 0
    for length in sorted(set(lengths)):
        groups.append(Group(start, lengths.count(length), length))
        start = groups[-1].stop
    return groups


def sequences(groups: list[Group]) -> Iterator[slice]:
    """Yield the packed rows of each sequence."""
    for group in groups:
        for start in range(group.start, group.stop, group.queries):
            yield slice(start, start + group.queries)


def error(mixed: Tensor, qkv: tuple[Tensor, ...], groups: list[Group]) -> float:
    """Return the largest difference of the mixed values from float64 attention."""
    apart = 0.0
    for own in sequences(groups):
        exact = F.scaled_dot_product_attention(*(x[own].double().transpose(0, 1) for x in qkv)).transpose(0, 1)
        apart = max(apart, float((mixed[own].double() - exact.flatten(1)).abs().max()))
    return apart


def invariant(mixing: Mixing, mixed: Tensor, qkv: tuple[Tensor, ...], groups: list[Group]) -> bool:
    """Return True if every sequence alone has the bits that it has in the batch."""
    return all(
        torch.equal(mixing([Group(0, 1, own.stop - own.start)]).mix(0, *(x[own] for x in qkv)), mixed[own])
        for own in sequences(groups)
    )


def milliseconds(work: Callable[[], object]) -> float:
    """Return the median time of `work` on the device."""
    took = []
    for _ in range(TIMES + 3):
        torch.cuda.synchronize()
        began = time.perf_counter()
        work()
        torch.cuda.synchronize()
        took.append(1e3 * (time.perf_counter() - began))
    return statistics.median(took[3:])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=32, help="layers that share what is prepared once a forward")
    parser.add_argument("--dtype", choices=["bfloat16", "float16"], default="bfloat16", help="of queries, keys, values")
    asked = parser.parse_args()
    if not torch.cuda.is_available():
        print("no CUDA GPU here, so there is nothing to compare: a CPU computes attention group by group")
        return
    device, dtype = torch.device("cuda"), getattr(torch, asked.dtype)
    joint = mixing(CONFIG, device, dtype)
    if joint is Sdpa:
        print(f"torch {torch.__version__} has no variable-length attention for {torch.cuda.get_device_name()}")
        return
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {ROWS} rows, {asked.dtype}\n")
    print("| mix | attention | error | invariant | ms a layer |\n|---|---|---:|---|---:|")
    for name, lengths in MIXES.items():
        groups, generator = groups_of(lengths), torch.Generator(device).manual_seed(0)
        shape = (groups[-1].stop, HEADS, WIDTH)
        q, k, v = (torch.randn(shape, generator=generator, device=device).to(dtype) for _ in range(3))
        for way, made in {"group by group": Sdpa, "one call": joint}.items():
            mixed = made(groups).mix(0, q, k, v)

            def layers(made: Mixing = made, groups: list[Group] = groups, qkv: tuple[Tensor, ...] = (q, k, v)) -> None:
                mixer = made(groups)
                for layer in range(asked.layers):
                    mixer.mix(layer, *qkv)

            same = "yes" if invariant(made, mixed, (q, k, v), groups) else "no"
            took = milliseconds(layers) / asked.layers
            print(f"| {name} | {way} | {error(mixed, (q, k, v), groups):.1e} | {same} | {took:.2f} |", flush=True)


if __name__ == "__main__":
    with torch.inference_mode():
        main()
