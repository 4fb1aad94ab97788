"""The mixture of experts: what it computes, for whom, and that no row hears of another."""

from itertools import product

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from remask.errors import CheckpointError
from remask.models.config import MoE
from remask.models.layers import Experts, Router

WIDTH = 16
KINDS = [
    MoE(8, 3, 24),
    MoE(8, 1, 24, normalise=False, shared_d_ff=20),
    MoE(8, 3, 24, score="sigmoid", bias="choose", n_groups=4, top_groups=2, scale=2.5, shared_d_ff=8),
    MoE(8, 8, 8, bias="choose_and_weigh", normalise=False),
]
every_kind = pytest.mark.parametrize("moe", KINDS)


def experts(moe: MoE) -> Experts:
    made = Experts(WIDTH, moe)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in made.parameters():
            weight.normal_(0, 0.5, generator=generator)
    return made.requires_grad_(False)


def rows(count: int) -> Tensor:
    return torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(2))


def one_row(made: Experts, x: Tensor) -> Tensor:
    """The definition, for one row: the experts with the best scores, each times its weight."""
    moe, router = made.router.moe, made.router
    logits = router.weight @ x
    scores = logits.softmax(0) if moe.score == "softmax" else logits.sigmoid()
    ranked = scores if router.bias is None else scores + router.bias
    size = moe.n_experts // moe.n_groups
    worth = {g: sum(sorted(ranked[g * size : (g + 1) * size].tolist())[-2:]) for g in range(moe.n_groups)}
    groups = sorted(worth, key=lambda g: -worth[g])[: moe.top_groups]
    allowed = [g * size + i for g, i in product(groups, range(size))]
    chosen = sorted(allowed, key=lambda e: -float(ranked[e]))[: moe.top_k]
    weighing = ranked if moe.bias == "choose_and_weigh" else scores
    total = sum(float(weighing[e]) for e in chosen) if moe.normalise else 1.0
    out = torch.zeros(WIDTH)
    for e in chosen:
        gate, up = (made.gate_up[e] @ x).chunk(2)
        out += moe.scale * float(weighing[e]) / total * (made.down[e] @ (F.silu(gate) * up))
    if made.shared is not None:
        gate, up = (made.shared.gate_up.weight @ x).chunk(2)
        out += made.shared.down.weight @ (F.silu(gate) * up)
    return out


@every_kind
@pytest.mark.parametrize("count", [1, 7, 40])
def test_a_row_gets_its_experts(moe: MoE, count: int) -> None:
    made, x = experts(moe), rows(count)
    expected = torch.stack([one_row(made, row) for row in x])
    torch.testing.assert_close(made(x), expected, atol=1e-4, rtol=1e-4)


@every_kind
def test_the_order_of_rows_is_nothing_to_them(moe: MoE) -> None:
    made, x = experts(moe), rows(40)
    turned = torch.arange(40).flip(0)
    torch.testing.assert_close(made(x[turned]), made(x)[turned], atol=1e-6, rtol=1e-6)


@every_kind
def test_a_row_hears_of_no_other(moe: MoE) -> None:
    """To the last bit: experts compute at least a tile of rows, from which on GEMMs are row-invariant."""
    made, x = experts(moe), rows(64)
    together = made(x)
    for start in range(0, 64, 8):
        assert torch.equal(made(x[start : start + 8]), together[start : start + 8])


def test_experts_without_rows_are_not_computed() -> None:
    made, x = experts(KINDS[0]), rows(2)
    expected = made(x)
    hit = set(made.router(x)[1].flatten().tolist())
    idle = [e for e in range(8) if e not in hit]
    assert idle
    made.gate_up[idle] = made.down[idle] = torch.nan
    assert torch.equal(made(x), expected)


@pytest.mark.skipif(not hasattr(F, "grouped_mm"), reason="torch before 2.10")
@every_kind
def test_the_grouped_product_is_each_expert_for_itself(moe: MoE) -> None:
    made, x = experts(moe), rows(33)
    _, chosen = made.router(x)
    row = chosen.flatten().argsort(stable=True) // moe.top_k
    ends = chosen.flatten().bincount(minlength=moe.n_experts).cumsum(0).int()
    torch.testing.assert_close(made.grouped(x, row, ends), made.one_by_one(x, row, ends), atol=1e-4, rtol=1e-4)


def test_the_router_counts_in_float32() -> None:
    """Where bfloat16 would tie two experts, float32 does not."""
    router = Router(WIDTH, MoE(2, 1, 8)).requires_grad_(False)
    router.weight[:] = 1.0
    router.weight[1, 0] += 2**-12
    x = torch.ones(1, WIDTH, dtype=torch.bfloat16)
    weights, chosen = router(x)
    assert weights.dtype == torch.float32
    assert chosen.tolist() == [[1]]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"top_k": 9}, "top_k must lie between 1 and the 8 experts, got 9"),
        ({"n_groups": 3}, "8 experts cannot be chosen from 1 of 3 groups"),
        ({"n_groups": 2, "top_groups": 3}, "cannot be chosen from 3 of 2 groups"),
        ({"n_groups": 4, "top_k": 3}, "1 of 4 groups hold fewer than 3 experts"),
        ({"n_groups": 8, "top_groups": 4}, "a group needs two experts, got 8 in 8 groups"),
    ],
)
def test_impossible_mixtures_are_refused(fields: dict[str, int], told: str) -> None:
    with pytest.raises(CheckpointError, match=told):
        MoE(**({"n_experts": 8, "top_k": 2, "d_ff": 4} | fields))
