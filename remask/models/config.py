"""The configuration of a mask predictor, whatever names its checkpoint uses."""

from dataclasses import dataclass
from typing import Literal

from ..errors import CheckpointError
from .rotary import Rope, Rotary

Attention = Literal["full", "block_causal"]
LARGEST = 2**31 - 1  # the limit of any size
LAYERS, EXPERTS = 1_000, 4_096  # limits for a model and for a layer: each layer and each expert has its own names
ALL_EXPERTS = 65_536  # the limit over all layers


def whole(name: str, value: object, most: int = LARGEST) -> int:
    """Return `value` if it is a whole number from 1 to `most`; raise CheckpointError for anything else."""
    if type(value) is not int or not 1 <= value <= most:
        raise CheckpointError(f"{name} must be a whole number from 1 to {most}, got {value!r}")
    return value


@dataclass(frozen=True)
class MoE:
    """A mixture of experts in place of a layer's MLP: a router sends each row to `top_k` of `n_experts`.

    score           the score of an expert: softmax over all experts, or a sigmoid for each; in float32.
    bias            learned numbers added to the scores: only to choose (DeepSeek-V3's balancing), or also to weigh.
    n_groups, top_groups  choose within the best groups only; the score of a group is the sum of its best two.
    normalise       the weights of the chosen experts sum to 1, before `scale`.
    shared_d_ff     width of the shared MLP, which also gets every row; 0 is none.
    dense_layers    layers that have a plain MLP with the model's own `d_ff`.
    """

    n_experts: int
    top_k: int
    d_ff: int
    score: Literal["softmax", "sigmoid"] = "softmax"
    bias: Literal["none", "choose", "choose_and_weigh"] = "none"
    n_groups: int = 1
    top_groups: int = 1
    normalise: bool = True
    scale: float = 1.0
    shared_d_ff: int = 0
    dense_layers: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        whole("n_experts", self.n_experts, EXPERTS)
        whole("d_ff of an expert", self.d_ff)
        whole("d_ff of the shared expert", self.shared_d_ff or 1)
        if not 1 <= self.top_k <= self.n_experts:
            raise CheckpointError(f"top_k must lie between 1 and the {self.n_experts} experts, got {self.top_k}")
        if not 1 <= self.top_groups <= self.n_groups or self.n_experts % self.n_groups:
            raise CheckpointError(
                f"{self.n_experts} experts cannot be chosen from {self.top_groups} of {self.n_groups} groups"
            )
        if self.n_groups > 1 and not self.top_k * self.n_groups <= self.n_experts * self.top_groups:
            raise CheckpointError(f"{self.top_groups} of {self.n_groups} groups hold fewer than {self.top_k} experts")
        if self.n_groups > 1 and self.n_experts < 2 * self.n_groups:
            raise CheckpointError(f"a group needs two experts, got {self.n_experts} in {self.n_groups} groups")

    def weights(self, d_model: int) -> int:
        """Return the number of weights of one such layer."""
        router = self.n_experts * (d_model + (self.bias != "none"))
        return router + 3 * d_model * (self.n_experts * self.d_ff + self.shared_d_ff)


@dataclass(frozen=True)
class ModelConfig:
    """The geometry and the diffusion contract of one transformer.

    Sizes are counts of features or rows; `norm_eps` and `rope_theta` are plain numbers. The last group states how the
    model predicts, which a recipe cannot override: its attention, the hidden row that predicts a position, and the
    special token ids. Raises CheckpointError for sizes that do not fit together.
    """

    family: str
    vocab_size: int  # rows of the embedding, padding rows included
    d_model: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    d_ff: int
    norm_eps: float = 1e-5
    rope_theta: float = 10000.0
    rotary_dim: int = 0  # leading features of a head that are rotated; 0: all of them
    rope_scaling: Rope = Rope()
    max_positions: int = 4096
    qkv_bias: bool = False
    out_bias: bool = False
    qk_norm: bool = False  # queries and keys are normed head by head, before their rotation
    tie_embeddings: bool = False
    moe: MoE | None = None

    attention: Attention = "full"
    block_size: int | None = None
    shift: int = 0  # 1: the hidden row at i-1 predicts position i
    editable: bool = False  # trained to rewrite visible tokens
    mask_id: int = 0
    eos_ids: tuple[int, ...] = ()
    pad_id: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "rotary_dim", self.rotary_dim or self.head_dim)
        whole("n_layers", self.n_layers, LAYERS)
        for name in ("vocab_size", "d_model", "n_heads", "n_kv_heads", "head_dim", "d_ff", "max_positions"):
            whole(name, getattr(self, name))
        if self.moe is not None and self.n_layers * self.moe.n_experts > ALL_EXPERTS:
            raise CheckpointError(
                f"n_layers × n_experts must be at most {ALL_EXPERTS}, got {self.n_layers} × {self.moe.n_experts}"
            )
        if self.n_heads % self.n_kv_heads:
            raise CheckpointError(f"n_heads must be a multiple of n_kv_heads, got {self.n_heads} and {self.n_kv_heads}")
        if self.rotary_dim % 2 or not 0 < self.rotary_dim <= self.head_dim:
            raise CheckpointError(
                f"head_dim must be even for rotary positions, and rotary_dim even and within it, got {self.head_dim} "
                f"and {self.rotary_dim}"
            )
        if not self.rope_theta > 1:
            raise CheckpointError(f"rope_theta must be a number above 1, as 10000.0 is, got {self.rope_theta!r}")
        if not 0 <= self.mask_id < self.vocab_size:
            raise CheckpointError(
                f"mask_token_id must lie in the vocabulary, got {self.mask_id} of {self.vocab_size} rows"
            )
        if (self.attention == "block_causal") != (self.block_size is not None):
            raise CheckpointError("block_causal attention needs a block_size, and full attention takes none")

    def moe_at(self, layer: int) -> MoE | None:
        """Return the experts of a layer, or None if its MLP is plain."""
        return None if self.moe is None or layer in self.moe.dense_layers else self.moe

    @property
    def causal(self) -> bool:
        """True for an autoregressive model, which predicts every token from those before it alone."""
        return self.block_size == 1 and self.shift == 1

    @property
    def rotary(self) -> Rotary:
        """The rotary positions of the model; a training length that is not stated is the model's context."""
        return Rotary(
            self.rope_theta, self.rotary_dim, self.rope_scaling.trained or self.max_positions, self.rope_scaling
        )

    @property
    def context(self) -> int:
        """The longest canvas, in tokens, that the model takes as it is; its own scaling may span more positions."""
        return max(self.max_positions, int(self.rotary.trained * self.rope_scaling.times))

    @property
    def parameters(self) -> int:
        """The number of weights; tied weights count once."""
        q, kv = self.n_heads * self.head_dim, self.n_kv_heads * self.head_dim
        attention = self.d_model * (2 * q + 2 * kv) + (q + 2 * kv) * self.qkv_bias + self.d_model * self.out_bias
        layer = attention + 2 * self.head_dim * self.qk_norm + 2 * self.d_model
        dense = self.n_layers if self.moe is None else len(self.moe.dense_layers)
        mlps = dense * 3 * self.d_model * self.d_ff
        if self.moe is not None:
            mlps += (self.n_layers - dense) * self.moe.weights(self.d_model)
        embeddings = self.vocab_size * self.d_model * (1 if self.tie_embeddings else 2)
        return self.n_layers * layer + mlps + embeddings + self.d_model
