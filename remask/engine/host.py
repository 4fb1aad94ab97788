"""What the engine asks of the host process: CPU threads for a step, and the habits of the C allocator.

torch shares an operator among threads that meet at its end, a barrier. Where another process holds a core, one of them
cannot run there, and the others wait: time is lost at each barrier, and a step has hundreds. One thread waits for none.
"""

import ctypes
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ..errors import UsageError, quoted
from ..validation import fits

TINY = 10_000_000  # parameters; below, threads wait for each other longer than they compute
SHARE_OF_A_THREAD = 32_768  # elements; torch gives a thread no fewer
LONG = 1e-3  # seconds; where each thread has a core, a tiny sum takes a fiftieth of it
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3


def default_threads(device: torch.device, parameters: int) -> int:
    """CPU threads that suit a model of so many parameters: one for a tiny model on a CPU, else as many as torch has."""
    return 1 if device.type == "cpu" and parameters < TINY else torch.get_num_threads()


def check_threads(threads: int | None) -> None:
    """Refuse a number of threads that this machine does not have; None is no number. Raises UsageError."""
    if threads is None:
        return
    if not fits(threads, int):
        raise UsageError(f"threads must be a whole number, got {quoted(threads)}")
    remedy = "leave it out for the number that suits the model"
    if threads < 1:
        raise UsageError(f"threads must be at least 1, got {threads}; {remedy}")
    most = max(os.cpu_count() or 1, torch.get_num_threads())
    if threads > most:
        raise UsageError(f"threads must be at most {most}, the cores of this machine, got {threads}; {remedy}")


@contextmanager
def thread_limit(threads: int) -> Iterator[None]:
    """Compute with so many CPU threads inside; outside, and after an error, the calling thread has its own number.

    The number belongs to the calling thread: what others compute at the same time keeps theirs. A thread that uses
    torch for the first time meanwhile takes the limit over as its own number, as torch hands on the last one set.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def waiting_share(seconds: float = 0.2) -> float:
    """Share in [0, 1] of the time that torch's threads lose at barriers, in tiny sums for so many seconds.

    A sum counts as lost if it takes more than a millisecond. Near 0 where each thread has a core of its own.
    """
    ones = torch.ones(SHARE_OF_A_THREAD * torch.get_num_threads())
    ones.sum()  # starts the threads
    lost, now = 0.0, time.perf_counter()
    began, end = now, now + seconds
    while now < end:
        ones.sum()
        before, now = now, time.perf_counter()
        lost += now - before if now - before > LONG else 0.0
    return lost / (now - began)


def keep_freed_memory() -> None:
    """Let glibc keep what is freed instead of handing it back at once. For programs; an import never calls it.

    A forward frees and allocates the same activations again and again; with the default thresholds each of them costs
    page faults, which is a third of a small model's step. Does nothing where the allocator is another one.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(M_MMAP_THRESHOLD, 1 << 30)
    mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)
    mallopt(M_TOP_PAD, 64 << 20)
