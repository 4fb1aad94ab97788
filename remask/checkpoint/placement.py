"""Where a model computes, and in which numbers."""

from pathlib import Path

import torch

from ..errors import CheckpointError, did_you_mean, quoted
from ..models.linear import Weights

DTYPES = {
    "float32": torch.float32,
    "fp32": torch.float32,
    "bfloat16": torch.bfloat16,
    "bf16": torch.bfloat16,
    "float16": torch.float16,
    "fp16": torch.float16,
}
QUANTIZE: dict[str, Weights] = {"none": "packed", "int8": "int8", "int8-dynamic": "int8-dynamic"}
SMALL = 100_000_000  # parameters; below, float32 costs little memory and gives the same answers on every processor


def choose_device(name: str = "auto") -> torch.device:
    """The device called `name`; `auto` is CUDA if there is any, else the CPU. Refuses what is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        raise CheckpointError(f"unknown device {quoted(name)}; use auto, cpu, cuda, cuda:1 or mps") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise CheckpointError(
            f"device {name!r} is not there: torch {torch.__version__} sees {torch.cuda.device_count()} CUDA devices; "
            "use cpu, or install the CUDA build of torch"
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise CheckpointError(f"device {name!r} is not there: torch {torch.__version__} sees no Apple GPU; use cpu")
    if device.type not in ("cpu", "cuda", "mps"):
        raise CheckpointError(f"device {name!r} is not supported; use auto, cpu, cuda, cuda:1 or mps")
    return device


def choose_dtype(name: str, stored: torch.dtype, device: torch.device, parameters: int) -> torch.dtype:
    """The dtype called `name`; `auto` is that on disk, but float32 for a small model on a CPU."""
    if name != "auto":
        if name not in DTYPES:
            raise CheckpointError(
                f"unknown dtype {quoted(name)}; use auto, {', '.join(DTYPES)}{did_you_mean(name, DTYPES)}"
            )
        return DTYPES[name]
    if stored == torch.float64 or (device.type == "cpu" and parameters < SMALL):
        return torch.float32
    return stored


def choose_weights(quantize: str | None) -> Weights:
    """How an answering model holds its matrices: None (or `none`) at full precision, else as quantised.

    Refuses other names.
    """
    if quantize is not None and quantize not in QUANTIZE:
        raise CheckpointError(
            f"unknown quantize {quoted(quantize)}; use {', '.join(QUANTIZE)}{did_you_mean(quantize, QUANTIZE)}"
        )
    return QUANTIZE[quantize or "none"]


def native_bfloat16() -> bool:
    """Whether this CPU multiplies in bf16 (AMX or AVX512-BF16) rather than emulating it."""
    return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()


def free_memory(device: torch.device) -> int | None:
    """Bytes that could be had on `device` now; None where nobody says. A container's limit counts."""
    if device.type == "cuda":
        return (
            torch.cuda.mem_get_info(device)[0]
            + torch.cuda.memory_reserved(device)
            - torch.cuda.memory_allocated(device)
        )
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory()
    if device.type != "cpu":
        return None
    free = [int(line.split()[1]) << 10 for line in _lines("/proc/meminfo") if line.startswith("MemAvailable:")]
    group = Path("/sys/fs/cgroup")  # version 2; the older one is not read
    limit, used = _lines(group / "memory.max"), _lines(group / "memory.current")
    if limit and used and limit[0].isdigit():
        cached = [int(line.split()[1]) for line in _lines(group / "memory.stat") if line.startswith("inactive_file ")]
        free.append(int(limit[0]) - int(used[0]) + sum(cached))
    return max(0, min(free)) if free else None


def _lines(path: str | Path) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
