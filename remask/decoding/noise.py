"""Random numbers from (seed, step, position, token): a row draws the same ones in any batch.

The generator is counter-based: SplitMix64's finaliser over a key (Steele, Lea and Flood, 2014). The host makes the
keys, the device makes the numbers.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

_GOLDEN = 0x9E3779B97F4A7C15
_M1, _M2 = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_WORD = 2**64


def keys(seed: int, step: int, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """Return one 64-bit key (R,) for each of `positions` (R,) at `step` of the run with `seed`."""
    run = _mix_host(np.uint64(seed % _WORD)) ^ np.uint64(step % _WORD)
    with np.errstate(over="ignore"):
        return np.asarray(_mix_host(_mix_host(run) + positions.astype(np.uint64) * np.uint64(_GOLDEN)))


def uniform(keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.float64]:
    """Return a number in (0, 1) for each of `keys` (R,)."""
    return (np.asarray(_mix_host(keys) >> np.uint64(12), np.float64) + 0.5) * 2.0**-52  # 53 bits would round up to 1


def gumbel(keys: Tensor, tokens: int) -> Tensor:
    """Return standard Gumbel noise (R, tokens), float64, for `keys` (R,) int64.

    The precision is double because truncated float32 noise skews the draw (Zheng et al., arXiv 2409.02908).
    """
    counter = torch.arange(1, tokens + 1, device=keys.device) * _signed(_GOLDEN)
    bits = _mix_device(keys[:, None] + counter)
    open_unit = (_shift(bits, 12).double() + 0.5) * 2.0**-52
    return open_unit.log_().neg_().log_().neg_()


def _mix_host(x: npt.NDArray[np.uint64] | np.uint64) -> npt.NDArray[np.uint64] | np.uint64:
    with np.errstate(over="ignore"):
        x = (x ^ (x >> np.uint64(30))) * np.uint64(_M1)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(_M2)
    return x ^ (x >> np.uint64(31))


def _mix_device(x: Tensor) -> Tensor:
    x = (x ^ _shift(x, 30)) * _signed(_M1)
    x = (x ^ _shift(x, 27)) * _signed(_M2)
    return x ^ _shift(x, 31)


def _shift(x: Tensor, bits: int) -> Tensor:
    """Shift int64 right without its sign, which torch's own shift keeps."""
    shifted: Tensor = (x >> bits) & (2 ** (64 - bits) - 1)
    return shifted


def _signed(word: int) -> int:
    return word - _WORD if word >= _WORD // 2 else word
