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
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .decoding.recipe import Recipe
    from .engine.engine import Engine
    from .engine.handle import Handle
    from .engine.memory import MemoryPlan
    from .engine.requests import Completion, Request, Step
    from .errors import RemaskError
    from .llm import LLM
    from .models.families.family import Family

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
    "Recipe": ".decoding.recipe",
    "RemaskError": ".errors",
    "Request": ".engine.requests",
    "Step": ".engine.requests",
    "record": ".trace.recorder",
}

__all__ = [
    "LLM",
    "Completion",
    "Engine",
    "Handle",
    "MemoryPlan",
    "Recipe",
    "RemaskError",
    "Request",
    "Step",
    "generate",
    "infill",
    "load",
    "record",
    "stream",
]


def load(
    model: str = "bundled",
    *,
    device: str = "auto",
    dtype: str = "auto",
    quantize: str = "none",
    family: "str | Family | None" = None,
    config: "Mapping[str, Any] | None" = None,
    outline: bool = False,
    threads: int | None = None,
    **engine: Any,
) -> "LLM":
    """Load a checkpoint: `bundled`, a folder, or `org/name[@revision]`; further options are those of `Engine`.

    `quantize` rounds the weights of linear layers to 8 bits: int8 for half the memory, int8-dynamic for speed on a CPU.
    `family` and `config` say what its config.json leaves open or has wrong: which family it is of, and fields of it.
    An `outline` has shapes without memory, and can be asked for everything but an answer: its `plan()` counts what a
    model will take before anything of it is read.
    `threads` of the CPU compute (None: one for a tiny model, else as many as torch has).
    """
    from . import checkpoint
    from .engine.host import check_threads
    from .llm import LLM

    check_threads(threads)  # before a large model is read
    weights = checkpoint.choose_weights(quantize)
    loaded = checkpoint.load(
        model, device=device, dtype=dtype, weights=weights, family=family, config=config, outline=outline
    )
    return LLM(loaded, threads=threads, **engine)


def generate(prompt: str, model: str = "bundled", **options: Any) -> "Completion":
    """Load `model` and answer one prompt. For more than one, keep what `load` returns."""
    return load(model).generate(prompt, **options)


def stream(prompt: str, model: str = "bundled", **options: Any) -> Any:
    """Load `model` and yield the answer piece by piece, as it settles."""
    return load(model).stream(prompt, **options)


def infill(template: str, model: str = "bundled", **options: Any) -> "Completion":
    """Load `model` and fill the holes of `template`, as in "The {{1}} sat on the {{1}}."."""
    return load(model).infill(template, **options)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
