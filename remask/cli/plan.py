"""`remask plan`: what a model will need in memory, before anything of it is loaded."""

import re
import sys
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from ..errors import UsageError
from . import completion
from .config import variable
from .loading import told
from .options import DEVICE, DTYPE, FLAG, MODEL, Adapter, Decoding, Family, Fields, GenLength, at_least
from .screen import label, size, tell_json
from .screen import page as page_on

if TYPE_CHECKING:
    from ..engine.memory import MemoryPlan

UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}
LEAST = 10**6  # bytes; less was meant with another unit


def plan(
    model: Annotated[
        str,
        Argument(
            help=MODEL,
            metavar="MODEL",
            show_default=False,
            envvar=variable("model"),
            autocompletion=completion.models,
        ),
    ] = "bundled",
    context: Annotated[
        int | None, Option(help="Positions of prompt and answer; the model's limit if not given.", metavar="N")
    ] = None,
    batch: Annotated[int, Option(help="Answers decoded side by side.", metavar="N")] = 1,
    gen_length: GenLength = None,
    device: Annotated[str, Option(help=DEVICE, metavar="NAME", envvar=variable("device"))] = "auto",
    dtype: Annotated[str, Option(help=DTYPE, metavar="NAME", envvar=variable("dtype"))] = "auto",
    quantize: Annotated[str, Option(help="none, int8 or int8-dynamic.", metavar="NAME")] = "none",
    adapter: Adapter = None,
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
    from ..checkpoint import choose_weights, load
    from ..engine.memory import peak_bytes
    from ..llm import LLM

    at_least("context", context, 1)
    at_least("batch", batch, 1)
    options = decoding.options() | ({} if gen_length is None else {"gen_length": gen_length})
    weights = choose_weights(quantize)
    how: dict[str, Any] = {"device": device, "dtype": dtype, "adapter": adapter, **told(family, field)}
    how["weights"] = "plain" if weights == "packed" else weights  # packed ones take as much, and cannot be counted
    outline = LLM(load(model, outline=True, **how))
    free = None if memory is None else parse_size(memory)
    planned = outline.plan(context=context, batch=batch, free=free, **options)
    if measure and planned.fits:

        def step() -> None:
            llm = LLM(load(model, **how), max_rows=batch)
            for _ in range(batch):
                llm.engine.submit(llm.blank(planned.context, **options))
            llm.engine.step()

        planned = replace(planned, measured=peak_bytes(outline.loaded.device, step))
    if as_json:
        tell_json(asdict(planned))
    else:
        console = page_on()
        for heading, value in lines(planned).items():
            console.print(label(heading, 14), end="")
            console.print(value, soft_wrap=True)
    if not planned.fits:
        sys.stdout.flush()
        raise UsageError(refusal(planned))


def lines(plan: "MemoryPlan") -> dict[str, str]:
    """The plan as a page."""
    page = {
        "model": f"{plan.model}, {plan.parameters:,} parameters",
        "canvas": f"{plan.batch:,} × {plan.context:,} positions",
        "weights": f"{size(plan.weights)} in {plan.dtype}",
        "keys, values": f"{size(plan.store)}, cache {plan.cache}",
        "activations": f"{size(plan.activations)} while the layers compute",
        "logits": f"{size(plan.logits)} after that",
        "peak": f"{size(plan.peak)} of tensors",
    }
    if plan.measured:
        page["measured"] = f"{size(plan.measured)}: the plan is {plan.peak / plan.measured - 1:+.1%} off"
    if plan.runtime is not None:
        page["runtime"] = f"{size(plan.runtime)} besides, for Python, torch and the libraries"
    if plan.free is not None:
        page["free"] = f"{size(plan.free)} on {plan.device}"
        page["largest"] = f"context {plan.largest_context:,}, or batch {plan.largest_batch:,}"
    return page


def refusal(plan: "MemoryPlan") -> str:
    """One line on what does not fit, and what would."""
    assert plan.free is not None
    need = f"{plan.batch:,} × {plan.context:,} positions need {size(plan.peak)}, {plan.device} has {size(plan.free)}"
    if plan.weights > plan.free:
        return f"{need}: less than the weights alone; use a smaller dtype or another device"
    return (
        f"{need}; at this batch the largest context is {plan.largest_context:,}, "
        f"at this context the largest batch {plan.largest_batch:,}"
    )


def parse_size(text: str) -> int:
    """Bytes of a size as a person writes it: 24GB, 512 MiB, 8e9."""
    found = re.fullmatch(r"\s*([0-9.]+(?:e[0-9]+)?)\s*([kmgt]?i?)b?\s*", text.lower())
    try:
        size = int(float(found[1]) * UNITS[found[2]]) if found else int("")
    except (ValueError, KeyError, OverflowError):
        raise UsageError(f"a size is a number and a unit, as in 24GB or 512MiB, got {text!r}") from None
    if size < LEAST:
        raise UsageError(f"a size below 1 MB is no memory, got {text!r}; give a unit, as in 24GB or 512MiB")
    return size
