"""The model's contract: what one row asks of a forward (`Plan`), what a batch of them is (`Packed`), who answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..exactness import Exactness
from .rotary import Rotary, Rotation, Rotations

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Contract:
    """What a model is, and a recipe cannot override."""

    family: str
    vocab_size: int
    mask_id: int
    eos_ids: tuple[int, ...]
    eot_ids: tuple[int, ...]  # end of turn; with the EOS ids, what ends an answer
    max_positions: int
    forbidden: tuple[int, ...]  # ids that are never guessed: the mask, and rows beyond the tokenizer
    shift: int = 0  # 1: the hidden row at i-1 predicts position i
    block_size: int | None = None  # block-causal attention on a grid from position 0
    editable: bool = False
    exactness: Exactness = Exactness.EXACT  # of its numbers: bf16 and 8 bits are others
    rotary: Rotary | None = None  # None: no rotary positions, or none that may be scaled

    @property
    def causal(self) -> bool:
        """Whether every token is predicted from those before it alone, so that the chain rule gives its probability."""
        return self.block_size == 1 and self.shift == 1

    def source(self, positions: Ints) -> Ints:
        """The positions whose hidden rows predict `positions`."""
        return np.maximum(positions - self.shift, 0)


@dataclass(frozen=True)
class Plan:
    """One row's forward: queries in, keys visible, keys written, positions read.

    A refresh, a prefill, a commit pass fused with the next block's first step, shadow rows, guidance: each is a Plan.
    Query rows see each other and the `stored` slots, less what `visible` or the model's own block mask hides.
    """

    tokens: Ints  # (S, Q) one row a stream; two streams under guidance
    positions: Ints  # (Q,) rotary positions
    reads: Ints  # (R,) canvas positions whose logits are wanted
    sources: Ints  # (R,) the query row that holds each of them
    stored: Ints | None = None  # (K,) slots of the row's store that the queries may see
    keep: Ints | None = None  # (Q,) slot that each query's key and value are written to, -1 for this forward only
    visible: Bools | None = None  # (Q, K + Q)
    rotation: Rotation | None = None  # None: the model's own

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows of equal shape are computed side by side."""
        stored = 0 if self.stored is None else len(self.stored)
        return (self.tokens.shape[1], stored, self.keep is not None, self.visible is not None)


@dataclass(frozen=True)
class Group:
    """Sequences of like shape, adjacent in a packed batch: `rows` × `queries` of them from `start` on.

    `visible` (rows | 1, queries, keys) says which keys each query may see; None means all. `store` holds the keys and
    values of earlier forwards: `slots` (rows, K) are visible before the queries' own, `keep` (rows, queries) says
    where those are written, -1 for nowhere, and `entries` (rows,) which entry of the store is whose. `whole` names the
    entries again (a slice where they follow one another) if slots and keep together are their first slots, each once,
    and every query sees them all: then keys and values can be read where they lie, once the queries' own are written.
    """

    start: int
    rows: int
    queries: int
    visible: Tensor | None = None
    store: Any = None
    entries: Tensor | None = None
    slots: Tensor | None = None
    keep: Tensor | None = None
    whole: slice | Tensor | None = None

    @property
    def stop(self) -> int:
        """First packed row after the group."""
        return self.start + self.rows * self.queries


@dataclass(frozen=True)
class Packed:
    """Query rows of all sequences end to end, without padding; only attention looks at how `groups` divide them."""

    tokens: Tensor  # (N,)
    positions: Tensor  # (N,)
    groups: Sequence[Group]
    reads: Tensor  # (R,) packed rows whose hidden state is wanted
    rotations: Rotations | None = None  # None: every row takes the model's own


class Predictor(Protocol):
    """A mask predictor: tokens -> hidden -> logits."""

    @property
    def contract(self) -> Contract:
        """What the model is."""

    @property
    def device(self) -> torch.device:
        """Where its tensors live."""

    def hidden(self, batch: Packed) -> Tensor:
        """Hidden rows (R, d) of `batch.reads`."""

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits (R, V), float32, of hidden rows."""

    def store(self, entries: int, length: int) -> Any:
        """A key/value store for `entries` sequences of `length` slots."""

    def bytes_per_slot(self) -> int:
        """Bytes of keys and values that one slot takes."""

    def activation_bytes(self, queries: int) -> int:
        """Bytes of activations that a forward of so many query rows takes at most at any one time."""
