"""The confidence in each guess: one number a position; a larger one is committed sooner.

Probabilities come from torch's own softmax in float32, so that they tie exactly where the authors' tie.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..exactness import Exactness

Confidence = Literal["probability", "margin", "entropy", "random"]
CLAIMS: dict[Confidence, Exactness] = {  # LLaDA has two of them
    "probability": Exactness.EXACT,
    "margin": Exactness.OTHER_ORDER,
    "entropy": Exactness.OTHER_ORDER,
    "random": Exactness.EXACT,
}
CONFIDENCES = tuple(CLAIMS)


@dataclass(frozen=True)
class Scored:
    """Scores of R guesses: `confidence` (R,) by the chosen measure, and `logprob` (R,), ln of the probability."""

    confidence: Tensor
    logprob: Tensor


def score(logits: Tensor, guess: Tensor, best: Tensor, by: Confidence, uniform: Tensor | None) -> Scored:
    """Score `guess` (R,) under the softmax of `logits` (R, V), float32; `best` (R,) are the columns of the largest.

    probability  p(guess): LLaDA's low_confidence remasking keeps the highest.
    margin       p(best) - p(second best), in [0, 1].
    entropy      Σ p·ln p, at most 0: the negative entropy in nats (Dream).
    random       the given `uniform` (R,): LLaDA's random remasking.
    """
    probability = logits.softmax(-1)
    both = torch.stack((guess, best), 1)
    (chosen, highest), (logit, largest) = (table.gather(1, both).unbind(1) for table in (probability, logits))
    if by == "probability":
        confidence = chosen
    elif by == "margin":
        best = probability.topk(min(2, probability.shape[-1])).values
        confidence = best[:, 0] - best[:, 1:].sum(-1)
    elif by == "entropy":
        confidence = -entropy(logits)
    else:
        assert uniform is not None
        confidence = uniform
    return Scored(confidence.float(), logit - largest + highest.log())  # a tiny probability would underflow


def entropy(logits: Tensor) -> Tensor:
    """Return the entropy (R,), in nats, of the softmax of `logits` (R, V)."""
    return torch.special.entr(logits.softmax(-1)).sum(-1)
