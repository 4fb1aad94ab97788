"""Checkpoints in the published layout: config.json, safetensors, tokenizer.json. No pickle, no remote code.

`load` reads what the authors published and `save` writes what their code can load: one table of names a family. A
checkpoint's folder is never written to, and nothing in it is executed.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..errors import CheckpointError
from ..models.config import ModelConfig
from ..models.families import FAMILIES
from ..models.family import Family, Part
from ..models.layers import Router
from ..models.linear import Weights, convert, kind
from ..models.masked import MaskPredictor
from ..models.transformer import Transformer
from ..text import Text
from . import folder as on_disk
from .description import Description, inspect, recognise
from .hub import BUNDLED, cached, locate
from .placement import choose_device, choose_dtype, choose_weights
from .shards import cover, fill

__all__ = [
    "Description", "Entry", "Loaded", "choose_weights", "inspect", "list_models", "load", "locate", "published",
    "replacing", "save", "write_json",
]  # fmt: skip


@dataclass(frozen=True)
class Loaded:
    """A model that can answer. `source` is what was asked for, `weights_dtype` what the files hold."""

    predictor: MaskPredictor
    text: Text
    config: ModelConfig
    defaults: dict[str, Any]
    source: str
    folder: Path
    weights_dtype: torch.dtype


class Entry(NamedTuple):
    """A model that `load` can take without the network; `size` is in bytes."""

    name: str
    size: int
    path: Path


def load(
    name: str,
    *,
    device: str = "auto",
    dtype: str = "auto",
    weights: Weights = "plain",
    offline: bool = False,
    family: str | Family | None = None,
    config: Mapping[str, Any] | None = None,
) -> Loaded:
    """Load the checkpoint `name`: `bundled`, a folder, or `org/name[@revision]` on the hub.

    `family` and `config` say what its config.json leaves open or has wrong, as for `inspect`.

    `dtype` auto keeps what is on disk, but a small model on a CPU gets float32. `weights` says how the matrices of
    linear layers are held (`models.linear.convert`); only plain ones can be trained. Files are mapped and matrices
    copied and converted one by one: the peak is the model as it is held, and one matrix. Raises CheckpointError for
    anything missing, unknown, broken or left over.
    """
    where = choose_device(device)
    choose_dtype(dtype, torch.float32, where, 0)  # a misspelt one is refused before a download
    kind(weights, where, torch.float32)  # so is what this machine cannot hold
    described = inspect(locate(name, offline=offline), family=family, config=config)
    numbers = choose_dtype(dtype, described.dtype, where, described.parameters)
    model = _model(described, where, numbers, kind(weights, where, numbers))
    predictor = MaskPredictor(model, known_tokens=described.known_tokens, eot_ids=described.text.eot_ids)
    return Loaded(
        predictor=predictor,
        text=described.text,
        config=described.config,
        defaults=described.defaults,
        source=name,
        folder=described.folder,
        weights_dtype=described.dtype,
    )


def list_models() -> list[Entry]:
    """The bundled model and those in the hub's cache that `load` knows; what cannot be read is left out."""
    entries = []
    for name, folder, size in [("bundled", BUNDLED, 0), *cached()]:
        try:
            recognise(folder, on_disk.read_json(folder, "config.json") or {})
        except CheckpointError:
            continue
        entries.append(Entry(name, size or on_disk.size(folder), folder))
    return entries


def _model(described: Description, device: torch.device, dtype: torch.dtype, weights: Weights) -> Transformer:
    """The network with its weights on `device`, after everything that can be checked without reading them."""
    model = _outline(described)
    names = described.family.names(described.config)
    shapes = {name: tuple(weight.shape) for name, weight in model.named_parameters(remove_duplicate=False)}
    expected = {part.name: (part.rows, *shapes[mine][1:][-1:]) for mine, parts in names.items() for part in parts}
    try:
        cover(expected, described.stored, spare=_spare(described))
    except CheckpointError as error:
        raise CheckpointError(f"{described.folder}: {error}") from None
    largest = max(module.weight.numel() for module in model.modules() if isinstance(module, nn.Linear))
    with _room(described, dtype, device):
        scratch = torch.empty(0 if weights == "plain" else largest, dtype=dtype, device=device)
    for path, module in list(model.named_modules()):
        if path == "unembed" and described.config.tie_embeddings:
            model.unembed.weight = model.embed.weight
            continue
        converted = isinstance(module, nn.Linear) and weights != "plain"
        with _room(described, dtype, device):
            _allocate(module, scratch if converted else scratch[:0])
        targets: dict[str, Tensor] = {}
        for mine, weight in module.named_parameters(path, recurse=False):
            targets |= {part.name: piece for part, piece in zip(names[mine], _split(weight, names[mine]), strict=True)}
        fill(targets, described.stored)
        if converted:
            model.set_submodule(path, convert(module, weights))
    return model


