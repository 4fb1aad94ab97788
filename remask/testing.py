"""Predictors without weights, for tests and teaching: what they will say is known beforehand.

A fake looks where attention would look: for each row that is read it notes the position to predict and the token at
every position that the row can see. Its logits are a function of that and of nothing else, so they are bitwise the
same in any batch; a key that a cache kept is remembered as the token it was made of.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from .decoding import noise
from .models.contract import Contract, Group, Packed

UNSEEN = -1  # stands for the token of a position that the row cannot see
# 16 ids: 15 is the mask, 14 ends the text, 13 ends a turn. `dataclasses.replace` makes others of it.
TOY = Contract("fake", 16, mask_id=15, eos_ids=(14,), eot_ids=(13,), max_positions=64, forbidden=(15,), editable=True)


class Tokens:
    """What a fake keeps instead of keys and values: (entries, length, 2), the token and the position of each slot."""

    def __init__(self, entries: int, length: int) -> None:
        self.data = torch.full((entries, length, 2), UNSEEN)

    def grow(self, entries: int, length: int) -> None:
        """Make room for more."""
        old, self.data = self.data, torch.full((entries, length, 2), UNSEEN)
        self.data[: len(old), : old.shape[1]] = old


class Fake:
    """All of the contract; `at` says what one row predicts."""

    device = torch.device("cpu")

    def __init__(self, contract: Contract = TOY) -> None:
        self.contract = contract

    def at(self, position: int, tokens: Tensor) -> Tensor:
        """Logits (V,) at `position`, for a row that sees `tokens` (max_positions,), UNSEEN where it sees none."""
        return torch.zeros(self.contract.vocab_size)

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits (R, V), float32."""
        rows = [self.at(int(row[0]), row[1:]).float() for row in hidden]
        return torch.stack(rows) if rows else torch.empty(0, self.contract.vocab_size)

    def hidden(self, batch: Packed) -> Tensor:
        """(R, 1 + max_positions), int64: the position that each read row predicts, then the tokens that it sees."""
        return torch.cat([self._look(batch, group) for group in batch.groups])[batch.reads]

    def _look(self, batch: Packed, group: Group) -> Tensor:
        contract, here = self.contract, slice(group.start, group.stop)
        keys = mine = torch.stack((batch.tokens[here], batch.positions[here]), -1).view(group.rows, group.queries, 2)
        if group.entries is not None and group.slots is not None:
            keys = torch.cat((group.store.data[group.entries[:, None], group.slots], mine), 1)
        if group.entries is not None and group.keep is not None:
            row, query = (group.keep >= 0).nonzero(as_tuple=True)
            group.store.data[group.entries[row], group.keep[row, query]] = mine[row, query]
        asks, holds = mine[..., 1, None], keys[:, None, :, 1]  # positions of queries (B, Q, 1) and of keys (B, 1, K)
        seen = holds != UNSEEN if group.visible is None else (holds != UNSEEN) & group.visible
        if contract.block_size is not None:
            seen = seen & (holds // contract.block_size <= asks // contract.block_size)
        column = torch.where(seen, holds, contract.max_positions).expand(-1, group.queries, -1)
        table = torch.full((group.rows, group.queries, contract.max_positions + 1), UNSEEN)
        table.scatter_(2, column, keys[:, None, :, 0].expand_as(column))
        return torch.cat((asks + contract.shift, table[..., :-1]), -1).flatten(0, 1)

    def store(self, entries: int, length: int) -> Tokens:
        """Room for the tokens of `entries` sequences of `length` slots."""
        return Tokens(entries, length)

    def bytes_per_slot(self) -> int:
        """Two whole numbers."""
        return 16

    def activation_bytes(self, queries: int) -> int:
        """Hidden rows."""
        return 8 * (1 + self.contract.max_positions) * queries


class Uniform(Fake):
    """Every token is as likely as any other."""


class Oracle(Fake):
    """Knows the text: at each position `text` there with probability `confidence` (one, or one a position)."""

    def __init__(self, text: Sequence[int], confidence: float | Sequence[float] = 0.9, contract: Contract = TOY):
        super().__init__(contract)
        self.text = list(text)
        self.confidence = list(confidence) if isinstance(confidence, Sequence) else [confidence] * len(self.text)

    def at(self, position: int, tokens: Tensor) -> Tensor:
        """Log-probabilities; the rest is shared by all other ids, the mask included."""
        sure = self.confidence[position]
        shares = torch.full((self.contract.vocab_size,), (1 - sure) / (self.contract.vocab_size - 1))
        shares[self.text[position]] = sure
        return shares.log()


class Scripted(Fake):
    """Says what `script(position, tokens)` says."""

    def __init__(self, script: Callable[[int, Tensor], Tensor], contract: Contract = TOY) -> None:
        super().__init__(contract)
        self.script = script

    def at(self, position: int, tokens: Tensor) -> Tensor:
        """What the script says."""
        return self.script(position, tokens)


class Hashed(Fake):
    """An adversary: Gumbel noise times `peakedness`, keyed by a hash of all that the row sees.

    One token more or less to see changes every logit. `tie_rate` is the share of rows in which the two best tokens tie,
    and which are equal to all other such rows but for which two these are: confidences tie across positions too.
    """

    def __init__(self, seed: int = 0, peakedness: float = 2.0, tie_rate: float = 0.0, contract: Contract = TOY) -> None:
        super().__init__(contract)
        self.peakedness, self.tie_rate = peakedness, tie_rate
        self.weights = torch.from_numpy(noise.keys(seed, 0, np.arange(1 + contract.max_positions)).view(np.int64))

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits (R, V), float32."""
        key = ((hidden + 2) * self.weights).sum(-1)
        logits = self.peakedness * noise.gumbel(key, self.contract.vocab_size).float()
        best = logits.topk(2, -1).indices
        level = torch.zeros_like(logits).scatter_(1, best, 2 * self.peakedness)
        return torch.where(((key >> 32) % 1000 < 1000 * self.tie_rate)[:, None], level, logits)


class Poisoned(Fake):
    """`model`, broken wherever `when(position, tokens)`: one logit is NaN or +inf, or all of them are -inf."""

    def __init__(self, model: Fake, value: float, when: Callable[[int, Tensor], bool]) -> None:
        super().__init__(model.contract)
        self.model, self.value, self.when = model, value, when

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits (R, V), float32, some of them useless."""
        logits, width = self.model.logits(hidden), self.contract.vocab_size if self.value == -torch.inf else 1
        for i, row in enumerate(hidden):
            if self.when(int(row[0]), row[1:]):
                logits[i, :width] = self.value
        return logits
