"""The changes to the logits before a token is drawn, before it is scored, or both.

All functions take the logits (R, V) of R positions and return new ones, float32 in and out.
"""

import torch
from torch import Tensor


def guide(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """Apply classifier-free guidance: u + (scale + 1) · (c - u) (LLaDA §2.4; Schiff et al., arXiv 2412.10193).

    Where the unconditional logit is -inf, there is nothing to guide away from: the conditional logit stays.
    """
    guided = unconditional + (scale + 1) * (conditional - unconditional)
    return torch.where(torch.isneginf(unconditional), conditional, guided)


def suppress(logits: Tensor, ids: Tensor) -> Tensor:
    """Set the columns `ids` (n,) to -inf."""
    return logits.index_fill(-1, ids, -torch.inf) if len(ids) else logits


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    """Keep the `k` largest logits of each row, and all that are equal to the k-th; set the others to -inf."""
    if k >= logits.shape[-1]:
        return logits
    return logits.masked_fill(logits < logits.topk(k).values[..., -1:], -torch.inf)


def keep_top_p(logits: Tensor, p: float, temperature: float = 0.0) -> Tensor:
    """Keep the smallest set of most probable tokens whose probability at `temperature` reaches `p` (nucleus), at least
    one; set the others to -inf. Temperature 0 counts as 1, as in Dream."""
    if p >= 1:
        return logits
    ordered, index = tempered(logits, temperature).sort(dim=-1, descending=True, stable=True)
    probability = ordered.softmax(-1)
    beyond = probability.cumsum(-1) - probability >= p
    return logits.masked_fill(torch.zeros_like(beyond).scatter_(-1, index, beyond), -torch.inf)


def tempered(logits: Tensor, temperature: float) -> Tensor:
    """Return logits / temperature, shifted so that the largest is 0 and none overflows; temperature 0 counts as 1."""
    shifted = logits - logits.amax(-1, keepdim=True)
    return shifted / temperature if temperature else shifted
