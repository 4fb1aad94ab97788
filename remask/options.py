"""The options of a call, each declared once: its name, type and bounds, what it means, and where it stands in a recipe.

What editors complete, what Python checks, the flags and `/set` of the command line, and the table in docs/options.md
all follow from `Options`. Importing this imports no torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import NoneType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    NamedTuple,
    TypedDict,
    Union,
    Unpack,
    get_args,
    get_origin,
    get_type_hints,
)

from .errors import RecipeError, RequestError, unknown_name
from .validation import Range, check_table, plain

if TYPE_CHECKING:
    from .decoding.recipe import Recipe
    from .models.rotary import Rope

Remasking = Literal["low_confidence", "probability", "margin", "entropy", "random"]
ContextPolicy = Literal["error", "scale", "truncate-middle"]
SpecialTokens = Literal["text", "control"]
REMASKING = {"low_confidence": "probability"}  # LLaDA's name of a confidence


@dataclass(frozen=True)
class Option:
    """What the annotation of an option says beside its type.

    `metavar` stands for its value in the help of the command line, where a flag has none; `short` is a second flag, and
    without `flag` there is none at all. `path` is its place in a recipe, `by` the value of the axis that it chooses
    there. `default` holds where nothing is said; None leaves it to the checkpoint, else to the authors.
    """

    help: str
    metavar: str = ""
    short: str = ""
    path: str = ""
    by: str = ""
    default: Any = None
    flag: bool = True


class Options(TypedDict, total=False):
    """What a call may ask for. None, or nothing, is the checkpoint's own default, else the authors'.

    The names are those of LLaDA's `generate`. `recipe` is a base that the others change, `set` at last.
    """

    gen_length: Annotated[int | None, Range(1), Option("Positions to fill.", "N")]
    steps: Annotated[
        int | None, Range(1, 2**20), Option("Forward passes over the whole answer.", "N", path="steps")
    ]  # fmt: skip
    block_length: Annotated[
        int | None,
        Option("Positions decided before the next ones open.", "N", path="blocks.length", by="blocks"),
    ]
    temperature: Annotated[
        float | None, Option("Of the draw; 0 takes the likeliest token.", "T", "-t", path="process.temperature")
    ]
    cfg_scale: Annotated[
        float | None, Option("Classifier-free guidance; 0 is none.", "W", path="guidance.cfg_scale")
    ]  # fmt: skip
    remasking: Annotated[
        Remasking | None, Option("Who stays: low_confidence, random, margin or entropy.", "NAME", path="confidence")
    ]
    threshold: Annotated[
        float | None,
        Option(
            "Decide all guesses that are so sure, not a fixed number a step.",
            "P",
            path="select.threshold",
            by="threshold",
        ),
    ]
    top_k: Annotated[int | None, Option("Draw from the K likeliest tokens.", "K", path="process.top_k")]
    top_p: Annotated[float | None, Option("Draw from the likeliest tokens that hold P.", "P", path="process.top_p")]
    recipe: Annotated[
        "str | Recipe | None", Option("A named recipe, or a TOML file; other options change it.", "NAME|FILE")
    ]
    set: Annotated[
        Mapping[str, Any],
        Option(
            "Change one value of the recipe, as in select.threshold=0.8; again for more.", "AXIS.KEY=VALUE", default={}
        ),
    ]
    seed: Annotated[int, Option("Of all random numbers; 0 if not given.", "N", default=0)]
    stop: Annotated[
        str | Sequence[str], Option("End before this text; may be given again.", "TEXT", default=())
    ]  # fmt: skip
    logits_eos_inf: Annotated[
        bool | None, Option("Never guess the end of the sequence.", path="process.logits_eos_inf")
    ]  # fmt: skip
    confidence_eos_eot_inf: Annotated[
        bool | None,
        Option("Decide end-of-sequence and end-of-turn tokens last.", path="process.confidence_eos_eot_inf"),
    ]
    rope: Annotated[
        "str | Rope | None",
        Option("Scale positions: ntk:auto, ntk:14, yarn:2, linear:2, none.", "SCALING", path="rope"),
    ]
    context_policy: Annotated[
        ContextPolicy,
        Option("For prompts that are too long: error, scale or truncate-middle.", "NAME", default="error"),
    ]
    lookahead: Annotated[
        int | None,
        Option(
            "Masks behind a block that the network sees; all if not given.", "N", path="canvas.masks", by="lookahead"
        ),
    ]
    compat: Annotated[
        Literal["intended", "llada"] | None,
        Option("'llada' repeats a quirk of the authors' code.", "NAME", path="process.compat"),
    ]
    stop_ids: Annotated[Sequence[int] | None, Option("Ids that end an answer; the model's own.", flag=False)]
    deadline: Annotated[float | None, Option("Seconds after which the next step cancels it.", flag=False)]
    candidates: Annotated[
        int, Option("Likeliest tokens to report at every position read.", flag=False, default=0)
    ]  # fmt: skip
    template_vars: Annotated[
        Mapping[str, Any],
        Option(
            "A variable of the chat template, as in enable_thinking=false; again for more.", "NAME=VALUE", default={}
        ),
    ]
    special_tokens: Annotated[
        SpecialTokens | None,
        Option("Special tokens in a prompt: text, or control; text in messages, control in raw prompts.", "NAME"),
    ]
    raw: Annotated[
        bool, Option("Read the prompt as plain text, without the chat template.", flag=False, default=False)
    ]  # fmt: skip
    spaces_in_holes: Annotated[
        bool, Option("In a template, a space before a hole belongs to the hole.", flag=False, default=True)
    ]  # fmt: skip


class Capacity(TypedDict, total=False):
    """What an engine has, CPU threads, and takes at once: live rows, requests in the queue, planned bytes of rows."""

    threads: int | None
    max_rows: Annotated[int, Range(1)]
    max_waiting: Annotated[int, Range(1)]
    memory: Annotated[int | None, Range(1)]


OTHER_NAMES = {  # what other programs call them
    "max_tokens": "'gen_length'",
    "max_new_tokens": "'gen_length'",
    "max_length": "'gen_length'",
    "num_tokens": "'gen_length'",
    "num_steps": "'steps'",
    "diffusion_steps": "'steps'",
    "guidance_scale": "'cfg_scale'",
    "alg": "'remasking'",
    "logprobs": "'candidates'",
    "top_logprobs": "'candidates'",
    "stop_token_ids": "'stop_ids'",
    "chat_template_kwargs": "'template_vars'",
    "template": "'template_vars'",
    "tools": "'template_vars'",
    "enable_thinking": "'template_vars'",
    "n": "the method samples(prompt, n)",
    "num_return_sequences": "the method samples(prompt, n)",
}


class Field(NamedTuple):
    """One option of the table: its type, None and metadata left out; its whole annotation; and what it says beside."""

    kind: Any
    hint: Any
    option: Option


def table(**names: Any) -> dict[str, Field]:
    """All options by name, as `Options` declares them. `names` says what Recipe and Rope are."""
    return _table(Options, **names)


@cache
def _table(kind: Any, **names: Any) -> dict[str, Field]:
    fields = {}
    for name, annotation in get_type_hints(kind, localns=names, include_extras=True).items():
        hint, *metadata = get_args(annotation)
        (option,) = [one for one in metadata if isinstance(one, Option)]
        fields[name] = Field(without_none(hint), annotation, option)
    return fields


def as_text() -> dict[str, Field]:
    """All options by name, for who writes them as text: a recipe is its name, a rope its spelling."""
    return table(Recipe=str, Rope=str)


def without_none(hint: Any) -> Any:
    """The annotation without its None."""
    parts = [part for part in get_args(hint) if part is not NoneType]
    return hint if get_origin(hint) in (None, Literal, Mapping, Sequence) else Union[tuple(parts)]  # noqa: UP007


def read(options: Mapping[str, Any]) -> Options:
    """Every option of the table, defaults for those left out; numbers of numpy count as Python's.

    Raises RequestError for one that is unknown, of another type or out of its bounds.
    """
    from .decoding.recipe import Recipe
    from .models.rotary import Rope

    fields = table(Recipe=Recipe, Rope=Rope)
    values = {name: plain(value) for name, value in options.items()}
    check_table(values, {name: field.hint for name, field in fields.items()}, RequestError, OTHER_NAMES)
    return {name: field.option.default for name, field in fields.items()} | values  # type: ignore[return-value]


def apply(recipe: "Recipe", /, **options: Unpack[Options]) -> "Recipe":
    """`recipe` with those of `options` that have a place in it; None leaves a value alone, `set` comes last.

    Raises RecipeError.
    """
    fields, changes = as_text(), dict[str, Any]()
    for name, value in options.items():
        if name not in fields:
            raise RequestError(unknown_name("option", name, fields, OTHER_NAMES))
        path, by = fields[name].option.path, fields[name].option.by
        if value is None or not path:
            continue
        if name == "remasking":
            if value not in get_args(Remasking):
                raise RecipeError(unknown_name(name, value, get_args(Remasking)))
            value = REMASKING.get(str(value), value)
        if by:
            changes[path.partition(".")[0]] = by  # `change` takes whole axes first, then their parts
        changes[path] = value
    return recipe.change(changes).change(options.get("set", {}))
