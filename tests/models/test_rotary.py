"""Rotary scaling as arithmetic: the published numbers, the inverse, transformers' own functions, what is refused."""

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from remask.errors import CheckpointError, RecipeError
from remask.exactness import Exactness
from remask.models.config import ModelConfig
from remask.models.families.scaling import published, rope_scaling
from remask.models.layers import RotaryTable, rotate
from remask.models.rotary import CEILING, METHODS, NONE, Extent, Rope, Rotary, plain

LLADA = Rotary(500_000.0, 128, 4096)
LLAMA3 = Rotary(500_000.0, 128, 8192)
DREAM = Rotary(1_000_000.0, 128, 131_072)
K = 1024


def scales(rotary: Rotary, *lengths: int, spans: int = 1) -> list[int]:
    return [math.ceil(rotary.scale(length, spans)) for length in lengths]


def test_the_published_scales() -> None:
    """LongLLaDA, Table 1 and §4; 1024-based lengths, and d_extra rounded up."""
    assert LLADA.extra() == 64
    assert scales(LLADA, 8 * K, 16 * K, 24 * K, 32 * K) == [4, 14, 31, 55]
    assert LLAMA3.extra() == 70
    assert scales(LLAMA3, 16 * K, 32 * K) == [4, 13]
    assert [LLADA.reach(scale) for scale in (1, 4, 14, 31, 55)] == [4442, 8885, 16623, 24736, 32949]


def test_dream_stands_on_a_knife_edge() -> None:
    """Its published λ of 5 for 8k needs a training length of 4000, not 4096: hence the override."""
    assert [DREAM.of(Rope(trained=trained)).extra() for trained in (4096, 4000)] == [62, 60]
    assert scales(DREAM.of(Rope(trained=4000)), 8 * K) == [5]
    assert scales(DREAM.of(Rope(trained=4096)), 8 * K) == [3]
    assert scales(DREAM.of(Rope(trained=2048)), 4 * K) == [5]


def test_ultrallada_counts_both_directions() -> None:
    assert LLADA.extra(2) == 70
    found = [LLADA.scale(length * K, 2) for length in (8, 16, 32, 64, 128)]
    assert found == pytest.approx([3.5, 12.5, 44.5, 158, 562], rel=0.01)


@pytest.mark.parametrize("trained", [128, 256, 512])
@pytest.mark.parametrize("dim", [32, 64])
def test_the_rule_for_small_models_keeps_the_published_scales(trained: int, dim: int) -> None:
    """θ = 500000 · (T / 4096)² keeps d_extra at half the features."""
    tiny = Rotary(500_000 * (trained / 4096) ** 2, dim, trained)
    assert tiny.extra() == dim // 2
    assert scales(tiny, *(times * trained for times in (2, 4, 6, 8))) == [4, 14, 31, 55]


rotaries = st.builds(
    Rotary, st.floats(50, 1e7), st.sampled_from([8, 32, 64, 128]), st.integers(64, 131_072)
)  # fmt: skip


@given(rotaries, st.floats(1, 1e4), st.sampled_from([1, 2]))
def test_reach_is_the_inverse_of_scale(rotary: Rotary, scale: float, spans: int) -> None:
    reach = rotary.reach(scale, spans)
    assert rotary.scale(reach, spans) <= scale * (1 + 1e-9)
    assert rotary.scale(reach + 1, spans) > scale * (1 - 1e-9)


# LongLLaDA's needle scores by depth 0, 10, … 100 % (get_ppl_plot.py, Fig. 2): (λ, length) -> scores.
NEEDLES = {
    (1, 8000): [5, 4, 14, 5, 61, 100, 100, 100, 100, 100, 100],
    (1, 16000): [5, 6, 6, 6, 6, 6, 6, 6, 100, 100, 100],
    (1, 24000): [5, 5, 5, 5, 5, 5, 5, 5, 5, 90, 100],
    (31, 24000): [100, 82, 100, 82, 82, 91, 72, 91, 43, 62, 100],
}


