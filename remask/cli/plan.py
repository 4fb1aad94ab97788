"""`remask plan`: what a model will need in memory, before anything of it is loaded."""

import re
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from ..errors import UsageError
from .loading import told
from .options import DEVICE, DTYPE, FLAG, MODEL, Decoding, Family, Fields, GenLength, at_least
from .screen import page as page_on
from .screen import size, tell_json

if TYPE_CHECKING:
    from ..engine.row import Row
    from ..llm import LLM

MOST = 2**17  # rows that are looked at for the largest batch
UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


@dataclass(frozen=True)
class Wanted:
    """What is planned for: `batch` answers on canvases of `context` positions, by this model on this machine."""

    model: str
    device: str
    dtype: str
    quantize: str
    context: int | None  # None: as far as the model goes
    batch: int
    told: dict[str, Any]  # family and fields that the user states
    options: dict[str, Any]  # of `LLM.request`

    def load(self, *, outline: bool = False) -> "LLM":
        """The model, or with `outline` its shapes."""
        from ..checkpoint import load
        from ..llm import LLM

        where = {"device": self.device, "dtype": self.dtype, "weights": self.weights}
        return LLM(load(self.model, outline=outline, **where, **self.told), max_rows=self.batch)

    @property
    def weights(self) -> Any:
        """How matrices are held; those packed for the processor take as much as plain ones."""
        from ..checkpoint import choose_weights

        weights = choose_weights(self.quantize)
        return "plain" if weights == "packed" else weights

    def row(self, llm: "LLM", context: int | None = None) -> "Row":
        """One of the rows, or one like it of another context."""
        return llm.engine.row(llm.blank(context or self.context or llm.model.contract.max_positions, **self.options))


