"""Attention group by group against one call for all sequences: errors, invariance and time. A part of `gpu.py`.

The error is the largest difference from float64, sequence by sequence. A sequence is `invariant` if it has the same
bits alone and in the batch. Times are medians, in milliseconds: of a layer, or of a whole forward.
"""

from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from statistics import median
from typing import Any
from unittest.mock import patch

import torch
from common import LARGE, SMALL, Stopwatch, random_model
from device import Half, advance, batch_of
from torch import Tensor
from torch.nn import functional as F

from remask.decoding.blocks import Blocks
from remask.decoding.caches import Dual
from remask.decoding.recipe import Recipe
from remask.engine import slab
from remask.models.attention import Mixing, mixing
from remask.models.attention.sdpa import Sdpa
from remask.models.attention.varlen import OPTIONS, Varlen
from remask.models.config import ModelConfig
from remask.models.contract import Group

Figures = dict[str, Any]


def attention(watch: Stopwatch) -> Iterator[tuple[str, Figures]]:
    """Compare one call for all sequences with a call a group, in bf16: whole forwards, then three mixes of rows."""
    rows, longest = (32, 1024) if watch.cuda else (4, 128)
    mixes = {
        "equal": [(longest + 64) // 2] * rows,
        "two lengths": [64] * (rows // 2) + [longest] * (rows // 2),
        "all unlike": [64 + (longest - 64) * i // (rows - 1) for i in range(rows)],
    }
    yield "kernel", {"options": sorted(OPTIONS or ())}
    yield "forward, all unlike", forward(watch, mixes["all unlike"])
    yield "cached windows, all unlike", windows(watch, rows)
    grouped = not watch.cuda or "enable_gqa" in (OPTIONS or ())  # torch 2.11 has no grouped queries in one call
    for heads, kv_heads in ((16, 16), (16, 4)) if grouped else ((16, 16),):
        config = ModelConfig("llada", 1000, 2048, 1, heads, kv_heads, 128, 2048)
        joint = joint_mixing(config, watch)
        for name, lengths in mixes.items():
            if kv_heads == heads or name == "all unlike":
                yield f"{name}, {kv_heads} kv heads", mix(watch, config, joint, lengths)


def joint_mixing(config: ModelConfig, watch: Stopwatch) -> Mixing:
    """The mixing that a model takes on the device; on a CPU, where there is no kernel, its arithmetic."""
    if not watch.cuda:
        return partial(Varlen.of, kernel=one_by_one, device=watch.device)
    joint = mixing(config, watch.device, torch.bfloat16)
    if joint is Sdpa:
        raise RuntimeError(f"torch {torch.__version__} has no variable-length attention that fits {config}")
    return joint


def one_by_one(q: Tensor, k: Tensor, v: Tensor, starts: Tensor, longest: int) -> Tensor:
    """What a kernel computes, a sequence at a time."""
    mixed = [
        F.scaled_dot_product_attention(*(x[a:b].transpose(0, 1) for x in (q, k, v)), enable_gqa=True).transpose(0, 1)
        for a, b in pairwise(starts.tolist())
    ]
    return torch.cat(mixed)


def mix(watch: Stopwatch, config: ModelConfig, joint: Mixing, lengths: list[int]) -> Figures:
    """Errors against float64, invariance and ms a layer of both ways; one call errs at most twice as much."""
    groups, generator = groups_of(lengths), torch.Generator(watch.device).manual_seed(0)
    made = {"generator": generator, "device": watch.device}
    q = torch.randn(groups[-1].stop, config.n_heads, config.head_dim, **made).bfloat16()
    k, v = (torch.randn(groups[-1].stop, config.n_kv_heads, config.head_dim, **made).bfloat16() for _ in range(2))
    wide = tuple(x.repeat_interleave(config.n_heads // x.shape[1], 1) for x in (q, k, v))
    figures: Figures = {}
    for way, maker in {"sdpa": Sdpa, "varlen": joint}.items():
        mixer = maker(groups)
        mixed = mixer.mix(0, q, k, v)
        figures[f"{way} error"] = error(mixed, wide, groups)
        figures[f"{way} invariant"] = invariant(maker, mixed, (q, k, v), groups)
        figures[f"{way} ms"] = watch.milliseconds(lambda mixer=mixer: mixer.mix(0, q, k, v))
    close = figures["varlen error"] <= 2 * figures["sdpa error"]
    return {"ok": close and figures["varlen invariant"]} | figures


def forward(watch: Stopwatch, lengths: list[int]) -> Figures:
    """A forward without a cache of 0.48 B both ways: ms, and how far hidden rows are from each other."""
    model = random_model(LARGE if watch.cuda else SMALL, watch.device, torch.bfloat16)
    half = Half.of(batch_of(model, Recipe(blocks=Blocks(32)), [length - 32 for length in lengths], 32))
    ways = {"sdpa": Sdpa, "varlen": joint_mixing(model.model.config, watch)}
    times: dict[str, list[float]] = {way: [] for way in ways}
    hidden = {}
    for _ in range(3):  # in turn: a host that slows down is slow for both
        for way, maker in ways.items():
            model.mixing = maker
            hidden[way] = model.hidden(half.packed).float()
            times[way].append(watch.milliseconds(lambda: model.hidden(half.packed), 3))
    apart = (hidden["varlen"] - hidden["sdpa"]).norm() / hidden["sdpa"].norm()
    figures = {f"{way} ms": median(of) for way, of in times.items()}
    return {"ok": float(apart) < 0.05, "apart": float(apart)} | figures


def windows(watch: Stopwatch, rows: int) -> Figures:
    """Milliseconds of a forward of 0.48 B that reads stored keys, of rows with unlike lengths, by the slots to which
    lengths are rounded: rows of one slab share their calls."""
    model = random_model(LARGE if watch.cuda else SMALL, watch.device, torch.bfloat16)
    figures: Figures = {}
    for grain in (1, slab.GRAIN, 128):
        with patch.object(slab, "GRAIN", grain):
            batch = batch_of(model, Recipe(blocks=Blocks(32), cache=Dual()), [64 + 4 * i for i in range(rows)])
            advance(batch)
            half = Half.of(batch)
        figures[f"by {grain} ms"] = watch.milliseconds(lambda half=half: model.hidden(half.packed))
        figures[f"by {grain} groups"] = len(half.packed.groups)
    return figures


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
