"""What a stale cache computes, to 1e-5: the forward of a plain transformer in which the rows that a policy recomputes
take the place of the keys and values that earlier forwards left, layer by layer. When it refreshes, and what it weighs.

The oracle knows no slots, plans or packing, and is told which positions are computed by rules of its own.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from torch import Tensor

from remask.decoding.blocks import Blocks, Whole
from remask.decoding.caches import BlockCausal, Cache, Delayed, Dual, NoCache, Prefix
from remask.decoding.recipe import Guidance, Recipe, Stop
from remask.decoding.selection import Threshold, TopK
from remask.engine.batch import Batch, lay
from remask.engine.memory import footprint
from remask.engine.requests import Step
from remask.engine.row import Row
from remask.engine.step import step
from remask.models.kv import KVStore
from remask.models.predictor import MaskPredictor
from tests.helpers.jobs import Job, hidden, holes, stored_bytes

Make = Callable[..., MaskPredictor]


class Dense:
    """One stream of one row: every position has a key and a value in each layer, and a forward replaces some."""

    def __init__(self, model: MaskPredictor) -> None:
        self.c = model.model.config
        self.w = dict(model.model.named_parameters())
        self.kept: list[tuple[Tensor, Tensor]] = []

    @torch.no_grad()
    def __call__(self, tokens: list[int], rows: list[int]) -> Tensor:
        """Logits (L, V) at `rows`, NaN elsewhere, computed beside what is kept of the other positions; kept from now
        on."""
        c, w = self.c, self.w
        if len(rows) == len(tokens):
            self.kept = [self.nothing(len(tokens)) for _ in range(c.n_layers)]
        at = torch.tensor(rows)
        x = w["embed.weight"][torch.tensor(tokens)[at]]
        for i, (keys, values) in enumerate(self.kept):
            y = self.norm(x, w[f"blocks.{i}.attention_norm.weight"]) @ w[f"blocks.{i}.attention.qkv.weight"].T
            q, k, v = y.split([n * c.head_dim for n in (c.n_heads, c.n_kv_heads, c.n_kv_heads)], 1)
            keys[at], values[at] = self.turned(k, at), v.view(len(at), -1, c.head_dim)
            q, mixed = self.turned(q, at), []
            for head in range(c.n_heads):
                of = head * c.n_kv_heads // c.n_heads
                weights = torch.softmax(q[:, head] @ keys[:, of].T / c.head_dim**0.5, 1)
                mixed.append(weights @ values[:, of])
            x = x + torch.cat(mixed, 1) @ w[f"blocks.{i}.attention.out.weight"].T
            gate, up = (self.norm(x, w[f"blocks.{i}.mlp_norm.weight"]) @ w[f"blocks.{i}.mlp.gate_up.weight"].T).chunk(
                2, 1
            )
            x = x + (gate / (1 + torch.exp(-gate)) * up) @ w[f"blocks.{i}.mlp.down.weight"].T
        logits = torch.full((len(tokens), c.vocab_size), torch.nan)
        logits[at] = self.norm(x, w["norm.weight"]) @ w["unembed.weight"].T
        return logits

    def nothing(self, length: int) -> tuple[Tensor, Tensor]:
        shape = (length, self.c.n_kv_heads, self.c.head_dim)
        return torch.full(shape, torch.nan), torch.full(shape, torch.nan)

    def norm(self, x: Tensor, weight: Tensor) -> Tensor:
        return weight * x / ((x * x).mean(1, keepdim=True) + self.c.norm_eps).sqrt()

    def turned(self, x: Tensor, at: Tensor) -> Tensor:
        """(n, heads, head_dim), each pair of features turned by its position."""
        half = self.c.head_dim // 2
        angle = at[:, None] / self.c.rope_theta ** (torch.arange(half) / half)
        turn = torch.polar(torch.ones_like(angle), angle)[:, None]
        left, right = x.view(len(at), -1, self.c.head_dim).chunk(2, 2)
        z = torch.complex(left, right) * turn
        return torch.cat((z.real, z.imag), 2)


@dataclass
class Witness:
    """What one row's cache should do, told from its steps alone: when it refreshes, and what it computes."""

    row: Row
    streams: list[Dense]
    block: int = -1
    forwards: int = 0
    since: int = 0  # forwards since the last refresh, that one included
    decided: list[int] = field(default_factory=list)  # positions decided since, and by the last step
    last: list[int] = field(default_factory=list)

    def computes(self) -> list[int]:
        """The positions of the row's next forward."""
        row, cache, length = self.row, self.row.recipe.cache, len(self.row.canvas)
        window, everything = row.window.tolist(), list(range(length))
        open_ = [i for i in window if row.canvas.undecided[i]]
        read = [max(0, i - row.contract.shift) for i in open_]
        fresh = self.block != row.block
        if isinstance(cache, Dual | Prefix):
            near = sum(i in window for i in self.decided)
            fresh |= cache.every is not None and self.since >= cache.every
            fresh |= cache.drift is not None and near > cache.drift * len(window)
        elif isinstance(cache, Delayed):
            fresh = self.forwards == 0 or (cache.every is not None and self.forwards % cache.every == 0)
        if fresh or isinstance(cache, NoCache):
            return everything
        if isinstance(cache, Prefix):
            wanted = everything[window[0] :]
        elif isinstance(cache, Delayed):
            wanted = [i for i in everything if row.canvas.undecided[i] or i in self.last]
        else:
            assert isinstance(cache, Dual)
            reach = range(window[0] - cache.vicinity, window[-1] + cache.vicinity + 1)
            wanted = [i for i in everything if i in reach] if cache.vicinity else window
        return sorted({*wanted, *read})

    def saw(self, made: Step, computed: list[int]) -> None:
        """Take note of a step."""
        refreshed = len(computed) == len(self.row.canvas)
        self.block, self.forwards = made.block, self.forwards + 1
        self.since = 1 if refreshed else self.since + 1
        self.last = [change.position for change in made.changes]
        self.decided = self.last if refreshed else self.decided + self.last


