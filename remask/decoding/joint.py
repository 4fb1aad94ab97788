"""The joint proposal: the guesses of a whole window at once, where a request couples its positions.

A request may bring a `Proposer`, which knows what its tokens must be together. It sees no vocabulary, but classes of
tokens: the scan says how likely each is at each read, and which of its tokens is the best. The answer can be completed
after every step, because whatever subset of one sequence is committed, the rest of the sequence still completes it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from ..models.contract import Contract
from .classes import ClassTables, TokenClasses
from .recipe import Recipe
from .scan import Seen, endings_last
from .settle import Changes


@dataclass(frozen=True)
class JointWindow:
    """What a proposer sees of one row: W reads in canvas order, and its canvas of L positions, on the logits' device.

    A position is pinned to its token where `decided`, be it a read or not. Else it is open: a read has a row in the
    tables; any other is free, it will be decided later. `temperature` is that of the draw.
    """

    position: Tensor  # (W,) canvas positions of the reads
    tables: ClassTables  # (W, C)
    tokens: Tensor  # (L,)
    decided: Tensor  # (L,) bool
    temperature: float


@dataclass(frozen=True)
class Proposal:
    """A sequence for a window, and how its coupling changes the odds.

    `choice` (W,) is the class of each read; at open reads, together with the pinned positions and with some tokens at
    the free ones, it is what the request asks for. -1 everywhere if the logits exclude every such sequence.
    `bias` (W, C) is added to the log-probability of every token of a class: ln of the summed probability, up to a
    number of each read, of all that the other reads may be if this one is of the class. -inf where that is nothing.
    """

    choice: Tensor
    bias: Tensor


@runtime_checkable
class Proposer(Protocol):
    """What a request brings to couple its positions. It has no state: equal windows give equal proposals."""

    @property
    def classes(self) -> TokenClasses:
        """The partition of the vocabulary whose classes it compares."""

    def propose(self, window: JointWindow) -> Proposal:
        """Return the likeliest sequence at temperature 0, above it a draw from all of them.

        A draw needs no random numbers but those in `best`: at each read in turn, the class with the largest
        best + noise_scale(T) · ln(what may follow) is a draw in proportion to exp(weight) · (what may follow).
        """


@dataclass(frozen=True)
class JointRow:
    """A row of a part that brings a proposer: which reads of the part are its own, and what it knows of them."""

    proposer: Proposer
    reads: slice
    position: Tensor  # (W,)
    committed: Tensor  # (W,) in the window and decided in an earlier step
    tokens: Tensor  # (L,)
    decided: Tensor  # (L,)
    temperature: float

    def window(self, seen: Seen) -> JointWindow:
        """What its proposer sees."""
        assert seen.tables is not None
        tables = seen.tables.cut(self.reads, self.proposer.classes.count)
        return JointWindow(self.position, tables, self.tokens, self.decided, self.temperature)

    def reopened(self, reads: Tensor) -> "JointRow":
        """The same with the marked reads (W,) open."""
        return replace(self, decided=self.decided.index_put((self.position,), self.decided[self.position] & ~reads))

    def pinned(self, reads: Tensor, guess: Tensor) -> "JointRow":
        """The same with the marked reads (W,) pinned to their guesses (W,)."""
        at = (self.position,)
        return replace(
            self,
            tokens=self.tokens.index_put(at, torch.where(reads, guess, self.tokens[self.position])),
            decided=self.decided.index_put(at, self.decided[self.position] | reads),
        )


def propose(seen: Seen, rows: Sequence[JointRow], recipe: Recipe, contract: Contract) -> Seen:
    """Replace the independent guesses of these rows, and how sure they are, by those of their proposers.

    What is undecided is guessed with all committed tokens pinned, so that guesses fit them. What a reviser may rewrite
    or send back is judged as if it were undecided.
    """
    for row in rows:
        seen = guessed(seen, row, ~row.decided[row.position], recipe, contract)
        if recipe.revise.active:
            seen = guessed(seen, row.reopened(row.committed), row.committed, recipe, contract)
    return seen


def amend(seen: Seen, rows: Sequence[JointRow], changes: Changes, recipe: Recipe, contract: Contract) -> Seen:
    """Replace the guesses of rewritten positions by some that fit what is revealed and what stays; `changes` are those
    of the reads (R,). Two tokens that were guessed as if all were undecided need not fit a third that stays."""
    if not recipe.revise.active:
        return seen
    for row in rows:
        reveal, edit = (values[row.reads] for values in (changes.reveal, changes.edit))
        amended = row.reopened(edit).pinned(reveal, seen.guess[row.reads])
        seen = guessed(seen, amended, edit, recipe, contract)
    return seen


def guessed(seen: Seen, row: JointRow, where: Tensor, recipe: Recipe, contract: Contract) -> Seen:
    """Return `seen` with the guesses of the row's proposer at those of its reads that are marked in `where` (W,)."""
    window, own = row.window(seen), row.reads
    made = row.proposer.propose(window)
    chosen = made.choice.clamp(min=0)[:, None]
    guess = window.tables.token.gather(1, chosen)[:, 0]
    logprob = window.tables.logprob.gather(1, chosen)[:, 0]
    share, bias = window.tables.share.double(), made.bias.double()
    lift = bias.gather(1, chosen)[:, 0] - (share + bias).logsumexp(1)  # of the constrained over the model's own
    confidence = (logprob + lift).exp().nan_to_num(nan=0).to(seen.confidence.dtype)
    if recipe.confidence == "random":
        confidence = seen.confidence[own]
    confidence = endings_last(confidence, guess, recipe.process, contract)
    same = guess == seen.guess[own]
    logprob = torch.where(same, seen.logprob[own], logprob)
    untouched = (same & (lift == 0) | ~where).all()  # then the recipe's own measure stands, to the last bit
    confidence = torch.where(untouched, seen.confidence[own], confidence)

    def merged(values: Tensor, new: Tensor) -> Tensor:
        values = values.clone()
        values[own] = torch.where(where, new.to(values.dtype), values[own])
        return values

    return replace(
        seen,
        guess=merged(seen.guess, guess),
        confidence=merged(seen.confidence, confidence),
        logprob=merged(seen.logprob, logprob),
        healthy=merged(seen.healthy, seen.healthy[own] & (made.choice >= 0)),
    )
