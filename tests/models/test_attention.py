"""One call for sequences of any lengths is the same attention as a call a group, whatever lies between them."""

import itertools
from collections.abc import Callable
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from remask.decoding.blocks import Blocks
from remask.decoding.caches import Dual
from remask.decoding.recipe import Guidance, Recipe
from remask.models import predictor, tiles
from remask.models.attention import Mixing, mixing, sdpa
from remask.models.attention.sdpa import Sdpa
from remask.models.attention.varlen import Varlen, options, runs, starts
from remask.models.config import ModelConfig
from remask.models.contract import Group
from remask.models.kv import KVStore
from remask.models.predictor import MaskPredictor
from tests.helpers.jobs import Job, decisions, holes, run

CPU = torch.device("cpu")
Make = Callable[..., MaskPredictor]


def one_by_one(q: Tensor, k: Tensor, v: Tensor, starts: Tensor, longest: int) -> Tensor:
    """What a kernel computes, in float64, a sequence at a time."""
    ends = starts.tolist()
    assert ends[0] == 0 and ends[-1] == len(q) == len(k) == len(v) and starts.dtype == torch.int32
    lengths = [end - start for start, end in itertools.pairwise(ends)]
    assert min(lengths) > 0 and max(lengths) == longest
    mixed = [
        F.scaled_dot_product_attention(*(x.double().transpose(0, 1) for x in parts), enable_gqa=True).transpose(0, 1)
        for parts in zip(q.split(lengths), k.split(lengths), v.split(lengths), strict=True)
    ]
    return torch.cat(mixed).to(q.dtype)


VARLEN: Mixing = partial(Varlen.of, kernel=one_by_one, device=CPU)


@st.composite
def divisions(draw: st.DrawFn) -> list[Group]:
    """Groups end to end, some of them with a mask."""
    groups, start = [], 0
    for rows, queries, masked in draw(
        st.lists(st.tuples(st.integers(1, 3), st.integers(1, 9), st.booleans()), min_size=1, max_size=6)
    ):
        visible = torch.eye(queries, dtype=torch.bool)[None] if masked else None
        groups.append(Group(start, rows, queries, visible))
        start = groups[-1].stop
    return groups


@given(divisions(), st.sampled_from([(4, 4), (4, 2), (4, 1)]))
def test_any_division_gives_what_group_by_group_gives(groups: list[Group], heads: tuple[int, int]) -> None:
    generator, rows = torch.Generator().manual_seed(0), groups[-1].stop
    q, k, v = (torch.randn(rows, count, 8, generator=generator) for count in (heads[0], heads[1], heads[1]))
    torch.testing.assert_close(VARLEN(groups).mix(0, q, k, v), Sdpa(groups).mix(0, q, k, v), atol=1e-6, rtol=1e-5)


@given(
    st.lists(st.integers(4, 24), min_size=1, max_size=5),
    st.sampled_from([(4, 4), (4, 2), (4, 1)]),
    st.sampled_from([1, 10, tiles.SCORES_AT_ONCE]),
)
def test_rows_with_unlike_numbers_of_keys_side_by_side_are_each_row_alone(
    counts: list[int], heads: tuple[int, int], at_once: int
) -> None:
    """Keys are read in place, from a slice of entries or by their numbers, and in any tiles."""
    queries, generator = 3, torch.Generator().manual_seed(0)
    config = ModelConfig("x", 8, 32, 1, *heads, 8, 32)
    q, k, v = (
        torch.randn(queries * len(counts), count, 8, generator=generator) for count in (heads[0], heads[1], heads[1])
    )
    entries, most = torch.arange(len(counts)), max(counts)
    slots = torch.stack(
        [torch.arange(most - queries).where(torch.arange(most - queries) < n - queries, -1) for n in counts]
    )
    keep = torch.stack([torch.arange(n - queries, n) for n in counts])
    visible = (torch.arange(most) < torch.tensor(counts)[:, None])[:, None]
    stored = torch.randn(2, len(counts), heads[1], most + 1, 8, generator=generator)

    def mixed(*groups: Group) -> Tensor:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sdpa, "SCORES_AT_ONCE", at_once)
            return Sdpa(groups).mix(0, q, k, v)

    def group(rows: slice, count: int, visible: Tensor | None, whole: slice | Tensor) -> Group:
        store = KVStore(config, len(counts), most, torch.float32, CPU)
        store.data[0][:] = stored
        start, own = rows.start * queries, slots[rows, : count - queries]
        return Group(start, rows.stop - rows.start, queries, visible, store, entries[rows], own, keep[rows], whole)

    every = slice(0, len(counts))
    alone = [group(slice(i, i + 1), n, None, slice(i, i + 1)) for i, n in enumerate(counts)]
    for whole in (every, entries):
        torch.testing.assert_close(mixed(group(every, most, visible, whole)), mixed(*alone), atol=1e-6, rtol=1e-5)


