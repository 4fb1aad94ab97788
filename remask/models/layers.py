"""The parts of every mask predictor: norm, rotary positions, attention, gated MLP, experts.

Rows of all requests are packed into one (N, d) matrix, so the linear layers never see padding; only the mixing of
attention (`remask.models.attention`) uses the division of the matrix into groups.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .attention import Mixer
from .config import ModelConfig, MoE
from .rotary import Rotation, Rotations
from .tiles import in_tiles


class RMSNorm(nn.Module):
    """A root-mean-square norm: variance in float32, cast back before the weight (as in Llama and LLaDA)."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        length = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)  # one kernel; torch's own rms_norm takes eight
        scale = torch.addcmul(length.new_full((), self.eps), length, length, value=1 / x.shape[-1]).rsqrt_()
        return (wide * scale).to(x.dtype) * self.weight


class RotaryTable(nn.Module):
    """Rotary positions as a table of cosines and sines, always in float32 (see `remask.models.rotary`)."""

    frequencies: Tensor  # (dim/2,) of the model's own rotation

    def __init__(self, own: Rotation) -> None:
        super().__init__()
        self.own = own
        self.register_buffer("frequencies", torch.tensor(own.frequencies), persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "RotaryTable":
        """Follow the module to another device, but keep the numbers, also from a device without memory."""
        self.frequencies = torch.tensor(self.own.frequencies, device=fn(torch.empty(0)).device)
        return self

    def forward(self, positions: Tensor, rotations: Rotations | None = None) -> tuple[Tensor, Tensor]:
        """Return cos and signed sin, each (N, 1, rotary_dim), for `positions` (N,); the first half of sin is negative.

        `rotations` hold the rotation of each row; without them all rows take the model's own.
        """
        if rotations is None:
            angles = positions.float()[:, None] * self.frequencies
        else:
            angles = positions.float()[:, None] * rotations.frequencies[rotations.which]
        cos, sin = angles.cos(), angles.sin()
        if rotations is not None:
            amplitude = rotations.amplitude[rotations.which, None]
            cos, sin = cos * amplitude, sin * amplitude
        elif self.own.amplitude != 1:
            cos, sin = cos * self.own.amplitude, sin * self.own.amplitude
        return torch.cat((cos, cos), -1)[:, None], torch.cat((-sin, sin), -1)[:, None]


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Apply the half-rotated (NeoX) rotary embedding to (N, heads, head_dim) in float32; the result has x's dtype.

    Features beyond the width of cos and sin stay as they are.
    """
    if (width := cos.shape[-1]) < x.shape[-1]:
        return torch.cat((rotate(x[..., :width], cos, sin), x[..., width:]), -1)
    wide = x.float()
    return torch.addcmul(wide * cos, wide.roll(width // 2, -1), sin).to(x.dtype)


class Attention(nn.Module):
    """The weights of multi-head attention, grouped-query if `n_kv_heads < n_heads`; `Layer` computes with them."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.heads, self.kv_heads, self.head_dim = config.n_heads, config.n_kv_heads, config.head_dim
        width = (self.heads + 2 * self.kv_heads) * self.head_dim
        self.qkv = nn.Linear(config.d_model, width, bias=config.qkv_bias)
        self.out = nn.Linear(self.heads * self.head_dim, config.d_model, bias=config.out_bias)
        self.q_norm = RMSNorm(self.head_dim, config.norm_eps) if config.qk_norm else None
        self.k_norm = RMSNorm(self.head_dim, config.norm_eps) if config.qk_norm else None


class GatedMLP(nn.Module):
    """A SwiGLU MLP: down(silu(gate(x)) · up(x)); gate and up are one matrix."""

    def __init__(self, d_model: int, d_ff: int) -> None:
        super().__init__()
        self.gate_up = nn.Linear(d_model, 2 * d_ff, bias=False)
        self.down = nn.Linear(d_ff, d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.gate_up(x).chunk(2, -1)
        out: Tensor = self.down(F.silu(gate) * up)
        return out


class Router(nn.Module):
    """The choice of experts for each row, and their weights; always in float32."""

    dtype = torch.float32

    def __init__(self, d_model: int, moe: MoE) -> None:
        super().__init__()
        self.moe = moe
        self.weight = nn.Parameter(torch.empty(moe.n_experts, d_model))
        self.bias = None if moe.bias == "none" else nn.Parameter(torch.zeros(moe.n_experts))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return weights and expert numbers, each (N, top_k), of rows (N, d)."""
        moe = self.moe
        logits = F.linear(x.float(), self.weight.float())
        scores = logits.softmax(-1) if moe.score == "softmax" else logits.sigmoid()
        ranked = scores if self.bias is None else scores + self.bias
        chosen = (ranked if moe.n_groups == 1 else self.in_best_groups(ranked)).topk(moe.top_k).indices
        weights = (ranked if moe.bias == "choose_and_weigh" else scores).gather(1, chosen)
        if moe.normalise:
            weights = weights / (weights.sum(-1, keepdim=True) + 1e-20)
        return weights * moe.scale, chosen

    def in_best_groups(self, ranked: Tensor) -> Tensor:
        """Set scores (N, experts) to -inf outside each row's best groups (DeepSeek-V3, arXiv 2412.19437, §2.1.2)."""
        groups = ranked.unflatten(1, (self.moe.n_groups, -1))
        best = groups.topk(2).values.sum(-1).topk(self.moe.top_groups).indices
        chosen = torch.zeros(groups.shape[:2], dtype=torch.bool, device=ranked.device).scatter_(1, best, True)
        return groups.masked_fill(~chosen[..., None], -torch.inf).flatten(1)


TILE = 8  # the fewest rows that an expert computes: float GEMMs are not row-invariant below that


class Experts(nn.Module):
    """A mixture of gated MLPs: rows are sorted by expert, and each expert computes all of its rows at once."""

    def __init__(self, d_model: int, moe: MoE) -> None:
        super().__init__()
        self.router = Router(d_model, moe)
        self.gate_up = nn.Parameter(torch.empty(moe.n_experts, 2 * moe.d_ff, d_model))
        self.down = nn.Parameter(torch.empty(moe.n_experts, d_model, moe.d_ff))
        self.shared = GatedMLP(d_model, moe.shared_d_ff) if moe.shared_d_ff else None

    def forward(self, x: Tensor) -> Tensor:
        weights, chosen = self.router(x)
        experts, order = chosen.flatten().sort(stable=True)
        numbers = torch.arange(len(self.down), device=x.device)
        ends = torch.searchsorted(experts, numbers, right=True, out_int32=True)  # `bincount` would ask the device
        row = order // chosen.shape[1]
        sorted_out = self.grouped(x, row, ends) if x.is_cuda and GROUPED else self.one_by_one(x, row, ends)
        out = torch.empty_like(sorted_out).index_copy_(0, order, sorted_out).unflatten(0, chosen.shape)
        mixed = (out * weights[..., None]).sum(1).to(x.dtype)
        return mixed if self.shared is None else mixed + self.shared(x)

    def one_by_one(self, x: Tensor, row: Tensor, ends: Tensor) -> Tensor:
        """Compute one expert after the other, each on its part of `row`, which stops before its end in `ends`; an
        expert without rows is skipped."""
        out = []
        for expert, members in enumerate(row.tensor_split(ends.tolist())):
            if count := len(members):
                padded = members if count >= TILE else F.pad(members, (0, TILE - count))
                gate, up = F.linear(x[padded], self.gate_up[expert]).chunk(2, -1)
                out.append(F.linear(F.silu(gate) * up, self.down[expert])[:count])
        return torch.cat(out)

    def grouped(self, x: Tensor, row: Tensor, ends: Tensor) -> Tensor:
        """Compute all experts in one grouped GEMM; no end has to come from the device (but in float32, for which torch
        has no such kernel)."""
        gate, up = F.grouped_mm(x[row], self.gate_up.transpose(1, 2), offs=ends).chunk(2, -1)
        return F.grouped_mm(F.silu(gate) * up, self.down.transpose(1, 2), offs=ends)


GROUPED = hasattr(F, "grouped_mm")  # torch 2.10


class Layer(nn.Module):
    """A pre-norm transformer layer."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(config.d_model, config.norm_eps)
        self.attention = Attention(config, layer)
        self.mlp_norm = RMSNorm(config.d_model, config.norm_eps)
        moe = config.moe_at(layer)
        self.mlp = GatedMLP(config.d_model, config.d_ff) if moe is None else Experts(config.d_model, moe)

    def forward(
        self, x: Tensor, rotary: tuple[Tensor, Tensor], mixer: Mixer, rows: Tensor | None = None, tiled: bool = False
    ) -> Tensor:
        """Map rows (N, d) to (N, d), or to (len(rows), d): of the other rows only keys and values are computed.

        `tiled` cuts the rows into tiles, for less memory.
        """
        qkv = in_tiles(self.before, x, *rotary) if tiled else self.before(x, *rotary)
        mixed = mixer.mix(self.attention.layer, *qkv)
        del qkv
        if rows is not None:
            x, mixed = x[rows], mixed[rows]
        return (in_tiles(self.behind, x, mixed) if tiled else self.behind(x, mixed))[0]

    def before(self, x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the part before attention: queries, keys and values, each (N, heads, head_dim), of rows (N, d)."""
        own = self.attention
        heads = own.qkv(self.attention_norm(x)).view(len(x), -1, own.head_dim)
        unrotated, values = heads[:, : -own.kv_heads], heads[:, -own.kv_heads :]
        if own.q_norm is not None and own.k_norm is not None:
            unrotated = torch.cat((own.q_norm(unrotated[:, : own.heads]), own.k_norm(unrotated[:, own.heads :])), 1)
        rotated = rotate(unrotated, cos, sin)
        return rotated[:, : own.heads], rotated[:, own.heads :], values

    def behind(self, x: Tensor, mixed: Tensor) -> tuple[Tensor]:
        """Compute the part behind attention, from rows (N, d) and their mixed values."""
        x = x + self.attention.out(mixed)
        return (x + self.mlp(self.mlp_norm(x)),)
