"""A transformer as a `Predictor`: for inference only, with the contract that its configuration implies."""

from dataclasses import replace

import torch
from torch import Tensor

from ..exactness import Exactness
from ..predictor import Contract, Packed
from .config import ModelConfig
from .kv import KVStore
from .linear import DynamicInt8, Int8
from .transformer import Transformer


class MaskPredictor:
    """Runs a `Transformer` for inference: no gradients, and a contract for the core."""

    def __init__(self, model: Transformer, known_tokens: int | None = None, eot_ids: tuple[int, ...] = ()) -> None:
        self.model = model.eval().requires_grad_(False)
        self.device = model.embed.weight.device
        self.dtype = model.embed.weight.dtype
        exact = self.dtype == torch.float32 and not any(
            isinstance(module, Int8 | DynamicInt8) for module in model.modules()
        )
        numbers = Exactness.EXACT if exact else Exactness.OTHER_NUMBERS
        known = known_tokens or model.config.vocab_size
        self.contract = replace(contract(model.config, known, eot_ids), exactness=numbers)

    @torch.inference_mode()
    def hidden(self, batch: Packed) -> Tensor:
        """Hidden rows (R, d) of `batch.reads`."""
        return self.model.hidden(batch)

    @torch.inference_mode()
    def logits(self, hidden: Tensor) -> Tensor:
        """Logits (R, V), float32."""
        return self.model.logits(hidden)

    def store(self, entries: int, length: int) -> KVStore:
        """Keys and values of `entries` sequences of `length` slots, all layers."""
        return KVStore(self.model.config, entries, length, self.dtype, self.device)

    def bytes_per_slot(self) -> int:
        """Bytes of keys and values that one slot takes over all layers."""
        return KVStore.bytes_per_slot(self.model.config, self.dtype)

    def bytes_per_query(self) -> int:
        """Bytes of activations that one query row takes at most at any one time: residual, norm, the widest part."""
        config = self.model.config
        moe, d_ff = config.moe, 0 if config.moe and not config.moe.dense_layers else config.d_ff
        if moe is not None:  # gathered inputs, gate and up, their product, outputs, of every expert that a row visits
            d_ff = max(d_ff, moe.top_k * (moe.d_ff + config.d_model) + moe.shared_d_ff)
        widest = max(3 * d_ff, 3 * (config.n_heads + 2 * config.n_kv_heads) * config.head_dim)
        return (2 * config.d_model + widest) * self.dtype.itemsize


def contract(config: ModelConfig, known_tokens: int, eot_ids: tuple[int, ...] = ()) -> Contract:
    """What the configuration promises; rows beyond `known_tokens` and the mask are never guessed."""
    return Contract(
        family=config.family,
        vocab_size=config.vocab_size,
        mask_id=config.mask_id,
        eos_ids=config.eos_ids,
        eot_ids=eot_ids,
        max_positions=config.max_positions,
        forbidden=tuple(sorted({config.mask_id, *range(known_tokens, config.vocab_size)})),
        shift=config.shift,
        block_size=config.block_size,
        editable=config.editable,
    )
