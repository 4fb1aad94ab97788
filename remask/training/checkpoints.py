"""The state of a run on disk: weights, their average, the optimizers, and the step. Written whole or not at all."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from .. import files
from ..errors import UsageError
from ..files import replacing, write_json


@dataclass
class TrainingState:
    """Everything that step n+1 depends on. Data and noise are functions of (seed, step), so they need no state."""

    model: torch.nn.Module
    average: dict[str, Tensor]
    optimizers: list[torch.optim.Optimizer]
    step: int = 0
    seconds: float = 0.0  # that the run has taken

    def save(self, run: Path, fingerprint: dict[str, Any]) -> None:
        """Write `run/state`; a kill at any moment leaves the old state or the new one."""
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.items()}
        for i, optimizer in enumerate(self.optimizers):
            for slot, values in optimizer.state_dict()["state"].items():
                tensors |= {f"optimizer.{i}.{slot}.{k}": torch.as_tensor(v) for k, v in values.items()}
        with replacing(run / "state") as fresh:
            fresh.mkdir()
            save_file({k: v.detach().contiguous() for k, v in tensors.items()}, fresh / "state.safetensors")
            write_json(fresh / "state.json", {"step": self.step, "seconds": self.seconds, "config": fingerprint})

    def load(self, run: Path, fingerprint: dict[str, Any]) -> bool:
        """Take up `run/state` if there is one. Raises UsageError if it belongs to another configuration."""
        if not recover(run):
            return False
        said = json.loads((run / "state" / "state.json").read_text(encoding="utf-8"))
        if changed := sorted(k for k in fingerprint if fingerprint[k] != said["config"].get(k)):
            raise UsageError(
                f"{run} holds a run with another {', '.join(changed)}; use another folder, or the configuration it had"
            )
        tensors = load_file(run / "state" / "state.safetensors")
        self.model.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")})
        for name, value in self.average.items():
            value.copy_(tensors[f"average.{name}"])
        for i, optimizer in enumerate(self.optimizers):
            slots: dict[int, dict[str, Tensor]] = {}
            for name, value in tensors.items():
                if name.startswith(f"optimizer.{i}."):
                    _, _, slot, key = name.split(".", 3)
                    slots.setdefault(int(slot), {})[key] = value
            optimizer.load_state_dict({"state": slots, "param_groups": optimizer.state_dict()["param_groups"]})
        self.step, self.seconds = said["step"], said.get("seconds", 0.0)
        return True


def recover(run: Path) -> bool:
    """Finish the save that a kill interrupted, and remove what else kills left. False if the run has no state yet.

    Raises UsageError if `run/state` is broken.
    """
    state = run / "state"
    for name in ("state", "checkpoint"):
        files.recover(run / name)
    if state.exists() and step_in(state) < 0:
        raise UsageError(f"{state} cannot be read; delete it to begin from the start, or use another folder")
    return state.exists()


def reached(run: Path) -> int:
    """The step that a run goes on from, 0 if it begins from the start."""
    files.recover(run / "state")
    return max(0, step_in(run / "state"))


def step_in(folder: Path) -> int:
    """The step of the state in `folder`, -1 if it is not whole: tensors that were cut do not open."""
    try:
        with safe_open(folder / "state.safetensors", "pt"):
            return int(json.loads((folder / "state.json").read_text(encoding="utf-8"))["step"])
    except (OSError, ValueError, KeyError, TypeError, SafetensorError):
        return -1
