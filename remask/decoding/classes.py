"""Token classes: a partition of the vocabulary, and what the logits say of each class.

Who proposes the tokens of a window jointly compares classes: hundreds where the vocabulary has a hundred thousand.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import RequestError
from .columns import Number, like

MOST_CLASSES = 512


@dataclass(frozen=True, eq=False)
class TokenClasses:
    """A partition of the vocabulary: `of` (V,) int64 is the class of each token, from 0, none of them empty.

    Raises RequestError for more than 512 classes, and for a class without a token.
    """

    of: Tensor

    def __post_init__(self) -> None:
        if self.of.ndim != 1 or self.of.dtype != torch.int64 or not len(self.of) or int(self.of.min()) < 0:
            raise RequestError("token classes must be a row (V,) of whole numbers from 0; give one for each token")
        if self.count > MOST_CLASSES:
            raise RequestError(f"there are {self.count} token classes, at most {MOST_CLASSES} fit; join some of them")
        if empty := (self.of.bincount(minlength=self.count) == 0).nonzero().flatten().tolist():
            raise RequestError(f"token class {empty[0]} of {self.count} has no token; number the classes without gaps")

    @cached_property
    def count(self) -> int:
        """The number of classes C."""
        return int(self.of.max()) + 1

    def best(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return the largest of `logits` (R, V) in each class (R, C), and its token; ties go to the lower id."""
        best = logits.new_empty(len(logits), self.count)
        token = torch.empty_like(best, dtype=torch.int64)
        for bucket, members in self._members(logits):
            best[:, bucket.classes] = members.amax(-1)
            column = members.argmax(-1)
            token[:, bucket.classes] = bucket.tokens[torch.arange(len(bucket.tokens), device=column.device), column]
        return best, token

    def mass(self, logits: Tensor) -> Tensor:
        """Return ln Σ exp(logits) (R, C) over each class of `logits` (R, V)."""
        mass = logits.new_empty(len(logits), self.count)
        for bucket, members in self._members(logits):
            mass[:, bucket.classes] = members.logsumexp(-1)
        return mass

    def _members(self, logits: Tensor) -> Iterator[tuple["Bucket", Tensor]]:
        """Yield the logits (R, n, width) of the tokens of each bucket."""
        for bucket in buckets(self, logits.device):
            members = logits.index_select(1, bucket.tokens.flatten()).unflatten(1, tuple(bucket.tokens.shape))
            yield bucket, members.masked_fill_(bucket.padding, -torch.inf)


class Bucket(NamedTuple):
    """Classes of like size side by side, so that one reduction serves all of them."""

    classes: Tensor  # (n,)
    tokens: Tensor  # (n, width) ids in order, padded with the first
    padding: Tensor  # (n, width)


@lru_cache(maxsize=64)
def buckets(classes: TokenClasses, device: torch.device) -> tuple[Bucket, ...]:
    """Return the buckets of a partition on the device, made once: the sizes in a bucket are within a factor of two, and
    its width is the largest. On a CPU this is three to six times as fast as a scatter over the vocabulary."""
    sizes = classes.of.bincount()
    members = classes.of.argsort(stable=True).split(sizes.tolist())
    alike: dict[int, list[int]] = {}
    for which, size in enumerate(sizes.tolist()):
        alike.setdefault((size - 1).bit_length(), []).append(which)
    made = []
    for group in alike.values():
        width = max(len(members[which]) for which in group)
        tokens = torch.stack(
            [torch.cat((ids, ids[:1].expand(width - len(ids)))) for ids in (members[which] for which in group)]
        )
        numbers = torch.tensor(group)
        padding = torch.arange(width) >= sizes[numbers][:, None]
        made.append(Bucket(numbers.to(device), tokens.to(device), padding.to(device)))
    return tuple(made)


@dataclass(frozen=True)
class ClassTables:
    """What the logits of R reads say of each of C classes; where a read has fewer classes, or none, -inf or NaN.

    `best` is the largest processed logit, above temperature 0 with the noise of the draw, so that the best over all
    classes is the draw. All others are without noise, in nats, float32.
    """

    best: Tensor  # (R, C) the largest, in the units of `propose.perturbed`
    token: Tensor  # (R, C) its token
    logprob: Tensor  # (R, C) ln p(token), as the recipe scores it
    share: Tensor  # (R, C) ln p(class), as the recipe scores it
    weight: Tensor  # (R, C) ln Σ exp(z / T), by which the draw takes a class, up to a number of each read; T = 0: share

    def cut(self, reads: slice, count: int) -> "ClassTables":
        """The tables of some reads, for their own `count` classes."""
        return ClassTables(*(getattr(self, f.name)[reads, :count] for f in fields(self)))


@dataclass(frozen=True)
class ReadClasses:
    """The token classes of R reads, in spans (start, stop, classes); reads in no span ask for none."""

    spans: tuple[tuple[int, int, TokenClasses], ...]
    width: int  # the columns of the tables: as many as the read with the most classes has

    def cut(self, rows: slice) -> "ReadClasses":
        """The same for the reads of a slice."""
        clamped = [(max(a, rows.start) - rows.start, min(b, rows.stop) - rows.start, c) for a, b, c in self.spans]
        return ReadClasses(tuple((a, b, c) for a, b, c in clamped if a < b), self.width)

    def best(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return the largest of `logits` (R, V) in each class (R, width), -inf where there is none, and its token."""
        best = logits.new_full((len(logits), self.width), -torch.inf)
        token = torch.zeros_like(best, dtype=torch.int64)
        for start, stop, classes in self.spans:
            columns = slice(classes.count)
            best[start:stop, columns], token[start:stop, columns] = classes.best(logits[start:stop])
        return best, token

    def mass(self, logits: Tensor) -> Tensor:
        """Return ln Σ exp(logits) (R, width) over each class of `logits` (R, V), -inf where there is none."""
        mass = logits.new_full((len(logits), self.width), -torch.inf)
        for start, stop, classes in self.spans:
            mass[start:stop, : classes.count] = classes.mass(logits[start:stop])
        return mass

    def soften(self, kept: Tensor, logits: Tensor, penalty: Number) -> Tensor:
        """Return the filtered logits (R, V); in the spans, a token that the filters took loses `penalty` (a float, or a
        column) instead of all, because the rest of a window may leave no other."""
        if kept is logits:
            return kept
        softened = kept.clone()
        for start, stop, _ in self.spans:
            rows = slice(start, stop)
            loss = penalty[rows] if isinstance(penalty, Tensor) else penalty
            softened[rows] = torch.maximum(kept[rows], logits[rows] - like(loss, logits))
        return softened
