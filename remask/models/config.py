"""What a mask predictor is, independent of how its checkpoint spells it."""

from dataclasses import dataclass, field
from typing import Any, Literal

from ..errors import CheckpointError

Attention = Literal["full", "block_causal"]


@dataclass(frozen=True)
class ModelConfig:
    """Geometry and diffusion contract of one transformer.

    Sizes are counts of features or rows; `norm_eps` and `rope_theta` are plain numbers. The last group says how the
    model predicts (what a recipe cannot override): its attention, which hidden row predicts which position, and
    which token ids it must never guess.
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
    max_positions: int = 4096
    qkv_bias: bool = False
    tie_embeddings: bool = False

    attention: Attention = "full"
    block_size: int | None = None
    shift: int = 0  # 1: the hidden row at i-1 predicts position i
    editable: bool = False  # trained to rewrite visible tokens
    mask_id: int = 0
    eos_ids: tuple[int, ...] = ()
    pad_id: int = 0
    sampler: dict[str, Any] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        sizes = ("vocab_size", "d_model", "n_layers", "n_heads", "n_kv_heads", "head_dim", "d_ff", "max_positions")
        for name in sizes:
            if not isinstance(value := getattr(self, name), int) or value < 1:
                raise CheckpointError(f"{name} must be a whole number of at least 1, got {value!r}")
        if self.n_heads % self.n_kv_heads:
            raise CheckpointError(f"n_heads must be a multiple of n_kv_heads, got {self.n_heads} and {self.n_kv_heads}")
        if self.head_dim % 2:
            raise CheckpointError(f"head_dim must be even for rotary positions, got {self.head_dim}")
        if not 0 <= self.mask_id < self.vocab_size:
            raise CheckpointError(
                f"mask_token_id must lie in the vocabulary, got {self.mask_id} of {self.vocab_size} rows"
            )
        if (self.attention == "block_causal") != (self.block_size is not None):
            raise CheckpointError("block_causal attention needs a block_size, and full attention takes none")

    @property
    def parameters(self) -> int:
        """Number of weights, tied ones counted once."""
        attention = self.d_model * self.head_dim * (2 * self.n_heads + 2 * self.n_kv_heads)
        bias = self.head_dim * (self.n_heads + 2 * self.n_kv_heads) * self.qkv_bias
        layer = attention + bias + 3 * self.d_model * self.d_ff + 2 * self.d_model
        embeddings = self.vocab_size * self.d_model * (1 if self.tie_embeddings else 2)
        return self.n_layers * layer + embeddings + self.d_model