def test_reach_predicts_the_published_cliffs() -> None:
    """A needle is found where the question lies within reach of it; 600 tokens are the prompt's frame."""
    for (scale, length), scores in NEEDLES.items():
        distances = [(1 - depth / 10) * (length - 600) for depth in range(11)]
        found = [distance <= LLADA.reach(scale) for distance in distances]
        assert found == [score > 40 for score in scores]


# --- auto ---


@pytest.mark.parametrize(
    ("length", "spelled", "scale"),
    [
        (3000, "ntk:auto", 1),
        (3686, "ntk:auto,margin=1.5", 1),  # up to 0.9 T the model is left alone, whatever the margin
        (3687, "ntk:auto,margin=1.5", 4),
        (4442, "ntk:auto", 1),  # within its own reach
        (4443, "ntk:auto", 4),
        (8192, "ntk:auto", 4),
        (8192, "ntk:auto,margin=1.5", 8),
        (8193, "ntk:auto", 8),
        (16384, "ntk:auto", 14),
        (16384, "ntk:auto,margin=1.5", 31),
        (24576, "ntk:auto", 31),
        (24576, "ntk:auto,margin=6", 31),
        (24576, "ntk-diffusion:auto", 27),
        (8192, "ntk:auto,trained=2048", 15),
    ],
)
def test_auto_follows_the_length(length: int, spelled: str, scale: float) -> None:
    fitted = Rope.of(spelled).fit(LLADA, length)
    assert fitted.factor == scale and not fitted.automatic
    assert fitted.fit(LLADA, 10 * length) == fitted


def test_auto_is_capped_with_a_warning() -> None:
    wide = Rope.of("ntk:auto,margin=1.5")
    assert wide.warnings(LLADA, 16384) == ()
    (told,) = wide.warnings(LLADA, 16385)
    assert "stays at λ = 31" in told and "6 × 4,096" in told
    assert wide.context(LLADA, 4096) == CEILING * 4096 == Rope("ntk").context(LLADA, 4096)
    (told,) = Rope("ntk", 4).warnings(LLADA, 8886)
    assert "ntk:4 reaches 8,885" in told
    assert Rope("ntk", 4).warnings(LLADA, 8885) == () == NONE.warnings(LLADA, 4096)


def test_what_changes_no_table_is_exact() -> None:
    assert {Rope.of(text).exactness for text in ("none", "ntk:1")} == {Exactness.EXACT}
    assert Rope("ntk").fit(LLADA, 3000).exactness == Exactness.EXACT
    assert Rope(log_n=True).fit(LLADA, 4096).exactness == Exactness.EXACT
    assert {Rope.of(text).exactness for text in ("ntk:2", "ntk", "yarn:2", "none,log_n")} == {Exactness.APPROXIMATE}


# --- tables ---


@given(rotaries, st.integers(8, 10**6))
def test_a_factor_of_1_is_the_models_own_table(rotary: Rotary, length: int) -> None:
    for method in METHODS.keys() - {"none", "dynamic"}:  # which grows with the length alone
        assert Rope(method, 1.0).rotation(rotary, length) is None
    assert NONE.rotation(rotary, length) is None
    assert torch.equal(torch.tensor(rotary.own.frequencies), plain(rotary.base, rotary.dim))


def test_scales_are_thetas() -> None:
    turned = Rope("ntk", 14.0).rotation(LLADA, 9000)
    assert turned is not None and turned.amplitude == 1
    assert torch.equal(torch.tensor(turned.frequencies), plain(14 * 500_000, 128))
    assert Rope("ntk-diffusion", 14.0).rotation(LLADA, 9000) == turned


