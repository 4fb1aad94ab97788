"""Text that the user gives: as an argument, or on stdin."""

import sys

from ..errors import RequestError
from .screen import is_terminal


def read(argument: str | None, what: str) -> str:
    """The argument, or stdin where it is missing or `-`, less its last line break. Raises RequestError for none."""
    if argument is not None and argument != "-":
        text = argument
    elif sys.stdin is None or is_terminal(sys.stdin):  # None: it was closed
        raise RequestError(f"there is no {what}; give it as an argument, or pipe it in")
    else:
        text = decoded(sys.stdin.buffer.read(), what).removesuffix("\n").removesuffix("\r")
    if not text.strip():
        raise RequestError(f"the {what} is empty; give some text")
    if any(0xD800 <= ord(character) <= 0xDFFF for character in text):
        raise RequestError(f"the {what} is not valid UTF-8; convert it first")
    return text


def decoded(raw: bytes, what: str) -> str:
    """UTF-8 from stdin. Raises RequestError where it is not."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequestError(
            f"the {what} on stdin is not valid UTF-8 (byte {error.start}); convert it first, as with iconv"
        ) from None
