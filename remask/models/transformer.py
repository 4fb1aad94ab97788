"""The transformer behind every family: tokens -> hidden -> logits."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from . import tiles
from .attention import Mixing
from .attention.sdpa import Sdpa
from .config import ModelConfig
from .contract import Group, Packed
from .layers import Layer, RMSNorm, RotaryTable


class Transformer(nn.Module):
    """A pre-norm Llama-style body with bidirectional (full or block-causal) attention and a separate head.

    `hidden` never makes logits: callers call `logits` for the rows that they read.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.Embedding(config.vocab_size, config.d_model)
        self.blocks = nn.ModuleList(Layer(config, layer) for layer in range(config.n_layers))
        self.rotary = RotaryTable(config.rotary.own)
        self.norm = RMSNorm(config.d_model, config.norm_eps)
        self.unembed = nn.Linear(config.d_model, config.vocab_size, bias=False)
        if config.tie_embeddings:
            self.unembed.weight = self.embed.weight

    @torch.no_grad()
    def initialise(self, generator: torch.Generator | None = None) -> "Transformer":
        """Draw random weights: normal, 0.02, residual outputs scaled by depth; embeddings larger, the head their copy.

        With embeddings of 0.5, and a head that begins as a copy of them at 0.05, a model learns look-up far sooner than
        with 0.02 for both (`docs/log.md`).
        """
        for name, weight in self.named_parameters():
            if weight.ndim == 1:
                weight.fill_(0.0 if name.endswith("bias") else 1.0)
            else:
                residual = name.endswith(("attention.out.weight", "mlp.down.weight", "mlp.down"))
                weight.normal_(0.0, 0.02 / (2 * self.config.n_layers) ** (0.5 * residual), generator=generator)
        self.embed.weight.normal_(0.0, 0.5, generator=generator)
        if not self.config.tie_embeddings:
            self.unembed.weight.copy_(0.1 * self.embed.weight)
        return self

    def hidden(self, batch: Packed, mixing: Mixing = Sdpa) -> Tensor:
        """Return the hidden rows (R, d), after the final norm, of `batch.reads`; the last layer computes no others."""
        groups = batch.groups
        if (size := self.config.block_size) is not None:
            groups = [block_causal(group, batch.positions, size) for group in groups]
        mixer, rotary = mixing(groups), self.rotary(batch.positions, batch.rotations)
        x, tiled = self.embed(batch.tokens), tiles.needed(len(batch.tokens))
        *body, last = self.blocks
        for block in body:
            x = block(x, rotary, mixer, tiled=tiled)
        hidden: Tensor = self.norm(last(x, rotary, mixer, batch.reads, tiled))
        return hidden

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the logits (R, V), float32, of hidden rows (R, d)."""
        logits: Tensor = self.unembed(hidden).float()
        return logits


def block_causal(group: Group, positions: Tensor, size: int) -> Group:
    """Add the model's own mask to a group: a query sees the blocks up to its own. Slot i holds position i."""
    queries = positions[group.start : group.stop].view(group.rows, group.queries)
    if group.slots is None:
        keys = queries
    elif group.whole is None:
        keys = torch.cat((group.slots, queries), 1)
    else:
        keys = torch.arange(group.slots.shape[1] + group.queries, device=queries.device)[None]
    causal = (keys // size)[:, None, :] <= (queries // size)[:, :, None]
    return replace(group, visible=causal if group.visible is None else causal & group.visible)
