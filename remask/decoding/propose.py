"""The guess at each position: greedy, or one Gumbel draw from softmax(logits / T)."""

from collections.abc import Iterator

import torch
from torch import Tensor

from .columns import Number
from .noise import gumbel

TILE = 64  # tokens; for so many, a CPU computes the maximum much faster than the index of the maximum
ROWS_AT_ONCE = 8  # positions for which double-precision noise is made at a time


def greedy(logits: Tensor) -> Tensor:
    """Return the most likely token (R,) of logits (R, V); ties go to the lower id."""
    if logits.device.type != "cpu" or logits.shape[-1] % TILE:
        return logits.argmax(-1)
    tiles = logits.unflatten(-1, (-1, TILE))
    best = tiles.amax(-1).argmax(-1)
    within = tiles[torch.arange(len(tiles)), best].argmax(-1)
    return best * TILE + within


def draw(logits: Tensor, temperature: Number, keys: Tensor) -> Tensor:
    """Draw one token (R,) from softmax(logits / temperature), by the Gumbel-max trick. Temperature 0 is greedy.

    `keys` (R,) fix the noise; `temperature` is a float, or a column (R, 1) above 0.
    """
    if not isinstance(temperature, Tensor) and temperature == 0:
        return greedy(logits)
    return torch.cat([noisy.argmax(-1) for _, noisy in perturbed(logits, temperature, keys)])


def perturbed(logits: Tensor, temperature: Number, keys: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yield the logits with Gumbel noise (rows, V), float64, a few rows at a time; the largest is the draw.

    LLaDA divides exp(z) by (-ln u)^T, which overflows; argmax of z + T·g is the same draw. Logits are shifted by their
    maximum and the larger of the two terms is scaled to 1, so no temperature and no finite logit overflows: one nat of
    z / T is `noise_scale(T)` here.
    """
    if not isinstance(temperature, Tensor):
        temperature = torch.full((len(logits), 1), temperature, dtype=torch.float64, device=logits.device)
    for start in range(0, max(1, len(logits)), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        wide, own = logits[rows].double(), temperature[rows]
        wide = (wide - wide.amax(-1, keepdim=True)) / own.clamp(min=1)
        yield rows, wide + own.clamp(max=1) * gumbel(keys[rows], wide.shape[-1])


def noise_scale(temperature: float) -> float:
    """The factor of the Gumbel noise in `perturbed`."""
    return min(temperature, 1.0)