def test_log_n_sharpens_by_the_length() -> None:
    assert Rope(log_n=True).rotation(LLADA, 4096) is None
    sharp = Rope(log_n=True).rotation(LLADA, 4096**2)
    assert sharp is not None and sharp.amplitude**2 == pytest.approx(2.0)
    both = Rope("yarn", 4.0, log_n=True).rotation(LLADA, 4096**2)
    assert both is not None and both.amplitude == pytest.approx(2**0.5 * (0.1 * math.log(4) + 1))


def test_fewer_rotary_features_than_a_head_has() -> None:
    x = torch.randn(5, 2, 16)
    table = RotaryTable(Rotary(100.0, 8, 64).own)(torch.arange(5))
    turned = rotate(x, *table)
    assert torch.equal(turned[..., 8:], x[..., 8:])
    assert torch.equal(turned[..., :8], rotate(x[..., :8], *table))
    assert Rope("dynamic", 2.0).rotation(Rotary(100.0, 2, 64), 640) is None, "a single pair turns by 1, whatever θ is"
    config = ModelConfig("x", 8, 32, 1, 2, 2, 16, 32, rotary_dim=8)
    assert config.rotary.dim == 8
    with pytest.raises(CheckpointError, match="within it, got 16 and 18"):
        replace(config, rotary_dim=18)


HUGGING_FACE: list[dict[str, Any]] = [
    {"rope_type": "linear", "factor": 3.0},
    {"rope_type": "dynamic", "factor": 2.0},
    {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 4096},
    {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 2048, "truncate": False},
    {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 4096, "beta_fast": 16.0, "beta_slow": 2.0},
    {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 4096, "attention_factor": 1.3},
    {"rope_type": "yarn", "factor": 40.0, "original_max_position_embeddings": 4096, "mscale": 0.7,
     "mscale_all_dim": 1.0},
    {"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 8192, "low_freq_factor": 1.0,
     "high_freq_factor": 4.0},
]  # fmt: skip


@pytest.mark.parametrize("stated", HUGGING_FACE, ids=lambda stated: stated["rope_type"])
@pytest.mark.parametrize("length", [100, 20_000])
def test_published_dictionaries_mean_what_transformers_means(stated: dict[str, Any], length: int) -> None:
    functions = pytest.importorskip("transformers.modeling_rope_utils").ROPE_INIT_FUNCTIONS
    config = SimpleNamespace(
        rope_parameters={"rope_theta": 500_000.0, **stated}, head_dim=128, hidden_size=256, num_attention_heads=2,
        max_position_embeddings=4096, standardize_rope_params=lambda: None, per_layer_config={},
    )  # fmt: skip
    expected, amplitude = functions[stated["rope_type"]](config, "cpu", seq_len=length)
    rotary = Rotary(500_000.0, 128, 4096, rope_scaling(stated, 4096))
    turned = NONE.rotation(rotary, length) or rotary.own
    torch.testing.assert_close(torch.tensor(turned.frequencies), expected, rtol=1e-6, atol=0)
    assert turned.amplitude == pytest.approx(amplitude)
    assert rope_scaling(published(rotary.scaling), 4096) == rotary.scaling


def test_a_dictionary_of_nothing_is_nothing() -> None:
    for stated in (None, False, {"rope_type": "default"}, {"type": "default", "factor": None}):
        assert rope_scaling(stated, 4096) == NONE
    assert published(NONE) is None


