"""Loading a model for a command, with a word on the terminal while it lasts."""

import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING

from .options import Machine, at_least
from .screen import errors_to, is_terminal

if TYPE_CHECKING:
    from ..llm import LLM


def load(machine: Machine, quiet: bool) -> "LLM":
    """The model that `machine` names, on its device; `quiet` says nothing while it loads."""
    at_least("threads", machine.threads, 1)
    shown = not quiet and is_terminal(sys.stderr)
    with errors_to(sys.stderr).status(f"loading {machine.model} …") if shown else nullcontext():
        import torch

        import remask

        if machine.threads is not None:
            torch.set_num_threads(machine.threads)
        return remask.load(machine.model, device=machine.device, dtype=machine.dtype)