@given(divisions())
def test_every_plain_sequence_is_in_the_one_call(groups: list[Group]) -> None:
    calls: list[int] = []

    def counted(q: Tensor, k: Tensor, v: Tensor, starts: Tensor, longest: int) -> Tensor:
        calls.append(len(starts) - 1)
        return one_by_one(q, k, v, starts, longest)

    x = torch.randn(groups[-1].stop, 2, 8)
    Varlen.of(groups, counted, CPU).mix(0, x, x, x)
    plain = sum(group.rows for group in groups if group.visible is None)
    assert calls == ([plain] if plain else [])


def test_the_starts_and_the_runs_of_groups() -> None:
    groups = [Group(0, 2, 3), Group(6, 1, 5), Group(20, 1, 4)]  # of the rows between them, none is in these groups
    assert starts(groups, CPU).tolist() == [0, 3, 6, 11, 15]
    assert list(runs(groups)) == [slice(0, 11), slice(20, 24)]
    assert starts([], CPU).tolist() == [0] and not list(runs([]))


def test_a_sequence_that_sees_its_neighbour_is_found() -> None:
    """The negative control: the comparison above sees a start that is wrong by one row."""
    groups, x = [Group(0, 2, 4)], torch.randn(8, 2, 8, generator=torch.Generator().manual_seed(1))

    def shifted(q: Tensor, k: Tensor, v: Tensor, starts: Tensor, longest: int) -> Tensor:
        return one_by_one(q, k, v, starts + torch.tensor([0, 1, 0], dtype=torch.int32), longest + 1)

    apart = Varlen.of(groups, shifted, CPU).mix(0, x, x, x) - Sdpa(groups).mix(0, x, x, x)
    assert apart.abs().max() > 1e-2


RECIPES = [
    Recipe(blocks=Blocks(8)),
    Recipe(blocks=Blocks(8), cache=Dual(every=3)),
    Recipe(blocks=Blocks(8), cache=Dual(), guidance=Guidance(1.0)),
]


@pytest.mark.parametrize("changes", [{}, {"attention": "block_causal", "block_size": 8}], ids=["full", "block-causal"])
def test_a_run_decides_the_same(make_transformer: Make, changes: dict[str, object]) -> None:
    """Refreshes beside cached windows, unlike lengths, two streams: keys are written and read as ever."""
    recipes = [Recipe()] if changes else RECIPES
    jobs = [Job((i, 2, *holes(9 + 4 * i)), recipe) for i, recipe in enumerate([*recipes, *recipes])]
    plain, joint = make_transformer(**changes), make_transformer(**changes)
    joint.mixing = VARLEN
    for (_, ours), (_, expected) in zip(run(joint, jobs), run(plain, jobs), strict=True):
        assert decisions(ours) == decisions(expected)


def test_a_cpu_computes_group_by_group() -> None:
    config = ModelConfig("x", 8, 32, 1, 2, 2, 16, 32)
    assert all(mixing(config, CPU, dtype) is Sdpa for dtype in (torch.float32, torch.bfloat16))


def test_a_model_chooses_once(make_transformer: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[torch.dtype] = []

    def watched(config: ModelConfig, device: torch.device, dtype: torch.dtype) -> Mixing:
        asked.append(dtype)
        return mixing(config, device, dtype)

    monkeypatch.setattr(predictor, "mixing", watched)
    run(make_transformer(), [Job((1, *holes(4)))])
    assert asked == [torch.float32]


def test_grouped_queries_are_a_setting_of_the_kernel() -> None:
    assert options(True) == options(False) | {"enable_gqa": True}


def test_the_table_of_rotary_positions_follows_its_model(make_transformer: Make) -> None:
    """In every dtype it stays float32, and a device without memory loses none of its numbers."""
    model = make_transformer().model
    own = model.rotary.frequencies.clone()
    assert torch.equal(own, torch.tensor(model.config.rotary.own.frequencies)) and own.dtype == torch.float32
    for moved in (model.bfloat16(), model.to("meta").to_empty(device="cpu")):
        assert torch.equal(moved.rotary.frequencies, own)
    assert not any("rotary" in name for name in model.state_dict())
