"""What we measure against: LLaDA's published loop and network, written plainly.

`generate` repeats the computation of ML-GSAI/LLaDA's generate.py (logits of the whole canvas at every step, no stop,
left padding), `Network` that of the published model file (separate projections, dense head). `--reference DIR` of the
benchmarks takes the authors' own generate.py from a checkout instead.
"""

import importlib.util
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from remask.checkpoint import published
from remask.models.config import ModelConfig
from remask.models.transformer import Transformer


@dataclass
class Output:
    """What the published model returns."""

    logits: Tensor


class Network:
    """The published LLaDA network over published tensor names; `model(x, attention_mask=None).logits` is (B, L, V)."""

    def __init__(self, model: Transformer) -> None:
        self.config: ModelConfig = model.config
        self.dtype = model.embed.weight.dtype
        self.device = model.embed.weight.device
        self.weights = {k: v.to(self.device) for k, v in published(model, self.dtype).items()}

    def __call__(self, tokens: Tensor, attention_mask: Tensor | None = None) -> Output:
        hidden = self.body(tokens, attention_mask)
        return Output(F.linear(hidden, self.weights["model.transformer.ff_out.weight"]))

    def body(self, tokens: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Final hidden states (B, L, d)."""
        c, w = self.config, self.weights
        x = F.embedding(tokens, w["model.transformer.wte.weight"])
        bias = None
        if attention_mask is not None and not attention_mask.all():
            bias = torch.zeros_like(attention_mask, dtype=x.dtype).masked_fill(attention_mask == 0, -torch.inf)
            bias = bias[:, None, None, :]
        cos, sin = self.rotary(tokens.shape[1])
        for i in range(c.n_layers):
            at = f"model.transformer.blocks.{i}."
            y = self.norm(x, w[at + "attn_norm.weight"])
            q, k, v = (self.heads(F.linear(y, w[at + f"{p}_proj.weight"])) for p in "qkv")
            mixed = F.scaled_dot_product_attention(self.rotate(q, cos, sin), self.rotate(k, cos, sin), v, bias)
            x = x + F.linear(mixed.transpose(1, 2).flatten(2), w[at + "attn_out.weight"])
            y = self.norm(x, w[at + "ff_norm.weight"])
            gated = F.silu(F.linear(y, w[at + "ff_proj.weight"])) * F.linear(y, w[at + "up_proj.weight"])
            x = x + F.linear(gated, w[at + "ff_out.weight"])
        return self.norm(x, w["model.transformer.ln_f.weight"])

    def heads(self, x: Tensor) -> Tensor:
        """(B, heads, L, head_dim)."""
        return x.unflatten(-1, (-1, self.config.head_dim)).transpose(1, 2)

    def norm(self, x: Tensor, weight: Tensor) -> Tensor:
        """RMSNorm in float32, as published."""
        wide = x.float()
        return weight * (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.config.norm_eps)).to(x.dtype)

    def rotary(self, length: int) -> tuple[Tensor, Tensor]:
        """cos and sin (L, head_dim), float32."""
        half = torch.arange(0, self.config.head_dim, 2, dtype=torch.float32) / self.config.head_dim
        angles = torch.outer(torch.arange(length).float(), 1.0 / self.config.rope_theta**half)
        angles = torch.cat((angles, angles), -1).to(self.device)
        return angles.cos(), angles.sin()

    @staticmethod
    def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Half-rotated rotary embedding in float32."""
        wide = x.float()
        left, right = wide.chunk(2, -1)
        return (wide * cos + torch.cat((-right, left), -1) * sin).to(x.dtype)


@torch.no_grad()
def generate(
    model: Network, prompt: Tensor, attention_mask: Tensor | None, *, steps: int, gen_length: int, block_length: int,
    mask_id: int,
) -> Tensor:  # fmt: skip
    """Greedy low-confidence decoding as published: (B, P) prompts, left-padded, to (B, P + gen_length)."""
    rows, start = prompt.shape
    x = torch.cat((prompt, torch.full((rows, gen_length), mask_id, device=prompt.device)), 1)
    if attention_mask is not None:
        attention_mask = F.pad(attention_mask, (0, gen_length), value=1)
    blocks = gen_length // block_length
    for block in range(blocks):
        first, end = start + block * block_length, start + (block + 1) * block_length
        count = (x[:, first:end] == mask_id).sum(1, keepdim=True)
        each = steps // blocks
        quota = count // each + (torch.arange(each, device=x.device) < count % each)
        for i in range(each):
            masked = x == mask_id
            logits = model(x, attention_mask=attention_mask).logits
            guess = logits.argmax(-1)
            confidence = F.softmax(logits, -1).gather(-1, guess[..., None]).squeeze(-1)
            confidence[:, end:] = -torch.inf
            confidence = torch.where(masked, confidence, -torch.inf)
            for row in range(rows):
                chosen = confidence[row].topk(int(quota[row, i])).indices
                x[row, chosen] = guess[row, chosen]
    return x


def authors(reference: Path | None) -> Callable[..., Tensor] | None:
    """The authors' own `generate` from a checkout of ML-GSAI/LLaDA, or None."""
    if reference is None:
        return None
    stub: Any = types.ModuleType("transformers")  # their file imports it for its main() alone
    stub.AutoTokenizer = stub.AutoModel = None
    sys.modules.setdefault("transformers", stub)
    spec = importlib.util.spec_from_file_location("authors_generate", reference / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.generate
