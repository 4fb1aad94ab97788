"""How to decode: one value per axis, printable, comparable, and readable from TOML.

A `Recipe` knows no tensor and no model. What the model *is* it cannot override; `fit` refuses what does not fit, and
says what would.
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass, replace
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

from ..errors import RecipeError, bounded
from ..exactness import Exactness
from ..kinds import fits, in_words
from ..models.contract import Contract
from ..models.rotary import NONE, Rope
from .blocks import Adaptive, AlignedBlocks, Blocks, SubBlocks, Whole
from .caches import CACHES, Cache, NoCache
from .canvas import Full, Growing, Lookahead, Shown, Suffix
from .confidence import CONFIDENCES, Confidence
from .grid import Want
from .history import HISTORIES, Credit, Forgetful
from .prior import PRIORS, Flat, Prior
from .revision import REVISERS, Never, ReMDM, Reviser
from .schedule import SCHEDULES
from .selection import SELECTORS, Selector, TopK

FAST = "fast"  # the named recipe that `--fast` stands for
Compat = Literal["intended", "llada"]
Scores = Literal["raw", "processed"]
LARGEST = 2**31 - 1  # of whole numbers in a recipe
MOST_STEPS = 2**20
REMASKING: dict[str, Confidence] = {"low_confidence": "probability", **{name: name for name in CONFIDENCES}}


def _one_of(what: str, value: Any, known: Any) -> None:
    if value not in known:
        raise RecipeError(f"unknown {what} {value!r}; known: {', '.join(sorted(known))}")


@dataclass(frozen=True)
class Guidance:
    """Classifier-free guidance; `cfg_scale` 0 is none and costs no second stream."""

    cfg_scale: float = 0.0
    exactness = Exactness.EXACT

    def __post_init__(self) -> None:
        bounded("cfg_scale", self.cfg_scale, 0.0, 100.0, "LLaDA uses 0 to 2")


@dataclass(frozen=True)
class Process:
    """What changes the logits. All of it acts after guidance.

    temperature             of the draw; 0 is greedy
    top_k, top_p            filter the draw, after the temperature, as everywhere else
    suppress                ids that are neither guessed nor counted in the normaliser
    logits_eos_inf          suppress the end-of-sequence ids (LLaDA, App. B.4)
    confidence_eos_eot_inf  guess EOS and end-of-turn as usual, but commit them last (LLaDA, App. B.4)
    compat                  "llada" repeats what the authors' code does with the last flag: at temperature 0 both tokens
                            also leave the normaliser and score 0; above 0 the end-of-turn token alone does, and it
                            scores 0 (their line 97 runs after the draw, and writes where the draw's input aliases it)
    scores                  "raw": confidences are those of the distribution before temperature and filters (LLaDA);
                            "processed": after both (Dream, SDAR, LLaDA2; thresholds do not carry over from one to the
                            other)
    """

    temperature: float = 0.0
    top_k: int | None = None
    top_p: float | None = None
    suppress: tuple[int, ...] = ()
    logits_eos_inf: bool = False
    confidence_eos_eot_inf: bool = False
    compat: Compat = "intended"
    scores: Scores = "raw"
    exactness = Exactness.EXACT

    def __post_init__(self) -> None:
        _one_of("process.scores", self.scores, get_args(Scores))
        bounded("temperature", self.temperature, 0.0, 1e6, "0 is greedy, 1 the model's own distribution")
        if self.top_k is not None and self.top_k < 1:
            raise RecipeError(f"top_k must be at least 1, got {self.top_k}; leave it out to keep every token")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise RecipeError(f"top_p must lie in (0, 1], got {self.top_p}; leave it out to keep every token")
        if self.compat not in get_args(Compat):
            raise RecipeError(f"compat must be one of {', '.join(get_args(Compat))}, got {self.compat!r}")
        object.__setattr__(self, "suppress", tuple(self.suppress))


@dataclass(frozen=True)
class Stop:
    """When a row is done before its canvas is full.

    eos_prefix  when everything before the first committed end-of-sequence token is committed. Lossless: what lies
                behind is never shown. Off, every position is filled.
    """

    eos_prefix: bool = True
    exactness = Exactness.EXACT


@dataclass(frozen=True)
class Recipe:
    """One value per axis. The defaults are LLaDA's own, and exact.

    `steps` counts forwards over the whole canvas; None means one a token.
    """

    name: str = "llada"
    citation: str = "Nie et al., Large Language Diffusion Models, arXiv 2502.09992"
    steps: int | None = None
    canvas: Shown = Full()
    rope: Rope = NONE
    blocks: Blocks | Whole | AlignedBlocks | SubBlocks | Adaptive | Literal["auto"] = "auto"
    schedule: str = "even"
    guidance: Guidance = Guidance()
    process: Process = Process()
    history: Forgetful | Credit = Forgetful()
    confidence: Confidence = "probability"
    prior: Prior = Flat()
    select: Selector = TopK()
    revise: Reviser = Never()
    cache: Cache = NoCache()
    stop: Stop = Stop()

    def __post_init__(self) -> None:
        if self.steps is not None and not 1 <= self.steps <= MOST_STEPS:
            raise RecipeError(
                f"steps must lie in 1..{MOST_STEPS:,}, got {self.steps}; leave it out for one step a token"
            )
        _one_of("schedule", self.schedule, SCHEDULES)
        _one_of("confidence", self.confidence, CONFIDENCES)
        if self.confidence == "entropy" and self.prior != Flat():
            raise RecipeError(
                'a prior multiplies probabilities, and negative entropies are none; use confidence = "probability"'
            )
        if isinstance(self.revise, ReMDM) and self.select != SELECTORS["bernoulli"]():
            raise RecipeError('remdm draws who leaves by itself; add select = "bernoulli", which it replaces')

    @property
    def exactness(self) -> Exactness:
        """The weakest claim of its values."""
        values = (self.rope, *(getattr(self, axis) for axis in AXES))
        order = Exactness.EXACT if self.confidence in ("probability", "random") else Exactness.OTHER_ORDER
        return max(order, *(value.exactness for value in values if not isinstance(value, str)))

    @cached_property
    def wants(self) -> frozenset[Want]:
        """What its rules need to see beside the confidence."""
        return frozenset((*self.select.wants, *self.revise.wants))

    @cached_property
    def memory(self) -> tuple[int, int]:
        """Steps to remember at each position, and likeliest tokens of each."""
        kept = [self.history.memory, getattr(self.select, "memory", (0, 0))]
        return max(steps for steps, _ in kept), max(width for _, width in kept)

    @classmethod
    def of(
        cls,
        base: "Recipe | None" = None,
        *,
        steps: int | None = None,
        block_length: int | None = None,
        cfg_scale: float | None = None,
        remasking: str | None = None,
        threshold: float | None = None,
        lookahead: int | None = None,
        **process: Any,
    ) -> "Recipe":
        """`base` with the options that LLaDA's users know; None leaves a value alone.

        `remasking` is low_confidence (or probability), random, margin or entropy; further names are `Process` fields.
        """
        recipe = base or cls()
        changes: dict[str, Any] = {}
        if steps is not None:
            changes["steps"] = steps
        if block_length is not None:
            changes["blocks"] = Blocks(block_length)
        if cfg_scale is not None:
            changes["guidance"] = Guidance(cfg_scale)
        if remasking is not None:
            _one_of("remasking", remasking, REMASKING)
            changes["confidence"] = REMASKING[remasking]
        if threshold is not None:
            changes["select"] = _build("threshold", SELECTORS["threshold"], {"threshold": threshold})
        if lookahead is not None:
            changes["canvas"] = Lookahead(lookahead)
        given = {name: value for name, value in process.items() if value is not None}
        if given:
            changes["process"] = _build("process", Process, asdict(recipe.process) | given)
        return replace(recipe, **changes)

    def spelled(self, encode: Callable[[str], list[int]]) -> "Recipe":
        """The recipe with the strings among its token ids encoded. Raises RecipeError if one is not a single token."""
        if not isinstance(self.blocks, Adaptive):
            return self
        ids = [encode(mark) if isinstance(mark, str) else [mark] for mark in self.blocks.delimiters]
        for mark, tokens in zip(self.blocks.delimiters, ids, strict=True):
            if len(tokens) != 1:
                raise RecipeError(f"blocks.delimiters: {mark!r} is {len(tokens)} tokens of this model, and must be one")
        return replace(self, blocks=replace(self.blocks, delimiters=tuple(i for tokens in ids for i in tokens)))

    def fit(self, contract: Contract, length: int) -> "Recipe":
        """The recipe with `auto` resolved for this model and a canvas of `length` tokens.

        Raises RecipeError, saying what would fit.
        """
        recipe, grid = replace(self, rope=self.rope.fit(contract.rotary, length)), contract.block_size
        if self.blocks == "auto":
            recipe = replace(recipe, blocks=Blocks() if grid is None else AlignedBlocks(grid))
        elif isinstance(self.blocks, SubBlocks):
            if grid is None or grid % self.blocks.length:
                raise RecipeError(
                    f"sub_blocks of {self.blocks.length} need a model with a grid of a multiple of that, and this one "
                    f"{'has none' if grid is None else f'has {grid}'}; use blocks = auto"
                )
        elif grid is not None and recipe.blocks != AlignedBlocks(grid):
            raise RecipeError(
                f"this model decodes on its own grid of {grid} positions and takes no block_length; leave it out"
            )
        if self.cache.attention not in ("any", "full" if grid is None else "block_causal"):
            fitting = "prefix, dual or delayed" if grid is None else "block_causal, which is exact"
            raise RecipeError(
                f"this cache is for {self.cache.attention.replace('_', '-')} attention, and this model's is "
                f"{'full' if grid is None else 'block-causal'}; use cache = none, {fitting}"
            )
        if isinstance(self.blocks, Adaptive) and any(isinstance(mark, str) for mark in self.blocks.delimiters):
            raise RecipeError("blocks.delimiters holds strings, which need a tokenizer; give token ids")
        if self.revise.edits and not contract.editable:
            raise RecipeError(
                "this model was not trained to rewrite what it sees, so its edits mean nothing; "
                'use revise = { by = "edit", remask = true }, which needs no training, or "never"'
            )
        delimiters = self.blocks.delimiters if isinstance(self.blocks, Adaptive) else ()
        for what, ids in (("suppress", self.process.suppress), ("blocks.delimiters", delimiters)):
            if outside := [i for i in ids if not 0 <= int(i) < contract.vocab_size]:
                raise RecipeError(f"{what} holds id {outside[0]}, the vocabulary has {contract.vocab_size} rows")
        return recipe

    @classmethod
    def load(cls, spec: str) -> "Recipe":
        """A named recipe that ships with Remask, or a TOML file; `llada+cache=dual+select.threshold=0.8` changes it."""
        name, *changes = re.split(r"\+(?=\w+(?:\.\w+)?=)", spec)
        if changes:
            return cls.load(name).change(settings(changes))
        path = Path(name)
        if path.suffix == ".toml":
            try:
                text = path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise RecipeError(f"cannot read the recipe {name!r}: {error}") from None
        else:
            _one_of("recipe", name, cls.shipped())
            text = files("remask.decoding.recipes").joinpath(f"{name}.toml").read_text(encoding="utf-8")
        try:
            tables = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise RecipeError(f"the recipe {name!r} is not TOML: {error}") from None
        return cls.parse(tables)

    @staticmethod
    def shipped() -> list[str]:
        """The names of the recipes that ship with Remask."""
        found = [Path(file.name) for file in files("remask.decoding.recipes").iterdir()]
        return sorted(path.stem for path in found if path.suffix == ".toml")

    @classmethod
    def parse(cls, tables: Mapping[str, Any]) -> "Recipe":
        """A recipe from TOML tables: one key or table an axis; unknown ones are refused by name."""
        known = {f.name for f in fields(cls)}
        if unknown := sorted(set(tables) - known):
            raise RecipeError(f"unknown recipe axis {unknown[0]!r}; known: {', '.join(sorted(known))}")
        values = dict(tables)
        if "rope" in values:
            values["rope"] = Rope.of(values["rope"])
        for axis, choices in AXES.items():
            if axis in values:
                values[axis] = _choose(axis, values[axis], choices)
        recipe: Recipe = _build("recipe", cls, values)
        return recipe

    def tables(self) -> dict[str, Any]:
        """The recipe as tables of names and numbers, as a TOML file has them: `parse` gives back an equal one."""
        said: dict[str, Any] = {}
        for axis in fields(self):
            value = getattr(self, axis.name)
            if isinstance(value, Rope):
                value = str(value)
            elif is_dataclass(value) and not isinstance(value, type):
                by = next(name for name, kind in AXES[axis.name].items() if kind is type(value))
                value = {"by": by, **_stated(value)}
            said[axis.name] = value
        return {name: value for name, value in said.items() if value is not None}

    def change(self, settings: Mapping[str, Any]) -> "Recipe":
        """The recipe with `settings` such as {"cache": "dual", "select.threshold": 0.8}.

        An axis is replaced as a whole, with the defaults of its new value; then single values of it are set.
        """
        said = self.tables()
        for path, value in sorted(settings.items(), key=lambda item: "." in item[0]):
            axis, _, key = path.partition(".")
            now = said.get(axis)
            if not key:
                said[axis] = value
            elif axis in AXES:
                said[axis] = ({"by": now} if isinstance(now, str) else dict(now or {})) | {key: value}
            elif axis in {f.name for f in fields(self)}:
                raise RecipeError(f"{axis} has no parts, got {path}; set {axis} itself")
            else:
                said[axis] = value  # `parse` refuses it by name
        return self.parse(said)


AXES: dict[str, dict[str, Any]] = {
    "canvas": {"full": Full, "lookahead": Lookahead, "suffix": Suffix, "growing": Growing},
    "blocks": {
        "auto": "auto",
        "whole": Whole,
        "blocks": Blocks,
        "grid": AlignedBlocks,
        "sub_blocks": SubBlocks,
        "adaptive": Adaptive,
    },
    "guidance": {"cfg": Guidance},
    "process": {"process": Process},
    "history": dict(HISTORIES),
    "prior": dict(PRIORS),
    "select": dict(SELECTORS),
    "revise": dict(REVISERS),
    "cache": dict(CACHES),
    "stop": {"stop": Stop},
}


def settings(texts: Iterable[str]) -> dict[str, Any]:
    """`["cache=dual", "select.threshold=0.8"]` for `Recipe.change`: TOML values, where a bare word is text."""
    read: dict[str, Any] = {}
    for text in texts:
        path, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not re.fullmatch(r"\w+(\.\w+)?", path):
            raise RecipeError(f"{text!r} is not a setting; write axis=value or axis.key=value, as in cache=none")
        if path in read:
            raise RecipeError(f"{path} is set twice, to {read[path]!r} and to {value}; leave one out")
        bare = re.fullmatch(r"[A-Za-z_][\w.:-]*", value) and value not in ("true", "false")
        read[path] = value if bare else _toml(path, value)
    return read


def _toml(path: str, value: str) -> Any:
    try:
        tables = tomllib.loads(f"value = {value}")
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"the value of {path}={value} is not TOML: {error}") from None
    if len(tables) != 1:
        raise RecipeError(f"the value of {path} must be one TOML value, got {value!r}")
    return tables["value"]


def _choose(axis: str, value: Any, choices: Mapping[str, Any]) -> Any:
    """An axis value from `"name"` or `{by = "name", parameter = …}`; `by` may be left out where there is one choice."""
    parameters = {"by": value} if isinstance(value, str) else value
    if not isinstance(parameters, Mapping):
        raise RecipeError(f"{axis} must be a name or a table, got {value!r}")
    rest = dict(parameters)
    by = rest.pop("by", next(iter(choices)) if len(choices) == 1 else None)
    if by is None:
        raise RecipeError(f"{axis} needs `by`, one of {', '.join(choices)}")
    _one_of(axis, by, choices)
    takes = {name: [] if isinstance(kind, str) else _parameters(kind) for name, kind in choices.items()}
    for name in rest:
        if name not in takes[by]:
            fitting = [other for other, known in takes.items() if name in known]
            raise RecipeError(
                f"{axis}: {by} has no value {name!r}"
                + (f" (it has {', '.join(takes[by])})" if takes[by] else "")
                + (f"; what has it: {', '.join(fitting)}" if fitting else "")
            )
    return choices[by] if isinstance(choices[by], str) else _build(axis, choices[by], rest)


def _parameters(kind: type[Any]) -> list[str]:
    return [f.name for f in fields(kind) if f.init]


def _stated(value: Any) -> dict[str, Any]:
    """The parameters of an axis value; None is `off`, and left out where it is the default."""
    said = {}
    for f in fields(value):
        now = getattr(value, f.name)
        if f.init and not (now is None and f.default is None):
            said[f.name] = "off" if now is None else list(now) if isinstance(now, tuple) else now
    return said


def _build(axis: str, kind: type[Any], values: Mapping[str, Any]) -> Any:
    known, hints = {f.name: f for f in fields(kind) if f.init}, get_type_hints(kind)
    taken = {}
    for name, value in values.items():
        if name not in known:
            raise RecipeError(f"{axis}: unknown value {name!r}; known: {', '.join(known) or 'none'}")
        taken[name] = None if value == "off" and fits(None, hints[name]) else value
        if not fits(taken[name], hints[name]):
            raise RecipeError(f"{axis}.{name} must be {in_words(hints[name])}, got {value!r}")
        if any(
            type(part) is int and abs(part) > LARGEST
            for part in (value if isinstance(value, list | tuple) else [value])
        ):
            raise RecipeError(f"{axis}.{name} must lie in ±{LARGEST:,}, got {value!r}")
    if missing := [n for n, f in known.items() if f.default is f.default_factory is MISSING and n not in values]:
        raise RecipeError(f"{axis}: {missing[0]!r} is missing")
    try:
        return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in taken.items()})
    except TypeError as error:
        raise RecipeError(f"{axis}: a value has the wrong type ({error})") from None
