"""Values of every kind in every place of the Python surface.

The calls follow from a seed. About half of them begin as calls that work, of which one value is replaced.
"""

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

import remask
from remask.decoding.axes import AXES
from remask.decoding.parsing import settings
from remask.llm import LLM
from remask.models.rotary import Rope
from remask.options import as_text

ASK, SHORT = "Sort 3 1 2.", {"gen_length": 4, "steps": 2}


class Rude:
    """A value whose repr raises."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


class Shouting:
    """A value whose repr is long and clears the screen."""

    def __repr__(self) -> str:
        return "\x1b[2J" * 1000


ODD: tuple[Callable[[Random], Any], ...] = (
    lambda rng: None,
    lambda rng: rng.choice([True, False, 0, 1, -1, 2, 7, 2**31, 2**64, -(2**70), 10**5000]),
    lambda rng: rng.choice([0.0, -0.0, 0.5, 1.0, -1.5, 1e-300, 1e308, float("nan"), float("inf"), -float("inf")]),
    lambda rng: rng.choice(["", "x", "2", "none", "off", "auto", "ntk:auto", "dream", "llada+cache=dual", "a\x1b[2Jb"]),
    lambda rng: rng.choice(["\udce9", "\0", "\n", "x" * 10_000, "{{1}}", "{{0}}", "threshold", "dual", "a.toml"]),
    lambda rng: rng.choice([b"x", bytearray(b"x"), [b"x"], ("x",), {"x"}, frozenset({1}), range(3), iter("ab")]),
    lambda rng: rng.choice([[], {}, (), [None], [[]], {"by": []}, {"by": {}}, {"by": "dual"}, {1: 2}, {"by": 3}]),
    lambda rng: rng.choice([Rude(), [Rude()], {"by": Rude()}, Shouting(), object(), int, len, ..., 1j, Path("x")]),
    lambda rng: rng.choice([np.int64(3), np.float32("nan"), np.bool_(True), np.array(3), np.arange(2), np.array([])]),
    lambda rng: nested(rng.choice([3, 100, 900])),
    lambda rng: rng.choice([["x"], ["x", 3], [{"role": "user"}], [{"role": "user", "content": "x"}, "y"]]),
    lambda rng: rng.choice([[1, 2], [1, 10**9], [10**5000], [True], [-1], (0,), [1.0]]),
    lambda rng: remask.Recipe() if rng.random() < 0.5 else Rope("ntk"),
)  # fmt: skip


WRITTEN = (
    *("[" * 900, "[]", "{}", "8", "'\x1b[2J'", "\x1b", "\udce9", "x" * 5000, "9" * 5000, "{by=[]}", "nan", "dual"),
    *("1e999", "threshold", "credit", "{by='dual', every=4}"),
)
SPELLINGS = ("ntk:", "yarn:2,fast=", "linear:", "ntk,", "")


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def odd(rng: Random) -> Any:
    return rng.choice(ODD)(rng)


def options(rng: Random) -> dict[str, Any]:
    """Options of a call that works, often with one odd value or name."""
    chosen = dict(SHORT) | rng.choice(
        [{}, {"temperature": 0.7}, {"recipe": "fast"}, {"set": {"cache": "dual"}}, {"threshold": 0.9}, {"seed": 3}]
    )
    if rng.random() < 0.5:
        name = rng.choice([*as_text(), "max_tokens", "seeed"])
        chosen[name] = changes(rng) if name == "set" and rng.random() < 0.8 else odd(rng)
    return chosen


def changes(rng: Random) -> dict[Any, Any]:
    """Settings of a recipe: a real place and an odd value, or the other way round."""
    axis = rng.choice([*AXES, "steps", "schedule", "confidence", "rope", "name"])
    key = rng.choice(["", ".by", ".threshold", ".length", ".every", ".x", ".x.y", "."])
    path = axis + key if rng.random() < 0.9 else odd(rng)
    try:
        return {path: odd(rng)}
    except TypeError:  # no key of a dict
        return {axis: odd(rng)}


def texts(rng: Random) -> Any:
    """Settings as they are written, and what is none."""
    axis, value = rng.choice([*AXES, "steps"]), rng.choice(WRITTEN)
    return [f"{axis}={value}"] if rng.random() < 0.8 else odd(rng)


def messages(rng: Random) -> list[Any]:
    parts: list[Any] = [{"role": "user", "content": ASK}, {"role": odd(rng), "content": ASK}, odd(rng)]
    return rng.sample(parts, rng.randint(1, 3))


def prompt(rng: Random) -> Any:
    return rng.choice([ASK, ASK, ASK, ASK, odd(rng), messages(rng)])


def score(llm: LLM, rng: Random) -> Any:
    options: dict[str, Any] = {"samples": 2, "batch": 2}
    if rng.random() < 0.6:
        options[rng.choice(["samples", "batch", "cfg_scale", "seed", "rope", "raw", "sample"])] = odd(rng)
    return llm.score(prompt(rng), rng.choice(["3 2 1", "3 2 1", odd(rng)]), **options)


def spelling(rng: Random) -> str:
    return rng.choice(SPELLINGS) + rng.choice(["x", "auto", "2", "1e999", "-1", "nan", "9" * 5000, "log_n", "margin=2"])


def load(rng: Random) -> Any:
    """A load that is refused, or that of the smallest model."""
    names = ["device", "dtype", "quantize", "family", "config", "max_rows", "max_waiting", "memory", "offlin"]
    if rng.random() < 0.3:
        return remask.load(odd(rng), device="abacus")
    return remask.load("bundled", **{"device": "abacus", rng.choice(names): odd(rng)})


CALLS: dict[str, Callable[[LLM, Random], Any]] = {
    "generate": lambda llm, rng: llm.generate(prompt(rng), **options(rng)),
    "options": lambda llm, rng: llm.generate(ASK, **options(rng)),
    "many": lambda llm, rng: llm.generate([prompt(rng), ASK], **options(rng)),
    "submit": lambda llm, rng: llm.submit(prompt(rng), **options(rng)).result(),
    "stream": lambda llm, rng: list(llm.stream(prompt(rng), **options(rng))),
    "samples": lambda llm, rng: llm.samples(ASK, rng.choice([1, 2, odd(rng)]), **options(rng)),
    "infill": lambda llm, rng: llm.infill(rng.choice(["The {{1}} sat.", odd(rng)]), **without_length(options(rng))),
    "encode": lambda llm, rng: llm.encode(prompt(rng), raw=rng.choice([False, True, odd(rng)])),
    "continuation": lambda llm, rng: llm.continuation(rng.choice([[1, 2], odd(rng)]), **options(rng)),
    "score": score,
    "settings": lambda llm, rng: remask.Recipe().change(settings(texts(rng))),
    "change": lambda llm, rng: remask.Recipe().change(changes(rng) if rng.random() < 0.9 else odd(rng)),
    "parse": lambda llm, rng: remask.Recipe.parse(changes(rng) if rng.random() < 0.9 else odd(rng)),
    "load a recipe": lambda llm, rng: remask.Recipe.load(odd(rng)),
    "register": lambda llm, rng: remask.register(rng.choice(["select", odd(rng)]), odd(rng), odd(rng)),
    "register a recipe": lambda llm, rng: remask.register_recipe(rng.choice(["dream", "a b"]), odd(rng)),
    "rope": lambda llm, rng: Rope.of(spelling(rng) if rng.random() < 0.7 else odd(rng)),
    "load": lambda llm, rng: load(rng),
}  # fmt: skip


def without_length(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in ("gen_length", "steps")}
