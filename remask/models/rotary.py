"""Rotary positions, also beyond the length that a model is trained on: one value, chosen for each request.

The angle of pair i of a head's features is `position · θ^(-2i/d)`. In training, a pair whose period fits into the
training length T takes every angle; a slower pair does not. At distances that bring a slow pair to a new angle,
attention fails. NTK scaling multiplies θ by λ, so that the slowest pair that took every angle spans the new length
(scaling laws of arXiv 2310.05209; for diffusion models LongLLaDA, arXiv 2506.14429). UltraLLaDA (arXiv 2510.10481)
counts distances in both directions. No weight changes. Tables are float32, as in the published models.

A row stores its keys after their rotation, so it keeps one scaling for its life.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from ..errors import RecipeError, did_you_mean, quoted
from ..exactness import Exactness

SPANS = {"ntk": 1, "ntk-diffusion": 2}  # training lengths that the distances in training cover
SHORT = 0.9  # up to this share of T, auto does not scale
STOPS = (2, 3, 4, 6)  # lengths, in T, for which auto scales: on LLaDA these are λ = 4, 8, 14 and 31
CEILING = STOPS[-1]  # beyond it retrieval fails without training, for any λ (LongLLaDA, Fig. 6)
FARTHEST = 32  # length, in T, up to which an explicit factor is allowed


@dataclass(frozen=True)
class Rotation:
    """The rotation of one row's queries and keys: radians a position for each pair, and a factor on both."""

    frequencies: tuple[float, ...]  # (dim/2,) float32
    amplitude: float = 1.0  # attention scores are multiplied by its square


# --- the methods: frequencies (dim/2,) and amplitude of a row of `length` tokens ---


def plain(base: float, dim: int) -> Tensor:
    """Return the frequencies θ^(-2i/d) (dim/2,) in float32, computed as in the published models."""
    return 1.0 / base ** (pairs(dim) * 2 / dim)


