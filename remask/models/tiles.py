"""Long forwards in little memory: what treats each row alone is computed a tile of rows at a time.

The chunked prefill of autoregressive engines is wrong under bidirectional attention: the next layer of the first chunk
needs this layer of them all. So the layer is tiled, not the prompt. What lives through a layer is the residual, its
queries, keys and values, and the mixed values: about 5 d numbers a position, whatever the MLP's width.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

ROWS_AT_ONCE = 2048
SCORES_AT_ONCE = 2**24  # of one head: a mask over them, which kernels widen to floats, then takes 64 MiB


def in_tiles(function: Callable[..., tuple[Tensor, ...]], *inputs: Tensor) -> tuple[Tensor, ...]:
    """What `function`, which treats each row alone, makes of `inputs` (N, …), at most ROWS_AT_ONCE at a time.

    Training keeps what it made for the gradient, and gets all rows at once.
    """
    rows = len(inputs[0])
    if rows <= ROWS_AT_ONCE or torch.is_grad_enabled():
        return function(*inputs)
    whole: tuple[Tensor, ...] = ()
    for tile in tiles(rows, ROWS_AT_ONCE):
        parts = function(*(rows_of[tile] for rows_of in inputs))
        whole = whole or tuple(part.new_empty(rows, *part.shape[1:]) for part in parts)
        for out, part in zip(whole, parts, strict=True):
            out[tile] = part
        del parts, part  # not to be held while the next tile is computed
    return whole


def tiles(rows: int, at_most: int) -> Iterator[slice]:
    """Slices that cut `rows` into parts of nearly equal size: none is so small that its matrix products differ."""
    count = -(-rows // at_most)
    for i in range(count):
        yield slice(rows * i // count, rows * (i + 1) // count)
