"""Copies between the host and a device: one each way a step, whatever there is to carry. On a CPU, none at all."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

ALIGNED = 8  # bytes at whose multiples every array begins in the buffer

Array = np.ndarray[Any, np.dtype[Any]]
Arrays = dict[str, Array]
Tensors = dict[str, Tensor]


def upload(sources: Sequence[Arrays], device: torch.device) -> list[Tensors]:
    """Return the same records with tensors on `device` in place of their arrays, by one copy of all."""
    tensors = iter(to_device([array for source in sources for array in source.values()], device))
    return [{name: next(tensors) for name in source} for source in sources]


def download(results: Sequence[Tensors]) -> list[Arrays]:
    """Return the same records with arrays on the host in place of their tensors, by one copy of all."""
    arrays = iter(to_host([tensor for result in results for tensor in result.values()]))
    return [{name: next(arrays) for name in result} for result in results]


def to_device(arrays: Sequence[Array], device: torch.device) -> list[Tensor]:
    """Return the arrays on `device`, of their own shapes and types, by one copy of one buffer; a CPU shares memory."""
    shapes = [torch.from_numpy(array) for array in arrays]
    if device.type == "cpu":
        return shapes
    buffer = packed(arrays)
    if device.type == "cuda":
        buffer = buffer.pin_memory()
    return unpacked(buffer.to(device, non_blocking=True), shapes)


def to_host(tensors: Sequence[Tensor]) -> list[Array]:
    """Return the tensors of one device on the host, of their own shapes and types, by one copy of one buffer; a CPU
    shares memory."""
    if not tensors or tensors[0].device.type == "cpu":
        return [tensor.numpy() for tensor in tensors]
    return gathered(tensors)


def packed(arrays: Sequence[Array]) -> Tensor:
    """Return the bytes of all arrays (n,) uint8, each from an aligned byte on."""
    starts = offsets([array.nbytes for array in arrays])
    buffer = np.zeros(starts[-1], np.uint8)
    for array, start in zip(arrays, starts, strict=False):
        buffer[start : start + array.nbytes] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return torch.from_numpy(buffer)


def unpacked(buffer: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """Return the tensors in a `packed` buffer, of the shapes and types of `like`: views, nothing is copied."""
    starts = offsets([part.nbytes for part in like])
    return [
        buffer[start : start + part.nbytes].view(part.dtype).view(part.shape)
        if part.nbytes
        else torch.empty_like(part, device=buffer.device)
        for part, start in zip(like, starts, strict=False)
    ]


def gathered(tensors: Sequence[Tensor]) -> list[Array]:
    """Return the tensors on the host by one copy of their bytes, widest numbers first so that all are aligned."""
    order = sorted(range(len(tensors)), key=lambda i: -tensors[i].element_size())
    flat = [tensors[i].new_empty(tensors[i].numel()).copy_(tensors[i].flatten()) for i in order]
    host = torch.cat([part.view(torch.uint8) for part in flat])
    pieces = np.split(host.cpu().numpy(), np.cumsum([part.nbytes for part in flat])[:-1])
    arrays = [np.empty(0)] * len(tensors)
    for i, piece in zip(order, pieces, strict=True):
        kind = torch.empty(0, dtype=tensors[i].dtype).numpy().dtype
        arrays[i] = piece.view(kind).reshape(tuple(tensors[i].shape))
    return arrays


def offsets(sizes: Sequence[int]) -> list[int]:
    """Return the first byte of each array in a buffer, and the end of the buffer."""
    starts = [0]
    for size in sizes:
        starts.append(starts[-1] + -(-size // ALIGNED) * ALIGNED)
    return starts
