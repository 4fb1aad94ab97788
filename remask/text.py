"""Text in, text out: tokenizer, chat template in a sandbox, and text that will not change any more."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from .errors import RequestError

TEMPLATE_LIMIT = 1_000_000  # characters that a rendered conversation may have

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
        """Token ids of `text`; special tokens written in it are recognised."""
        return list(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int], *, special: bool = False) -> str:
        """Text of `ids`; special tokens are left out unless `special`."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=not special))

    def chat(self, messages: Sequence[Mapping[str, str]]) -> str:
        """The conversation as the model was trained to read it, ending where the assistant's answer begins.

        The template comes from the checkpoint and is rendered in a sandbox. Raises RequestError if it fails.
        """
        if self.template is None:
            raise RequestError("this checkpoint has no chat template; give a raw prompt (--raw) or another model")
        if "template" not in self._cache:
            environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
            environment.globals["raise_exception"] = _raise
            try:
                self._cache["template"] = environment.from_string(self.template)
            except TemplateError as error:
                raise RequestError(f"the checkpoint's chat template cannot be read: {error}") from None
        try:
            rendered = self._cache["template"].render(
                messages=list(messages), add_generation_prompt=True, **self.special
            )
        except (TemplateError, ArithmeticError, TypeError, ValueError, KeyError, RecursionError, MemoryError) as error:
            raise RequestError(f"the checkpoint's chat template failed: {error}") from None
        if len(rendered) > TEMPLATE_LIMIT:
            raise RequestError(f"the conversation has {len(rendered)} characters, the limit is {TEMPLATE_LIMIT}")
        return str(rendered)


def _raise(message: str) -> None:
    raise TemplateError(message)
