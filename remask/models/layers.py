"""The parts that every mask predictor is made of: norm, rotary positions, attention, gated MLP.

Rows of all requests are packed into one (N, d) matrix, so the linear layers never see padding; attention alone looks
at how the matrix is divided into groups.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..predictor import Group
from .config import ModelConfig


class RMSNorm(nn.Module):
    """Root-mean-square norm; variance in float32, cast back before the weight (as Llama and LLaDA do)."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype == torch.float32:
            return F.rms_norm(x, self.weight.shape, self.weight, self.eps)
        scale = torch.rsqrt(x.float().square().mean(-1, keepdim=True) + self.eps)
        return (x.float() * scale).to(x.dtype) * self.weight


def rotary_table(config: ModelConfig, positions: Tensor, scale: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """cos and signed sin, each (N, 1, head_dim), float32, for `positions` (N,); sin is negative in its first half.

    `scale` (N,) multiplies the base θ row by row (NTK scaling; LongLLaDA, arXiv 2506.14429); None means 1.
    """
    exponent = torch.arange(0, config.head_dim, 2, device=positions.device, dtype=torch.float32) / config.head_dim
    if scale is None:
        angles = positions.float()[:, None] * (1.0 / config.rope_theta**exponent)
    else:
        angles = positions.float()[:, None] / (config.rope_theta * scale.float()[:, None]) ** exponent
    cos, sin = angles.cos(), angles.sin()
    return torch.cat((cos, cos), -1)[:, None], torch.cat((-sin, sin), -1)[:, None]


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Half-rotated (NeoX) rotary embedding of (N, heads, head_dim) in float32, returned in x's dtype."""
    wide = x.float()
    left, right = wide.chunk(2, -1)
    return torch.addcmul(wide * cos, torch.cat((right, left), -1), sin).to(x.dtype)


class Attention(nn.Module):
    """Bidirectional multi-head attention over packed rows, grouped-query if `n_kv_heads < n_heads`."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.heads, self.kv_heads, self.head_dim = config.n_heads, config.n_kv_heads, config.head_dim
        width = (self.heads + 2 * self.kv_heads) * self.head_dim
        self.qkv = nn.Linear(config.d_model, width, bias=config.qkv_bias)
        self.out = nn.Linear(self.heads * self.head_dim, config.d_model, bias=False)

    def forward(self, x: Tensor, rotary: tuple[Tensor, Tensor], groups: Sequence[Group]) -> Tensor:
        q, k, v = self.project(x, rotary)
        mixed = [self.attend(q, k, v, group) for group in groups]
        joined: Tensor = self.out(torch.cat(mixed) if len(mixed) > 1 else mixed[0])
        return joined

    def project(self, x: Tensor, rotary: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values (N, heads, head_dim); queries and keys are rotated together."""
        heads = self.qkv(x).view(len(x), -1, self.head_dim)
        turned = rotate(heads[:, : -self.kv_heads], *rotary)
        return turned[:, : self.heads], turned[:, self.heads :], heads[:, -self.kv_heads :]

    def attend(self, q: Tensor, k: Tensor, v: Tensor, group: Group) -> Tensor:
        """One group's (rows × queries, d) attention output; reads and writes the group's key/value store."""
        shape = (group.rows, group.queries, -1, self.head_dim)
        mine = slice(group.start, group.stop)
        queries, keys, values = (x[mine].view(shape).transpose(1, 2) for x in (q, k, v))
        if group.store is not None:
            assert group.entries is not None
            fresh = keys, values
            if group.slots is not None:
                keys, values = group.store.join(self.layer, group.entries, group.slots, fresh)
            if group.keep is not None:
                group.store.write(self.layer, group.entries, group.keep, fresh)
        visible = None if group.visible is None else group.visible[:, None]
        mixed = F.scaled_dot_product_attention(queries, keys, values, visible, enable_gqa=self.heads != self.kv_heads)
        return mixed.transpose(1, 2).reshape(group.rows * group.queries, -1)


class GatedMLP(nn.Module):
    """SwiGLU: down(silu(gate(x)) · up(x)); gate and up are one matrix."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gate_up = nn.Linear(config.d_model, 2 * config.d_ff, bias=False)
        self.down = nn.Linear(config.d_ff, config.d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.gate_up(x).chunk(2, -1)
        out: Tensor = self.down(F.silu(gate) * up)
        return out


class Block(nn.Module):
    """Pre-norm transformer layer."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(config.d_model, config.norm_eps)
        self.attention = Attention(config, layer)
        self.mlp_norm = RMSNorm(config.d_model, config.norm_eps)
        self.mlp = GatedMLP(config)

    def forward(
        self, x: Tensor, rotary: tuple[Tensor, Tensor], groups: Sequence[Group], rows: Tensor | None = None
    ) -> Tensor:
        """(N, d) to (N, d), or to (len(rows), d): all keys and values, but no MLP rows that nobody reads."""
        mixed = self.attention(self.attention_norm(x), rotary, groups)
        x = x + mixed if rows is None else x[rows] + mixed[rows]
        out: Tensor = x + self.mlp(self.mlp_norm(x))
        return out
