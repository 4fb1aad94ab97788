"""What a batch will need in memory, counted before anything is computed; and what it then took.

The engine admits rows by this count, and `remask plan` prints it for a model that is not loaded: one arithmetic, held
to what is measured. Bytes of tensors only; the interpreter, torch and a device's own context come on top.
"""

import sys
import weakref
from bisect import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from ..decoding.propose import ROWS_AT_ONCE
from ..models.contract import Predictor
from .row import Row, alike
from .step import LOGITS_AT_ONCE


@dataclass(frozen=True)
class Footprint:
    """Bytes that live rows take besides the model's weights. Activations are gone when the logits are made."""

    store: int  # keys and values that outlive a step
    activations: int  # of the layer that takes most
    logits: int  # of the reads that are looked at together, with what is made of them

    @property
    def peak(self) -> int:
        """The most that is there at once."""
        return self.store + max(self.activations, self.logits)


def footprint(rows: Sequence[Row], model: Predictor, reserved: tuple[int, int] = (0, 0)) -> Footprint:
    """What `rows` take when they take their widest step side by side on `model`.

    They share one store, as wide as its longest row; `reserved` entries and slots it has already.
    """
    entries = max(reserved[0], sum(row.streams for row in rows if len(row.written)))
    slots = max([reserved[1], *(len(row.written) for row in rows)])
    masks = sum(row.streams * row.widest**2 for row in rows if row.masked)  # one byte a pair
    return Footprint(
        store=entries * slots * model.bytes_per_slot(),
        activations=model.activation_bytes(sum(row.streams * row.widest for row in rows)) + masks,
        logits=max((_logits([rows[i] for i in group], model.contract.vocab_size) for group in alike(rows)), default=0),
    )


def _logits(rows: Sequence[Row], vocabulary: int) -> int:
    """Bytes of deciding for rows of one recipe: the worst of the stages of `sampler.look`, in tensors (reads, V)."""
    recipe, process = rows[0].recipe, rows[0].recipe.process
    reads = sum(max(map(len, row.windows)) for row in rows)
    at_once = min(reads, max(1, LOGITS_AT_ONCE // vocabulary))
    apart = process.scores == "processed"  # scores other than the logits
    guiding = 4.25 if recipe.guidance.cfg_scale else 1  # two streams, difference, result, a mask
    filtering = 1.25 * (process.top_k is not None) + 6 * (process.top_p is not None)  # sorted, index, sums
    drawing = 1 + apart + (filtering if process.temperature else 0)
    tempering = apart * (3 + (process.top_k is not None or process.top_p is not None))  # kept, shifted, divided
    noise = min(at_once, ROWS_AT_ONCE) * 8 if process.temperature else 0  # four of float64
    looking = 4 if recipe.confidence == "entropy" else 3 if "entropy" in recipe.wants else 2
    scoring = looking + apart + (process.compat == "llada")
    whole = max(at_once * max(guiding, tempering, scoring), at_once * drawing + noise)
    return int(4 * vocabulary * whole)


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes of tensors at the peak, by what they are for, of `batch` answers on canvases of `context` positions.

    `free` is what there is, where that is known, and the largest context and batch are what would fit. `runtime` is
    what the process takes besides: Python, torch, libraries. `measured` is the peak that a real step reached.
    """

    model: str
    parameters: int
    device: str
    dtype: str
    context: int
    batch: int
    cache: str
    weights: int
    store: int
    activations: int
    logits: int
    peak: int
    free: int | None
    largest_context: int | None
    largest_batch: int | None
    runtime: int | None
    measured: int | None = None

    @property
    def fits(self) -> bool:
        """Whether the peak is within what is free, as far as that is known."""
        return self.free is None or self.peak <= self.free


def largest(fits: Callable[[int], bool], low: int, high: int) -> int:
    """The largest number from `low` to `high` that fits, if all below it do; 0 if none does."""
    if not fits(low):
        return 0
    while 2 * low <= high and fits(2 * low):  # so that no number is asked that is far too large
        low *= 2
    return low + bisect(range(low + 1, min(high, 2 * low - 1) + 1), False, key=lambda n: not fits(n))


def resident_bytes() -> int | None:
    """Bytes of this process that were in memory at most, None where nobody says."""
    try:
        import resource
    except ImportError:
        return None
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(used) if sys.platform == "darwin" else used << 10


def peak_bytes(device: torch.device, work: Callable[[], Any]) -> int:
    """Bytes of tensors that `work` makes and holds at most at any one time; what was there before does not count.

    On a CUDA device as its allocator counts them, temporaries of the kernels included; elsewhere by the operators'
    results, which is the same in every run.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        return torch.cuda.max_memory_allocated(device) - before
    with LiveTensors() as live:
        work()
    return live.peak


class LiveTensors(TorchDispatchMode):
    """Counts the bytes of storages that operators make, from their birth to their release."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self.known: dict[int, weakref.ref[Any]] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: to skip it, torch would import it, which takes seconds."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operator; what its inputs hold was there before, what else it returns is new."""
        self._meet((args, kwargs), count=False)
        result = func(*args, **(kwargs or {}))
        self._meet(result, count=True)
        return result

    def _meet(self, values: Any, count: bool) -> None:
        if isinstance(values, torch.Tensor) and values.layout == torch.strided:  # packed weights show no storage
            if values.device.type == "meta":
                return
            storage = values.untyped_storage()
            key, size = storage._cdata, storage.nbytes() if count else 0
            if key not in self.known:
                self.known[key] = weakref.ref(storage, lambda _: self._release(key, size))
                self.now += size
                self.peak = max(self.peak, self.now)
        elif isinstance(values, dict):
            self._meet(list(values.values()), count)
        elif isinstance(values, list | tuple):
            for value in values:
                self._meet(value, count)

    def _release(self, key: int, size: int) -> None:
        del self.known[key]
        self.now -= size