def pairs(dim: int) -> Tensor:
    """Return 0 … dim/2 - 1 in float32, on the CPU even if the default device is another one."""
    return torch.arange(dim // 2, dtype=torch.float32, device="cpu")


def ntk(rope: "Rope", rotary: "Rotary", length: int) -> tuple[Tensor, float]:
    """Multiply θ by λ."""
    return plain(rotary.base * rope.times, rotary.dim), 1.0


def linear(rope: "Rope", rotary: "Rotary", length: int) -> tuple[Tensor, float]:
    """Interpolate positions (arXiv 2306.15595)."""
    return plain(rotary.base, rotary.dim) / rope.times, 1.0


def dynamic(rope: "Rope", rotary: "Rotary", length: int) -> tuple[Tensor, float]:
    """Apply NTK by length, as transformers' `dynamic`; the length is that of the canvas, which does not change."""
    grown = rope.times * max(length / rotary.trained, 1.0) - (rope.times - 1)
    return plain(rotary.base * grown ** (rotary.dim / max(rotary.dim - 2, 1)), rotary.dim), 1.0


def yarn(rope: "Rope", rotary: "Rotary", length: int) -> tuple[Tensor, float]:
    """Interpolate slow pairs, with a linear ramp to fast ones (arXiv 2309.00071, §3.2; its softmax, §3.4)."""
    ends = [rotary.dim / 2 * math.log(rotary.trained / (2 * math.pi * n), rotary.base) for n in rope.turns]
    low, high = (math.floor(ends[0]), math.ceil(ends[1])) if rope.truncate else ends
    low, high = max(low, 0), min(high, rotary.dim - 1)
    ramp = ((pairs(rotary.dim) - low) / max(high - low, 1e-3)).clamp(0, 1)
    amplitude = yarn_amplitude(rope.times) if rope.attention is None else rope.attention
    return slowed(plain(rotary.base, rotary.dim), ramp, rope.times), amplitude


def slowed(frequencies: Tensor, share: Tensor, factor: float) -> Tensor:
    """Divide each of `frequencies` (dim/2,) by `factor`, by its `share` (dim/2,) from 0 (not at all) to 1 (in full)."""
    return (frequencies.double() * (1 - share.double() * (1 - 1 / factor))).float()


def yarn_amplitude(factor: float, weight: float = 1.0) -> float:
    """Return YaRN's factor on queries and keys: 0.1 ln s + 1."""
    return 0.1 * weight * math.log(factor) + 1.0 if factor > 1 else 1.0


def llama3(rope: "Rope", rotary: "Rotary", length: int) -> tuple[Tensor, float]:
    """Interpolate slow pairs, with a ramp in turns, as in Llama 3.1."""
    frequencies, (fast, slow) = plain(rotary.base, rotary.dim), rope.turns
    share = ((rotary.trained * frequencies / (2 * math.pi) - slow) / (fast - slow)).clamp(0, 1)
    return slowed(frequencies, 1 - share, rope.times), 1.0


METHODS: dict[str, Callable[["Rope", "Rotary", int], tuple[Tensor, float]]] = {
    "none": ntk, "ntk": ntk, "ntk-diffusion": ntk, "linear": linear, "yarn": yarn, "dynamic": dynamic, "llama3": llama3,
}  # fmt: skip
ONLY_FOR = {  # detail -> the methods that use it; the others refuse it
    "margin": ("ntk", "ntk-diffusion"), "fast": ("yarn", "llama3"), "slow": ("yarn", "llama3"),
    "attention": ("yarn",), "truncate": ("yarn",),
}  # fmt: skip


@dataclass(frozen=True)
class Rope:
    """A scaling of rotary positions: a method, its factor, a few details. Its text form is as in `ntk:auto,margin=1.5`.

    none           the model's own positions, with the scaling in its checkpoint.
    ntk            θ times `factor` (λ); without a factor (auto) λ follows from the length of the canvas.
    ntk-diffusion  the same, with λ from distances in both directions (2T for T).
    linear         positions divided by `factor`.
    yarn           the same for slow pairs alone, and a sharper softmax.
    dynamic, llama3  as defined by the checkpoints that use them.

    auto scales for `margin` times the length; `trained` overrides the checkpoint's T; `log_n` multiplies attention
    scores by ln L / ln T where that is above 1. Under yarn and llama3, pairs with more than `fast` turns within T keep
    their frequency, and pairs with fewer than `slow` are scaled in full; `truncate` rounds yarn's ramp to whole pairs,
    `attention` overrides its factor on queries and keys. Raises RecipeError for values that do not fit together.
    """

    method: str = "none"
    factor: float | None = None
    margin: float = 1.0
    trained: int | None = None
    log_n: bool = False
    fast: float | None = None
    slow: float | None = None
    attention: float | None = None
    truncate: bool = True

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            near = did_you_mean(self.method, METHODS)
            raise RecipeError(f"unknown rope {quoted(self.method)}; known: {', '.join(METHODS)}{near}")
        if self.method == "none" and self.factor is not None:
            raise RecipeError(f"rope none takes no factor, got {self.factor:g}; name a method, as in ntk:4")
        if self.method not in ("none", *SPANS) and self.factor is None:
            raise RecipeError(f"rope {self.method} needs a factor, as in {self.method}:2; ntk alone has auto")
        for f in fields(self):
            methods = ONLY_FOR.get(f.name, (self.method,))
            if self.method not in methods and getattr(self, f.name) != f.default:
                raise RecipeError(f"rope {self.method} takes no {f.name}; it goes with {' and '.join(methods)}")
        if self.margin != 1 and not self.automatic:
            raise RecipeError(f"margin is what {self.method}:auto makes room for; leave it out, or the factor")
        self._bounded("factor", 1, 1e6, "θ is multiplied by it, or positions divided")
        self._bounded("margin", 1, CEILING, "1 suits retrieval, 1.5 aggregation")
        self._bounded("trained", 8, 2**31, "the length, in tokens, that the model was trained on")
        for name in ("fast", "slow", "attention"):
            self._bounded(name, 1e-3, 1e6, "leave it out for the method's own")
        if not self.turns[1] < self.turns[0]:
            raise RecipeError(f"slow must be below fast, got {self.turns[1]:g} and {self.turns[0]:g}")

    def _bounded(self, name: str, low: float, high: float, hint: str) -> None:
        value = getattr(self, name)
        if value is not None and not low <= value <= high:
            bounds = f"{low:g} to {high:g}"
            raise RecipeError(f"{name} of rope {self.method} must lie in {bounds}, got {quoted(value)}; {hint}")

    @classmethod
    def of(cls, value: Any) -> "Rope":
        """Return a `Rope` as it is, or read one from `METHOD[:FACTOR|:auto][,NAME[=VALUE]…]`. Raises RecipeError."""
        if isinstance(value, cls):
            return value
        if not isinstance(value, str):
            raise RecipeError(f"rope must be text such as 'ntk:auto' or 'yarn:2', got {quoted(value)}")
        return cls._parse(value)

    @classmethod
    def _parse(cls, text: str) -> "Rope":
        head, *details = text.split(",")
        method, _, factor = head.partition(":")
        values: dict[str, Any] = {"method": method}
        if factor == "auto" and method in METHODS and method not in SPANS:
            raise RecipeError(f"rope {quoted(text)}: {method} has no auto; it goes with {' and '.join(SPANS)}")
        if ":" in head and factor != "auto":
            details.append(f"factor={factor}")
        for detail in details:
            name, _, value = detail.partition("=")
            if name not in _READ:
                known = ", ".join(_READ) + did_you_mean(name, _READ)
                raise RecipeError(f"rope {quoted(text)}: unknown detail {quoted(name)}; known: {known}")
            try:
                values[name] = _READ[name](value)
            except (ValueError, KeyError):
                raise RecipeError(f"rope {quoted(text)}: cannot read {quoted(value)} as its {name}") from None
        return cls(**values)

    def __str__(self) -> str:
        factor = "" if self.method == "none" else ":auto" if self.factor is None else f":{self.factor:.10g}"
        stated = {f.name: getattr(self, f.name) for f in fields(self)[2:] if getattr(self, f.name) != f.default}
        details = [name if value is True else f"{name}={str(value).lower()}" for name, value in stated.items()]
        return ",".join((self.method + factor, *details))

    @property
    def exactness(self) -> Exactness:
        """Exact if the rotation is the model's own."""
        plain = self.method == "none" or (self.method in SPANS and self.factor == 1)
        return Exactness.EXACT if plain and not self.log_n else Exactness.APPROXIMATE

    @property
    def automatic(self) -> bool:
        """True if the factor follows from the length."""
        return self.method in SPANS and self.factor is None

    @property
    def times(self) -> float:
        """The factor, or 1 if there is none."""
        return 1.0 if self.factor is None else self.factor

    @property
    def turns(self) -> tuple[float, float]:
        """`fast` and `slow`, each the method's own unless stated."""
        fast, slow = (4.0, 1.0) if self.method == "llama3" else (32.0, 1.0)
        return fast if self.fast is None else self.fast, slow if self.slow is None else self.slow

    def fit(self, rotary: "Rotary | None", length: int) -> "Rope":
        """Return the value for a canvas of `length` tokens, with `auto` resolved. Raises RecipeError if the model does
        not take it."""
        if self == NONE:
            return self
        if rotary is None:
            raise RecipeError(f"this model has no rotary positions that rope {self} could scale; leave it out")
        if "none" not in (self.method, rotary.scaling.method):
            raise RecipeError(
                f"the checkpoint has a scaling of its own, {rotary.scaling}, and takes no {self.method}; leave rope out"
            )
        rotary = rotary.of(self)
        fitted = replace(self, log_n=self.log_n and length > rotary.trained)
        return replace(fitted, factor=rotary.auto(self, length), margin=1.0) if self.automatic else fitted

    def rotation(self, rotary: "Rotary | None", length: int) -> Rotation | None:
        """Return the rotation of a row of `length` tokens, or None if it is the model's own."""
        fitted = self.fit(rotary, length)
        if rotary is None:
            return None
        rotation = _rotation(fitted, rotary, length)
        return None if rotation == rotary.own else rotation

    def context(self, rotary: "Rotary | None", max_positions: int) -> int:
        """Return the longest canvas, in tokens, that this value allows."""
        if rotary is None or self.method == "none":
            return max_positions
        return max(max_positions, (CEILING if self.automatic else FARTHEST) * rotary.of(self).trained)

    def warnings(self, rotary: "Rotary | None", length: int) -> tuple[str, ...]:
        """Return the warnings for a canvas of `length` tokens under this value, before `fit`; mostly none."""
        if rotary is None:
            return ()
        extent = Extent.of(self.fit(rotary, length), rotary)
        if self.automatic and length > SHORT * extent.trained and self.margin * length > CEILING * extent.trained:
            cause = f"{self} stays at λ = {extent.factor:g}: {self.margin:g} × {length:,} tokens are more than "
            return (cause + f"{CEILING} × {extent.trained:,}, the most that works without training",)
        if length > extent.reach:
            cause = f"the canvas has {length:,} tokens and {extent.rope} reaches {extent.reach:,}; "
            return (cause + "what lies further apart is likely to be lost",)
        return ()


NONE = Rope()


def _flag(text: str) -> bool:
    return {"": True, "true": True, "false": False}[text]


_READ: dict[str, Callable[[str], Any]] = {
    "factor": float, "margin": float, "trained": int, "log_n": _flag, "fast": float, "slow": float, "attention": float,
    "truncate": _flag,
}  # fmt: skip


@dataclass(frozen=True)
class Rotary:
    """The rotary positions of a model: base θ, rotary features of a head, training length T, its own scaling."""

    base: float
    dim: int
    trained: int
    scaling: Rope = NONE

    def of(self, rope: Rope) -> "Rotary":
        """Return the same with the training length of `rope`, if it states one."""
        return self if rope.trained is None else replace(self, trained=rope.trained)

    @property
    def own(self) -> Rotation:
        """The rotation of the model within its training length."""
        return _rotation(NONE, self, self.trained)

    def extra(self, spans: int = 1) -> int:
        """Return d_extra: the number of features whose period fits into `spans` training lengths."""
        pairs = math.ceil(self.dim / 2 * math.log(spans * self.trained / (2 * math.pi), self.base))
        return 2 * min(max(pairs, 1), self.dim // 2)

    def scale(self, length: float, spans: int = 1) -> float:
        """Return λ for `length` tokens, not rounded: with it the slowest pair within d_extra has that period."""
        return (spans * length / (2 * math.pi)) ** (self.dim / self.extra(spans)) / self.base

    def reach(self, scale: float, spans: int = 1) -> int:
        """Return the tokens that λ = `scale` spans: the inverse of the method `scale`."""
        return int(2 * math.pi / spans * (scale * self.base) ** (self.extra(spans) / self.dim))

    def auto(self, rope: Rope, length: int) -> float:
        """Return λ for a canvas of `length` tokens: 1 if the model spans it, else the λ of the next of STOPS."""
        spans, target = SPANS[rope.method], rope.margin * length
        if length <= SHORT * self.trained or self.scale(target, spans) <= 1:
            return 1.0
        stop = next((stop for stop in STOPS if target <= stop * self.trained), CEILING)
        return float(max(1, math.ceil(self.scale(stop * self.trained, spans))))


@lru_cache(maxsize=1024)
def _rotation(rope: Rope, rotary: Rotary, length: int) -> Rotation:
    scaling = rotary.scaling if rope.method == "none" else rope
    frequencies, amplitude = METHODS[scaling.method](scaling, rotary.of(scaling), length)
    if rope.log_n:
        amplitude *= max(1.0, math.log(length) / math.log(rotary.of(rope).trained)) ** 0.5
    return Rotation(tuple(frequencies.tolist()), amplitude)


@dataclass(frozen=True)
class Extent:
    """The effect of a resolved scaling on a model: T, d_extra, λ (or the divisor), and the tokens that it spans."""

    rope: str
    trained: int
    d_extra: int
    factor: float
    reach: int

    @classmethod
    def of(cls, rope: Rope, rotary: Rotary) -> "Extent":
        """Return the extent of `rope`, or of the checkpoint's own scaling if the method of `rope` is none."""
        scaling = rotary.scaling if rope.method == "none" else rope
        rotary, spans = rotary.of(scaling).of(rope), SPANS.get(scaling.method, 1)
        by_theta = scaling.method == "none" or scaling.method in SPANS
        reach = rotary.reach(scaling.times, spans) if by_theta else int(scaling.times * rotary.trained)
        return cls(str(rope), rotary.trained, rotary.extra(spans), scaling.times, reach)


@dataclass(frozen=True)
class Rotations:
    """The rotations of a packed batch of N rows: U distinct ones, and for each row the index of its own."""

    frequencies: Tensor  # (U, dim/2)
    amplitude: Tensor  # (U,)
    which: Tensor  # (N,)

    @classmethod
    def of(cls, distinct: Sequence[Rotation], which: Tensor) -> "Rotations":
        """Move `distinct` to the device of `which` (N,), which holds indices into it."""
        frequencies = torch.tensor([rotation.frequencies for rotation in distinct], device=which.device)
        amplitude = torch.tensor([rotation.amplitude for rotation in distinct], device=which.device)
        return cls(frequencies, amplitude, which)
