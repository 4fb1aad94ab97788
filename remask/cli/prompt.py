"""Text that the user gives: as an argument, in a file, or on stdin."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from ..errors import RequestError
from .screen import is_terminal


def joined(words: Sequence[str] | None) -> str | None:
    """One text of the words that stand without quotes; None for none."""
    return " ".join(words) if words else None


def read(argument: str | None, what: str) -> str:
    """The argument, or stdin where it is missing or `-`, less its last line break. Raises RequestError for none."""
    if argument is not None and argument != "-":
        text = argument
    elif sys.stdin is None or is_terminal(sys.stdin):  # None: it was closed
        raise RequestError(f"there is no {what}; give it as an argument, or pipe it in")
    else:
        text = decoded(sys.stdin.buffer.read(), what).removesuffix("\n").removesuffix("\r")
    if not text.strip():
        nothing = ", or begin with nothing: remask infill '{{32}}'" if what == "prompt" else ""
        raise RequestError(f"the {what} is empty; give some text{nothing}")
    return text


def read_all(arguments: Sequence[str], file: Path | None) -> list[str]:
    """Prompts from the arguments, then from `file`: a line each, or in a .jsonl file a string or {"prompt": …} each.

    Without either, those of stdin. Raises RequestError, with its line, for one that cannot be used.
    """
    given = list(arguments)
    if file is None and not given:
        given = lines(read("-", "prompt"))
    elif file is not None and str(file) == "-":
        given += lines(read("-", "prompt"))
    elif file is not None:
        try:
            found = lines(decoded(file.read_bytes(), "prompts", str(file)))
        except OSError as error:
            raise RequestError(f"cannot read the prompts {str(file)!r}: {error.strerror}") from None
        where = enumerate(found, 1)
        given += [_line(text, f"{file}, line {n}") for n, text in where] if file.suffix == ".jsonl" else found
    prompts = [text for text in given if text.strip()]
    if not prompts:
        raise RequestError(f"there are no prompts in {str(file) if file else 'what was given'}; give some text")
    return prompts


def _line(text: str, where: str) -> str:
    if not text.strip():
        return ""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise RequestError(f'{where} is not JSON; write a string, or an object with a "prompt"') from None
    prompt = value.get("prompt") if isinstance(value, dict) else value
    if not isinstance(prompt, str):
        raise RequestError(f'{where} has no prompt; write a string, or an object with a "prompt"')
    return prompt


def lines(text: str) -> list[str]:
    """The lines of `text`. Unlike `splitlines` it keeps the separators that may stand inside JSON (U+2028, …)."""
    return [line.removesuffix("\r") for line in text.split("\n")]


def decoded(raw: bytes, what: str, where: str = "stdin") -> str:
    """UTF-8 from stdin or a file. Raises RequestError where it is not."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequestError(
            f"the {what} on {where} is not valid UTF-8 (byte {error.start}); convert it first, as with iconv"
        ) from None