def follow(model: MaskPredictor, jobs: list[Job]) -> Iterator[tuple[Witness, list[int], Tensor, Tensor]]:
    """Run `jobs` in one batch; at each step of each row, its witness, what it computed, and the logits of its reads
    (S, R, V), ours and the oracle's."""
    batch = Batch(model)
    witnesses = []
    for job in jobs:
        row = job.row(model.contract)
        batch.admit(row)
        witnesses.append(Witness(row, [Dense(model) for _ in range(row.streams)]))
    while batch.rows:
        live = [witness for witness in witnesses if witness.row in batch.rows]
        plans = [witness.row.plan() for witness in live]
        laid = lay(batch, plans)
        with torch.inference_mode():
            rows = np.concatenate([where.reshape(-1) for where in laid.where])
            logits = model.logits(hidden(model, laid, rows))
        ours = logits.split([where.size for where in laid.where])
        computed = [witness.computes() for witness in live]
        expected = []
        for witness, positions in zip(live, computed, strict=True):
            canvas = witness.row.canvas
            reads = canvas.undecided[witness.row.window].nonzero()[0]
            sources = [max(0, int(i) - model.contract.shift) for i in witness.row.window[reads]]
            streams = zip(witness.streams, (canvas.tokens, canvas.unconditional()), strict=False)
            expected.append(torch.stack([dense(tokens.tolist(), positions)[sources] for dense, tokens in streams]))
        for witness, plan, positions, mine, wanted in zip(live, plans, computed, ours, expected, strict=True):
            assert plan.positions.tolist() == positions
            yield witness, positions, mine.view(wanted.shape), wanted
        made = {id(row): one for row, one in step(batch)}
        for witness, positions in zip(live, computed, strict=True):
            witness.saw(made[id(witness.row)], positions)
            if witness.row.finish_reason:
                batch.evict(witness.row)


def close(ours: Tensor, expected: Tensor) -> None:
    """Equal to 1e-5 of the largest logit."""
    torch.testing.assert_close(ours, expected, atol=1e-5 * float(expected.abs().max()), rtol=0)


PLAIN = Recipe(blocks=Blocks(8), select=Threshold(0.6), stop=Stop(eos_prefix=False))
TEMPLATES = (
    (3, 1, 4, *holes(24), 7, 7),
    (*range(1, 18), *holes(16)),
    (*holes(9), 5, 5, 5, *holes(7), 2, 6, *holes(8), 1),  # windows with given tokens between, and no prompt
)
STALE = {
    "dual": Dual(),
    "vicinity": Dual(vicinity=3),
    "dual, every 3": Dual(every=3),
    "dual, drift": Dual(drift=0.5),
    "prefix": Prefix(),
    "prefix, every 2": Prefix(every=2),
    "delayed": Delayed(None),
    "delayed, every 4": Delayed(4),
}


@pytest.mark.parametrize("scale", [0.0, 1.5], ids=["one stream", "two streams"])
@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize("name", STALE)
def test_a_cached_forward_is_the_plain_one_over_stale_keys(
    make_transformer: Make, name: str, shift: int, scale: float
) -> None:
    """In one batch, three rows whose windows begin elsewhere and end at other times, at every step of each."""
    model = make_transformer(shift=shift)
    recipe = replace(PLAIN, cache=STALE[name], guidance=Guidance(scale))
    refreshes, changed = 0, set()
    for witness, computed, ours, expected in follow(model, [Job(template, recipe) for template in TEMPLATES]):
        close(ours, expected)
        refreshed = len(computed) == len(witness.row.canvas)
        refreshes += refreshed
        if not refreshed:
            changed.add(len(witness.decided))
    assert refreshes >= len(TEMPLATES)
    assert max(changed) >= 2, "the keys were never stale by more than a token"


def test_unlike_caches_share_a_batch(make_transformer: Make) -> None:
    """Each row's forward is its own policy's, whoever is computed beside it."""
    jobs = [
        Job(TEMPLATES[i % 3], replace(PLAIN, cache=cache, guidance=Guidance(1.5 * (i % 2))))
        for i, cache in enumerate((*STALE.values(), NoCache()))
    ]
    for _, _, ours, expected in follow(make_transformer(), jobs):
        close(ours, expected)


