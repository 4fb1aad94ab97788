"""Options that commands share, each declared once: a command takes the dataclass, the user sees its fields."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

from typer import Option

from ..errors import UsageError, did_you_mean, quoted
from ..options import as_text
from . import completion
from .config import in_force, variable

if TYPE_CHECKING:
    from ..llm import LLM
    from ..tasks import Task

T = TypeVar("T")

FLAG = " "  # a flag takes no value, and its help should not say <bool>


USUAL = {"gen_length", "steps", "block_length", "temperature", "recipe", "seed"}  # what most people change


def decoding(
    help: str, *names: str, metavar: str = FLAG, show_default: bool = False, usual: bool = True, **more: Any
) -> Any:
    """An option on how to decode; `more` are typer's own words."""
    panel = "Decoding" if usual else "Decoding in detail"
    return Option(*names, help=help, metavar=metavar, rich_help_panel=panel, show_default=show_default, **more)


def machine(help: str, *names: str, metavar: str, show_default: bool = True, **more: Any) -> Any:
    """An option on what computes, and where; `more` are typer's own words."""
    panel = "Model and machine"
    return Option(*names, help=help, metavar=metavar, rich_help_panel=panel, show_default=show_default, **more)


def output(help: str, *names: str, metavar: str = FLAG) -> Any:
    """An option on what comes out."""
    return Option(*names, help=help, metavar=metavar, rich_help_panel="Output", show_default=False)


def flag(name: str) -> str:
    """The flag of an option."""
    return "--" + name.replace("_", "-")


def option(name: str, help: str | None = None, *, show_default: bool = False) -> Any:
    """The flag of an option of the table."""
    said = as_text()[name].option
    names = [flag(name), *([said.short] if said.short else [])]
    more: dict[str, Any] = {"usual": name in USUAL}
    if name == "recipe":
        more |= {"envvar": variable(name), "autocompletion": completion.recipes}
    return decoding(help or said.help, *names, metavar=said.metavar or FLAG, show_default=show_default, **more)


def flags_of_table(body: type[T]) -> type[T]:
    """`body` with a field for each option of the table that has a flag, before its own; those it has itself stand."""
    own, body.__annotations__ = body.__annotations__, {}
    for name, field in as_text().items():
        if name in own:
            body.__annotations__[name] = own.pop(name)
        elif field.option.flag and name != "gen_length":  # which commands declare themselves, if they have it
            body.__annotations__[name] = Annotated[kind_of_flag(field.kind), option(name)]
            setattr(body, name, False if field.kind is bool else None)
    body.__annotations__ |= own
    return body


def kind_of_flag(kind: Any) -> Any:
    """What typer reads for an option of this type: None if it is left out; several texts are several flags."""
    if kind is bool:
        return bool
    if {get_origin(part) for part in (kind, *get_args(kind))} & {Mapping, Sequence}:
        return list[str] | None
    return (kind if kind in (int, float) else str) | None


MODEL = "'bundled' or another of the package, a folder, a .gguf file, or org/name\\[@revision] on the hub."
DEVICE = "auto, cpu, cuda, cuda:1 or mps."
DTYPE = "auto, float32, bfloat16 or float16."
Device = Annotated[str, machine(DEVICE, "--device", metavar="NAME", envvar=variable("device"))]
Threads = Annotated[
    int | None,
    machine(
        "CPU threads to compute with.", "--threads", metavar="N", show_default=False, envvar=variable("threads")
    ),
]  # fmt: skip
Family = Annotated[
    str | None, machine("The family, where config.json does not tell.", "--family", metavar="NAME", show_default=False)
]  # fmt: skip
Adapter = Annotated[
    str | None,
    machine("A PEFT folder, or org/name, to merge in: LoRA or DoRA.", "--adapter", metavar="NAME", show_default=False),
]
Fields = Annotated[
    list[str] | None,
    machine(
        "Override a field of config.json, as in mask_token_id=5.", "--field", metavar="NAME=VALUE", show_default=False
    ),
]
GenLength = Annotated[int | None, option("gen_length")]
Rope = Annotated[str | None, option("rope")]
Settings = Annotated[list[str] | None, option("set")]
System = Annotated[str | None, Option("--system", "-s", help="A system message first.", metavar="TEXT")]


