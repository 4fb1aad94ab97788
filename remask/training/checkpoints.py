"""The state of a run on disk: weights, their average, the optimizers, and the step. Written whole or not at all."""

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..checkpoint import replacing, write_json
from ..errors import UsageError


@dataclass
class TrainingState:
    """Everything that step n+1 depends on. Data and noise are functions of (seed, step), so they need no state."""

    model: torch.nn.Module
    average: dict[str, Tensor]
    optimizers: list[torch.optim.Optimizer]
    step: int = 0

    def save(self, run: Path, fingerprint: dict[str, Any]) -> None:
        """Write `run/state`; a kill at any moment leaves the old state or the new one."""
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.items()}
        for i, optimizer in enumerate(self.optimizers):
            for slot, values in optimizer.state_dict()["state"].items():
                tensors |= {f"optimizer.{i}.{slot}.{k}": torch.as_tensor(v) for k, v in values.items()}
        with replacing(run / "state") as fresh:
            save_file({k: v.detach().contiguous() for k, v in tensors.items()}, fresh / "state.safetensors")
            write_json(fresh / "state.json", {"step": self.step, "config": fingerprint})

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
        self.step = said["step"]
        return True


def recover(run: Path) -> bool:
    """Make the furthest whole state of a run its `run/state`, then delete what else kills left. False if there is none.

    Raises UsageError if `run/state` is broken and nothing can take its place.
    """
    state = run / "state"
    best = furthest(run)
    if step_in(best) < 0 and state.exists():
        raise UsageError(f"{state} cannot be read; delete it to begin from the start, or use another folder")
    if best != state:
        if state.exists():
            state.rename(Path(tempfile.mkdtemp(prefix=".state.old.", dir=run)) / "was")
        best.rename(state)
    leftovers = [*run.glob(".state.*")]
    if state.exists():  # which makes its checkpoint again
        leftovers += run.glob(".checkpoint.*")
    for leftover in leftovers:
        shutil.rmtree(leftover, ignore_errors=True)
    return state.exists()


def reached(run: Path) -> int:
    """The step that a run goes on from, 0 if it begins from the start; changes nothing."""
    return max(0, step_in(furthest(run)))


def furthest(run: Path) -> Path:
    """Where the furthest whole state of a run lies: `run/state`, or what a kill left beside it."""
    return max((run / "state", *run.glob(".state.*"), *run.glob(".state.old.*/was")), key=step_in)


def step_in(folder: Path) -> int:
    """The step of the state in `folder`, -1 if it is not whole: tensors that were cut do not open."""
    try:
        with safe_open(folder / "state.safetensors", "pt"):
            return int(json.loads((folder / "state.json").read_text(encoding="utf-8"))["step"])
    except (OSError, ValueError, KeyError, TypeError, SafetensorError):
        return -1
