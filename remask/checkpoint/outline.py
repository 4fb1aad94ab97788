"""The network that a checkpoint describes, as shapes without memory, held against what its files hold."""

from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from ..errors import CheckpointError
from ..models.transformer import Transformer
from .description import Description
from .foreign import refuse_names
from .head import spare_head
from .shards import cover, cover_names


def outlined(described: Description) -> Transformer:
    """The network on torch's meta device. Raises CheckpointError unless the files hold its tensors and no others.

    Of weights that are not here, the index's names are compared.
    """
    model = _network(described)
    names = described.family.names(described.config)
    shapes = {name: tuple(weight.shape) for name, weight in model.named_parameters(remove_duplicate=False)}
    expected = {part.name: (part.rows, *shapes[mine][1:][-1:]) for mine, parts in names.items() for part in parts}
    spare = spare_head(described.family, described.config)  # stored, it equals the embedding
    stored = {name: tensor for name, tensor in described.stored.items() if name != spare}
    try:
        if described.index is not None:
            if names_elsewhere := described.index.names - {spare}:
                cover_names(expected, names_elsewhere, described.family.unread)
            return model
        refuse_names(stored.keys() - expected.keys())
        cover(expected, stored, described.family.unread)
    except CheckpointError as error:
        raise CheckpointError(f"{described.folder}: {error}") from None
    return model


def _network(described: Description) -> Transformer:
    config, index = described.config, described.index
    tensors = len(described.stored) if index is None else len(index.names) or config.n_layers
    try:
        if config.n_layers <= tensors:
            with torch.device("meta"), _Outline():
                return Transformer(config)
    except (RuntimeError, OverflowError):
        pass  # sizes beyond what torch can count
    raise CheckpointError(
        f"{described.folder}: config.json describes {config.n_layers} layers and {config.parameters} weights, "
        f"but the files hold {tensors} tensors"
    )


class _Outline(TorchFunctionMode):
    """Under it a module is built without random numbers, which it would lose, and without what torch imports for them.

    On the meta device, torch.nn.init imports torch._dynamo, and empty_like imports sympy: seconds at every start.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return named["tensor"] if "tensor" in named else args[0]
        if func is torch.empty_like:
            return torch.empty(args[0].shape, dtype=args[0].dtype)
        return func(*args, **named)