@dataclass(frozen=True)
class Planned:
    """Bytes of tensors at the peak, by what they are for; and the most that would fit, where `free` is known.

    `runtime` is what the process takes besides: Python, torch, libraries. `measured` is the peak that was found.
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

    def lines(self) -> dict[str, str]:
        """The plan as a page."""
        lines = {
            "model": f"{self.model}, {self.parameters:,} parameters",
            "canvas": f"{self.batch:,} × {self.context:,} positions",
            "weights": f"{size(self.weights)} in {self.dtype}",
            "keys, values": f"{size(self.store)}, cache {self.cache}",
            "activations": f"{size(self.activations)} while the layers compute",
            "logits": f"{size(self.logits)} after that",
            "peak": f"{size(self.peak)} of tensors",
        }
        if self.measured:
            lines["measured"] = f"{size(self.measured)}: the plan is {self.peak / self.measured - 1:+.1%} off"
        if self.runtime is not None:
            lines["runtime"] = f"{size(self.runtime)} besides, for Python, torch and the libraries"
        if self.free is not None:
            lines["free"] = f"{size(self.free)} on {self.device}"
            lines["largest"] = f"context {self.largest_context:,}, or batch {self.largest_batch:,}"
        return lines

    def refusal(self) -> str:
        """One line on what does not fit, and what would."""
        assert self.free is not None
        told = f"{self.batch:,} × {self.context:,} positions need {size(self.peak)}, {self.device} has "
        if self.weights > self.free:
            return f"{told}{size(self.free)}: less than the weights alone; use a smaller dtype or another device"
        return (
            f"{told}{size(self.free)}; at this batch the largest context is {self.largest_context:,}, "
            f"at this context the largest batch {self.largest_batch:,}"
        )


def plan(
    model: Annotated[str, Argument(help=MODEL, metavar="MODEL", show_default=False)] = "bundled",
    context: Annotated[
        int | None, Option(help="Positions of prompt and answer; the model's limit if not given.", metavar="N")
    ] = None,
    batch: Annotated[int, Option(help="Answers decoded side by side.", metavar="N")] = 1,
    gen_length: GenLength = None,
    device: Annotated[str, Option(help=DEVICE, metavar="NAME")] = "auto",
    dtype: Annotated[str, Option(help=DTYPE, metavar="NAME")] = "auto",
    quantize: Annotated[str, Option(help="none, int8 or int8-dynamic.", metavar="NAME")] = "none",
    family: Family = None,
    field: Fields = None,
    memory: Annotated[
        str | None, Option(help="Plan for so much, as in 24GB, not for what is free here.", metavar="SIZE")
    ] = None,
    measure: Annotated[
        bool, Option("--measure", help="Also load it and take one step, and show what that took.", metavar=FLAG)
    ] = False,
    as_json: Annotated[bool, Option("--json", help="One JSON object.", metavar=FLAG)] = False,
    *,
    decoding: Decoding,
) -> None:
    """Count the memory that a model will take, from its configuration and headers alone.

    Weights, keys and values, activations and logits at their peak, and the largest context and batch that fit. What
    does not fit is refused with the numbers.
    """
    from ..checkpoint.placement import choose_device, free_memory
    from ..engine.memory import peak_bytes

    at_least("context", context, 1)
    at_least("batch", batch, 1)
    where = choose_device(device)
    free = free_memory(where) if memory is None else parse_size(memory)
    options = decoding.options() | ({} if gen_length is None else {"gen_length": gen_length})
    wanted = Wanted(model, str(where), dtype, quantize, context, batch, told(family, field), options)
    planned = count(wanted, free)
    if measure and planned.fits:
        planned = replace(planned, measured=peak_bytes(where, partial(step, wanted, planned.context)))
    if as_json:
        tell_json(asdict(planned))
    else:
        console = page_on()
        for label, value in planned.lines().items():
            console.print(f"[dim]{label:<14}[/dim]", end="")
            console.print(value, markup=False, soft_wrap=True)
    if not planned.fits:
        sys.stdout.flush()
        raise UsageError(planned.refusal())


def step(wanted: Wanted, context: int) -> None:
    """Load the model and take one step with all rows."""
    llm = wanted.load()
    for _ in range(wanted.batch):
        llm.engine.submit(llm.blank(context, **wanted.options))
    llm.engine.step()


def count(wanted: Wanted, free: int | None) -> Planned:
    """The plan, with the largest context and batch for which it stays within `free` bytes."""
    from ..engine.memory import footprint
    from ..models.linear import held_bytes

    llm = wanted.load(outline=True)
    row, runtime = wanted.row(llm), resident()
    weights = held_bytes(llm.model.model, llm.model.dtype, wanted.weights)

    def peak(row: "Row", batch: int) -> int:
        return weights + footprint([row] * batch, llm.model).peak

    need = footprint([row] * wanted.batch, llm.model)
    shortest = int(wanted.options.get("gen_length") or 1)
    return Planned(
        model=wanted.model,
        parameters=llm.loaded.config.parameters,
        device=wanted.device,
        dtype=str(llm.model.dtype).removeprefix("torch."),
        context=len(row.canvas),
        batch=wanted.batch,
        cache=row.recipe.tables()["cache"]["by"],
        weights=weights,
        store=need.store,
        activations=need.activations,
        logits=need.logits,
        peak=weights + need.peak,
        free=free,
        largest_context=None if free is None else largest(
            lambda n: peak(wanted.row(llm, n), wanted.batch) <= free, shortest, llm.model.contract.max_positions
        ),
        largest_batch=None if free is None else largest(lambda n: peak(row, n) <= free, 1, MOST),
        runtime=runtime,
    )  # fmt: skip


def largest(good: Callable[[int], bool], low: int, high: int) -> int:
    """The largest number from `low` to `high` that is good, if all below it are; 0 if none is."""
    if not good(low):
        return 0
    while 2 * low <= high and good(2 * low):  # so that no number is asked that is far too large
        low *= 2
    high = min(high, 2 * low - 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if good(middle) else (low, middle - 1)
    return low


def parse_size(text: str) -> int:
    """Bytes of a size as a person writes it: 24GB, 512 MiB, 8e9."""
    found = re.fullmatch(r"\s*([0-9.]+(?:e[0-9]+)?)\s*([kmgt]?i?)b?\s*", text.lower())
    try:
        return int(float(found[1]) * UNITS[found[2]]) if found else int("")
    except (ValueError, KeyError, OverflowError):
        raise UsageError(f"a size is a number and a unit, as in 24GB or 512MiB, got {text!r}") from None


def resident() -> int | None:
    """Bytes of this process that are in memory, None where nobody says."""
    try:
        import resource
    except ImportError:
        return None
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(used) if sys.platform == "darwin" else used << 10
