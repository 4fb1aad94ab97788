"""`remask doctor`: is everything there that a run needs? One line each."""

import os
import platform
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

from rich.text import Text

from .. import __version__
from .screen import label
from .screen import page as page_on

MARKS = {True: ("✓", "green"), None: ("!", "bold yellow"), False: ("✗", "bold red")}
SHARED = 0.2  # share of waiting; below 0.1 on an idle machine, 0.4 to 1 where another process holds a core


class Finding(NamedTuple):
    """One thing that was looked at."""

    good: bool | None  # None: a run works, but not as well as it could
    what: str
    said: str


def doctor() -> int:
    """Check Python, torch, the device, the caches and the bundled model; exit code 1 if something is broken."""
    console, broken = page_on(), 0
    for check in (python, torch_build, device, cores, precision, caches, bundled):
        for finding in looked(check):
            console.print(Text(*MARKS[finding.good]), label(finding.what, 10) + Text(finding.said), soft_wrap=True)
            broken += finding.good is False
    return 1 if broken else 0


def looked(check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """What a check finds; that it fails is a finding."""
    try:
        yield from check()
    except Exception as error:  # noqa: BLE001  # whatever is broken, the other lines are wanted
        yield Finding(False, check.__name__.replace("_build", ""), " ".join(f"{type(error).__name__}: {error}".split()))


def python() -> Iterator[Finding]:
    """The interpreter."""
    version = platform.python_version()
    good = sys.version_info >= (3, 11)
    yield Finding(good, "python", f"{version} on {platform.system()} {platform.machine()}, remask {__version__}")


def torch_build() -> Iterator[Finding]:
    """torch, and the packages that a checkpoint is read with."""
    import safetensors
    import tokenizers
    import torch

    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU build"
    beside = f"safetensors {safetensors.__version__}, tokenizers {tokenizers.__version__}"
    yield Finding(True, "torch", f"{torch.__version__}, {build}, {torch.get_num_threads()} threads; {beside}")


def device() -> Iterator[Finding]:
    """Where `--device auto` computes, and whether it does."""
    import torch

    from ..checkpoint.placement import choose_device

    where = choose_device("auto")
    name = torch.cuda.get_device_name(where) if where.type == "cuda" else f"{os.cpu_count()} cores"
    total = float(torch.ones(64, 64, device=where).matmul(torch.ones(64, 64, device=where)).sum())
    yield Finding(total == 64.0**3, "device", f"{where}, {name}")


def cores() -> Iterator[Finding]:
    """Whether each of torch's threads has a core of its own now."""
    import torch

    from ..engine.host import waiting_share

    threads = torch.get_num_threads()
    if threads == 1:
        yield Finding(True, "cores", "torch has one thread, which waits for no other")
    else:
        yield sharing(threads, waiting_share())


def sharing(threads: int, waiting: float) -> Finding:
    """What it means that `threads` lose the share `waiting` of their time at barriers."""
    if waiting <= SHARED:
        return Finding(True, "cores", f"each of torch's {threads} threads has one to itself")
    lost = f"{threads} threads lose {waiting:.0%} of their time waiting for each other"
    return Finding(None, "cores", f"another process holds a core: {lost}; end that process, or use --threads 1")


def precision() -> Iterator[Finding]:
    """Which numbers are native; without bf16, small models compute in float32."""
    import torch

    from ..checkpoint.placement import native_bfloat16

    native = torch.cuda.is_bf16_supported() if torch.cuda.is_available() else native_bfloat16()
    yield Finding(True, "bf16", "native" if native else "emulated; small models compute in float32")


def caches() -> Iterator[Finding]:
    """The hub's cache, and whether the hub may be asked."""
    from huggingface_hub import constants

    folder = constants.HF_HUB_CACHE
    there = next((up for up in _up(folder) if os.path.exists(up)), os.sep)
    off = "off (HF_HUB_OFFLINE)" if constants.HF_HUB_OFFLINE else "on"
    yield Finding(os.access(there, os.W_OK), "hub", f"{off}, cache {folder}")


def bundled() -> Iterator[Finding]:
    """The model inside the package, by an answer of eight tokens."""
    import remask

    llm = remask.load()
    done = llm.generate("Sort 3 1 2.", gen_length=8)
    size = llm.loaded.predictor.model.config.parameters
    yield Finding(True, "bundled", f"{size:,} parameters, {done.forwards} forwards in {done.seconds:.2f} s")


def _up(folder: str) -> Iterator[str]:
    while folder and folder != os.path.dirname(folder):
        yield folder
        folder = os.path.dirname(folder)
