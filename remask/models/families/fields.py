"""Reading a config.json field by field: each is checked, and one that nobody reads is refused by name."""

from collections.abc import Collection, Mapping
from typing import Any

from ...errors import CheckpointError
from ..config import EXPERTS, LARGEST, LAYERS, whole
from ..rotary import NONE, Rope
from .scaling import rope_scaling

MOST = {"n_layers": LAYERS, "num_hidden_layers": LAYERS, "num_experts": EXPERTS}  # of other sizes: LARGEST
SCALING = ("rope_scaling", "rope_parameters")  # its name in transformers 4 and 5
ROTARY = ("rope_theta", "partial_rotary_factor")  # what the latter holds beside
# What transformers writes into any config.json, and what concerns training, generation or remote code alone.
HARMLESS = frozenset({
    "architectures", "model_type", "auto_map", "torch_dtype", "dtype", "transformers_version", "_name_or_path",
    "use_cache", "return_dict", "output_attentions", "output_hidden_states", "output_router_logits", "is_causal",
    "is_decoder", "is_encoder_decoder", "attn_implementation", "_attn_implementation", "_attn_implementation_autoset",
    "attention_dropout", "embedding_dropout", "output_dropout", "resid_pdrop", "hidden_dropout", "initializer_range",
    "router_aux_loss_coef", "gradient_checkpointing", "bos_token_id", "chunk_size_feed_forward", "problem_type",
    "id2label", "label2id", "unsloth_version", "unsloth_fixed", "max_window_layers", "sliding_window",
})  # fmt: skip


class Fields:
    """The fields of one config.json. Null means left out; what is wrong raises CheckpointError."""

    def __init__(self, fields: Mapping[str, Any], family: str) -> None:
        self.family = family
        self.left = dict(fields)

    def size(self, name: str, default: int | None = None, *, zero: bool = False) -> int:
        """A whole number of at least 1, `default` where it is left out; with `zero`, 0 means left out, too."""
        value = self.left.pop(name, None) if default is not None else self._needed(name)
        if default is not None and (value is None or (zero and value == 0 and type(value) is int)):
            return default
        return whole(f"config.json: {name}", value, MOST.get(name, LARGEST))

    def number(self, name: str, default: float) -> float:
        """A number above 0."""
        value = self.left.pop(name, None)
        value = default if value is None else value
        if type(value) not in (int, float) or not 0 < value <= LARGEST:
            raise CheckpointError(f"config.json: {name} must be a number above 0, up to {LARGEST}, got {value!r}")
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        """True or false."""
        value = self.left.pop(name, None)
        value = default if value is None else value
        if not isinstance(value, bool):
            raise CheckpointError(f"config.json: {name} must be true or false, got {value!r}")
        return value

    def choice(self, name: str, known: Collection[Any], default: Any) -> Any:
        """One of `known`."""
        value = self.left.pop(name, None)
        value = default if value is None else value
        if value not in known:
            told = ", ".join(map(str, known))
            raise CheckpointError(f"config.json: {name} must be one of {told}, got {value!r}")
        return value

    def id(self, name: str, default: int | None = None) -> int:
        """A token id."""
        value = self._needed(name) if default is None else self.left.pop(name, None)
        value = default if value is None else value
        if type(value) is not int:
            raise CheckpointError(f"config.json: {name} must be a token id, got {value!r}")
        return value

    def ids(self, name: str) -> tuple[int, ...]:
        """No, one or several token ids."""
        value = self.left.pop(name, None)
        return tuple(value) if isinstance(value, list | tuple) else () if value is None else (value,)

    def only(self, fixed: Mapping[str, Any]) -> None:
        """Refuse a field of `fixed` that has another value than the one given there: it would change the network."""
        for name, only in fixed.items():
            value = self.left.pop(name, only)
            if value != only and not (only in (None, False) and value in (None, False, {"rope_type": "default"})):
                raise CheckpointError(
                    f"config.json: {name} = {value!r} is not supported; the {self.family} family has {only!r}"
                )

    def rotary(self, default: float) -> float:
        """The base θ, wherever this version of transformers puts it."""
        for name in SCALING:
            if isinstance(said := self.left.get(name), Mapping):
                self.left[name] = {key: value for key, value in said.items() if key not in ROTARY}
                self.left = {key: said[key] for key in ROTARY if key in said} | self.left
        return self.number("rope_theta", default)

    def scaling(self, max_positions: int) -> Rope:
        """How the checkpoint scales its positions."""
        stated = {name: rope_scaling(self.left.pop(name, None), max_positions, name) for name in SCALING}
        found = {scaling for scaling in stated.values() if scaling != NONE}
        if len(found) > 1:
            raise CheckpointError(f"config.json: {' and '.join(SCALING)} contradict each other; keep one")
        return found.pop() if found else NONE

    def end(self, harmless: Collection[str] = ()) -> None:
        """Refuse what is left, unless it is null or known to change nothing."""
        unknown = [name for name, value in self.left.items() if value is not None]
        if unknown := sorted(set(unknown) - HARMLESS - set(harmless)):
            raise CheckpointError(
                f"config.json: unknown field {', '.join(map(repr, unknown))} for the {self.family} family; "
                "if it does not change the network, state it as null"
            )

    def _needed(self, name: str) -> Any:
        if name not in self.left:
            raise CheckpointError(f"config.json lacks {name!r}, which the {self.family} family needs")
        return self.left.pop(name)
