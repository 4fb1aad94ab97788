"""Loading a model for a command, with a word on the terminal while it lasts."""

import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from .screen import errors_to, is_terminal, say

if TYPE_CHECKING:
    from ..llm import LLM


def load(
    *,
    model: str,
    device: str,
    dtype: str,
    quantize: str,
    threads: int | None,
    adapter: str | None,
    family: str | None,
    field: Sequence[str] | None,
    quiet: bool,
) -> "LLM":
    """The model that the user names, on its device; `quiet` says nothing while it loads."""
    said = told(family, field)
    shown = not quiet and is_terminal(sys.stderr)
    with errors_to(sys.stderr).status(f"loading {model} …") if shown else nullcontext():
        import remask

        from ..engine.host import keep_freed_memory

        keep_freed_memory()  # this is a program, and all that it does from now on is forwards
        llm = remask.load(
            model,
            adapter=adapter,
            device=device,
            dtype=dtype,
            quantize=None if quantize == "none" else quantize,
            threads=threads,
            **said,
        )
    if shown and adapter is None and llm.loaded.adapter is not None:
        say(f"{model} is an adapter: {llm.loaded.adapter}")  # its own file chose what is loaded with it
    return llm


def told(family: str | None, fields: Sequence[str] | None) -> dict[str, Any]:
    """What the user says of a checkpoint, as `inspect` and `load` take it; nothing if there is nothing."""
    said: dict[str, Any] = {"family": family} if family else {}
    return said | ({"config": parse_fields(fields)} if fields else {})


def parse_fields(stated: Sequence[str], flag: str = "--field", example: str = "mask_token_id=5") -> dict[str, Any]:
    """Names with values from NAME=VALUE, the value as JSON or else as text."""
    fields: dict[str, Any] = {}
    for one in stated:
        name, equals, value = one.partition("=")
        if not (name and equals):
            raise UsageError(f"{flag} must be NAME=VALUE, as in {example}, got {one!r}")
        try:
            fields[name] = json.loads(value)
        except (ValueError, RecursionError):
            fields[name] = value
    return fields
