"""The state of a run on disk: weights, their average, the optimizers, and the step. Written whole or not at all."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from .. import files
from ..errors import UsageError, quoted
from ..files import replacing, write_json
from ..validation import Range, check
from .muon import Muon

SLOTS: dict[type[torch.optim.Optimizer], tuple[str, ...]] = {  # what an optimizer keeps of each weight
    torch.optim.AdamW: ("step", "exp_avg", "exp_avg_sq"),
    Muon: ("momentum",),
}
SAID: dict[str, Any] = {
    "step": Annotated[int, Range(0, 2**53)],
    "seconds": Annotated[float, Range(0, 10**12)],
    "config": Mapping[str, Any],
}
REMEDY = "delete it to begin from the start, or use another folder"


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
        """Take up `run/state` if there is one. Raises UsageError if it is broken, or of another configuration."""
        if not recover(run):
            return False
        state = run / "state"
        said = stated(state)
        if changed := sorted(k for k in fingerprint if fingerprint[k] != said["config"].get(k)):
            raise UsageError(
                f"{run} holds a run with another {', '.join(changed)}; use another folder, or the configuration it had"
            )
        tensors = load_file(state / "state.safetensors")
        self._check(state, tensors, said["step"])
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
        self.step, self.seconds = said["step"], said["seconds"]
        return True

    def _check(self, state: Path, tensors: Mapping[str, Tensor], step: int) -> None:
        """Raise UsageError unless `tensors` are those of this model and its optimizers after `step` steps."""
        shapes = self._shapes()
        for name in dict.fromkeys((*shapes, *tensors)):
            if name not in tensors:
                raise UsageError(f"{state} lacks {quoted(name)}; {REMEDY}")
            if name not in shapes:
                raise UsageError(f"{state} holds {quoted(name)}, which is none of this run; {REMEDY}")
            value = tensors[name]
            if value.shape != shapes[name]:
                raise UsageError(
                    f"{state}: {quoted(name)} has shape {list(value.shape)}, and this run has {list(shapes[name])} "
                    f"there; {REMEDY}"
                )
            if not value.isfinite().all():
                raise UsageError(f"{state}: {quoted(name)} holds NaN or infinity; {REMEDY}")
            if name.endswith(".step") and value != step:
                raise UsageError(f"{state} is of step {step:,}, and {quoted(name)} is {value.item():g}; {REMEDY}")

    def _shapes(self) -> dict[str, torch.Size]:
        """The names and shapes of the tensors of a state."""
        shapes = {f"model.{k}": v.shape for k, v in self.model.state_dict().items()}
        shapes |= {f"average.{k}": v.shape for k, v in self.average.items()}
        for i, optimizer in enumerate(self.optimizers):
            weights = [weight for group in optimizer.param_groups for weight in group["params"]]
            for slot, weight in enumerate(weights):
                for key in SLOTS[type(optimizer)]:
                    shapes[f"optimizer.{i}.{slot}.{key}"] = torch.Size() if key == "step" else weight.shape
        return shapes


def recover(run: Path) -> bool:
    """Finish the save that a kill interrupted, and remove what else kills left. False if the run has no state yet.

    Raises UsageError if `run/state` is broken.
    """
    for name in ("state", "checkpoint"):
        files.recover(run / name)
    if not (run / "state").exists():
        return False
    stated(run / "state")
    return True


def reached(run: Path) -> int:
    """The step that a run goes on from, 0 if it begins from the start."""
    files.recover(run / "state")
    return max(0, step_in(run / "state"))


def step_in(folder: Path) -> int:
    """The step of the state in `folder`, -1 if it is not whole: tensors that were cut do not open."""
    try:
        return int(stated(folder)["step"])
    except UsageError:
        return -1


def stated(folder: Path) -> dict[str, Any]:
    """What the state in `folder` says beside its tensors: SAID. Raises UsageError if it is broken."""
    try:
        with safe_open(folder / "state.safetensors", "pt"):
            said = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, SafetensorError):
        raise UsageError(f"{folder} cannot be read; {REMEDY}") from None
    check(f"{folder}: state.json", said, Mapping[str, Any], UsageError, f"; {REMEDY}")
    for name, kind in SAID.items():
        check(f"{folder}: {name}", said.get(name), kind, UsageError, f"; {REMEDY}")
    return dict(said)
