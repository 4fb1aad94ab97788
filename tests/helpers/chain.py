"""A proposer for tests: neighbours are coupled by a table of allowed pairs of classes, and all of it is exact."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from remask.decoding.classes import TokenClasses
from remask.decoding.joint import JointWindow, Proposal
from remask.decoding.propose import noise_scale

Table = npt.NDArray[Any]


class Chain:
    """From position `first` to the end of the canvas, class b may follow class a only if `allowed[a][b]`."""

    def __init__(self, of: Sequence[int], allowed: Sequence[Sequence[bool]], first: int = 0) -> None:
        self.classes, self.first = TokenClasses(torch.tensor(of)), first
        self.allowed = np.array(allowed, bool)

    def propose(self, window: JointWindow) -> Proposal:
        """Viterbi at temperature 0; above it, backward filtering and forward sampling by the noise of the scan."""
        tables, ways, end = window.tables, *self.ways(window)
        pinned = window.decided[window.position].numpy()
        best, share, weight = (
            np.where(pinned[:, None], 0.0, x.double().numpy()) for x in (tables.best, tables.share, tables.weight)
        )
        if window.temperature:
            choice = sample(best, backward(weight, ways, end), ways, noise_scale(window.temperature))
        else:
            choice = viterbi(best, ways, end)
        bias = forward(share, ways) + backward(share, ways, end)
        return Proposal(torch.from_numpy(choice), torch.from_numpy(bias))

    def ways(self, window: JointWindow) -> tuple[list[Table], Table]:
        """For each read, which classes (before, now) may stand at the read before and at this one, with something that
        fits between them; and which classes of the last read (C,) can be completed."""
        of, count = self.classes.of.numpy(), self.classes.count
        tokens, decided = window.tokens.numpy(), window.decided.numpy()
        reads, ways = set(window.position.tolist()), []
        way = np.ones((1, count), bool)  # nothing stands before the first
        end = np.ones(count, bool)
        for position, token in enumerate(tokens):
            here = way & (np.arange(count) == of[token]) if decided[position] else way
            following = self.allowed if position >= self.first else np.ones((count, count), bool)
            if position in reads:
                ways.append(here)
                way, end = following, np.ones(count, bool)
            else:
                way, end = here @ following, here.any(1)
        return ways, end

    def completable(self, tokens: Table, decided: Table) -> bool:
        """Whether some tokens at the undecided positions make the canvas what it must be."""
        here = np.ones(self.classes.count, bool)
        for token, known in list(zip(tokens, decided, strict=True))[self.first :]:
            here = here & (np.arange(len(here)) == int(self.classes.of[token])) if known else here
            if not here.any():
                return False
            here = here @ self.allowed
        return True


def log(allowed: Table) -> Table:
    return np.where(allowed, 0.0, -np.inf)


def logsumexp(x: Table, axis: int) -> Table:
    highest = x.max(axis, keepdims=True)
    highest = np.where(np.isfinite(highest), highest, 0)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(np.exp(x - highest).sum(axis)) + highest.squeeze(axis))


def forward(weights: Table, ways: list[Table]) -> Table:
    """ln of the summed weight (W, C) of all that may stand before each read, by its own class."""
    before, made = np.zeros(1), []
    for weight, way in zip(weights, ways, strict=True):
        made.append(logsumexp(before[:, None] + log(way), 0))
        before = made[-1] + weight
    return np.array(made)


def backward(weights: Table, ways: list[Table], end: Table) -> Table:
    """ln of the summed weight (W, C) of all that may stand after each read, by its own class."""
    made = [log(end)]
    for weight, way in zip(weights[:0:-1], ways[:0:-1], strict=True):
        made.insert(0, logsumexp(log(way) + weight + made[0], 1))
    return np.array(made)


def viterbi(best: Table, ways: list[Table], end: Table) -> Table:
    before, back = np.zeros(1), []
    for row, way in zip(best, ways, strict=True):
        paths = before[:, None] + log(way)
        back.append(paths.argmax(0))
        before = paths.max(0) + row
    before = before + log(end)
    if not np.isfinite(before.max()):
        return np.full(len(best), -1)
    choice = [int(before.argmax())]
    for arrows in back[:0:-1]:
        choice.insert(0, int(arrows[choice[0]]))
    return np.array(choice)


def sample(best: Table, after: Table, ways: list[Table], scale: float) -> Table:
    choice: list[int] = []
    for row, rest, way in zip(best, after, ways, strict=True):
        odds = row + scale * (rest - rest.max()) + log(way[choice[-1] if choice else 0])
        if not np.isfinite(odds.max()):
            return np.full(len(best), -1)
        choice.append(int(odds.argmax()))
    return np.array(choice)
