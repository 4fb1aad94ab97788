"""Options that commands share, each declared once: a command takes the dataclass, the user sees its fields."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

from typer import Option

from ..errors import UsageError

if TYPE_CHECKING:
    from ..llm import LLM


FLAG = " "  # a flag takes no value, and its help should not say <bool>


def decoding(help: str, *names: str, metavar: str = FLAG, show_default: bool = False) -> Any:
    """An option on how to decode."""
    return Option(*names, help=help, metavar=metavar, rich_help_panel="Decoding", show_default=show_default)


def machine(help: str, *names: str, metavar: str, show_default: bool = True, envvar: str | None = None) -> Any:
    """An option on what computes, and where."""
    panel = "Model and machine"
    return Option(*names, help=help, metavar=metavar, rich_help_panel=panel, show_default=show_default, envvar=envvar)


def output(help: str, *names: str, metavar: str = FLAG) -> Any:
    """An option on what comes out."""
    return Option(*names, help=help, metavar=metavar, rich_help_panel="Output", show_default=False)


MODEL = "'bundled' or another of the package, a folder, a .gguf file, or org/name\\[@revision] on the hub."
DEVICE = "auto, cpu, cuda, cuda:1 or mps."
DTYPE = "auto, float32, bfloat16 or float16."
Device = Annotated[str, machine(DEVICE, "--device", metavar="NAME")]
Threads = Annotated[
    int | None, machine("CPU threads to compute with.", "--threads", metavar="N", show_default=False)
]  # fmt: skip
Family = Annotated[
    str | None, machine("The family, where config.json does not tell.", "--family", metavar="NAME", show_default=False)
]  # fmt: skip
Fields = Annotated[
    list[str] | None,
    machine(
        "Override a field of config.json, as in mask_token_id=5.", "--field", metavar="NAME=VALUE", show_default=False
    ),
]
GenLength = Annotated[int | None, decoding("Positions to fill.", "--gen-length", metavar="N")]
Rope = Annotated[
    str | None, decoding("Scale positions: ntk:auto, ntk:14, yarn:2, linear:2, none.", "--rope", metavar="SCALING")
]  # fmt: skip
System = Annotated[str | None, Option("--system", "-s", help="A system message first.", metavar="TEXT")]


Items = Annotated[int, Option("--items", "-n", help="Held-out examples a task.", metavar="N")]
Tasks = Annotated[
    list[str] | None, Option("--task", help="A generated task, or 'all'; again for more.", metavar="TASK")
]
PROMPTS = "One a line; in a .jsonl file a string or {\"prompt\": …} a line; '-' reads stdin."
Prompts = Annotated[Path | None, Option("--prompts", help=PROMPTS, metavar="FILE")]
Seed = Annotated[int, decoding("Of the examples and all random numbers; 0 if not given.", "--seed", metavar="N")]
Settings = Annotated[
    list[str] | None,
    decoding(
        "Change one value of the recipe, as in select.threshold=0.8; again for more.", "--set", metavar="AXIS.KEY=VALUE"
    ),
]


@dataclass(frozen=True)
class Machine:
    """Which model, and where it computes."""

    model: Annotated[str, machine(MODEL, "--model", "-m", metavar="MODEL", envvar="REMASK_MODEL")] = "bundled"
    device: Device = "auto"
    dtype: Annotated[str, machine(DTYPE, "--dtype", metavar="NAME")] = "auto"
    quantize: Annotated[
        str, machine("none, int8 (half the memory) or int8-dynamic (fast on a CPU).", "--quantize", metavar="NAME")
    ] = "none"
    threads: Threads = None
    family: Family = None
    field: Fields = None

    def load(self, *, quiet: bool = False) -> "LLM":
        """The model, ready to answer; says on a terminal that it is being loaded."""
        from .loading import load

        return load(self, quiet)


@dataclass(frozen=True)
class Decoding:
    """How to decode. None is the checkpoint's own default, else the authors'."""

    steps: Annotated[int | None, decoding("Forward passes over the whole answer.", metavar="N")] = None
    block_length: Annotated[int | None, decoding("Positions decided before the next ones open.", metavar="N")] = None
    temperature: Annotated[
        float | None, decoding("Of the draw; 0 takes the likeliest token.", "--temperature", "-t", metavar="T")
    ] = None
    cfg_scale: Annotated[float | None, decoding("Classifier-free guidance; 0 is none.", metavar="W")] = None
    remasking: Annotated[
        str | None, decoding("Who stays: low_confidence, random, margin or entropy.", metavar="NAME")
    ] = None
    threshold: Annotated[
        float | None, decoding("Decide all guesses that are so sure, not a fixed number a step.", metavar="P")
    ] = None
    top_k: Annotated[int | None, decoding("Draw from the K likeliest tokens.", metavar="K")] = None
    top_p: Annotated[float | None, decoding("Draw from the likeliest tokens that hold P.", metavar="P")] = None
    recipe: Annotated[
        str | None, decoding("A named recipe, or a TOML file; other options change it.", metavar="NAME|FILE")
    ] = None
    fast: Annotated[bool, decoding("The recipe that is fast and loses little; see docs/decoders.md.", "--fast")] = False
    setting: Settings = None
    seed: Annotated[int, decoding("Of all random numbers; 0 if not given.", metavar="N")] = 0
    stop: Annotated[list[str] | None, decoding("End before this text; may be given again.", metavar="TEXT")] = None
    logits_eos_inf: Annotated[bool, decoding("Never guess the end of the sequence.", "--logits-eos-inf")] = False
    confidence_eos_eot_inf: Annotated[
        bool, decoding("Decide end-of-sequence and end-of-turn tokens last.", "--confidence-eos-eot-inf")
    ] = False
    rope: Rope = None
    context_policy: Annotated[
        str | None, decoding("For prompts that are too long: error, scale or truncate-middle.", metavar="NAME")
    ] = None
    lookahead: Annotated[
        int | None, decoding("Masks behind a block that the network sees; all if not given.", metavar="N")
    ] = None
    compat: Annotated[str | None, decoding("'llada' repeats a quirk of the authors' code.", metavar="NAME")] = None

    def options(self) -> dict[str, Any]:
        """As `remask.llm.Options` has them: only what was asked for."""
        names = [f.name for f in fields(self) if f.name not in ("recipe", "fast", "setting", "stop")]
        asked = {name: getattr(self, name) for name in names}
        given: dict[str, Any] = {k: v for k, v in asked.items() if v is not None and v is not False}
        if self.fast and self.recipe is not None:
            raise UsageError(f"--fast and --recipe {self.recipe} are two recipes; leave one out")
        if self.fast or self.recipe is not None or self.setting:
            from ..decoding.recipe import FAST, Recipe, settings

            name = FAST if self.fast else self.recipe
            given |= {"recipe": Recipe.load(name)} if name is not None else {}
            given["set"] = settings(self.setting or ())
            for path, name in product(given["set"], given):
                if (place := PLACES.get(name)) and (place == path or place.startswith(f"{path}.")):
                    flag = name.replace("_", "-")
                    raise UsageError(f"--{flag} and --set {path} both set {place}; leave one out")
        return given | {"stop": tuple(self.stop or ())}


PLACES = {  # in the recipe, of what has an option of its own
    "steps": "steps",
    "rope": "rope",
    "block_length": "blocks.length",
    "cfg_scale": "guidance.cfg_scale",
    "remasking": "confidence",
    "threshold": "select.threshold",
    "lookahead": "canvas.masks",
    **{
        name: f"process.{name}"
        for name in ("temperature", "top_k", "top_p", "logits_eos_inf", "confidence_eos_eot_inf", "compat")
    },
}


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
        grouped = {name: group(**{f.name: values.pop(f.name) for f in fields(group)}) for name, group in groups.items()}
        return command(**values, **grouped)

    flat.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    flat.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
    return flat


def task_names(asked: list[str]) -> list[str]:
    """The names of generated tasks that are meant; `all` is all of them."""
    from ..tasks import TASKS

    wanted = list(TASKS) if asked == ["all"] else list(dict.fromkeys(asked))
    if unknown := [name for name in wanted if name not in TASKS]:
        raise UsageError(f"unknown task {unknown[0]!r}; known: {', '.join(TASKS)}, or all")
    return wanted


def at_least(name: str, value: int | float | None, low: int) -> None:
    """Refuse a number below `low`."""
    if value is not None and not value >= low:
        raise UsageError(f"{name} must be at least {low}, got {value}")
