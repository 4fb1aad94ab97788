"""Attention by torch's scaled_dot_product_attention, a call for each group of sequences of equal shape."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ..contract import Group
from ..kv import KeysValues
from ..tiles import SCORES_AT_ONCE, tiles


@dataclass(frozen=True)
class Sdpa:
    """The mixer of any forward, one group after the other."""

    groups: Sequence[Group]

    def mix(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Return the mixed values (N, heads · head_dim) of packed queries, keys and values (N, heads, head_dim)."""
        mixed = [attend(layer, q, k, v, group) for group in self.groups]
        return torch.cat(mixed) if len(mixed) > 1 else mixed[0]


def attend(layer: int, q: Tensor, k: Tensor, v: Tensor, group: Group) -> Tensor:
    """Return the mixed values (rows × queries, heads · head_dim) of one group; read and write its store."""
    queries, keys, values = by_head(group, q, k, v)
    if group.store is not None:
        keys, values = with_stored(layer, (keys, values), group)
    visible = None if group.visible is None else group.visible[:, None]
    gqa, at_once = q.shape[1] != k.shape[1], max(1, SCORES_AT_ONCE // (group.rows * keys.shape[2]))
    if group.queries <= at_once:
        mixed = F.scaled_dot_product_attention(queries, keys, values, visible, enable_gqa=gqa).transpose(1, 2)
    else:
        mixed = q.new_empty(group.rows, group.queries, *q.shape[1:])
        for tile in tiles(group.queries, at_once):
            mask = None if visible is None else visible.expand(-1, -1, group.queries, -1)[:, :, tile]
            part = F.scaled_dot_product_attention(queries[:, :, tile], keys, values, mask, enable_gqa=gqa)
            mixed[:, tile] = part.transpose(1, 2)
    return mixed.reshape(group.rows * group.queries, -1)


def by_head(group: Group, *packed: Tensor) -> list[Tensor]:
    """Return views (rows, heads, queries, head_dim) of a group's part of `packed` tensors (N, heads, head_dim)."""
    rows, queries = group.rows, group.queries
    own = [x.narrow(0, group.start, rows * queries) for x in packed]
    return [x.view(rows, queries, *x.shape[1:]).transpose(1, 2) for x in own]


def with_stored(layer: int, own: KeysValues, group: Group) -> KeysValues:
    """Return the keys and values (rows, kv_heads, keys, head_dim) that the group's queries see: the stored ones, then
    their `own`; write their own to the slots in `group.keep`."""
    visible, store, entries = own, group.store, group.entries
    if group.slots is not None and group.whole is None:
        visible = store.join(layer, entries, group.slots, own)
    if group.keep is not None:
        store.write(layer, entries, group.keep, own)
    if group.slots is not None and group.whole is not None:
        visible = store.first(layer, group.whole, group.slots.shape[1] + group.queries)
    return visible
