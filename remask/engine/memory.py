"""The memory of a batch: a count before anything is computed, and a measurement of what it then takes.

The engine admits rows by this count, and `remask plan` prints it for a model that is not loaded. Tests compare the
count with the measurement. Both are bytes of tensors; the interpreter, torch and a device's context are extra.
"""

import sys
import weakref
from bisect import bisect
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from ..decoding.propose import ROWS_AT_ONCE
from ..decoding.scan import LOGITS_AT_ONCE, reduced_at_once
from ..models.contract import Predictor
from ..models.tiles import tallest
from .row import Row, together
from .slab import slab_length


@dataclass(frozen=True)
class Footprint:
    """Bytes that live rows take beside the model's weights. Activations are free before the logits are made."""

    store: int  # keys and values that outlive a step
    activations: int  # of the layer that takes the most
    logits: int  # of the reads that are decided together, and the tensors computed from them

    @property
    def peak(self) -> int:
        """The largest number of bytes at one time."""
        return self.store + max(self.activations, self.logits)


def footprint(rows: Sequence[Row], model: Predictor, entries: Mapping[int, int] | None = None) -> Footprint:
    """Return the footprint of `rows` that take their widest step together on `model`.

    Each stores a slot for each of its positions, their number rounded, and one more for what is not kept; `entries` are
    what the slabs have already, by length, whether rows use them or not.
    """
    used: Counter[int] = Counter()
    for row in rows:
        used[slab_length(row)] += row.streams
    slots = sum((length + 1) * count for length, count in (used | Counter(entries or {})).items() if length)
    masks = sum(row.streams * row.width.queries**2 for row in rows if row.width.masked)  # one byte a pair
    return Footprint(
        store=slots * model.bytes_per_slot(),
        activations=model.activation_bytes(sum(row.streams * row.width.queries for row in rows)) + masks,
        logits=max((_logits(members, model) for members in together(rows)), default=0),
    )


def _logits(rows: Sequence[Row], model: Predictor) -> int:
    """Return the bytes of deciding for rows of one recipe: what the head makes, and the largest stage of `reduce` for
    the part of it that is reduced at a time; in tensors (reads, V)."""
    recipe, process, vocabulary = rows[0].recipe, rows[0].recipe.process, model.contract.vocab_size
    reads = sum(max(map(len, row.windows)) for row in rows)
    made = tallest(reads, max(1, LOGITS_AT_ONCE // vocabulary))
    at_once = tallest(made, max(1, reduced_at_once(model.device) // vocabulary))
    guided = bool(recipe.guidance.cfg_scale)
    guiding = 2.25 * guided  # beside the two streams: difference, result, a mask
    separate = process.scores == "processed"  # scores are a tensor beside the logits
    filtering = 1.25 * (process.top_k is not None) + 6 * (process.top_p is not None)  # sorted, index, sums
    drawing = separate + (filtering if process.temperature else 0)
    tempering = separate * (2 + (process.top_k is not None or process.top_p is not None))  # kept, shifted, divided
    noise = min(at_once, ROWS_AT_ONCE) * 8 if process.temperature else 0  # four of float64
    reducing = 3 if recipe.confidence == "entropy" else 2 if "entropy" in recipe.wants else 1
    scoring = reducing + separate
    filtered = process.top_k is not None or process.top_p is not None
    tabling = 1.3 + separate + (process.temperature > 0) * (1.2 + 1.5 * filtered)  # the members of a bucket of classes
    tabling *= any(row.proposer is not None for row in rows)
    stage = max(at_once * max(tempering, scoring, tabling), at_once * drawing + noise)
    changes = guided or recipe.history.memory[1] or process.suppress or process.logits_eos_inf
    copied = at_once * bool(changes or process.confidence_eos_eot_inf)
    return int(4 * vocabulary * (made * (1 + guided) + max(at_once * guiding, copied + stage)))


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes of tensors at the peak, by their use, for `batch` answers on canvases of `context` positions.

    `free` is the free memory, if known; the largest context and batch are those that fit into it. `runtime` is what
    the process takes beside the tensors: Python, torch, libraries. `measured` is the peak of a real step.
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
        """True if the peak is within the free memory, or if that is not known."""
        return self.free is None or self.peak <= self.free


def largest(fits: Callable[[int], bool], low: int, high: int) -> int:
    """Return the largest number from `low` to `high` that fits, where all below it fit too; 0 if none does."""
    if not fits(low):
        return 0
    while 2 * low <= high and fits(2 * low):  # so that `fits` never gets a number that is far too large
        low *= 2
    return low + bisect(range(low + 1, min(high, 2 * low - 1) + 1), False, key=lambda n: not fits(n))


def resident_bytes() -> int | None:
    """Return the peak of this process's resident memory, in bytes, or None where the system does not report it."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) if sys.platform == "darwin" else peak << 10


def peak_bytes(device: torch.device, work: Callable[[], Any]) -> int:
    """Run `work`, and return the largest number of bytes of tensors of its own that it holds at one time.

    On a CUDA device its allocator counts, which includes temporaries of the kernels. Elsewhere the results of the
    operators are counted, so the number is the same in every run.
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
    """A count of the bytes of storages that operators make, each from its creation to its release."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self.known: dict[int, weakref.ref[Any]] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Return False: to skip dynamo, torch would import it, which takes seconds."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operator. The storages of its inputs are old and do not count; all others that it returns do."""
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
