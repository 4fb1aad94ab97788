"""What we measure against: the published loops of LLaDA and Fast-dLLM and their network, written plainly.

`generate` repeats the computation of ML-GSAI/LLaDA's generate.py (logits of the whole canvas at every step, no stop,
left padding), `Network` that of the published model file (separate projections, dense head), and `generate_cached` that
of NVlabs/Fast-dLLM's loops, with the cache of their model file. `--reference DIR` of the benchmarks takes the authors'
own generate.py from a checkout instead.
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

KeysValues = tuple[Tensor, Tensor]  # of one layer, (B, heads, L, head_dim) each, keys before rotation
LOOPS = {"none": "generate", "prefix": "generate_with_prefix_cache", "dual": "generate_with_dual_cache"}


@dataclass
class Output:
    """What the published model returns."""

    logits: Tensor
    past_key_values: list[KeysValues] | None = None


class Network:
    """The published LLaDA network over published tensor names; `model(x, attention_mask=None).logits` is (B, L, V).

    With Fast-dLLM's additions: behind `past_key_values` the tokens are the last ones, or those that `replace_position`
    (B, L), alike in every row, marks. All keys are rotated at each use, as published.
    """

    def __init__(self, model: Transformer) -> None:
        self.config: ModelConfig = model.config
        self.dtype = model.embed.weight.dtype
        self.device = model.embed.weight.device
        self.weights = {k: v.to(self.device) for k, v in published(model, self.dtype).items()}

    def __call__(
        self,
        tokens: Tensor,
        attention_mask: Tensor | None = None,
        past_key_values: list[KeysValues] | None = None,
        use_cache: bool = False,
        replace_position: Tensor | None = None,
    ) -> Output:
        kept: list[KeysValues] = []
        hidden = self.body(tokens, attention_mask, past_key_values, replace_position, kept)
        logits = F.linear(hidden, self.weights["model.transformer.ff_out.weight"])
        return Output(logits, kept if use_cache else None)

    def body(
        self,
        tokens: Tensor,
        attention_mask: Tensor | None = None,
        past: list[KeysValues] | None = None,
        replace: Tensor | None = None,
        kept: list[KeysValues] | None = None,
    ) -> Tensor:
        """Final hidden states (B, Q, d); the layers' keys and values are appended to `kept`."""
        c, w = self.config, self.weights
        x = F.embedding(tokens, w["model.transformer.wte.weight"])
        bias = None
        if attention_mask is not None and not attention_mask.all():
            bias = torch.zeros_like(attention_mask, dtype=x.dtype).masked_fill(attention_mask == 0, -torch.inf)
            bias = bias[:, None, None, :]
        count = tokens.shape[1]
        length = count if past is None else past[0][0].shape[2] + (count if replace is None else 0)
        places = torch.arange(length - count, length) if replace is None else replace[0].nonzero().flatten()
        cos, sin = self.rotary(length)
        for i in range(c.n_layers):
            at = f"model.transformer.blocks.{i}."
            y = self.norm(x, w[at + "attn_norm.weight"])
            q, k, v = (self.heads(F.linear(y, w[at + f"{p}_proj.weight"])) for p in "qkv")
            if past is not None and replace is None:
                k, v = torch.cat((past[i][0], k), 2), torch.cat((past[i][1], v), 2)
            elif past is not None:
                past[i][0][:, :, places], past[i][1][:, :, places] = k, v
                k, v = past[i]
            if kept is not None:
                kept.append((k, v))
            q, turned = self.rotate(q, cos[places], sin[places]), self.rotate(k, cos, sin)
            mixed = F.scaled_dot_product_attention(q, turned, v, bias)
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


@torch.no_grad()
def generate_cached(
    model: Network, prompt: Tensor, *, gen_length: int, block_length: int, threshold: float, mask_id: int, cache: str
) -> Tensor:
    """Fast-dLLM's loops as published: (B, P) prompts of one length to (B, P + gen_length); a block's first forward is
    over the whole canvas, later ones over the block (dual) or all from it on (prefix)."""
    rows, start = prompt.shape
    x = torch.cat((prompt, torch.full((rows, gen_length), mask_id, device=prompt.device)), 1)
    for first in range(start, start + gen_length, block_length):
        end, low, past, replace = first + block_length, 0, None, None
        while (x[:, first:end] == mask_id).any():
            high = end if replace is not None else x.shape[1]
            out = model(x[:, low:high], past_key_values=past, use_cache=cache != "none", replace_position=replace)
            reveal(x, out.logits, low, end, threshold, mask_id)
            if past is None and out.past_key_values is not None:
                low, past = first, out.past_key_values
                if cache == "dual":
                    replace = torch.zeros_like(x, dtype=torch.bool)
                    replace[:, first:end] = True
                else:
                    past = [(k[:, :, :first], v[:, :, :first]) for k, v in past]
    return x


def reveal(x: Tensor, logits: Tensor, low: int, end: int, threshold: float, mask_id: int) -> None:
    """Commit what reaches the threshold, at least the surest, of the [MASK]s before `end`; logits begin at `low`."""
    part = x[:, low : low + logits.shape[1]]
    masked = part == mask_id
    masked[:, end - low :] = False
    guess = logits.argmax(-1)
    confidence = F.softmax(logits.double(), -1).gather(-1, guess[..., None]).squeeze(-1).masked_fill(~masked, -1.0)
    chosen = masked & ((confidence >= threshold) | (confidence == confidence.amax(1, keepdim=True)))
    part[chosen] = guess[chosen]


def fast_dllm(reference: Path | None) -> dict[str, Callable[..., Any]] | None:
    """The authors' own three loops, by cache, from a checkout of NVlabs/Fast-dLLM, or None."""
    if reference is None:
        return None
    inner: Any = types.ModuleType("model.modeling_llada")  # imported for their main() alone
    inner.LLaDAModelLM = None
    sys.modules |= {"model": types.ModuleType("model"), inner.__name__: inner}
    module = imported(reference / "llada" / "generate.py")
    return {cache: getattr(module, name) for cache, name in LOOPS.items()}


def authors(reference: Path | None) -> Callable[..., Tensor] | None:
    """The authors' own `generate` from a checkout of ML-GSAI/LLaDA, or None."""
    return None if reference is None else imported(reference / "generate.py").generate


def imported(path: Path) -> Any:
    """The authors' file as a module."""
    stub: Any = types.ModuleType("transformers")  # their files import it for their main() alone
    stub.AutoTokenizer = stub.AutoModel = None
    sys.modules.setdefault("transformers", stub)
    spec = importlib.util.spec_from_file_location("authors_generate", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
