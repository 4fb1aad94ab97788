"""Everything that Remask raises on purpose.

RemaskError
├── UsageError            what was asked for cannot be done as asked (exit code 2 on the command line)
│   ├── RecipeError       a recipe value is unknown, out of range, or does not fit the model
│   ├── RequestError      a prompt, template, length or seed is unusable
│   └── CheckpointError   a model folder, file, field or tensor is missing, broken or unsupported
├── BusyError             the engine's queue is full: try again later
└── RowError              one row's numbers broke (NaN, +inf, nothing to choose from); its neighbours go on

Every message quotes the value, the bound and the remedy, in one line.
"""

from math import isfinite


class RemaskError(Exception):
    """Base of everything that Remask raises on purpose."""


class UsageError(RemaskError, ValueError):
    """What was asked for cannot be done as asked; the message says what would."""


class RecipeError(UsageError):
    """A recipe value is unknown, out of range, contradictory, or does not fit the model."""


class RequestError(UsageError):
    """A prompt, template, length, seed or stop condition is unusable."""


class CheckpointError(UsageError):
    """A model folder, file, configuration field or tensor is missing, broken or unsupported."""


class BusyError(RemaskError):
    """The engine's queue is full; nothing was accepted."""


class RowError(RemaskError):
    """One row's logits broke at `step`, `position`; the other rows of the batch are not affected."""

    def __init__(self, message: str, *, step: int, position: int) -> None:
        super().__init__(message)
        self.step = step
        self.position = position


def bounded(what: str, value: float, low: float, high: float, hint: str) -> None:
    """Refuse a value of a recipe that does not lie in [low, high]. Raises RecipeError."""
    if not (isfinite(value) and low <= value <= high):
        raise RecipeError(f"{what} must lie in [{low:g}, {high:g}], got {value}; {hint}")
