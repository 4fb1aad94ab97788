"""What decoding costs: seconds, forwards, the wait for the first settled token, and the memory in use at most."""

import statistics
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from ..engine import Engine, Handle, Request
from ..llm import LLM
from .items import finished


@dataclass(frozen=True)
class Timing:
    """One pass over some requests: wall `seconds`, `tokens` kept, and the median wait of a row, from its first forward
    on, until its first decided position can no longer change."""

    seconds: float
    tokens: int
    first: float


def timed(llm: LLM, requests: Sequence[Request], rows: int) -> Timing:
    """Decode `requests`, `rows` of them side by side, on an engine of their own."""
    engine = Engine(llm.model, llm.text, max_rows=rows, max_waiting=len(requests))
    began = time.perf_counter()
    handles = [engine.submit(request) for request in requests]
    waits = [first_settled(handle) for handle in handles]
    seconds = time.perf_counter() - began  # every step copies to the host, so the device has no work left
    return Timing(seconds, sum(len(finished(handle).tokens) for handle in handles), statistics.median(waits))


def first_settled(handle: Handle) -> float:
    """Seconds from the row's first forward until the first position it was to decide is settled, or until its end."""
    start = handle.request.tokens.index(None)
    waits = [step.seconds for step in handle if step.settled > start]
    return waits[0] if waits else handle.completion().seconds


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

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operator; what its inputs hold was there before, what else it returns is new."""
        self._meet((args, kwargs), count=False)
        result = func(*args, **(kwargs or {}))
        self._meet(result, count=True)
        return result

    def _meet(self, values: Any, count: bool) -> None:
        if isinstance(values, torch.Tensor) and values.layout == torch.strided:  # packed weights show no storage
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
