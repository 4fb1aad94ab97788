"""The store of keys and values that outlive a forward: attention writes it, a cache policy plans it."""

import torch
from torch import Tensor

from .config import ModelConfig

KeysValues = tuple[Tensor, Tensor]


class KVStore:
    """Slotted keys and values: `entries` sequences of `length` slots each, for every layer.

    A slot holds one rotated key and its value, each (kv_heads, head_dim). The cache policy assigns slots to positions:
    the store knows neither positions nor tokens.
    """

    def __init__(
        self, config: ModelConfig, entries: int, length: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        shape = (2, entries, config.n_kv_heads, length, config.head_dim)
        self.data = [torch.zeros(shape, dtype=dtype, device=device) for _ in range(config.n_layers)]

    @staticmethod
    def bytes_per_slot(config: ModelConfig, dtype: torch.dtype) -> int:
        """Return the bytes that one slot takes, over all layers."""
        return config.n_layers * 2 * config.n_kv_heads * config.head_dim * dtype.itemsize

    def join(self, layer: int, entries: Tensor, slots: Tensor, fresh: KeysValues) -> KeysValues:
        """Return the keys and values of `slots` (rows, K), followed by the fresh ones (rows, heads, Q, head_dim)."""
        stored = self.data[layer][:, entries[:, None], :, slots]  # (rows, K, 2, heads, head_dim)
        keys, values = stored.permute(2, 0, 3, 1, 4)
        return torch.cat((keys, fresh[0]), 2), torch.cat((values, fresh[1]), 2)

    def first(self, layer: int, entries: Tensor | slice, count: int) -> KeysValues:
        """Return the keys and values of the first `count` slots: a view for a slice of entries, else a copy."""
        keys, values = self.data[layer]
        return keys[entries, :, :count], values[entries, :, :count]

    def write(self, layer: int, entries: Tensor, keep: Tensor, fresh: KeysValues) -> None:
        """Store the fresh keys and values in the slots `keep` (rows, Q); -1 is not stored."""
        row, query = (keep >= 0).nonzero(as_tuple=True)
        for half, new in zip(self.data[layer], fresh, strict=True):
            half[entries[row], :, keep[row, query]] = new.transpose(1, 2)[row, query].to(half.dtype)

    def grow(self, entries: int, length: int) -> None:
        """Enlarge the store, layer by layer, so that two whole stores never exist at the same time."""
        for layer, old in enumerate(self.data):
            two, count, heads, slots, width = old.shape
            self.data[layer] = old.new_zeros((two, entries, heads, length, width))
            self.data[layer][:, :count, :, :slots] = old
