"""Attention of sequences of any lengths in one call, by torch's `varlen_attn` (FlashAttention-2, arXiv 2307.08691).

It takes no mask, 16-bit numbers and CUDA alone. Sequences with a mask or with stored keys go through `sdpa`, group by
group. torch 2.10 has the kernel without grouped queries and without `num_splits`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from inspect import signature
from typing import Any, Protocol

import torch
from torch import Tensor

from ..config import ModelConfig
from ..contract import Group
from . import sdpa

try:
    from torch.nn.attention.varlen import varlen_attn
except ImportError:  # torch before 2.10
    OPTIONS = None
else:
    OPTIONS = signature(varlen_attn).parameters.keys()

AMPERE = (8, 0)  # the first compute capability for which there is a kernel


class Kernel(Protocol):
    """Attention of sequences that lie end to end, each of which sees itself alone."""

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, starts: Tensor, longest: int) -> Tensor:
        """Return the mixed values (T, heads, head_dim) of q (T, heads, head_dim), k and v (T, kv_heads, head_dim).

        `starts` (sequences + 1,), int32, holds the first row of each sequence, then T; `longest` is the length of the
        longest.
        """


@dataclass(frozen=True)
class Varlen:
    """The mixer of a forward: the groups `joint` in one call of `kernel`, all others by `sdpa`."""

    kernel: Kernel
    joint: list[Group]
    others: list[Group]
    starts: Tensor  # (sequences + 1,) int32
    runs: list[slice]  # the packed rows of the joint groups; adjacent ones are one run

    @classmethod
    def of(cls, groups: Sequence[Group], kernel: Kernel, device: torch.device) -> "Varlen":
        """Return the mixer for `groups` of packed rows on `device`; nothing is copied to it."""
        joint = [group for group in groups if group.visible is None and group.slots is None]
        others = [group for group in groups if group.visible is not None or group.slots is not None]
        return cls(kernel, joint, others, starts(joint, device), list(runs(joint)))

    def mix(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Return the mixed values (N, heads · head_dim) of packed queries, keys and values (N, heads, head_dim)."""
        if not self.joint:
            return sdpa.Sdpa(self.others).mix(layer, q, k, v)
        for group in self.joint:
            if group.keep is not None:
                group.store.write(layer, group.entries, group.keep, sdpa.by_head(group, k, v))
        longest = max(group.queries for group in self.joint)
        mixed = self.kernel(self.gather(q), self.gather(k), self.gather(v), self.starts, longest)
        if self.others or len(self.runs) > 1:
            pieces = mixed.split([run.stop - run.start for run in self.runs])
            mixed = torch.empty_like(q)
            for run, piece in zip(self.runs, pieces, strict=True):
                mixed[run] = piece
            for group in self.others:
                mixed[group.start : group.stop] = sdpa.attend(layer, q, k, v, group).view(-1, *q.shape[1:])
        return mixed.flatten(1)

    def gather(self, x: Tensor) -> Tensor:
        """Return the joint groups' rows of `x` (N, …), end to end: a view if they are adjacent."""
        return x[self.runs[0]] if len(self.runs) == 1 else torch.cat([x[run] for run in self.runs])


def starts(groups: Sequence[Group], device: torch.device) -> Tensor:
    """Return the first row (sequences + 1,), int32, of each sequence of `groups` that lie end to end, and their end."""
    first, parts = 0, []
    for group in groups:
        end = first + group.rows * group.queries
        parts.append(torch.arange(first, end, group.queries, dtype=torch.int32, device=device))
        first = end
    return torch.cat([*parts, torch.full((1,), first, dtype=torch.int32, device=device)])


def runs(groups: Sequence[Group]) -> Iterator[slice]:
    """Yield the packed rows of `groups`, those of adjacent groups as one."""
    start = stop = 0
    for group in groups:
        if group.start != stop:
            if stop > start:
                yield slice(start, stop)
            start = group.start
        stop = group.stop
    if stop > start:
        yield slice(start, stop)


def mixing(config: ModelConfig, device: torch.device, dtype: torch.dtype) -> Any:
    """Return the maker of `Varlen` mixers for a model on a CUDA device, or None if the kernel does not fit it."""
    grouped = config.n_kv_heads != config.n_heads
    fits = config.head_dim <= 256 and config.head_dim % 8 == 0 and dtype in (torch.bfloat16, torch.float16)
    if OPTIONS is None or not fits or (grouped and "enable_gqa" not in OPTIONS):
        return None
    if torch.cuda.get_device_capability(device) < AMPERE:
        return None
    return partial(Varlen.of, kernel=partial(flash, **options(grouped)), device=device)


def options(grouped: bool) -> dict[str, Any]:
    """Return the kernel's settings: an answer that does not depend on the other sequences, where torch has that one."""
    invariant = {"num_splits": 1} if OPTIONS and "num_splits" in OPTIONS else {}
    return invariant | ({"enable_gqa": True} if grouped else {})


def flash(q: Tensor, k: Tensor, v: Tensor, starts: Tensor, longest: int, **options: Any) -> Tensor:
    """The `Kernel` of torch."""
    mixed = varlen_attn(q, k, v, starts, starts, longest, longest, **options)
    assert isinstance(mixed, Tensor)  # a pair only with `return_aux`
    return mixed
