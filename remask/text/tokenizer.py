"""Text in, text out: tokenizer, chat template in a sandbox, and text that will not change any more."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from jinja2 import TemplateError
from tokenizers import Tokenizer

from ..errors import RequestError, UsageError
from .sandbox import SIZE, compiled, render

# LLaDA's template: every turn ends in <|eot_id|>, and the assistant's header always follows.
LLADA_TEMPLATE = (
    "{% for message in messages %}"
    "{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'"
    " + message['content'] | trim + '<|eot_id|>' %}"
    "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}"
    "{{ content }}"
    "{% endfor %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}"
)


@contextmanager
def tokenizing(kind: type[UsageError], failed: str) -> Iterator[None]:
    """What goes wrong in the tokenizers library becomes `kind`; a panic of its Rust code is not even an Exception."""
    try:
        yield
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise  # ^C, an exit
        raise kind(f"{failed} ({' '.join(str(error).split())[:120]})") from None


@dataclass(frozen=True)
class Text:
    """A checkpoint's tokenizer with its special tokens and chat template.

    `encode` never adds special tokens of its own, and reads those written in the text as text unless `special`.
    """

    tokenizer: Tokenizer
    eos_id: int
    mask_id: int
    template: str | None = None
    special: Mapping[str, str] = field(default_factory=dict)  # bos_token, eos_token, … for the template
    eot: str | None = None
    _cache: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def eot_ids(self) -> tuple[int, ...]:
        """The token that ends a turn, if the checkpoint has one."""
        found = None if self.eot is None else self.tokenizer.token_to_id(self.eot)
        return () if found is None else (found,)

    @property
    def size(self) -> int:
        """Number of ids that the tokenizer knows; rows of the model beyond them are never guessed."""
        return self.tokenizer.get_vocab_size(with_added_tokens=True)

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`; special tokens written in it are recognised. RequestError if it is no Unicode."""
        if not text.isascii() and (half := _SURROGATE.search(text)):
            raise RequestError(f"the text is not valid UTF-8 ({half[0]!r} is half a character); convert it first")
        with tokenizing(RequestError, "the tokenizer fails on this text; change it, or take another model"):
            return list(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int], *, special: bool = False) -> str:
        """Text of `ids`; special tokens are left out unless `special`."""
        with tokenizing(RequestError, "the tokenizer fails on these ids; take another model"):
            return str(self.tokenizer.decode(list(ids), skip_special_tokens=not special))

    def chat(self, messages: Sequence[Mapping[str, str]]) -> str:
        """The conversation as the model was trained to read it, ending where the assistant's answer begins.

        The template comes from the checkpoint and is rendered in a sandbox. Raises RequestError if it fails.
        """
        if self.template is None:
            raise RequestError("this checkpoint has no chat template; give a raw prompt (--raw) or another model")
        for message in messages:
            if not all(isinstance(message.get(part), str) for part in ("role", "content")):
                raise RequestError(f'a message needs a "role" and a "content", both text, got {dict(message)!r:.80}')
        if not messages:
            raise RequestError("the conversation is empty; give a message")
        if (size := sum(len(message["content"]) for message in messages)) > SIZE:
            raise RequestError(f"the conversation has {size} characters; the limit is {SIZE}")
        try:
            if "template" not in self._cache:
                self._cache["template"] = compiled(self.template)
            variables = {**self.special, "messages": list(messages), "add_generation_prompt": True}
            return render(self._cache["template"], variables)
        except _FAILURES as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            raise RequestError(f"the checkpoint's chat template failed on this conversation ({reason})") from None


# What a template can raise, besides its own errors, when the conversation or the template is not what it should be.
_FAILURES = (
    TemplateError, ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, SyntaxError, TypeError,
    ValueError,
)  # fmt: skip


class Settled:
    """Text that will not change any more, fed with ever longer lists of settled ids.

    Holds back what is not yet whole in UTF-8, and what could be the beginning of a stop string; nothing from a stop
    string on is ever given out.
    """

    def __init__(self, text: Text, stop: Sequence[str] = ()) -> None:
        self.text, self.stop = text, tuple(stop)
        self.given = 0

    def feed(self, ids: Sequence[int], *, last: bool = False) -> str:
        """The new text since the last call; with `last`, all that is left."""
        whole = self.cut(self.text.decode(ids))
        ready = len(whole) if last or self.reached(ids) else self._safe(whole)
        piece = whole[self.given : ready]
        self.given = max(self.given, ready)
        return piece

    def reached(self, ids: Sequence[int]) -> bool:
        """Whether a stop string stands in the text of `ids`."""
        if not self.stop:
            return False
        text = self.text.decode(ids)
        return any(stop in text for stop in self.stop)

    def cut(self, text: str) -> str:
        """The text before the first stop string."""
        found = [at for stop in self.stop if (at := text.find(stop)) >= 0]
        return text[: min(found)] if found else text

    def _safe(self, text: str) -> int:
        text = text.rstrip("\ufffd")  # a character whose bytes have not all come
        longest = max((len(stop) for stop in self.stop), default=1) - 1
        for held in range(min(longest, len(text)), 0, -1):
            if any(stop.startswith(text[-held:]) for stop in self.stop):
                return len(text) - held
        return len(text)


def template_parts(template: str) -> list[str | int]:
    """Given text and hole lengths of an infilling template: `"A {{3}} sat on {{place:2}}."` has two holes.

    `{{n}}` or `{{name:n}}` is a hole of n tokens; `\\{{` writes two braces as text. Raises RequestError if there is no
    hole, or a hole is malformed.
    """
    parts: list[str | int] = []
    at = 0
    for found in _HOLE.finditer(template):
        parts.append(template[at : found.start()])
        at = found.end()
        if found[0].startswith("\\"):
            parts.append("{{")
        elif not (length := _LENGTH.fullmatch(found[1])):
            raise RequestError(f"{found[0]!r} is not a hole; write {{{{n}}}} or {{{{name:n}}}} with n from 1 to 4096")
        else:
            parts.append(int(length[1]))
    parts.append(template[at:])
    if not any(isinstance(part, int) for part in parts):
        raise RequestError("the template has no hole; write {{n}} where n tokens are missing, as in 'A {{3}} sat'")
    merged: list[str | int] = []
    for part in parts:
        if isinstance(part, str) and merged and isinstance(merged[-1], str):
            merged[-1] += part
        elif part != "":
            merged.append(part)
    return merged


_SURROGATE = re.compile(r"[\ud800-\udfff]")
_HOLE = re.compile(r"\\\{\{|\{\{([^{}]*)\}\}")
_LENGTH = re.compile(r"(?:\s*[A-Za-z_]\w*\s*:)?\s*(0*[1-9]\d{0,2}|0*[1-3]\d{3}|0*40[0-8]\d|0*409[0-6])\s*")
