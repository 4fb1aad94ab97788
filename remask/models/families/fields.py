"""The fields of a config.json: each is checked when it is read, and an unknown one is refused by name."""

from collections.abc import Collection, Mapping
from typing import Any

from ...errors import CheckpointError
from ..config import EXPERTS, LARGEST, LAYERS, whole
from ..rotary import NONE, Rope
from .scaling import rope_scaling

MOST = {"n_layers": LAYERS, "num_hidden_layers": LAYERS, "num_experts": EXPERTS}  # for other sizes: LARGEST
SCALING = ("rope_scaling", "rope_parameters")  # the name of one field in transformers 4 and in 5
ROTARY = ("rope_theta", "partial_rotary_factor")  # fields that transformers 5 moves into rope_parameters
# Fields that transformers writes into any config.json, and fields for training, generation or remote code only.
HARMLESS = frozenset({
    "architectures", "model_type", "auto_map", "torch_dtype", "dtype", "transformers_version", "_name_or_path",
    "use_cache", "return_dict", "output_attentions", "output_hidden_states", "output_router_logits", "is_causal",
    "is_decoder", "is_encoder_decoder", "attn_implementation", "_attn_implementation", "_attn_implementation_autoset",
    "attention_dropout", "embedding_dropout", "output_dropout", "resid_pdrop", "hidden_dropout", "initializer_range",
    "router_aux_loss_coef", "gradient_checkpointing", "bos_token_id", "chunk_size_feed_forward", "problem_type",
    "id2label", "label2id", "unsloth_version", "unsloth_fixed", "max_window_layers", "sliding_window",
})  # fmt: skip


class Fields:
    """The fields of one config.json. A null is as good as no field; a wrong value raises CheckpointError."""

    def __init__(self, fields: Mapping[str, Any], family: str) -> None:
        self.family = family
        self.left = dict(fields)

    def size(self, name: str, default: int | None = None, *, zero: bool = False) -> int:
        """Read a whole number of at least 1, or `default` if there is none; with `zero`, 0 counts as none too."""
        value = self.left.pop(name, None) if default is not None else self._needed(name)
        if default is not None and (value is None or (zero and value == 0 and type(value) is int)):
            return default
        return whole(f"config.json: {name}", value, MOST.get(name, LARGEST))

    def number(self, name: str, default: float) -> float:
        """Read a number above 0, or `default` if there is none."""
        value = self.left.pop(name, None)
        value = default if value is None else value
        if type(value) not in (int, float) or not 0 < value <= LARGEST:
            raise CheckpointError(f"config.json: {name} must be a number above 0, up to {LARGEST}, got {value!r}")
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        """Read a boolean, or `default` if there is none."""
        value = self.left.pop(name, None)
        value = default if value is None else value
        if not isinstance(value, bool):
            raise CheckpointError(f"config.json: {name} must be true or false, got {value!r}")
        return value

    def choice(self, name: str, known: Collection[Any], default: Any) -> Any:
        """Read one of the values `known`, or `default` if there is none."""
        value = self.left.pop(name, None)
        value = default if value is None else value
        if value not in known:
            choices = ", ".join(map(str, known))
            raise CheckpointError(f"config.json: {name} must be one of {choices}, got {value!r}")
        return value

    def id(self, name: str, default: int | None = None) -> int:
        """Read a token id, or `default` if there is none."""
        value = self._needed(name) if default is None else self.left.pop(name, None)
        value = default if value is None else value
        if type(value) is not int:
            raise CheckpointError(f"config.json: {name} must be a token id, got {value!r}")
        return value

    def ids(self, name: str) -> tuple[int, ...]:
        """Read the token ids of a field that holds none, one or a list of them."""
        value = self.left.pop(name, None)
        return tuple(value) if isinstance(value, list | tuple) else () if value is None else (value,)

    def only(self, fixed: Mapping[str, Any]) -> None:
        """Refuse a field whose value differs from the one in `fixed`, since it would change the network."""
        for name, only in fixed.items():
            value = self.left.pop(name, only)
            if value != only and not (only in (None, False) and value in (None, False, {"rope_type": "default"})):
                raise CheckpointError(
                    f"config.json: {name} = {value!r} is not supported; the {self.family} family has {only!r}"
                )

    def rotary(self, default: float) -> float:
        """Read the base θ from the place where either version of transformers writes it, or return `default`."""
        for name in SCALING:
            if isinstance(parameters := self.left.get(name), Mapping):
                self.left[name] = {key: value for key, value in parameters.items() if key not in ROTARY}
                self.left = {key: parameters[key] for key in ROTARY if key in parameters} | self.left
        return self.number("rope_theta", default)

    def scaling(self, max_positions: int) -> Rope:
        """Read the checkpoint's scaling of positions."""
        scalings = {name: rope_scaling(self.left.pop(name, None), max_positions, name) for name in SCALING}
        distinct = {scaling for scaling in scalings.values() if scaling != NONE}
        if len(distinct) > 1:
            raise CheckpointError(f"config.json: {' and '.join(SCALING)} contradict each other; keep one")
        return distinct.pop() if distinct else NONE

    def end(self, harmless: Collection[str] = ()) -> None:
        """Refuse the fields that are left, except a null and those that do not change the network."""
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
