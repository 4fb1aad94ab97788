"""What changes the logits before a token is drawn, before it is scored, or both.

All functions take logits (R, V) of R positions and return new ones, float32 in and out.
"""

import torch
from torch import Tensor


def guide(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance: u + (scale + 1) · (c - u) (LLaDA §2.4; Schiff et al., arXiv 2412.10193).

    Where the unconditional stream says -inf there is nothing to guide away from: the conditional one stands.
    """
    guided = unconditional + (scale + 1) * (conditional - unconditional)
    return torch.where(torch.isneginf(unconditional), conditional, guided)


def suppress(logits: Tensor, ids: Tensor) -> Tensor:
    """The logits with the columns `ids` (n,) at -inf."""
    return logits.index_fill(-1, ids, -torch.inf) if len(ids) else logits


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    """Only the `k` largest logits of each row; those equal to the k-th stay too."""
    if k >= logits.shape[-1]:
        return logits
    return logits.masked_fill(logits < logits.topk(k).values[..., -1:], -torch.inf)


def keep_top_p(logits: Tensor, p: float, temperature: float = 0.0) -> Tensor:
    """The smallest set of most probable tokens whose probability at `temperature` reaches `p` (nucleus); at least one
    stays. Temperature 0 counts as 1, as in Dream."""
    if p >= 1:
        return logits
    ordered, index = tempered(logits, temperature).sort(dim=-1, descending=True, stable=True)
    probability = ordered.softmax(-1)
    beyond = probability.cumsum(-1) - probability >= p
    return logits.masked_fill(torch.zeros_like(beyond).scatter_(-1, index, beyond), -torch.inf)


def tempered(logits: Tensor, temperature: float) -> Tensor:
    """logits / temperature, shifted so that the largest is 0 and nothing overflows; temperature 0 counts as 1."""
    shifted = logits - logits.amax(-1, keepdim=True)
    return shifted / temperature if temperature else shifted
