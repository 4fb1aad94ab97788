"""Checkpoints in the published layout, or as GGUF: configuration, tensors, tokenizer. No pickle, no remote code.

`load` reads what the authors published and `save` writes what their code can load: one table of names a family. A
checkpoint's folder is never written to, and nothing in it is executed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..errors import CheckpointError
from ..models.config import ModelConfig
from ..models.families.family import Family
from ..models.layers import Router
from ..models.linear import Weights, convert, held_bytes, kind
from ..models.predictor import MaskPredictor
from ..models.transformer import Transformer
from ..text.tokenizer import Text
from . import folder as on_disk
from .adapter import Adapter
from .description import Description, inspect, recognise
from .hub import SHIPPED, cached, find, locate
from .outline import outlined
from .placement import choose_device, choose_dtype, choose_weights, free_memory
from .saving import published, save, split
from .shards import fill

__all__ = [
    "Adapter", "Description", "Entry", "Loaded", "choose_weights", "find", "inspect", "list_models", "load", "locate",
    "published", "save",
]  # fmt: skip


@dataclass(frozen=True)
class Loaded:
    """A model that can answer. `source` is what was asked for, `weights_dtype` what the files hold.

    `folder` is the base's where an `adapter` changes its weights.

    `device` is where it computes, also for an outline, which lies nowhere; there its weights take `weights_bytes`.
    """

    predictor: MaskPredictor
    text: Text
    config: ModelConfig
    defaults: dict[str, Any]
    source: str
    folder: Path
    weights_dtype: torch.dtype
    device: torch.device
    weights_bytes: int
    adapter: Adapter | None = None


class Entry(NamedTuple):
    """A model that `load` can take without the network; `size` is in bytes."""

    name: str
    size: int
    path: Path
    family: str
    licence: str | None


def load(
    name: str,
    *,
    adapter: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    weights: Weights = "plain",
    family: str | Family | None = None,
    config: Mapping[str, Any] | None = None,
    outline: bool = False,
) -> Loaded:
    """Load the checkpoint `name`: `bundled`, a folder, or `org/name[@revision]` on the hub.

    The weights are merged with a PEFT `adapter`, a folder or a name on the hub, too, while they are read. A name that
    is an adapter itself tells its base (see `find`).

    `family` and `config` say what its config.json leaves open or has wrong, as for `inspect`.

    `dtype` auto keeps what is on disk, but a small model on a CPU gets float32. `weights` says how the matrices of
    linear layers are held (`models.linear.convert`); only plain ones can be trained. Files are mapped and matrices
    copied and converted one by one: the peak is the model as it is held, and one matrix. Raises CheckpointError for
    anything missing, unknown, broken or left over, and for weights that the device has no room for.

    With `outline` the weights are shapes without memory, and need not be here: the model can be asked for everything
    but an answer.
    """
    where = choose_device(device)
    choose_dtype(dtype, torch.float32, where, 0)  # a misspelt one is refused before a download
    kind(weights, where, torch.float32)  # so is what this machine cannot hold
    place = find(name, adapter, weights=not outline)
    described = inspect(place.folder, adapter=place.adapter, family=family, config=config, outline=outline)
    numbers = choose_dtype(dtype, described.dtype, where, described.parameters)
    held = kind(weights, where, numbers)
    model, size = _model(described, torch.device("meta") if outline else where, numbers, held)
    predictor = MaskPredictor(model, known_tokens=described.known_tokens, eot_ids=described.text.eot_ids)
    return Loaded(
        predictor=predictor,
        text=described.text,
        config=described.config,
        defaults=described.defaults.values,
        source=name if adapter is None else f"{name} with {adapter}",
        folder=described.folder,
        weights_dtype=described.dtype,
        device=where,
        weights_bytes=size,
        adapter=described.adapter,
    )


def list_models() -> list[Entry]:
    """The bundled models and those in the hub's cache that `load` knows; what cannot be read is left out."""
    entries = []
    for name, folder, size in [*((name, folder, 0) for name, folder in SHIPPED.items()), *cached()]:
        try:
            family = recognise(folder, on_disk.read_json(folder, "config.json") or {}).name
        except CheckpointError:
            continue
        try:
            licence = on_disk.licence(folder)
        except CheckpointError:  # a README that cannot be read says nothing
            licence = None
        entries.append(Entry(name, size or on_disk.size(folder), folder, family, licence))
    return entries


def _model(
    described: Description, device: torch.device, dtype: torch.dtype, weights: Weights
) -> tuple[Transformer, int]:
    """The network with its weights on `device` and their bytes, after all that can be checked without reading them."""
    model = outlined(described)
    names = described.family.names(described.config)
    largest = max(module.weight.numel() for module in model.modules() if isinstance(module, nn.Linear))
    wanted, free = held_bytes(model, dtype, weights), free_memory(device)
    if free is not None and wanted > free:
        raise _no_room(wanted, device, free)
    room = 0 if weights == "plain" or device.type == "meta" else largest
    try:
        scratch = torch.empty(room, dtype=dtype, device=device)
    except (RuntimeError, MemoryError):
        raise _no_room(wanted, device, free) from None
    for path, module in list(model.named_modules()):
        if path == "unembed" and described.config.tie_embeddings:
            model.unembed.weight = model.embed.weight
            continue
        converted = isinstance(module, nn.Linear) and weights != "plain"
        try:
            _allocate(module, scratch if converted else scratch[:0])
        except (RuntimeError, MemoryError):
            raise _no_room(wanted, device, free) from None
        if device.type == "meta":
            continue
        targets: dict[str, Tensor] = {}
        for mine, weight in module.named_parameters(path, recurse=False):
            targets |= {part.name: piece for part, piece in zip(names[mine], split(weight, names[mine]), strict=True)}
        fill(targets, described.stored)
        if converted:
            model.set_submodule(path, convert(module, weights))
    return model, wanted


def _allocate(module: nn.Module, scratch: Tensor) -> None:
    """Memory for the module's own parameters, which have only shapes so far, of the dtype and device of `scratch`.

    A matrix that fits into `scratch` lies there, to be converted: one place for all keeps the heap in one piece.
    """
    dtype = module.dtype if isinstance(module, Router) else scratch.dtype
    for name, shape in module.named_parameters(recurse=False):
        lent = shape.ndim == 2 and shape.numel() <= len(scratch)
        memory = scratch[: shape.numel()].view(shape.shape) if lent else scratch.new_empty(shape.shape, dtype=dtype)
        setattr(module, name, nn.Parameter(memory))


def _no_room(wanted: int, device: torch.device, free: int | None) -> CheckpointError:
    told = "" if free is None else f", which has {free / 1e9:.1f} GB free"
    return CheckpointError(
        f"{wanted / 1e9:.1f} GB for the weights cannot be had on {device}{told}; use a smaller dtype, int8 or another "
        "device"
    )
