"""The changes to the logits before a token is drawn, before it is scored, or both.

`Guidance` and `Process` are what a recipe says of it; the functions below do it. They take the logits (R, V) of R
positions and return new ones, float32 in and out.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import torch
from torch import Tensor

from ..errors import RecipeError, bounded, quoted, unknown_name
from ..exactness import Exactness
from ..models.contract import Contract
from .columns import Number, like
from .value import Value, in_vocabulary

Compat = Literal["intended", "llada"]
Scores = Literal["raw", "processed"]
Filters = Literal["top_k_first", "top_p_first"]


@dataclass(frozen=True)
class Guidance(Value):
    """Classifier-free guidance; `cfg_scale` 0 is none and costs no second stream."""

    cfg_scale: float = 0.0
    exactness = Exactness.EXACT

    def __post_init__(self) -> None:
        bounded("cfg_scale", self.cfg_scale, 0.0, 100.0, "LLaDA uses 0 to 2")


@dataclass(frozen=True)
class Process(Value):
    """What changes the logits. All of it acts after guidance.

    temperature             of the draw; 0 is greedy
    top_k, top_p            filter the draw, after the temperature, as everywhere else
    filters                 which of the two comes first: "top_k_first" (transformers, SDAR), so that top_p counts what
                            top_k left, or "top_p_first" (Dream)
    suppress                ids that are neither guessed nor counted in the normaliser
    logits_eos_inf          suppress the end-of-sequence ids (LLaDA, App. B.4)
    confidence_eos_eot_inf  guess EOS and end-of-turn as usual, but commit them last (LLaDA, App. B.4)
    compat                  "llada" repeats what the authors' code does with the last flag: at temperature 0 both tokens
                            also leave the normaliser and score 0; above 0 the end-of-turn token alone does, and it
                            scores 0 (their line 97 runs after the draw, and writes where the draw's input aliases it)
    scores                  "raw": confidences are those of the distribution before temperature and filters (LLaDA);
                            "processed": after both (Dream, SDAR, LLaDA2; thresholds do not carry over from one to the
                            other)
    """

    temperature: float = 0.0
    top_k: int | None = None
    top_p: float | None = None
    suppress: tuple[int, ...] = ()
    logits_eos_inf: bool = False
    confidence_eos_eot_inf: bool = False
    compat: Compat = "intended"
    scores: Scores = "raw"
    filters: Filters = "top_k_first"
    exactness = Exactness.EXACT

    def __post_init__(self) -> None:
        if self.scores not in get_args(Scores):
            raise RecipeError(unknown_name("process.scores", self.scores, get_args(Scores)))
        if self.filters not in get_args(Filters):
            raise RecipeError(unknown_name("process.filters", self.filters, get_args(Filters)))
        bounded("temperature", self.temperature, 0.0, 1e6, "0 is greedy, 1 the model's own distribution")
        if self.top_k is not None and self.top_k < 1:
            raise RecipeError(f"top_k must be at least 1, got {self.top_k}; leave it out to keep every token")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise RecipeError(f"top_p must lie in (0, 1], got {self.top_p}; leave it out to keep every token")
        if self.compat not in get_args(Compat):
            raise RecipeError(f"compat must be one of {', '.join(get_args(Compat))}, got {quoted(self.compat)}")
        object.__setattr__(self, "suppress", tuple(self.suppress))

    def fit(self, contract: Contract) -> "Process":
        """Return the value; what it suppresses must be ids of this model."""
        in_vocabulary("suppress", self.suppress, contract)
        return self


def guide(conditional: Tensor, unconditional: Tensor, scale: Number) -> Tensor:
    """Apply classifier-free guidance: u + (scale + 1) · (c - u) (LLaDA §2.4; Schiff et al., arXiv 2412.10193).

    Where the unconditional logit is -inf, there is nothing to guide away from: the conditional logit stays.
    """
    guided = unconditional + like(scale + 1, conditional) * (conditional - unconditional)
    return torch.where(torch.isneginf(unconditional), conditional, guided)


@lru_cache(maxsize=256)
def ids(tokens: tuple[int, ...], device: torch.device) -> Tensor:
    """Return token ids as a tensor on the device, sorted and made once."""
    return torch.tensor(sorted(set(tokens)), dtype=torch.long, device=device)


def suppress(logits: Tensor, ids: Tensor) -> Tensor:
    """Set the columns `ids` (n,) to -inf."""
    return logits.index_fill(-1, ids, -torch.inf) if len(ids) else logits


def ban(logits: Tensor, banned: Tensor | None) -> Tensor:
    """Set the tokens `banned` (R, n) to -inf, each row's own; -1 stands for none."""
    if banned is None:
        return logits
    least = torch.full_like(banned, torch.inf, dtype=logits.dtype).masked_fill(banned >= 0, -torch.inf)
    return logits.scatter_reduce(1, banned.clamp(min=0), least, "amin")


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    """Keep the `k` largest logits of each row, and all that are equal to the k-th; set the others to -inf."""
    if k >= logits.shape[-1]:
        return logits
    return logits.masked_fill(logits < logits.topk(k).values[..., -1:], -torch.inf)


def keep_top_p(logits: Tensor, p: Number, temperature: Number = 0.0) -> Tensor:
    """Keep the smallest set of most probable tokens whose probability at `temperature` reaches `p` (nucleus), at least
    one; set the others to -inf. Temperature 0 counts as 1, as in Dream."""
    if not isinstance(p, Tensor) and p >= 1:
        return logits
    ordered, index = tempered(logits, temperature).sort(dim=-1, descending=True, stable=True)
    probability = ordered.softmax(-1)
    beyond = probability.cumsum(-1) - probability >= like(p, probability)
    if isinstance(p, Tensor):
        beyond &= p < 1
    return logits.masked_fill(torch.zeros_like(beyond).scatter_(-1, index, beyond), -torch.inf)


def tempered(logits: Tensor, temperature: Number) -> Tensor:
    """Return logits / temperature, shifted so that the largest is 0 and none overflows; temperature 0 counts as 1."""
    shifted = logits - logits.amax(-1, keepdim=True)
    return shifted / like(temperature, logits) if isinstance(temperature, Tensor) or temperature else shifted
