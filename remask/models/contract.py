"""The contract between rows and model: the forward of one row (`Plan`), of a batch (`Packed`), and the `Predictor`."""

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
    """The properties of a model that a recipe cannot override."""

    family: str
    vocab_size: int
    mask_id: int
    eos_ids: tuple[int, ...]
    eot_ids: tuple[int, ...]  # end of turn; these and the EOS ids end an answer
    max_positions: int
    forbidden: tuple[int, ...]  # ids that are never guessed: the mask, and rows beyond the tokenizer
    shift: int = 0  # 1: the hidden row at i-1 predicts position i
    block_size: int | None = None  # block-causal attention on a grid from position 0
    editable: bool = False
    exactness: Exactness = Exactness.EXACT  # of its numbers: bf16 and 8 bits are other numbers
    rotary: Rotary | None = None  # None: no rotary positions, or none that may be scaled

    @property
    def causal(self) -> bool:
        """True if every token is predicted from those before it alone, so that the chain rule gives its probability."""
        return self.block_size == 1 and self.shift == 1

    def source(self, positions: Ints) -> Ints:
        """Return the positions (n,) whose hidden rows predict `positions` (n,)."""
        return np.maximum(positions - self.shift, 0)


@dataclass(frozen=True)
class Plan:
    """The forward of one row: the queries, the keys that they see, the keys to write, the positions to read.

    A refresh, a prefill, a commit pass fused with the next block's first step, shadow rows, guidance: each is a Plan.
    Query rows see each other and the `stored` slots, except what `visible` or the model's own block mask hides.
    """

    tokens: Ints  # (S, Q) one row a stream; two streams under guidance
    positions: Ints  # (Q,) rotary positions
    reads: Ints  # (R,) canvas positions whose logits are needed
    sources: Ints  # (R,) the query row that holds each of them
    stored: Ints | None = None  # (K,) slots of the row's store that the queries may see
    keep: Ints | None = None  # (Q,) slot to which each query's key and value go; -1: none, they serve this forward only
    visible: Bools | None = None  # (Q, K + Q)
    rotation: Rotation | None = None  # None: the model's own

    @property
    def stores(self) -> bool:
        """True if it reads or writes keys and values that outlive a forward."""
        return self.stored is not None or self.keep is not None

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes that rows must share to be computed side by side."""
        stored = 0 if self.stored is None else len(self.stored)
        return (self.tokens.shape[1], stored, self.keep is not None, self.visible is not None)


@dataclass(frozen=True)
class Group:
    """Sequences of equal shape, adjacent in a packed batch: `rows` × `queries` packed rows from `start` on.

    `visible` (rows | 1, queries | 1, keys) marks the keys that each query may see; None means all. `store` holds the
    keys and values of earlier forwards, and `entries` (rows,) the entry of each sequence in it. Its `slots` (rows, K)
    are visible before the queries' own keys. `keep` (rows, queries) holds the slots to which those are written, -1 for
    none. `whole` is `entries` again (a slice if they are adjacent) if slots and keep together are the first slots,
    each once, and every query sees them all. Then keys and values can be read in place, in the order of their slots,
    after the queries' own are written. Where sequences have unlike numbers of them, `slots` is filled up with -1, and
    `visible` marks those of each; the others hold finite numbers.
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
        """The first packed row after the group."""
        return self.start + self.rows * self.queries


@dataclass(frozen=True)
class Packed:
    """The query rows of all sequences, end to end, without padding; only attention uses the division into `groups`."""

    tokens: Tensor  # (N,)
    positions: Tensor  # (N,)
    groups: Sequence[Group]
    reads: Tensor  # (R,) packed rows whose hidden state is needed
    rotations: Rotations | None = None  # None: the model's own for every row


class Predictor(Protocol):
    """A mask predictor: tokens -> hidden -> logits."""

    @property
    def contract(self) -> Contract:
        """The properties of the model."""

    @property
    def device(self) -> torch.device:
        """The device that holds the model's tensors."""

    def hidden(self, batch: Packed) -> Tensor:
        """Return the hidden rows (R, d) of `batch.reads`."""

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the logits (R, V), float32, of hidden rows (R, d)."""

    def store(self, entries: int, length: int) -> Any:
        """Make a key/value store for `entries` sequences of `length` slots, and one more slot behind them; it can
        `clear` entries, `move` some to its front and `resize` (`remask.models.kv`)."""

    def bytes_per_slot(self) -> int:
        """Return the bytes of keys and values that one slot takes, over all layers."""

    def activation_bytes(self, queries: int) -> int:
        """Return the largest number of bytes of activations that a forward of `queries` rows holds at one time."""
