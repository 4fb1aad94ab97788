"""A start from which looking up is learned at once: two heads that begin as an induction head, written by hand.

Found by descent alone, the pair needs millions of tokens at a loss that hardly moves, because each of its halves is of
use only once the other is there (Olsson et al., arXiv 2209.11895). Everything stays trainable and has the usual shape.
"""

import torch
from torch import Generator, Tensor

from ..models.layers import Attention, Layer
from ..models.transformer import Transformer

COMMON = 0.7  # size of the direction that all embeddings share, as a share of their own
SHARP = 8.0  # how decidedly the first head looks at the token before
FAST = 6  # rotary pairs, from the fastest on, by which it tells neighbours apart
CARRY = 1.0  # how much of that token it writes
MATCH = 1.5  # how decidedly the second head looks for an equal one
COPY = 1.0  # how much of the token that was found the second head writes


@torch.no_grad()
def wire(model: Transformer, generator: Generator) -> Transformer:
    """Make head 0 of layer 0 read the token before, and head 0 of layer 1 the token behind an equal one.

    Layer 0: all embeddings share a direction u, from which queries and keys are made, turned against each other by one
    position. What it reads goes into a subspace of its own. Layer 1: queries and keys are the same projection of that
    subspace, on the slow half of the rotary pairs, so that two tokens that follow equal ones match at any distance;
    the value is the token itself, which the head then predicts.
    """
    config = model.config
    width, head = config.d_model, config.head_dim
    half = head // 2
    fast = min(FAST, half // 2)
    frame = _orthonormal(width, generator)
    common, written, content = frame[0], frame[1 : 1 + head], frame[-head:]

    embeddings = model.embed.weight
    size = float(embeddings.std()) * COMMON * width**0.5
    embeddings -= embeddings @ frame[: 1 + head].T @ frame[: 1 + head]
    model.unembed.weight.copy_(0.1 * embeddings)
    embeddings += size * common
    seen = COMMON / (1 + COMMON**2) ** 0.5 * width**0.5  # of u in a normed embedding

    angles = config.rope_theta ** (-torch.arange(half) / half)
    here, before = torch.zeros(head), torch.zeros(head)
    here[:fast] = 1
    before[:fast], before[half : half + fast] = angles[:fast].cos(), angles[:fast].sin()
    first, second = _attention(model, 0), _attention(model, 1)
    query, key, value = _rows(first.qkv.weight, head)
    query += SHARP / seen * torch.outer(here, common)
    key += SHARP / seen * torch.outer(before, common)
    value.copy_(content)
    first.out.weight[:, :head] = CARRY * written.T

    slow = (torch.arange(head) % half) >= half // 2
    match = MATCH * _orthonormal(head, generator) @ written * slow[:, None]
    query, key, value = _rows(second.qkv.weight, head)
    query.copy_(match)
    key.copy_(match)
    value.copy_(content)
    second.out.weight[:, :head] = COPY * content.T
    return model


def _attention(model: Transformer, layer: int) -> Attention:
    block = model.blocks[layer]
    assert isinstance(block, Layer)
    return block.attention


def _rows(qkv: Tensor, head: int) -> list[Tensor]:
    """The weights of query, key and value of head 0, as views."""
    return [part[:head] for part in qkv.chunk(3)]


def _orthonormal(width: int, generator: Generator) -> Tensor:
    """A random orthonormal basis, its vectors as rows (width, width)."""
    return torch.linalg.qr(torch.randn(width, width, generator=generator))[0].T
