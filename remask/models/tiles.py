"""Tiles: long forwards in little memory, because functions of single rows run on a tile of rows at a time.

The chunked prefill of autoregressive engines is wrong under bidirectional attention: the next layer of the first chunk
needs this layer of all chunks. So the layer is cut into tiles, not the prompt. The tensors that live through a layer
are the residual, its queries, keys and values, and the mixed values: about 5 d numbers a position, for any width of
the MLP.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

ROWS_AT_ONCE = 2048
SCORES_AT_ONCE = 2**24  # scores of one head; a mask over so many, which kernels widen to floats, takes 64 MiB


def in_tiles(function: Callable[..., tuple[Tensor, ...]], *inputs: Tensor) -> tuple[Tensor, ...]:
    """Apply `function`, which treats each row alone, to `inputs` (N, …), at most ROWS_AT_ONCE rows at a time."""
    rows = len(inputs[0])
    if not needed(rows):
        return function(*inputs)
    whole: tuple[Tensor, ...] = ()
    for tile in tiles(rows, ROWS_AT_ONCE):
        parts = function(*(rows_of[tile] for rows_of in inputs))
        whole = whole or tuple(part.new_empty(rows, *part.shape[1:]) for part in parts)
        for out, part in zip(whole, parts, strict=True):
            out[tile] = part
        del parts, part  # free them before the next tile is computed
    return whole


def needed(rows: int) -> bool:
    """Return True if so many rows are computed in tiles: never in training, which keeps all results for gradients."""
    return rows > ROWS_AT_ONCE and not torch.is_grad_enabled()


def tiles(rows: int, at_most: int) -> Iterator[slice]:
    """Yield slices that cut `rows` into parts of nearly equal size: none is so small that matrix products differ."""
    count = -(-rows // at_most)
    for i in range(count):
        yield slice(rows * i // count, rows * (i + 1) // count)
