"""What decoding costs: seconds, forwards, the wait for the first settled token."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from ..engine.engine import Engine
from ..engine.handle import Handle
from ..engine.requests import Request
from ..llm import LLM
from ..validation import Count, Range, Seconds
from .items import finished


@dataclass(frozen=True)
class Timing:
    """One pass over some requests: wall `seconds`, `tokens` kept, and the median wait of a row, from its first forward
    on, until its first decided position can no longer change."""

    seconds: Annotated[float, Range(1e-9, 10**9)]
    tokens: Count
    first: Seconds


def timed(llm: LLM, requests: Sequence[Request], rows: int) -> Timing:
    """Decode `requests`, `rows` of them side by side, on an engine of their own."""
    engine = Engine(llm.model, llm.text, max_rows=rows, max_waiting=len(requests), threads=llm.engine.threads)
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
