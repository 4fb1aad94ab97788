"""The linear layers for inference: weights in a faster layout, or rounded to 8 bits.

A network is built of `nn.Linear` and trained with them. For inference each may be replaced by one of these layers. It
takes the same input, computes each row independently of the others, and puts its plain weight into `state_dict`.
"""

import platform
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import CheckpointError

Weights = Literal["plain", "packed", "int8", "int8-dynamic"]
AT_ONCE = 1024  # rows of an int8 weight to widen at a time, so that they stay in the processor's cache


def kind(weights: Weights, device: torch.device, dtype: torch.dtype) -> Weights:
    """Return the kind of weights that a model on `device` in `dtype` can have: plain for packed if there is no kernel.

    Raises CheckpointError for int8-dynamic if there is no kernel.
    """
    if weights == "int8-dynamic" and not (device.type == "cpu" and has_int8_kernel()):
        raise CheckpointError(f"int8-dynamic needs an x86 CPU and a torch with oneDNN, this is {device}; use int8")
    if weights == "packed" and not (device.type == "cpu" and has_packed_kernel(dtype)):
        return "plain"
    return weights


def convert(linear: nn.Linear, weights: Weights) -> nn.Module:
    """Return a layer that multiplies as `linear` does, with its weight of the kind `weights`; do not keep the original.

    plain         unchanged: the only kind that can be trained.
    packed        the same numbers in the layout that the processor multiplies fastest: oneDNN's own, or by columns;
                  the order of the sums differs.
    int8          8 bits a weight, one scale a row: half the memory of bf16 on any device, widened at each use.
    int8-dynamic  as int8, with each input row rounded to 8 bits too: twice as fast as bf16 on a CPU with oneDNN.
    """
    holders: dict[str, Callable[[nn.Linear], Held]] = {"packed": pack, "int8": Int8, "int8-dynamic": DynamicInt8}
    return holders[weights](linear) if weights in holders else linear


def held_bytes(network: nn.Module, dtype: torch.dtype, weights: Weights) -> int:
    """Return the bytes that the weights of a plain network take after conversion to `dtype` and the kind `weights`."""
    counted: set[nn.Parameter] = set()
    total = 0
    for module in network.modules():
        rounded = isinstance(module, nn.Linear) and weights.startswith("int8")
        size = getattr(module, "dtype", dtype).itemsize  # routers have their own dtype
        for name, weight in module.named_parameters(recurse=False):
            int8 = rounded and name == "weight"
            scale = len(weight) * (12 if weights == "int8-dynamic" else size)
            total += 0 if weight in counted and not int8 else weight.numel() + scale if int8 else weight.numel() * size
            counted.add(weight)
    return total


class Held(nn.Module, ABC):
    """A linear layer whose weight is not a parameter. `state_dict` holds the plain weight, as before the conversion."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.bias: nn.Parameter | None = linear.bias
        self.dtype = linear.weight.dtype

    @property
    @abstractmethod
    def weight(self) -> Tensor:
        """The plain weight (out, in) of the multiplication."""

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[prefix + "weight"] = self.weight


def pack(linear: nn.Linear) -> "Held":
    """Store the weight by columns if it is small and MKL has its fast path for that, else in oneDNN's layout.

    On a Xeon, columns take a quarter less time for the body of a small model; above about 1 M weights a matrix, oneDNN
    is faster (docs/log.md). In both layouts a row's result does not depend on the rows beside it.
    """
    small = linear.weight.dtype == torch.float32 and linear.weight.numel() < 2**20
    return Columns(linear) if small and has_intel_mkl() else PackedLinear(linear)


class Columns(Held):
    """A linear layer with its weight stored column by column."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear)
        self.columns = linear.weight.detach().t().contiguous().t()

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.columns, self.bias)

    @property
    def weight(self) -> Tensor:
        return self.columns


class PackedLinear(Held):
    """A linear layer with its weight in the block layout that oneDNN multiplies fastest."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear)
        self.packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), None)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, "none", [], "")
        return out

    @property
    def weight(self) -> Tensor:
        plain: Tensor = self.packed.to_dense()
        return plain


class Int8(Held):
    """A linear layer with 8 bits a weight and one scale for each of its rows; inputs and sums keep their dtype."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear)
        self.rounded, scale = round_rows(linear.weight.detach())
        self.scale = scale[:, None].to(self.dtype)

    def forward(self, x: Tensor) -> Tensor:
        parts = zip(self.rounded.split(AT_ONCE), self.scale.split(AT_ONCE), strict=True)
        out = torch.cat([F.linear(x, rounded * scale) for rounded, scale in parts], -1)
        return out if self.bias is None else out.add_(self.bias)

    @property
    def weight(self) -> Tensor:
        return self.rounded * self.scale


class DynamicInt8(Held):
    """A linear layer with 8 bits a weight and 8 bits an input: each input row is scaled by its own largest value.

    Whole numbers are summed exactly, so a row's result is the same to the last bit in any batch.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear)
        rounded, self.scale = round_rows(linear.weight.detach())
        self.packed = torch.ops.onednn.qlinear_prepack(rounded, None)
        self.zero = torch.zeros(len(rounded), dtype=torch.long)
        self.largest = 127 if torch.cpu._is_vnni_supported() else 63  # without VNNI the CPU sums pairs in 16 bits

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        scale = wide.abs().amax(-1, keepdim=True).clamp_(min=1e-30).div_(self.largest)
        middle = self.largest + 1
        steps = (wide / scale).round_().to(torch.int8).view(torch.uint8).add_(middle)  # unsigned around the middle
        out: Tensor = torch.ops.onednn.qlinear_pointwise(
            steps, 1.0, middle, self.packed, self.scale, self.zero, None, 1.0, 0, torch.float32, "none", [], ""
        )
        out = out.mul_(scale).to(x.dtype)
        return out if self.bias is None else out.add_(self.bias)

    @property
    def weight(self) -> Tensor:
        return (self.packed.to_dense().t() * self.scale[:, None]).to(self.dtype)


def round_rows(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Round `weight` (out, in) to whole numbers from -127 to 127; return them, and the scale (out,), float32, of each
    row."""
    scale = weight.abs().amax(-1).float().clamp(min=1e-30) / 127
    rounded = torch.empty_like(weight, dtype=torch.int8)
    for part, target, part_scale in zip(*(t.split(AT_ONCE) for t in (weight, rounded, scale)), strict=True):
        target.copy_((part / part_scale[:, None]).round_())
    return rounded, scale


@cache
def has_packed_kernel(dtype: torch.dtype) -> bool:
    """Return True if this torch on this processor multiplies packed weights of `dtype`."""
    try:
        torch.ops.mkldnn._reorder_linear_weight(torch.zeros(16, 16, dtype=dtype), None)
    except (AttributeError, RuntimeError):  # another build of torch, or a processor without such units
        return False
    return True


@cache
def has_intel_mkl() -> bool:
    """Return True if torch multiplies with MKL on an Intel processor; on others MKL takes slower paths."""
    try:
        processor = Path("/proc/cpuinfo").read_text()
    except OSError:
        processor = platform.processor()
    return torch.backends.mkl.is_available() and "GenuineIntel" in processor


@cache
def has_int8_kernel() -> bool:
    """Return True if this torch multiplies unsigned by signed bytes."""
    try:
        torch.ops.onednn.qlinear_prepack(torch.zeros(16, 16, dtype=torch.int8), None)
    except (AttributeError, RuntimeError):
        return False
    return True
