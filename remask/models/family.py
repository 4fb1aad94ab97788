"""What one family of checkpoints has to say: how to read its configuration, and what its tensors are called."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .config import ModelConfig


class Part(NamedTuple):
    """A published tensor and how many rows of ours it fills."""

    name: str
    rows: int


@dataclass(frozen=True)
class Family:
    """One family: `parse` reads config.json, `export` writes it, `names` maps our parameters to published tensors."""

    name: str
    architectures: tuple[str, ...]
    parse: Callable[[Mapping[str, Any]], ModelConfig]
    export: Callable[[ModelConfig], dict[str, Any]]
    names: Callable[[ModelConfig], dict[str, tuple[Part, ...]]]
    mask_id: int  # when neither the configuration nor the tokenizer names one
    eot: str | None = None  # end-of-turn token of the chat template
    defaults: Mapping[str, Any] = field(default_factory=dict)  # the authors' gen_length, steps, …
