"""Chat templates: a conversation as the text that the model is trained to read."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from re import Pattern
from typing import Any

from jinja2 import Template, TemplateError

from ..errors import RequestError, printable, quoted
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


RESERVED = ("messages",)  # variables that are not the user's to set


class ChatTemplate:
    """A checkpoint's template, rendered in the sandbox. The first conversation compiles it, once."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.template: Template | None = None

    def __call__(self, messages: Sequence[Mapping[str, Any]], variables: Mapping[str, Any]) -> str:
        """Render the conversation up to the beginning of the assistant's answer; `variables` are the special tokens by
        name, and what else the template knows.

        Raises RequestError if the template fails.
        """
        try:
            if self.template is None:
                self.template = compiled(self.source)
            return render(self.template, {"add_generation_prompt": True, **variables, "messages": list(messages)})
        except FAILURES as error:
            reason = printable(" ".join(f"{type(error).__name__}: {error}".split()), 300)
            raise RequestError(f"the checkpoint's chat template failed on this conversation ({reason})") from None


def conversation(messages: Sequence[Any]) -> list[dict[str, Any]]:
    """The messages with their contents as text; what else they hold (tool_calls, …) stays.

    A content may be a list of text parts, which are joined, and null, which is no text, as beside tool_calls. Raises
    RequestError if a message lacks a role or a content, or holds what is no text.
    """
    if not messages:
        raise RequestError("the conversation is empty, got []; give a message")
    turns = [dict(one) | {"content": _text(one)} if isinstance(one, Mapping) else _text(one) for one in messages]
    if (size := sum(len(turn["content"]) for turn in turns)) > SIZE:
        raise RequestError(f"the conversation has {size} characters; the limit is {SIZE}")
    return turns


def plain_variables(variables: Mapping[str, Any]) -> Mapping[str, Any]:
    """The variables of a template, as they are. Raises RequestError for what JSON could not hold."""
    for name in RESERVED:
        if name in variables:
            raise RequestError(f"template_vars cannot set {name!r}, which is the prompt itself; leave it out")
    try:
        size = len(json.dumps(variables, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        raise RequestError(f"template_vars must hold what JSON can, got {quoted(dict(variables))}") from None
    if size > SIZE:
        raise RequestError(f"template_vars have {size} characters; the limit is {SIZE}")
    return variables


def texts(value: Any) -> Iterator[str]:
    """Every text in a value of JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for part in chain(value, value.values()) if isinstance(value, Mapping) else value:
            yield from texts(part)


def marked(value: Any, special: Pattern[str], sign: str) -> Any:
    """`value` with `sign` inside each special token of its texts, so that none is one any more."""
    if isinstance(value, str):
        return special.sub(lambda found: f"{found[0][0]}{sign}{found[0][1:]}", value)
    if isinstance(value, Mapping):
        return {marked(name, special, sign): marked(part, special, sign) for name, part in value.items()}
    return [marked(part, special, sign) for part in value] if isinstance(value, list | tuple) else value


def _text(message: Any) -> Any:
    """The content of a message as text."""
    if isinstance(message, Mapping) and isinstance(message.get("role"), str) and "content" in message:
        content = message["content"]
        if isinstance(content, str):
            return content
        if content is None:
            return ""
        if isinstance(content, list | tuple) and all(_is_text_part(part) for part in content):
            return "".join(part["text"] for part in content)
    raise RequestError(f'a message needs a "role" and a "content", both text, got {quoted(message)}')


def _is_text_part(part: Any) -> bool:
    """Return True for {"type": "text", "text": …}."""
    return isinstance(part, Mapping) and part.get("type") == "text" and isinstance(part.get("text"), str)