def _outline(described: Description) -> Transformer:
    """The network as shapes without memory."""
    config, tensors = described.config, len(described.stored)
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


def _spare(described: Description) -> list[str]:
    """The head that some tied checkpoints store a second time."""
    if not described.config.tie_embeddings:
        return []
    untied = described.family.names(replace(described.config, tie_embeddings=False))
    tied = described.family.names(described.config)
    return [part.name for mine in untied.keys() - tied.keys() for part in untied[mine]]


def _split(weight: Tensor, parts: Sequence[Part]) -> Sequence[Tensor]:
    """Views of a weight's rows as its parts divide them; those of experts follow one another."""
    rows = weight.detach() if weight.ndim < 3 else weight.detach().flatten(0, 1)
    return rows.split([part.rows for part in parts])


def _allocate(module: nn.Module, scratch: Tensor) -> None:
    """Memory for the module's own parameters, which have only shapes so far, of the dtype and device of `scratch`.

    A matrix that fits into `scratch` lies there, to be converted: one place for all keeps the heap in one piece.
    """
    dtype = module.dtype if isinstance(module, Router) else scratch.dtype
    for name, shape in module.named_parameters(recurse=False):
        lent = shape.ndim == 2 and shape.numel() <= len(scratch)
        memory = scratch[: shape.numel()].view(shape.shape) if lent else scratch.new_empty(shape.shape, dtype=dtype)
        setattr(module, name, nn.Parameter(memory))


@contextmanager
def _room(described: Description, dtype: torch.dtype, device: torch.device) -> Iterator[None]:
    """Say what memory is wanted if it cannot be had."""
    try:
        yield
    except (RuntimeError, MemoryError):
        wanted = described.parameters * dtype.itemsize / 1e9
        raise CheckpointError(
            f"{wanted:.1f} GB for the weights cannot be had on {device}; use a smaller dtype or another device"
        ) from None


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A new folder beside `folder` to write into; it takes that name only if the block ends without an error."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        yield fresh
        fresh.chmod(0o755)
        if folder.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old.", dir=folder.parent))
            os.rename(folder, old / "was")
            os.rename(fresh, folder)
            shutil.rmtree(old)
        else:
            os.rename(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def write_json(path: Path, value: Any) -> None:
    """Write JSON under a temporary name, then rename: a reader sees the old file or the new one, never half."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(scratch, path)


def published(model: Transformer, dtype: torch.dtype) -> dict[str, Tensor]:
    """The model's weights under their published names, split as published."""
    tensors: dict[str, Tensor] = {}
    weights = model.state_dict()
    for mine, parts in FAMILIES[model.config.family].names(model.config).items():
        numbers = torch.float32 if mine.endswith("router.bias") else dtype
        pieces = _split(weights[mine].to("cpu", numbers), parts)
        tensors |= {part.name: piece.contiguous() for part, piece in zip(parts, pieces, strict=True)}
    return tensors


def save(
    folder: Path, model: Transformer, text: Text, *, dtype: torch.dtype = torch.bfloat16, sampler: Mapping[str, Any]
) -> None:
    """Write a whole checkpoint folder in its family's format; an earlier folder of that name is replaced at the end."""
    with replacing(folder) as fresh:
        config = FAMILIES[model.config.family].export(model.config) | {"torch_dtype": str(dtype).removeprefix("torch.")}
        write_json(fresh / "config.json", config)
        write_json(fresh / "generation_config.json", {"eos_token_id": list(model.config.eos_ids), **sampler})
        write_json(
            fresh / "tokenizer_config.json",
            {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "add_bos_token": False,
                "add_eos_token": False,
                "clean_up_tokenization_spaces": False,
                "model_max_length": model.config.max_positions,
                **text.special,
                "chat_template": text.template,
            },
        )
        text.tokenizer.save(str(fresh / "tokenizer.json"))
        save_file(published(model, dtype), fresh / "model.safetensors", metadata={"format": "pt"})
        (fresh / "model.safetensors").chmod(0o644)  # safetensors leaves it readable by its owner only
