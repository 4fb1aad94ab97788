"""The tokenizer of a checkpoint: text to ids and back."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

from tokenizers import Tokenizer

from ..errors import RequestError, UsageError
from .chat import ChatTemplate


@contextmanager
def tokenizing(kind: type[UsageError], failed: str) -> Iterator[None]:
    """Turn an error of the tokenizers library into `kind`; a panic of its Rust code is not an Exception."""
    try:
        yield
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise  # an interrupt or an exit
        raise kind(f"{failed} ({' '.join(str(error).split())[:120]})") from None


@dataclass(frozen=True)
class Text:
    """The tokenizer of a checkpoint, with its special tokens and chat template."""

    tokenizer: Tokenizer
    eos_id: int
    mask_id: int
    template: str | None = None
    special: Mapping[str, str] = field(default_factory=dict)  # bos_token, eos_token, … for the template
    eot: str | None = None

    @property
    def eot_ids(self) -> tuple[int, ...]:
        """The id of the token that ends a turn, if the checkpoint has one."""
        token = None if self.eot is None else self.tokenizer.token_to_id(self.eot)
        return () if token is None else (token,)

    @property
    def size(self) -> int:
        """The number of ids of the tokenizer; rows of the model beyond them are never guessed."""
        return self.tokenizer.get_vocab_size(with_added_tokens=True)

    def encode(self, text: str) -> list[int]:
        """Return the token ids of `text`. Special tokens written in it are recognised; none are added.

        Raises RequestError if the text is not valid Unicode.
        """
        if not text.isascii() and (half := _SURROGATE.search(text)):
            raise RequestError(f"the text is not valid UTF-8 ({half[0]!r} is half a character); convert it first")
        with tokenizing(RequestError, "the tokenizer fails on this text; change it, or take another model"):
            return list(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int], *, special: bool = False) -> str:
        """Return the text of `ids`; special tokens are left out unless `special`."""
        with tokenizing(RequestError, "the tokenizer fails on these ids; take another model"):
            return str(self.tokenizer.decode(list(ids), skip_special_tokens=not special))

    def piece(self, token: int) -> str:
        """Return the text of one token, special or not."""
        return self.decode([token], special=True)

    def chat(self, messages: Sequence[Mapping[str, str]]) -> str:
        """Return the conversation as the model is trained to read it (see `remask.text.chat`).

        Raises RequestError if the checkpoint has no template, or the template fails.
        """
        if self.template is None:
            raise RequestError("this checkpoint has no chat template; give a raw prompt or another model")
        return self._chat(messages, self.special)

    @cached_property
    def _chat(self) -> ChatTemplate:
        assert self.template is not None
        return ChatTemplate(self.template)


_SURROGATE = re.compile(r"[\ud800-\udfff]")
