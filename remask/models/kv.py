"""The store of keys and values that outlive a forward: attention writes it, a cache policy plans it."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .config import ModelConfig

KeysValues = tuple[Tensor, Tensor]


class KVStore:
    """Slotted keys and values: `entries` sequences of `length` slots each, for every layer.

    A slot holds one rotated key and its value, each (kv_heads, head_dim). The cache policy assigns slots to positions:
    the store knows neither positions nor tokens. Behind the slots of an entry is one more, which nobody reads: slot -1
    takes what is not to be kept, so every write has the shape of its forward.
    """

    def __init__(
        self, config: ModelConfig, entries: int, length: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        shape = (2, entries, config.n_kv_heads, length + 1, config.head_dim)
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
        """Store the fresh keys and values (rows, heads, Q, head_dim) in the slots `keep` (rows, Q); -1 keeps none."""
        data = self.data[layer]
        data[:, entries[:, None], :, keep] = torch.stack(fresh).permute(1, 3, 0, 2, 4).to(data.dtype)

    def clear(self, entries: Sequence[int]) -> None:
        """Set all slots of `entries` to zero."""
        for data in self.data:
            for entry in entries:
                data[:, entry] = 0

    def move(self, entries: Sequence[int]) -> None:
        """Move the sorted `entries` to the front, the first to 0; this takes no memory."""
        for data in self.data:
            for new, old in enumerate(entries):
                if new != old:
                    data[:, new] = data[:, old]

    def resize(self, entries: int) -> None:
        """Keep the first `entries`, or add some, layer by layer, so that two whole stores never exist at one time."""
        for layer, old in enumerate(self.data):
            kept = min(entries, old.shape[1])
            self.data[layer] = old.new_zeros((len(old), entries, *old.shape[2:]))
            self.data[layer][:, :kept] = old[:, :kept]
