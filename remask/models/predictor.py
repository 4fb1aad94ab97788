"""The predictor of a transformer: inference only, with the contract that the configuration implies."""

from dataclasses import replace

import torch
from torch import Tensor

from ..exactness import Exactness
from . import tiles
from .attention import mixing
from .config import ModelConfig
from .contract import Contract, Packed
from .kv import KVStore
from .linear import DynamicInt8, Int8
from .transformer import Transformer


class MaskPredictor:
    """A `Transformer` for inference: without gradients, and with a contract for the core."""

    def __init__(self, model: Transformer, known_tokens: int | None = None, eot_ids: tuple[int, ...] = ()) -> None:
        self.model = model.eval().requires_grad_(False)
        self.device = model.embed.weight.device
        self.dtype = model.embed.weight.dtype
        self.mixing = mixing(model.config, self.device, self.dtype)
        model.rotary.to(self.device)  # a loader fills in weights alone
        exact = self.dtype == torch.float32 and not any(
            isinstance(module, Int8 | DynamicInt8) for module in model.modules()
        )
        numbers = Exactness.EXACT if exact else Exactness.OTHER_NUMBERS
        known = known_tokens or model.config.vocab_size
        self.contract = replace(contract(model.config, known, eot_ids), exactness=numbers)

    @torch.inference_mode()
    def hidden(self, batch: Packed) -> Tensor:
        """Return the hidden rows (R, d) of `batch.reads`."""
        return self.model.hidden(batch, self.mixing)

    @torch.inference_mode()
    def logits(self, hidden: Tensor) -> Tensor:
        """Return the logits (R, V), float32, of hidden rows (R, d)."""
        return self.model.logits(hidden)

    def store(self, entries: int, length: int) -> KVStore:
        """Make a store for the keys and values of `entries` sequences of `length` slots, in all layers."""
        return KVStore(self.model.config, entries, length, self.dtype, self.device)

    def bytes_per_slot(self) -> int:
        """Return the bytes of keys and values that one slot takes, over all layers."""
        return KVStore.bytes_per_slot(self.model.config, self.dtype)

    def activation_bytes(self, queries: int) -> int:
        """Return the largest number of bytes of activations that a forward of `queries` rows holds at one time.

        The count follows `layers` and `tiles`. Every row holds its residual, its rotary table, and the result of each
        part of a layer until the next part ends. The intermediate tensors of a part exist for one tile of rows. The
        parts are:

        before     queries, keys and values; at first the norm, then, in float32, queries and keys times the cosine,
                   their halves swapped, the sum, and a wide copy if the model has another dtype.
        mixing     queries, keys and values, the rotated ones, and the mixed values of attention.
        behind     the mixed values, the new residual, its norm; gate and up, silu(gate), their product. With experts:
                   the same for each expert of a row, or the outputs of the experts, in order and weighed in float32,
                   which exist while the shared expert computes.
        """
        config, size, tile = self.model.config, self.dtype.itemsize, min(queries, tiles.ROWS_AT_ONCE)
        d, q, kv, moe = (
            config.d_model,
            config.n_heads * config.head_dim,
            config.n_kv_heads * config.head_dim,
            config.moe,
        )
        rotated, wide = (q + kv) * config.rotary_dim // config.head_dim, 12 if self.dtype == torch.float32 else 16
        mlp = 4 * config.d_ff * size if moe is None or moe.dense_layers else 0
        if moe is not None:
            visits = moe.top_k * max(4 * moe.d_ff * size, d * (2 * size + 4)) + 4 * d
            shared = (2 * moe.top_k * d + d + 4 * moe.shared_d_ff) * size
            mlp = max(mlp, visits, shared)
        whole, out = ((q + 2 * kv) * size, d * size) if queries > tile else (0, 0)  # the tensors that the tiles fill
        rotation = rotated * wide + (q + kv) * config.qk_norm * size
        before = queries * whole + tile * ((q + 2 * kv) * size + max(d * size, rotation))
        mixing = queries * ((whole or (2 * q + 3 * kv) * size) + q * size)
        behind = queries * (q * size + out) + tile * (2 * d * size + mlp)
        return queries * (d * size + 8 * config.rotary_dim + 24) + max(before, mixing, behind)


def contract(config: ModelConfig, known_tokens: int, eot_ids: tuple[int, ...] = ()) -> Contract:
    """Return the contract of a configuration; it forbids the mask and the rows from `known_tokens` on."""
    return Contract(
        family=config.family,
        vocab_size=config.vocab_size,
        mask_id=config.mask_id,
        eos_ids=config.eos_ids,
        eot_ids=eot_ids,
        max_positions=config.context,
        forbidden=tuple(sorted({config.mask_id, *range(known_tokens, config.vocab_size)})),
        shift=config.shift,
        block_size=config.block_size,
        editable=config.editable,
        rotary=config.rotary,
    )
