"""Keys and values that outlive a forward: tensors that attention writes and caches plan."""

import torch
from torch import Tensor

from .config import ModelConfig

KeysValues = tuple[Tensor, Tensor]


class KVStore:
    """Slotted keys and values: `entries` sequences of `length` slots each, for every layer.

    A slot holds one rotated key and its value, (kv_heads, head_dim). Which slot stands for which position is the
    cache policy's business: the store knows neither positions nor tokens.
    """

    def __init__(
        self, config: ModelConfig, entries: int, length: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        shape = (2, entries, config.n_kv_heads, length, config.head_dim)
        self.data = [torch.zeros(shape, dtype=dtype, device=device) for _ in range(config.n_layers)]

    @staticmethod
    def bytes_per_slot(config: ModelConfig, dtype: torch.dtype) -> int:
        """Bytes that one slot takes over all layers."""
        return config.n_layers * 2 * config.n_kv_heads * config.head_dim * dtype.itemsize

    def join(self, layer: int, entries: Tensor, slots: Tensor, fresh: KeysValues) -> KeysValues:
        """Stored keys and values of `slots` (rows, K), followed by the fresh ones (rows, heads, Q, head_dim)."""
        stored = self.data[layer][:, entries[:, None], :, slots]  # (rows, K, 2, heads, head_dim)
        keys, values = stored.permute(2, 0, 3, 1, 4)
        return torch.cat((keys, fresh[0]), 2), torch.cat((values, fresh[1]), 2)

    def first(self, layer: int, entries: Tensor | slice, count: int) -> KeysValues:
        """The first `count` slots: a view for a run of entries, one copy for others."""
        keys, values = self.data[layer]
        return keys[entries, :, :count], values[entries, :, :count]

    def write(self, layer: int, entries: Tensor, keep: Tensor, fresh: KeysValues) -> None:
        """Store the fresh keys and values whose `keep` (rows, Q) names a slot; -1 is not kept."""
        row, query = (keep >= 0).nonzero(as_tuple=True)
        for half, new in zip(self.data[layer], fresh, strict=True):
            half[entries[row], :, keep[row, query]] = new.transpose(1, 2)[row, query].to(half.dtype)

    def grow(self, entries: int, length: int) -> None:
        """Make room for more, layer by layer: never are two whole stores there at once."""
        for layer, old in enumerate(self.data):
            two, had, heads, slots, width = old.shape
            self.data[layer] = old.new_zeros((two, entries, heads, length, width))
            self.data[layer][:, :had, :, :slots] = old