def test_the_keys_of_rows_side_by_side_are_read_where_they_lie(
    make_transformer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the three rows at once, or without the one between, and never as a copy."""
    asked, first = [], KVStore.first

    def watched(store: KVStore, layer: int, entries: Tensor | slice, count: int) -> tuple[Tensor, Tensor]:
        asked.append(entries)
        return first(store, layer, entries, count)

    monkeypatch.setattr(KVStore, "first", watched)
    slow = replace(PLAIN, select=TopK(), cache=Dual())
    rules = (slow, replace(slow, blocks=Blocks(16), select=Threshold(0.5)), slow)
    jobs = [Job((i, *TEMPLATES[0][1:]), rule) for i, rule in enumerate(rules)]
    for _, _, ours, expected in follow(make_transformer(), jobs):
        close(ours, expected)
    assert all(isinstance(entries, slice) for entries in asked)
    assert all(entries in asked for entries in (slice(0, 3), slice(0, 1), slice(2, 3)))


@pytest.mark.parametrize("name", STALE)
def test_stale_keys_can_be_told_from_fresh_ones(make_transformer: Make, name: str) -> None:
    """The negative control: the comparison above would see a cache that is quietly exact, or stale elsewhere."""
    model = make_transformer()
    fresh, furthest = Dense(model), 0.0
    for witness, _, ours, _ in follow(model, [Job(TEMPLATES[0], replace(PLAIN, cache=STALE[name]))]):
        canvas = witness.row.canvas
        open_ = witness.row.window[canvas.undecided[witness.row.window]]
        exact = fresh(canvas.tokens.tolist(), list(range(len(canvas))))[open_]
        furthest = max(furthest, float((ours[0] - exact).abs().max()))
    assert furthest > 1e-2


# --- when everything is computed anew ---


def refreshed(model: MaskPredictor, cache: Cache, blocks: Blocks | Whole) -> list[int]:
    """The steps at which a row of 16, one token a step, computed the whole canvas."""
    recipe = Recipe(blocks=blocks, cache=cache, stop=Stop(eos_prefix=False))
    return [
        witness.forwards
        for witness, computed, _, _ in follow(model, [Job((1, *holes(16)), recipe)])
        if len(computed) == 17
    ]


@pytest.mark.parametrize(
    ("cache", "blocks", "steps"),
    [
        (Dual(), Blocks(8), [0, 8]),
        (Prefix(), Blocks(8), [0, 8]),
        (Dual(every=3), Blocks(8), [0, 3, 6, 8, 11, 14]),
        (Prefix(every=3), Whole(), [0, 3, 6, 9, 12, 15]),
        (Dual(every=1), Blocks(8), [*range(16)]),
        (Dual(drift=0.25), Blocks(8), [0, 3, 6, 8, 11, 14]),  # more than two of eight
        (Dual(drift=0.0), Blocks(8), [*range(16)]),
        (Dual(drift=1.0), Blocks(8), [0, 8]),
        (Dual(every=5, drift=0.25), Blocks(8), [0, 3, 6, 8, 11, 14]),
        (Delayed(4), Blocks(8), [0, 4, 8, 12]),
        (Delayed(None), Blocks(8), [0]),
        (NoCache(), Blocks(8), [*range(16)]),
    ],
)
def test_a_cache_refreshes_exactly_when_it_says(
    tiny: MaskPredictor, cache: Cache, blocks: Blocks | Whole, steps: list[int]
) -> None:
    assert refreshed(tiny, cache, blocks) == steps


# --- what it weighs ---


@pytest.mark.parametrize("scale", [0.0, 1.5], ids=["one stream", "two streams"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("cache", [Dual(), Prefix(), Delayed(), BlockCausal(), NoCache()])
def test_the_bytes_that_are_planned_for_a_cache_are_those_that_it_takes(
    make_transformer: Make, cache: Cache, dtype: torch.dtype, scale: float
) -> None:
    """For a row of grouped heads: 2 layers, 2 key/value heads of 8 numbers, keys and values; 29 slots, rounded to 32,
    and the slot of no key."""
    grid = {"attention": "block_causal", "block_size": 8} if isinstance(cache, BlockCausal) else {}
    made = make_transformer(**grid)
    model = MaskPredictor(made.model.to(dtype) if dtype == torch.bfloat16 else made.model)
    recipe = Recipe(guidance=Guidance(scale))
    row = Job(TEMPLATES[0], replace(recipe, cache=cache)).row(model.contract)
    stated = footprint([row], model).store
    batch = Batch(model)
    batch.admit(row)
    taken = stored_bytes(batch)
    assert stated == taken
    by_hand = 2 * 2 * 2 * 8 * dtype.itemsize * (32 + 1) * row.streams
    assert taken == (0 if isinstance(cache, NoCache) else by_hand)
