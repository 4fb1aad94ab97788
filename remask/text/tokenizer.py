"""The tokenizer of a checkpoint: text to ids and back."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tokenizers import Tokenizer

from ..errors import RequestError, UsageError, printable
from .chat import ChatTemplate, conversation, marked, plain_variables, texts


@contextmanager
def tokenizing(kind: type[UsageError], failed: str) -> Iterator[None]:
    """Turn an error of the tokenizers library into `kind`; a panic of its Rust code is not an Exception."""
    try:
        yield
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise  # an interrupt or an exit
        raise kind(f"{failed} ({printable(' '.join(str(error).split()), 120)})") from None


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

    def encode(self, text: str, *, control: bool = True) -> list[int]:
        """Return the token ids of `text`. Special tokens written in it are control tokens, or without `control` plain
        text; none are added.

        Raises RequestError if the text is not valid Unicode.
        """
        if not text.isascii() and (half := _SURROGATE.search(text)):
            raise RequestError(f"the text is not valid UTF-8 ({half[0]!r} is half a character); convert it first")
        with tokenizing(RequestError, "the tokenizer fails on this text; change it, or take another model"):
            return list((self.tokenizer if control else self._plain).encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int], *, special: bool = False) -> str:
        """Return the text of `ids`; special tokens are left out unless `special`."""
        with tokenizing(RequestError, "the tokenizer fails on these ids; take another model"):
            return str(self.tokenizer.decode(list(ids), skip_special_tokens=not special))

    def piece(self, token: int) -> str:
        """Return the text of one token, special or not."""
        return self.decode([token], special=True)

    def chat(self, messages: Sequence[Mapping[str, Any]], variables: Mapping[str, Any] | None = None) -> str:
        """Return the conversation as the model is trained to read it (see `remask.text.chat`); `variables` are the
        template's own, such as `enable_thinking` or `tools`.

        Raises RequestError if the checkpoint has no template, a message has no text, or the template fails.
        """
        return self._rendered(conversation(messages), plain_variables(variables or {}))

    def encode_chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        variables: Mapping[str, Any] | None = None,
        *,
        control: bool = False,
    ) -> list[int]:
        """Return the token ids of the conversation. The template's special tokens are control tokens; those written in
        the messages and variables are plain text unless `control`. Raises as `chat` and `encode` do."""
        turns, own = conversation(messages), plain_variables(variables or {})
        special = self._special
        if control or special is None or not any(map(special.search, texts([turns, own]))):
            return self.encode(self._rendered(turns, own))
        said = list(texts([turns, own]))
        sign = next(sign for sign in SIGNS if not any(sign in text for text in said))
        pieces = special.split(self._rendered(marked(turns, special, sign), marked(own, special, sign)))
        parts = [self.encode(piece.replace(sign, ""), control=i % 2 == 1) for i, piece in enumerate(pieces)]
        return [token for part in parts for token in part]  # every second piece is a special token of the template

    def _rendered(self, turns: Sequence[Mapping[str, Any]], variables: Mapping[str, Any]) -> str:
        if self.template is None:
            raise RequestError("this checkpoint has no chat template; give a raw prompt or another model")
        return self._chat(turns, {**self.special, **variables})

    @cached_property
    def _special(self) -> re.Pattern[str] | None:
        """What matches a special token; None if there is none that text could hold."""
        added = self.tokenizer.get_added_tokens_decoder().values()
        names = sorted((token.content for token in added if token.special and token.content), key=len, reverse=True)
        return re.compile(f"({'|'.join(map(re.escape, names))})") if names else None

    @cached_property
    def _plain(self) -> Tokenizer:
        """The same tokenizer, for which special tokens are text; made when a text holds one."""
        tokenizer = Tokenizer.from_str(self.tokenizer.to_str())
        tokenizer.encode_special_tokens = True
        return tokenizer

    @cached_property
    def _chat(self) -> ChatTemplate:
        assert self.template is not None
        return ChatTemplate(self.template)


SIGNS = [chr(code) for code in range(0xFDD0, 0xFDF0)]  # no characters, by Unicode, and in no text
_SURROGATE = re.compile(r"[\ud800-\udfff]")
