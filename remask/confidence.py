"""How sure are we of a guess: a number for each position, larger means commit sooner.

A score needs a row's maximum, its sum of exponentials and one gathered logit; a full softmax is never stored.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Confidence = Literal["probability", "margin", "entropy", "random"]
CONFIDENCES: tuple[Confidence, ...] = ("probability", "margin", "entropy", "random")


@dataclass(frozen=True)
class Scored:
    """For R positions: `confidence` (R,) as asked for, and the natural-log probability `logprob` (R,) of the guess."""

    confidence: Tensor
    logprob: Tensor


def score(logits: Tensor, guess: Tensor, by: Confidence, uniform: Tensor) -> Scored:
    """Score `guess` (R,) under softmax of `logits` (R, V), float32.

    probability  p(guess): LLaDA's low_confidence remasking keeps the highest.
    margin       p(best) - p(second best), in [0, 1].
    entropy      Σ p·ln p, at most 0: the negative entropy in nats (Dream).
    random       the given `uniform` (R,): LLaDA's random remasking.
    """
    top = logits.amax(-1, keepdim=True)
    shifted = logits - top
    weight = shifted.exp()
    total = weight.sum(-1)
    chosen = shifted.gather(-1, guess[:, None]).squeeze(-1)
    logprob = chosen - total.log()
    if by == "probability":
        confidence = chosen.exp() / total
    elif by == "margin":
        best = weight.topk(min(2, weight.shape[-1])).values / total[:, None]
        confidence = best[:, 0] - best[:, 1:].sum(-1)
    elif by == "entropy":
        confidence = (weight * shifted.clamp(min=-1e30)).sum(-1) / total - total.log()
    else:
        confidence = uniform
    return Scored(confidence.float(), torch.nan_to_num(logprob, neginf=-torch.inf))