Items = Annotated[int, Option("--items", "-n", help="Held-out examples a task.", metavar="N")]
Tasks = Annotated[
    list[str] | None,
    Option(
        "--task",
        help="A generated task, or 'all'; again for more.",
        metavar="TASK",
        autocompletion=completion.tasks,
    ),
]
DATA = "A folder of real text, for the tasks stories-cloze and qa: its test part is asked."
Data = Annotated[Path | None, Option("--data", help=DATA, metavar="DIR", show_default=False)]
PROMPTS = "One a line; in a .jsonl file a string or {\"prompt\": …} a line; '-' reads stdin."
Prompts = Annotated[Path | None, Option("--prompts", help=PROMPTS, metavar="FILE")]
Seed = Annotated[int, decoding("Of the examples and all random numbers; 0 if not given.", "--seed", metavar="N")]


@dataclass(frozen=True)
class Machine:
    """Which model, and where it computes."""

    model: Annotated[
        str,
        machine(MODEL, "--model", "-m", metavar="MODEL", envvar=variable("model"), autocompletion=completion.models),
    ] = "bundled"
    device: Device = "auto"
    dtype: Annotated[str, machine(DTYPE, "--dtype", metavar="NAME", envvar=variable("dtype"))] = "auto"
    quantize: Annotated[
        str, machine("none, int8 (half the memory) or int8-dynamic (fast on a CPU).", "--quantize", metavar="NAME")
    ] = "none"
    threads: Threads = None
    adapter: Adapter = None
    family: Family = None
    field: Fields = None

    def load(self, *, quiet: bool = False) -> "LLM":
        """The model, ready to answer; says on a terminal that it is being loaded."""
        from .loading import load

        return load(quiet=quiet, **{f.name: getattr(self, f.name) for f in fields(self)})


@dataclass(frozen=True)
@flags_of_table
class Decoding:
    """How to decode: a flag for each option of the table. None is the checkpoint's own default, else the authors'."""

    seed: Annotated[int, option("seed")] = 0
    fast: Annotated[bool, decoding("The recipe that is fast and loses little; see docs/decoders.md.", "--fast")] = False

    def options(self) -> dict[str, Any]:
        """As keyword arguments of `LLM.generate`: only what was asked for."""
        flags = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "fast"}
        asked = {name: value for name, value in flags.items() if value is not None and value is not False}
        if self.fast and asked.get("recipe") == in_force()["recipe"].value:
            asked.pop("recipe", None)  # nobody typed it, and a flag comes before a file and a variable
        if self.fast and "recipe" in asked:
            raise UsageError(f"--fast and --recipe {asked['recipe']} are two recipes; leave one out")
        if self.fast or asked.keys() & {"recipe", "set"}:
            from ..decoding.parsing import settings
            from ..decoding.recipe import FAST, Recipe

            name = FAST if self.fast else asked.get("recipe")
            asked |= {"set": settings(asked.get("set", ()))} | ({} if name is None else {"recipe": Recipe.load(name)})
        if "template_vars" in asked:
            from .loading import parse_fields

            asked["template_vars"] = parse_fields(asked["template_vars"], "--template-vars", "enable_thinking=false")
        refuse_clash(asked)
        return asked | {"stop": tuple(asked.get("stop", ()))}


def refuse_clash(options: dict[str, Any]) -> None:
    """Refuse a place of the recipe that is set by its own flag and by --set."""
    table = as_text()
    for path, name in product(options.get("set", ()), options):
        place = table[name].option.path
        if place and (place == path or place.startswith(f"{path}.")):
            raise UsageError(f"{flag(name)} and --set {path} both set {place}; leave one out")


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


def tasks_named(asked: list[str], data: Path | None = None) -> "dict[str, Task]":
    """The tasks that are meant, by name, or by the file of a published set; `all` is all the generated ones, and `data`
    holds what others are made of."""
    from ..tasks import TASKS
    from ..tasks.corpus import JUDGED, corpus_tasks
    from ..tasks.published import published

    known = TASKS | (corpus_tasks(data, "test") if data is not None else {})
    known |= {name: published(Path(name)) for name in asked if name.endswith((".csv", ".json", ".jsonl"))}
    wanted = list(TASKS) if asked == ["all"] else list(dict.fromkeys(asked))
    for name in wanted:
        if name in JUDGED and data is None:
            raise UsageError(f"the task {name} is made of real text; give its folder with --data")
        if name not in known:
            near = did_you_mean(name, [*known, "all"])
            raise UsageError(f"unknown task {quoted(name)}; known: {', '.join([*TASKS, *JUDGED])}, or all{near}")
    return {name: known[name] for name in wanted}


def at_least(name: str, value: int | float | None, low: int) -> None:
    """Refuse a number below `low`."""
    if value is not None and not value >= low:
        raise UsageError(f"{name} must be at least {low}, got {value}")
