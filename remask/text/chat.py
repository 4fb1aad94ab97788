"""Chat templates: a conversation as the text that the model is trained to read."""

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Template, TemplateError

from ..errors import RequestError, quoted
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

# Errors that a template can raise for a wrong conversation, or if it is wrong itself.
FAILURES = (
    TemplateError, ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, SyntaxError, TypeError,
    ValueError,
)  # fmt: skip


class ChatTemplate:
    """A checkpoint's template, rendered in the sandbox. The first conversation compiles it, once."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.template: Template | None = None

    def __call__(self, messages: Sequence[Mapping[str, str]], special: Mapping[str, str]) -> str:
        """Render the conversation up to the beginning of the assistant's answer; `special` names the special tokens.

        Raises RequestError if a message lacks a role or a content, or the template fails.
        """
        for message in messages:
            if not is_message(message):
                raise RequestError(f'a message needs a "role" and a "content", both text, got {quoted(message)}')
        if not messages:
            raise RequestError("the conversation is empty; give a message")
        if (size := sum(len(message["content"]) for message in messages)) > SIZE:
            raise RequestError(f"the conversation has {size} characters; the limit is {SIZE}")
        try:
            if self.template is None:
                self.template = compiled(self.source)
            return render(self.template, {**special, "messages": list(messages), "add_generation_prompt": True})
        except FAILURES as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            raise RequestError(f"the checkpoint's chat template failed on this conversation ({reason})") from None


def is_message(message: Any) -> bool:
    """Return True for a mapping with a role and a content, both text."""
    return isinstance(message, Mapping) and all(isinstance(message.get(part), str) for part in ("role", "content"))
