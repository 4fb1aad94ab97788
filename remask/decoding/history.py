"""The record of a row's earlier steps, and the rules that add it to the logits of the next step.

One record serves every rule: the likeliest tokens of the last steps at each position, their probabilities, and the
divergence of each step from the one before.
"""

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..errors import bounded
from ..exactness import Exactness
from ..models.contract import Floats, Ints
from .value import Value


class Memory(NamedTuple):
    """The record at R reads: `tokens` and their probabilities `shares` (R, steps, width), latest step first; -1 and 0
    where there is no step."""

    tokens: Tensor
    shares: Tensor


@dataclass
class History:
    """The likeliest `width` tokens of the last `depth` steps at each of `length` positions, on the host."""

    length: int
    depth: int
    width: int
    tokens: Ints = field(init=False)
    shares: Floats = field(init=False)
    drift: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.tokens = np.full((self.length, self.depth, self.width), -1, np.int64)
        self.shares = np.zeros((self.length, self.depth, self.width), np.float32)
        self.drift = np.full((self.length, self.depth), np.inf, np.float32)

    def record(self, positions: Ints, tokens: Ints, shares: Floats, drift: Floats) -> None:
        """Add a step at `positions` (R,): the likeliest `tokens` (R, width), their probabilities `shares` (R, width),
        and the divergence `drift` (R,) from the step before, in nats."""
        if not self.depth:
            return
        for record, latest in ((self.tokens, tokens), (self.shares, shares), (self.drift, drift)):
            record[positions, 1:] = record[positions, :-1]
            record[positions, 0] = latest[:, : self.width] if latest.ndim == 2 else latest


def divergence(logits: Tensor, memory: Memory) -> Tensor:
    """Return KL(now ‖ last step) (R,), in nats, over the last step's likeliest tokens and all others as one token;
    inf where there was no last step."""
    before, present = memory.shares[:, 0].double(), memory.tokens[:, 0] >= 0
    now = (logits.gather(1, memory.tokens[:, 0].clamp(min=0)) - logits.logsumexp(1, keepdim=True)).double().exp()
    now = now.masked_fill(~present, 0)
    pairs = [(now, before), (1 - now.sum(1, keepdim=True), 1 - before.sum(1, keepdim=True))]
    p, q = (torch.cat(parts, 1).clamp(min=0) for parts in zip(*pairs, strict=True))
    terms = torch.special.xlogy(p, p) - torch.special.xlogy(p, q.clamp(min=1e-12))
    return terms.sum(1).clamp(min=0).masked_fill(~present.any(1), torch.inf).float()


class Enhancer(Value):
    """A value of the history axis: what earlier steps add to the logits."""

    @property
    def memory(self) -> tuple[int, int]:
        """Number of steps in the record, and of tokens in each step; by default none."""
        return 0, 0

    @abstractmethod
    def enhance(self, logits: Tensor, memory: Memory | None) -> Tensor:
        """Return the logits (R, V), changed by `memory`, which is None if the rules of the recipe ask for none."""


@dataclass(frozen=True)
class Forgetful(Enhancer):
    """No use of earlier steps."""

    exactness: ClassVar[Exactness] = Exactness.EXACT

    def enhance(self, logits: Tensor, memory: Memory | None) -> Tensor:
        """Return the logits unchanged."""
        return logits


@dataclass(frozen=True)
class Credit(Enhancer):
    """Credit for tokens that led in earlier steps: z + strength · ln(1 + C), C = Σ decay^age · p^power over the steps
    in which the token was the likeliest (credit decoding, arXiv 2510.06133, §4; defaults of dInfer).

    Only such tokens have a credit. So the last `depth` leaders of a position replace the (W, V) table.
    """

    strength: float = 0.7
    power: float = 0.2
    decay: float = 0.8
    depth: int = 16
    exactness: ClassVar[Exactness] = Exactness.OTHER_ORDER

    def __post_init__(self) -> None:
        for name, high in (("strength", 100), ("power", 10), ("decay", 1)):
            bounded(f"history.{name}", getattr(self, name), 0, high, "dInfer uses 0.7, 0.2 and 0.8")
        bounded("history.depth", self.depth, 1, 256, "16 steps keep 97 % at a decay of 0.8")

    @property
    def memory(self) -> tuple[int, int]:
        """The last `depth` leaders."""
        return self.depth, 1

    def enhance(self, logits: Tensor, memory: Memory | None) -> Tensor:
        """Return the logits (R, V) plus the credit of `memory`; the leader of this step counts as the newest."""
        assert memory is not None
        leader = logits.softmax(1).max(1)
        tokens = torch.cat((leader.indices[:, None], memory.tokens[..., 0]), 1)
        shares = torch.cat((leader.values[:, None], memory.shares[..., 0]), 1)
        age = torch.arange(tokens.shape[1], device=tokens.device)
        worth = (self.decay**age * shares.pow(self.power)).masked_fill(tokens < 0, 0)
        same = tokens[:, :, None] == tokens[:, None]
        repeated = same.tril(-1).any(2) | (tokens < 0)
        gain = (same * worth[:, None]).sum(2).log1p().masked_fill(repeated, 0)
        return logits.scatter_add(1, tokens.clamp(min=0), self.strength * gain)


HISTORIES: dict[str, type[Enhancer]] = {"none": Forgetful, "credit": Credit}
