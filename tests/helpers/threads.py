"""Which numbers of CPU threads forwards compute with, as torch has them while a module runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.modules.module import register_module_forward_pre_hook


@contextmanager
def threads_of_forwards() -> Iterator[set[int]]:
    """The numbers that were in force in any module's forward inside, on any thread."""
    seen: set[int] = set()

    def note(module: Any, inputs: Any) -> None:
        seen.add(torch.get_num_threads())

    hook = register_module_forward_pre_hook(note)
    try:
        yield seen
    finally:
        hook.remove()