@pytest.mark.parametrize(
    ("stated", "told"),
    [
        ({"rope_type": "longrope", "factor": 2.0}, "type 'longrope' is not supported; known: default, linear"),
        ({"factor": 2.0}, "type None"),
        ("yarn", "must be an object, got 'yarn'"),
        ({"type": "linear", "factor": 2.0, "wobble": 1}, "'wobble'"),
        ({"type": "linear", "factor": 2.0, "beta_fast": 3.0}, "linear takes no fast"),
        ({"type": "linear"}, "lacks its 'factor'"),
        ({"type": "linear", "factor": "much"}, "must be finite numbers"),
        ({"type": "linear", "factor": -2.0}, "must lie in 1 to"),
        ({"type": "yarn", "factor": float("nan")}, "got nan"),
        ({"type": "yarn", "original_max_position_embeddings": 0}, "must be finite numbers"),
        ({"type": "yarn", "factor": 2.0, "original_max_position_embeddings": float("inf")}, "must be finite numbers"),
        ({"type": "linear", "factor": 10**400}, "must be finite numbers"),
    ],
)
def test_a_dictionary_that_is_not_honoured_is_refused(stated: Any, told: str) -> None:
    with pytest.raises(CheckpointError, match="rope_scaling") as refused:
        rope_scaling(stated, 4096)
    assert told in str(refused.value) and "\n" not in str(refused.value)


def test_a_checkpoints_own_scaling_takes_no_other() -> None:
    qwen = Rotary(1e6, 128, 32768, Rope("yarn", 4.0, trained=32768))
    assert Extent.of(NONE, qwen) == Extent("none", 32768, qwen.extra(), 4.0, 131_072)
    assert Rope(log_n=True).fit(qwen, 10**5) == Rope(log_n=True)
    with pytest.raises(RecipeError, match="a scaling of its own, yarn:4,trained=32768, and takes no ntk"):
        Rope("ntk").fit(qwen, 100)


# --- how it is written ---


@pytest.mark.parametrize(
    "spelled",
    ["none", "ntk:auto", "ntk:14", "ntk:3.5", "ntk-diffusion:auto,margin=1.5,trained=2048", "linear:2", "none,log_n",
     "yarn:2,log_n,fast=16.0,slow=2.0,attention=1.2,truncate=false", "llama3:8", "dynamic:2"],
)  # fmt: skip
def test_a_value_reads_as_it_is_written(spelled: str) -> None:
    assert str(Rope.of(spelled)) == spelled
    assert Rope.of(Rope.of(spelled)) == Rope.of(str(Rope.of(spelled)))
    assert Rope.of("ntk") == Rope.of("ntk:auto") == Rope("ntk")


@pytest.mark.parametrize(
    ("spelled", "told"),
    [
        ("warp:2", "unknown rope 'warp'; known: none, ntk"),
        ("", "unknown rope ''"),
        ("ntk:0", "factor of rope ntk must lie in 1 to 1e+06, got 0.0"),
        ("ntk:-4", "got -4.0"),
        ("ntk:nan", "got nan"),
        ("ntk:inf", "got inf"),
        ("ntk:", "cannot read '' as its factor"),
        ("ntk:much", "cannot read 'much' as its factor"),
        ("ntk:auto,margin=nan", "margin of rope ntk must lie in 1 to 6, got nan"),
        ("ntk:4,margin=2", "margin is what ntk:auto makes room for"),
        ("ntk:auto,trained=1", "trained of rope ntk must lie in 8 to"),
        ("ntk:auto,trained=1.5", "cannot read '1.5' as its trained"),
        ("ntk:4,wobble=1", "unknown detail 'wobble'; known: factor, margin"),
        ("ntk:4,fast=8", "ntk takes no fast; it goes with yarn and llama3"),
        ("none:4", "none takes no factor"),
        ("none,margin=2", "none takes no margin"),
        ("linear", "linear needs a factor"),
        ("yarn:auto", "yarn has no auto; it goes with ntk and ntk-diffusion"),
        ("yarn:4,slow=40", "slow must be below fast, got 40 and 32"),
        ("none,log_n=maybe", "cannot read 'maybe' as its log_n"),
        (4, "must be text such as 'ntk:auto' or 'yarn:2', got 4"),
    ],
)
def test_what_makes_no_sense_is_refused(spelled: Any, told: str) -> None:
    with pytest.raises(RecipeError) as refused:
        Rope.of(spelled)
    assert told in str(refused.value) and "\n" not in str(refused.value)
