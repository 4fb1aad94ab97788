"""A transformer as a `Predictor`: the contract that its configuration implies, block mask included."""

from dataclasses import replace

import torch
from torch import Tensor

from ..predictor import Contract, Group, Packed
from .config import ModelConfig
from .kv import KVStore
from .transformer import Transformer


class MaskPredictor:
    """Runs a `Transformer` for inference: no gradients, float32 logits, block-causal masks where the model has them."""

    def __init__(self, model: Transformer, known_tokens: int | None = None, eot_ids: tuple[int, ...] = ()) -> None:
        self.model = model.eval().requires_grad_(False)
        self.contract = contract(model.config, known_tokens or model.config.vocab_size, eot_ids)
        self.device = model.embed.weight.device
        self.dtype = model.embed.weight.dtype

    @torch.inference_mode()
    def hidden(self, batch: Packed) -> Tensor:
        """Hidden rows (R, d) of `batch.reads`."""
        if (size := self.contract.block_size) is not None:
            groups = [block_causal(group, batch.positions, size) for group in batch.groups]
            batch = replace(batch, groups=groups)
        return self.model(batch)

    @torch.inference_mode()
    def logits(self, hidden: Tensor) -> Tensor:
        """Logits (R, V), float32."""
        return self.model.head(hidden).float()

    def store(self, entries: int, length: int) -> KVStore:
        """Keys and values of `entries` sequences of `length` slots, all layers."""
        return KVStore(self.model.config, entries, length, self.dtype, self.device)

    def bytes_per_slot(self) -> int:
        """Bytes of keys and values that one slot takes over all layers."""
        return KVStore.bytes_per_slot(self.model.config, self.dtype)


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


def block_causal(group: Group, positions: Tensor, size: int) -> Group:
    """The group with the model's own mask: a query sees blocks up to its own. Slots stand for their positions."""
    mine = positions[group.start : group.stop].view(group.rows, group.queries)
    keys = mine if group.slots is None else torch.cat((group.slots, mine), 1)
    causal = (keys // size)[:, None, :] <= (mine // size)[:, :, None]
    return replace(group, visible=causal if group.visible is None else causal & group.visible)
