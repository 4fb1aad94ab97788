"""Options that commands share, each declared once: a command takes the dataclass, the user sees its fields."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

from typer import Option

from ..errors import UsageError

if TYPE_CHECKING:
    from ..llm import LLM

DECODING, MACHINE = "Decoding", "Model and machine"


def _decoding(*names: str, help: str, metavar: str | None = None) -> Any:
    return Option(*names, help=help, metavar=metavar, rich_help_panel=DECODING, show_default=False)


def _machine(*names: str, help: str, **more: Any) -> Any:
    return Option(*names, help=help, rich_help_panel=MACHINE, **more)


@dataclass(frozen=True)
class Machine:
    """Which model, and where it computes."""

    model: Annotated[
        str,
        _machine(
            "--model", "-m", envvar="REMASK_MODEL", metavar="MODEL",
            help="'bundled', a folder, or org/name[@revision] on the hub.",
        ),
    ] = "bundled"  # fmt: skip
    device: Annotated[str, _machine("--device", help="auto, cpu, cuda, cuda:1 or mps.", metavar="NAME")] = "auto"
    dtype: Annotated[
        str, _machine("--dtype", help="auto, float32, bfloat16 or float16.", metavar="NAME")
    ] = "auto"  # fmt: skip
    threads: Annotated[
        int | None, _machine("--threads", help="CPU threads to compute with.", metavar="N", show_default=False)
    ] = None  # fmt: skip

    def load(self, *, quiet: bool = False) -> "LLM":
        """The model, ready to answer; says on a terminal that it is being loaded."""
        from .loading import load

        return load(self, quiet)


@dataclass(frozen=True)
class Decoding:
    """How to decode. None is the checkpoint's own default, else the authors'."""

    steps: Annotated[int | None, _decoding("--steps", help="Forward passes over the whole answer.", metavar="N")] = None
    block_length: Annotated[
        int | None, _decoding("--block-length", help="Positions decided together before the next block opens.", metavar="N")
    ] = None  # fmt: skip
    temperature: Annotated[
        float | None, _decoding("--temperature", "-t", help="Of the draw; 0 takes the likeliest token.", metavar="T")
    ] = None  # fmt: skip
    cfg_scale: Annotated[
        float | None, _decoding("--cfg-scale", help="Classifier-free guidance; 0 is none.", metavar="W")
    ] = None  # fmt: skip
    remasking: Annotated[
        str | None,
        _decoding("--remasking", help="Who stays: low_confidence, random, margin or entropy.", metavar="NAME"),
    ] = None  # fmt: skip
    threshold: Annotated[
        float | None,
        _decoding("--threshold", help="Commit all guesses at least this sure, instead of a fixed number a step.", metavar="P"),
    ] = None  # fmt: skip
    top_k: Annotated[int | None, _decoding("--top-k", help="Draw from the K likeliest tokens.", metavar="K")] = None
    top_p: Annotated[
        float | None, _decoding("--top-p", help="Draw from the likeliest tokens that hold probability P.", metavar="P")
    ] = None  # fmt: skip
    recipe: Annotated[
        str | None, _decoding("--recipe", help="A named recipe, or a TOML file; other options change it.", metavar="NAME|FILE")
    ] = None  # fmt: skip
    seed: Annotated[int, _decoding("--seed", help="Of all random numbers; 0 if not given.", metavar="N")] = 0
    stop: Annotated[
        list[str] | None, _decoding("--stop", help="End before this text; may be given again.", metavar="TEXT")
    ] = None  # fmt: skip
    logits_eos_inf: Annotated[
        bool, _decoding("--logits-eos-inf", help="Never guess the end of the sequence.")
    ] = False  # fmt: skip
    confidence_eos_eot_inf: Annotated[
        bool, _decoding("--confidence-eos-eot-inf", help="Commit end-of-sequence and end-of-turn tokens last.")
    ] = False  # fmt: skip
    compat: Annotated[
        str | None, _decoding("--compat", help="'llada' repeats a quirk of the authors' code.", metavar="NAME")
    ] = None  # fmt: skip

    def options(self) -> dict[str, Any]:
        """As `remask.llm.Options` has them: only what was asked for."""
        asked: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("recipe", "stop")}
        given = {name: value for name, value in asked.items() if value is not None and value is not False}
        if self.recipe is not None:
            from ..recipe import Recipe

            given["recipe"] = Recipe.load(self.recipe)
        return given | {"stop": tuple(self.stop or ())}


def spread(command: Callable[..., Any]) -> Callable[..., Any]:
    """`command` with the fields of its dataclass parameters as parameters of their own, for typer to read."""
    hints = get_type_hints(command, include_extras=True)
    shown: list[inspect.Parameter] = []
    groups: dict[str, type[Any]] = {}
    for name, parameter in inspect.signature(command).parameters.items():
        kind = inspect.Parameter.KEYWORD_ONLY
        if not is_dataclass(hints[name]):
            shown.append(parameter.replace(kind=kind, annotation=hints[name]))
            continue
        groups[name] = hints[name]
        inner = get_type_hints(hints[name], include_extras=True)
        for f in fields(hints[name]):
            default = inspect.Parameter.empty if f.default is MISSING else f.default
            shown.append(inspect.Parameter(f.name, kind, default=default, annotation=inner[f.name]))

    @functools.wraps(command)
    def flat(**values: Any) -> Any:
        grouped = {
            name: group(**{f.name: values.pop(f.name) for f in fields(group)}) for name, group in groups.items()
        }
        return command(**values, **grouped)

    flat.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    flat.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
    return flat


def at_least(name: str, value: int | float | None, low: int) -> None:
    """Refuse a number below `low`."""
    if value is not None and not value >= low:
        raise UsageError(f"{name} must be at least {low}, got {value}")
