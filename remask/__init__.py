"""Remask: the engine for masked diffusion language models.

    import remask
    llm = remask.load()                                   # the model inside the package; or "org/name", or a folder
    print(llm.generate("Sort 5380217.").text)
    for piece in llm.stream("Tell me a story about a cat."):
        print(piece, end="")
    print(llm.infill("The {{1}} sat on the {{1}}.").text)

Importing this package costs nothing: torch is imported by the first name that needs it. It has one side effect, on
the environment: GOMP_SPINCOUNT, which torch's OpenMP library reads once, when torch is imported. Import torch first, or
set GOMP_SPINCOUNT or OMP_WAIT_POLICY, and it has none.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, Unpack, get_type_hints

if TYPE_CHECKING:
    from .decoding.axes import register
    from .decoding.recipe import Recipe, register_recipe
    from .engine.engine import Engine
    from .engine.handle import Handle
    from .engine.memory import MemoryPlan
    from .engine.requests import Completion, Request, Step
    from .errors import RemaskError
    from .llm import LLM
    from .models.families.family import Family
    from .options import Capacity, Options

# By default libgomp's threads spin for 3 ms at each barrier before they sleep. Where another process holds a core, the
# one that they wait for cannot run meanwhile, and a step takes tens of times as long; 0.1 ms costs nothing elsewhere.
if "torch" not in sys.modules and os.environ.keys().isdisjoint(("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")):
    os.environ["GOMP_SPINCOUNT"] = "10000"

__version__ = "0.1.0"

_HOMES = {
    "Completion": ".engine.requests",
    "Engine": ".engine.engine",
    "Handle": ".engine.handle",
    "LLM": ".llm",
    "MemoryPlan": ".engine.memory",
    "Options": ".options",
    "Recipe": ".decoding.recipe",
    "RemaskError": ".errors",
    "Request": ".engine.requests",
    "Step": ".engine.requests",
    "record": ".trace.recorder",
    "register": ".decoding.axes",
    "register_recipe": ".decoding.recipe",
}

__all__ = [
    "LLM",
    "Completion",
    "Engine",
    "Handle",
    "MemoryPlan",
    "Options",
    "Recipe",
    "RemaskError",
    "Request",
    "Step",
    "generate",
    "infill",
    "load",
    "record",
    "register",
    "register_recipe",
    "stream",
]


def load(
    model: "str | PathLike[str]" = "bundled",
    *,
    adapter: "str | PathLike[str] | None" = None,
    device: str = "auto",
    dtype: str = "auto",
    quantize: str | None = None,
    family: "str | Family | None" = None,
    config: Mapping[str, Any] | None = None,
    outline: bool = False,
    **capacity: "Unpack[Capacity]",
) -> "LLM":
    """Load a checkpoint: `bundled`, a folder, a .gguf file, or `org/name[@revision]`.

    `adapter` is a PEFT folder, or its name on the hub: LoRA and DoRA are merged into the weights as these are read. A
    `model` that is such a folder is loaded with the base that its adapter_config.json names.
    `quantize` rounds the weights of linear layers to 8 bits: int8 for half the memory, int8-dynamic for speed on a CPU.
    `family` and `config` say what its config.json leaves open or has wrong: which family it is of, and fields of it.
    An `outline` has shapes without memory, and can be asked for everything but an answer: its `plan()` counts what a
    model will take before anything of it is read.
    `threads` of the CPU compute (None: one for a tiny model, else as many as torch has). At most `max_rows` requests
    are decoded at once and `max_waiting` wait; `memory` bounds the planned bytes of the rows. Raises CheckpointError.
    """
    from . import checkpoint
    from .engine.host import check_threads
    from .errors import CheckpointError
    from .llm import LLM
    from .models.families.family import Family
    from .options import Capacity
    from .validation import check, check_table

    check("model", model, str | PathLike, CheckpointError)
    check("adapter", adapter, str | PathLike | None, CheckpointError)
    for name, text in (("device", device), ("dtype", dtype)):
        check(name, text, str, CheckpointError)
    check("quantize", quantize, str | None, CheckpointError)
    check("family", family, str | Family | None, CheckpointError)
    check("config", config, Mapping[str, Any] | None, CheckpointError)
    check("outline", outline, bool, CheckpointError)
    check_threads(capacity.get("threads"))  # before a large model is read
    check_table(capacity, get_type_hints(Capacity, include_extras=True), CheckpointError)
    weights = checkpoint.choose_weights(quantize)
    loaded = checkpoint.load(
        fspath(model),
        adapter=None if adapter is None else fspath(adapter),
        device=device,
        dtype=dtype,
        weights=weights,
        family=family,
        config=config,
        outline=outline,
    )
    return LLM(loaded, **capacity)


def generate(prompt: str, model: "str | PathLike[str]" = "bundled", **options: "Unpack[Options]") -> "Completion":
    """Load `model` and answer one prompt. For more than one, keep what `load` returns."""
    return load(model).generate(prompt, **options)


def stream(prompt: str, model: "str | PathLike[str]" = "bundled", **options: "Unpack[Options]") -> Iterator[str]:
    """Load `model` and yield the answer piece by piece, as it settles."""
    return load(model).stream(prompt, **options)


def infill(template: str, model: "str | PathLike[str]" = "bundled", **options: "Unpack[Options]") -> "Completion":
    """Load `model` and fill the holes of `template`, as in "The {{1}} sat on the {{1}}."."""
    return load(model).infill(template, **options)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
