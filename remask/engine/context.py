"""What becomes of a prompt that is longer than the model's context.

error            it is refused.
scale            rotary positions are scaled by `ntk:auto`, unless the request names a scaling of its own.
truncate-middle  tokens are left out of its middle, so that its first and last halves fit (as LongBench does).
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
    """A prompt as it will be read: its ids, the scaling to read it with, and how many tokens were left out of it."""

    ids: tuple[int, ...]
    rope: Rope
    dropped: int = 0


def limit(contract: Contract, rope: Rope) -> int:
    """The longest canvas, in tokens, that the model takes under `rope`."""
    return rope.context(contract.rotary, contract.max_positions)


def scaled(length: int, contract: Contract, rope: Rope, policy: str) -> Rope:
    """The scaling for a canvas of `length` tokens under `policy`. Raises RequestError for an unknown one."""
    if policy not in get_args(ContextPolicy):
        raise RequestError(unknown_name("context_policy", policy, get_args(ContextPolicy)))
    return AUTO if policy == "scale" and rope == NONE and length > contract.max_positions else rope


def room(gen_length: int, given: int, contract: Contract, rope: Rope, policy: str) -> int:
    """`gen_length`, or what the context leaves of it beside `given` tokens; a prompt that is cut leaves half."""
    longest = limit(contract, scaled(given + gen_length, contract, rope, policy))
    left = longest - given
    return max(1, min(gen_length, max(left, longest // 2) if policy == "truncate-middle" else left))


def fit(ids: Sequence[int], gen_length: int, contract: Contract, rope: Rope, policy: str) -> Fitted:
    """The prompt `ids`, to be followed by `gen_length` positions.

    Raises RequestError if `policy` leaves it too long.
    """
    rope = scaled(len(ids) + gen_length, contract, rope, policy)
    kept = limit(contract, rope) - gen_length
    if policy != "truncate-middle" or len(ids) <= kept:
        within(len(ids) + gen_length, gen_length, contract, rope)
        return Fitted(tuple(ids), rope)
    if kept < 2:
        raise RequestError(
            f"gen_length is {gen_length} and the model's context {kept + gen_length}, which leaves no room for the "
            "ends of the prompt; make gen_length smaller"
        )
    head = (kept + 1) // 2
    return Fitted((*ids[:head], *ids[len(ids) - (kept - head) :]), rope, len(ids) - kept)


def within(length: int, holes: int, contract: Contract, rope: Rope) -> None:
    """Refuse a canvas of `length` tokens, `holes` of them to decide, that the model does not take under `rope`.

    Raises RequestError.
    """
    if length > (bound := limit(contract, rope)):
        raise RequestError(too_long(length, holes, bound, contract, rope))


def too_long(length: int, holes: int, bound: int, contract: Contract, rope: Rope) -> str:
    """Why so long a canvas is refused, and what would help."""
    canvas = f"the canvas has {length} tokens ({length - holes} given, {holes} to decide)"
    shorter = "shorten the prompt or gen_length, or cut the prompt with the context policy truncate-middle"
    if rope == NONE and contract.rotary is None:
        return f"{canvas}, the model's context is {bound}; {shorter}"
    if rope.method == "none":
        longest = limit(contract, AUTO)
        scaling = f", or scale positions with rope ntk:auto (up to {longest})" if longest > bound else ""
        return f"{canvas}, the model's context is {bound}; {shorter}{scaling}"
    return f"{canvas}, rope {rope} takes at most {bound} on this model; {shorter}"
