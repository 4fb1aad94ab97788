"""The guess at each position: greedy, or one Gumbel draw from softmax(logits / T)."""

import torch
from torch import Tensor

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


def draw(logits: Tensor, temperature: float, keys: Tensor) -> Tensor:
    """Draw one token (R,) from softmax(logits / temperature), by the Gumbel-max trick.

    LLaDA divides exp(z) by (-ln u)^T, which overflows; argmax of z + T·g is the same draw. Logits are shifted by their
    maximum and the larger of the two terms is scaled to 1, so no temperature and no finite logit overflows.
    Temperature 0 is greedy. `keys` (R,) fix the noise.
    """
    if temperature == 0:
        return greedy(logits)
    guesses = []
    for rows, key in zip(logits.split(ROWS_AT_ONCE), keys.split(ROWS_AT_ONCE), strict=True):
        wide = rows.double()
        wide = wide - wide.amax(-1, keepdim=True)
        noise = gumbel(key, wide.shape[-1])
        wide = wide / temperature + noise if temperature > 1 else wide + temperature * noise
        guesses.append(wide.argmax(-1))
    return torch.cat(guesses)
