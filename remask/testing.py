"""Predictors without weights, for tests and teaching: their logits are known beforehand.

A fake sees what attention would see: the hidden row of a read holds the position to predict, and the token at every
position that the row can see. Its logits are a function of these alone, so they are bitwise the same in any batch. In
place of a key, its store keeps the token from which the key would be made.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from .decoding import noise
from .models.contract import Contract, Group, Packed

UNSEEN = -1  # stands for the token of a position that the row cannot see
# 16 ids: 15 is the mask, 14 ends the text, 13 ends a turn. `dataclasses.replace` makes variants.
TOY = Contract("fake", 16, mask_id=15, eos_ids=(14,), eot_ids=(13,), max_positions=64, forbidden=(15,), editable=True)


class Tokens:
    """The store of a fake: (entries, length + 1, 2), the token and the position of each slot; nobody reads the last."""

    def __init__(self, entries: int, length: int) -> None:
        self.data = torch.full((entries, length + 1, 2), UNSEEN)

    def clear(self, entries: Sequence[int]) -> None:
        """Empty all slots of `entries`."""
        self.data[list(entries)] = UNSEEN

    def move(self, entries: Sequence[int]) -> None:
        """Move the sorted `entries` to the front."""
        for new, old in enumerate(entries):
            self.data[new] = self.data[old]

    def resize(self, entries: int) -> None:
        """Keep the first `entries`, or add some."""
        old, kept = self.data, min(entries, len(self.data))
        self.data = torch.full((entries, *old.shape[1:]), UNSEEN)
        self.data[:kept] = old[:kept]


class Fake:
    """A predictor whose logits `at` returns, one row at a time; as it is, all of them are 0."""

    device = torch.device("cpu")

    def __init__(self, contract: Contract = TOY) -> None:
        self.contract = contract

    def at(self, position: int, tokens: Tensor) -> Tensor:
        """Return the logits (V,) at `position`, for a row that sees `tokens` (max_positions,), some of them UNSEEN."""
        return torch.zeros(self.contract.vocab_size)

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the logits (R, V), float32, of hidden rows (R, 1 + max_positions)."""
        rows = [self.at(int(row[0]), row[1:]).float() for row in hidden]
        return torch.stack(rows) if rows else torch.empty(0, self.contract.vocab_size)

    def hidden(self, batch: Packed) -> Tensor:
        """Return rows (R, 1 + max_positions), int64: the position that each read row predicts, then the tokens that it
        sees."""
        return torch.cat([self._look(batch, group) for group in batch.groups])[batch.reads]

    def _look(self, batch: Packed, group: Group) -> Tensor:
        contract, span = self.contract, slice(group.start, group.stop)
        keys = fresh = torch.stack((batch.tokens[span], batch.positions[span]), -1).view(group.rows, group.queries, 2)
        if group.entries is not None and group.slots is not None and group.whole is None:
            keys = torch.cat((group.store.data[group.entries[:, None], group.slots], fresh), 1)
        if group.entries is not None and group.keep is not None:
            group.store.data[group.entries[:, None], group.keep] = fresh
        if group.slots is not None and group.whole is not None:
            keys = group.store.data[group.whole, : group.slots.shape[1] + group.queries]
        query_at, key_at = fresh[..., 1, None], keys[:, None, :, 1]  # positions (B, Q, 1) and (B, 1, K)
        visible = key_at != UNSEEN if group.visible is None else (key_at != UNSEEN) & group.visible
        if contract.block_size is not None:
            visible = visible & (key_at // contract.block_size <= query_at // contract.block_size)
        column = torch.where(visible, key_at, contract.max_positions).expand(-1, group.queries, -1)
        table = torch.full((group.rows, group.queries, contract.max_positions + 1), UNSEEN)
        table.scatter_(2, column, keys[:, None, :, 0].expand_as(column))
        return torch.cat((query_at + contract.shift, table[..., :-1]), -1).flatten(0, 1)

    def store(self, entries: int, length: int) -> Tokens:
        """Make a store for the tokens of `entries` sequences of `length` slots."""
        return Tokens(entries, length)

    def bytes_per_slot(self) -> int:
        """Return 16: a slot is two whole numbers."""
        return 16

    def activation_bytes(self, queries: int) -> int:
        """Return the bytes of `queries` hidden rows."""
        return 8 * (1 + self.contract.max_positions) * queries


class Uniform(Fake):
    """A fake for which every token is equally likely."""


class Oracle(Fake):
    """A fake that knows the text: at each position the token of `text` has the probability `confidence` (one number, or
    one for each position)."""

    def __init__(self, text: Sequence[int], confidence: float | Sequence[float] = 0.9, contract: Contract = TOY):
        super().__init__(contract)
        self.text = list(text)
        self.confidence = list(confidence) if isinstance(confidence, Sequence) else [confidence] * len(self.text)

    def at(self, position: int, tokens: Tensor) -> Tensor:
        """Return log-probabilities; all other ids, with the mask, share the rest equally."""
        sure = self.confidence[position]
        shares = torch.full((self.contract.vocab_size,), (1 - sure) / (self.contract.vocab_size - 1))
        shares[self.text[position]] = sure
        return shares.log()


class Scripted(Fake):
    """A fake whose logits at a position are `script(position, tokens)`."""

    def __init__(self, script: Callable[[int, Tensor], Tensor], contract: Contract = TOY) -> None:
        super().__init__(contract)
        self.script = script

    def at(self, position: int, tokens: Tensor) -> Tensor:
        """Return the logits (V,) of the script."""
        return self.script(position, tokens)


class Hashed(Fake):
    """An adversary: Gumbel noise times `peakedness`, keyed by a hash of everything that the row sees.

    One visible token more or less changes every logit. `tie_rate` is the share of rows in which the two best tokens
    tie. All such rows have the same two values, at tokens of their own, so confidences tie across positions too.
    """

    def __init__(self, seed: int = 0, peakedness: float = 2.0, tie_rate: float = 0.0, contract: Contract = TOY) -> None:
        super().__init__(contract)
        self.peakedness, self.tie_rate = peakedness, tie_rate
        self.weights = torch.from_numpy(noise.keys(seed, 0, np.arange(1 + contract.max_positions)).view(np.int64))

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the logits (R, V), float32, of hidden rows (R, 1 + max_positions)."""
        key = ((hidden + 2) * self.weights).sum(-1)
        logits = self.peakedness * noise.gumbel(key, self.contract.vocab_size).float()
        best = logits.topk(2, -1).indices
        level = torch.zeros_like(logits).scatter_(1, best, 2 * self.peakedness)
        return torch.where(((key >> 32) % 1000 < 1000 * self.tie_rate)[:, None], level, logits)


class Poisoned(Fake):
    """`model` with bad logits where `when(position, tokens)` is true: the first is `value` (NaN or +inf), or all are
    -inf."""

    def __init__(self, model: Fake, value: float, when: Callable[[int, Tensor], bool]) -> None:
        super().__init__(model.contract)
        self.model, self.value, self.when = model, value, when

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the logits (R, V), float32, the bad rows included."""
        logits, width = self.model.logits(hidden), self.contract.vocab_size if self.value == -torch.inf else 1
        for i, row in enumerate(hidden):
            if self.when(int(row[0]), row[1:]):
                logits[i, :width] = self.value
        return logits
