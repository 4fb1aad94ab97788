"""The one transformer behind every family: tokens -> hidden -> logits."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..predictor import Group, Packed
from .config import ModelConfig
from .layers import Block, RMSNorm, rotary_table


class Transformer(nn.Module):
    """Pre-norm Llama-style body with bidirectional (full or block-causal) attention and a separate head.

    `forward` never makes logits: callers ask `head` for the rows that they read.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.Embedding(config.vocab_size, config.d_model)
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.n_layers))
        self.norm = RMSNorm(config.d_model, config.norm_eps)
        self.unembed = self.embed.weight if config.tie_embeddings else nn.Parameter(torch.empty_like(self.embed.weight))

    @torch.no_grad()
    def initialise(self, generator: torch.Generator | None = None) -> "Transformer":
        """Random weights: normal, 0.02, residual outputs scaled by depth."""
        for name, weight in self.named_parameters():
            if weight.ndim == 1:
                weight.fill_(0.0 if name.endswith("bias") else 1.0)
            else:
                residual = name.endswith(("attention.out.weight", "mlp.down.weight"))
                weight.normal_(0.0, 0.02 / (2 * self.config.n_layers) ** (0.5 * residual), generator=generator)
        return self

    def forward(self, batch: Packed) -> Tensor:
        """Final-norm hidden states (R, d) of the packed rows that `batch` reads; the last layer computes no others."""
        rotary = rotary_table(self.config, batch.positions, batch.rotary_scale)
        x = self.embed(batch.tokens)
        *body, last = self.blocks
        for block in body:
            x = block(x, rotary, batch.groups)
        return self.norm(last(x, rotary, batch.groups, batch.reads))

    def head(self, hidden: Tensor) -> Tensor:
        """Logits (R, V) of hidden rows (R, d)."""
        return F.linear(hidden, self.unembed)


def dense(config: ModelConfig, rows: int, length: int, device: torch.device | str, start: int) -> tuple[Group, Tensor]:
    """Group and positions (rows × length,) of whole sequences without a store, from packed row `start` on."""
    positions = torch.arange(length, device=device)
    visible = None
    if config.block_size is not None:
        block = positions // config.block_size
        visible = (block[None] <= block[:, None])[None]  # (1, Q, K): a block sees itself and what lies before it
    return Group(start, rows, length, visible), positions.repeat(rows)
