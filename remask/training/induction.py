"""A start from which looking up is learned at once: two heads that begin as an induction head, written by hand.

Found by descent alone, the pair needs millions of tokens at a loss that hardly moves, because each of its halves is of
use only once the other is there (Olsson et al., arXiv 2209.11895). Everything stays trainable and has the usual shape.
"""

import torch
from torch import Generator, Tensor

from ..models.transformer import Transformer

COMMON = 0.7  # size of the direction that all embeddings share, as a share of their own
SHARP = 4.8  # how decidedly the first head looks at the token before
FAST = 6  # rotary pairs, from the fastest on, by which it tells neighbours apart
CARRY = 0.5  # how much of that token it writes
COPY = 0.3  # how much of the token that was found the second head writes


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
    common, *rest = _orthonormal(width, 1 + head, generator)
    content = torch.stack(rest)
    written = torch.stack(_orthonormal(width, 1 + head, generator, common)[1:])

    embeddings = model.embed.weight
    embeddings -= torch.outer(embeddings @ common, common)
    size = float(embeddings.square().mean().sqrt()) * COMMON * width**0.5
    model.unembed.weight.copy_(0.1 * embeddings)
    embeddings += size * common
    seen = COMMON / (1 + COMMON**2) ** 0.5 * width**0.5  # of u in a normed embedding

    angles = config.rope_theta ** (-torch.arange(half) / half)
    here, before = torch.zeros(head), torch.zeros(head)
    here[:fast] = 1
    before[:fast], before[half : half + fast] = angles[:fast].cos(), angles[:fast].sin()
    first, second = model.blocks[0].attention, model.blocks[1].attention
    query, key, value = _rows(first.qkv.weight, head)
    query += SHARP / seen * torch.outer(here, common)
    key += SHARP / seen * torch.outer(before, common)
    value.copy_(content)
    first.out.weight[:, :head] = CARRY * written.T

    slow = (torch.arange(head) % half) >= half // 2
    match = torch.stack(_orthonormal(head, head, generator)) @ written * slow[:, None]
    query, key, value = _rows(second.qkv.weight, head)
    query.copy_(match)
    key.copy_(match)
    value.copy_(content)
    second.out.weight[:, :head] = COPY * content.T
    return model


def _rows(qkv: Tensor, head: int) -> list[Tensor]:
    """The weights of query, key and value of head 0, as views."""
    return [part[:head] for part in qkv.chunk(3)]


def _orthonormal(width: int, count: int, generator: Generator, first: Tensor | None = None) -> list[Tensor]:
    """`count` orthonormal vectors of `width`, random but for the `first`."""
    drawn = torch.randn(width, count, generator=generator)
    if first is not None:
        drawn[:, 0] = first
    found = torch.linalg.qr(drawn)[0].T
    return list(found if first is None else torch.cat((first[None], found[1:])))
