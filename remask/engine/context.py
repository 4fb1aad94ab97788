"""The policies for a prompt that is longer than the model's context.

error            refuse it.
scale            scale rotary positions by `ntk:auto`, unless the request names a scaling of its own.
truncate-middle  drop tokens from the middle of the prompt, so that its two ends fit (as in LongBench).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from ..errors import RequestError, unknown_name
from ..models.contract import Contract
from ..models.rotary import NONE, Rope

ContextPolicy = Literal["error", "scale", "truncate-middle"]
AUTO = Rope("ntk")


@dataclass(frozen=True)
class Fitted:
    """The prompt that the model reads: its ids, the scaling of positions, and the number of tokens dropped from it."""

    ids: tuple[int, ...]
    rope: Rope
    dropped: int = 0


def limit(contract: Contract, rope: Rope) -> int:
    """Return the longest canvas, in tokens, that the model takes under `rope`."""
    return rope.context(contract.rotary, contract.max_positions)


def scaled(length: int, contract: Contract, rope: Rope, policy: str) -> Rope:
    """Return the scaling for a canvas of `length` tokens under `policy`. Raises RequestError for an unknown policy."""
    if policy not in get_args(ContextPolicy):
        raise RequestError(unknown_name("context_policy", policy, get_args(ContextPolicy)))
    return AUTO if policy == "scale" and rope == NONE and length > contract.max_positions else rope


def room(gen_length: int, given: int, contract: Contract, rope: Rope, policy: str) -> int:
    """Return `gen_length`, at least 1 and at most what the context leaves beside `given` tokens; where the prompt may
    be cut, at least half of the context is left."""
    longest = limit(contract, scaled(given + gen_length, contract, rope, policy))
    rest = longest - given
    return max(1, min(gen_length, max(rest, longest // 2) if policy == "truncate-middle" else rest))


def fit(ids: Sequence[int], gen_length: int, contract: Contract, rope: Rope, policy: str) -> Fitted:
    """Fit the prompt `ids` and `gen_length` positions behind it into the context.

    Raises RequestError if the prompt is still too long under `policy`.
    """
    rope = scaled(len(ids) + gen_length, contract, rope, policy)
    budget = limit(contract, rope) - gen_length
    if policy != "truncate-middle" or len(ids) <= budget:
        within(len(ids) + gen_length, gen_length, contract, rope)
        return Fitted(tuple(ids), rope)
    if budget < 2:
        raise RequestError(
            f"gen_length is {gen_length} and the model's context {budget + gen_length}, which leaves no room for the "
            "ends of the prompt; make gen_length smaller"
        )
    head = (budget + 1) // 2
    return Fitted((*ids[:head], *ids[len(ids) - (budget - head) :]), rope, len(ids) - budget)


def within(length: int, holes: int, contract: Contract, rope: Rope) -> None:
    """Refuse a canvas of `length` tokens, of which `holes` are to decide, if it is too long for the model under `rope`.

    Raises RequestError.
    """
    if length > (bound := limit(contract, rope)):
        raise RequestError(too_long(length, holes, bound, contract, rope))


def too_long(length: int, holes: int, bound: int, contract: Contract, rope: Rope) -> str:
    """Return the error message for a canvas that is longer than `bound`: its size, the bound and the remedies."""
    canvas = f"the canvas has {length} tokens ({length - holes} given, {holes} to decide)"
    shorter = "shorten the prompt or gen_length, or cut the prompt with context_policy truncate-middle"
    if rope == NONE and contract.rotary is None:
        return f"{canvas}, the model's context is {bound}; {shorter}"
    if rope.method == "none":
        longest = limit(contract, AUTO)
        scaling = f", or scale positions with rope ntk:auto (up to {longest})" if bound < length <= longest else ""
        return f"{canvas}, the model's context is {bound}; {shorter}{scaling}"
    return f"{canvas}, rope {rope} takes at most {bound} on this model; {shorter}"
