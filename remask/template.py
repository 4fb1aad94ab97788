"""A checkpoint's chat template, rendered where it can do little harm: jinja2's sandbox, and a budget.

The sandbox keeps a template from Python's internals, but not from running for ever or filling the memory: one line can
ask for 'a' * 10**10. So loop turns, calls, filters and joined strings are counted, no text may outgrow SIZE, and what
only pads or formats is not there. (Left open: comparing lists that hold one another many times over.)
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from jinja2 import Template, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS
from jinja2.runtime import Context, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

STEPS = 200_000  # that one rendering may take: a step is a loop turn, a call, 100 characters or 10 items made
SIZE = 1_000_000  # characters of the result, and of any text on the way
KEPT = (
    "abs", "capitalize", "count", "d", "default", "dictsort", "e", "escape", "first", "float", "int", "items", "last",
    "length", "list", "lower", "map", "max", "min", "reject", "rejectattr", "reverse", "round", "safe", "select",
    "selectattr", "sort", "string", "sum", "title", "trim", "unique", "upper",
)  # fmt: skip
TEXTUAL = {"capitalize", "e", "escape", "lower", "replace", "safe", "string", "title", "trim", "upper"}
AT_ONCE = {"count", "d", "default", "first", "last", "length"}  # look at no items
PADDING = {"center", "expandtabs", "format", "format_map", "ljust", "rjust", "translate", "zfill"}
PLAIN = (str, int, float, Undefined, type(None))  # what may become text: lists of lists could be endless as text
BUDGET = "budget of this rendering"  # no template can spell this name


def compiled(source: str) -> Template:
    """The template, ready for `render`. Raises jinja2.TemplateError if it cannot be read."""
    return _ENVIRONMENT.from_string(source)


def render(template: Template, variables: Mapping[str, Any]) -> str:
    """The text. Raises jinja2.TemplateError, or what Python raises for values that do not fit, within bounded work."""
    pieces, size = [], 0
    for piece in template.generate({**variables, BUDGET: _Budget()}):
        size += len(piece)
        if size > SIZE:
            raise SecurityError(f"it writes more than {SIZE} characters")
        pieces.append(piece)
    return "".join(pieces)


class _Budget:
    """Steps that a rendering has left."""

    def __init__(self) -> None:
        self.steps = STEPS

    def spend(self, value: Any = None) -> Any:
        """Pay for a step that made `value`; an iterator pays as it goes. Returns the value."""
        if isinstance(value, Iterator):
            return self.turns(value)
        if isinstance(value, str) and len(value) > SIZE:
            raise SecurityError(f"it makes a text of more than {SIZE} characters")
        self.steps -= 1 + (len(value) // 100 if isinstance(value, str) else _items(value) // 10)
        if self.steps < 0:
            raise SecurityError(f"it takes more than {STEPS} steps")
        return value

    def turns(self, items: Iterable[Any], cost: int = 0) -> Iterator[Any]:
        """The items, each paid for; `cost` is what the loop's body writes anyway."""
        for item in items:
            self.steps -= cost // 100
            self.spend()
            yield item


class _Environment(ImmutableSandboxedEnvironment):
    """The sandbox, with everything that can be large or long going through the budget."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree: nodes.Template = _Counted().visit(super()._parse(source, name, filename))
        tree.set_environment(self)
        return tree

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        return attr not in PADDING and super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> None:
        """No str.format: a width in its text pads without bounds."""

    def call(self, context: Context, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        budget, owner = context[BUDGET], getattr(function, "__self__", None)
        budget.spend()
        if isinstance(owner, str) and function.__name__ in ("join", "replace"):
            return (_join if function.__name__ == "join" else _replace)(context, owner, *args, **kwargs)
        return budget.spend(super().call(context, function, *args, **kwargs))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "%" and isinstance(left, str):
            raise SecurityError("it formats with %; use ~")
        if operator in ("*", "**") and _bulk(left) * _bulk(right) > SIZE:
            raise SecurityError(f"its {operator} makes more than {SIZE}")
        return context[BUDGET].spend(super().call_binop(context, operator, left, right))


class _Counted(NodeTransformer):
    """Sends the items of each loop and the parts of each `~` through filters that count."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        self.generic_visit(node)
        written = sum(len(part.data) for part in node.find_all(nodes.TemplateData))
        node.iter = _through("turns", node.iter, nodes.Const(written))
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Expr:
        self.generic_visit(node)
        return _through("concatenated", nodes.List(node.nodes, lineno=node.lineno))


def _through(name: str, node: nodes.Node, *args: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(node, name, list(args), [], None, None, lineno=node.lineno)


def _bulk(value: Any) -> float:
    return len(value) if isinstance(value, (str, bytes, list, tuple)) else abs(value) if isinstance(value, int) else 1


def _items(value: Any) -> int:
    return len(value) if isinstance(value, (list, tuple, dict, range)) else 0


def _plain(value: Any) -> str:
    if not isinstance(value, PLAIN):
        raise SecurityError(f"it writes a {type(value).__name__} as text; use tojson")
    return str(value)


@pass_context
def _finalised(context: Context, value: Any) -> str:
    return context[BUDGET].spend(_plain(value))


@pass_context
def _turns(context: Context, items: Iterable[Any], cost: int) -> Iterator[Any]:
    return context[BUDGET].turns(items, cost)


@pass_context
def _concatenated(context: Context, parts: list[Any]) -> str:
    return _join(context, "", parts)


def _join(context: Context, separator: str, parts: Iterable[Any]) -> str:
    """separator.join(parts), if that is not too long."""
    texts = [_plain(part) for part in context[BUDGET].turns(parts)]
    if sum(map(len, texts)) + len(separator) * len(texts) > SIZE:
        raise SecurityError(f"it joins more than {SIZE} characters")
    return context[BUDGET].spend(separator.join(texts))


def _replace(context: Context, text: str, old: str, new: str, count: int | None = None) -> str:
    """text.replace(old, new), if that cannot be too long."""
    text, old, new = _plain(text), _plain(old), _plain(new)
    if len(new) > len(old) and (text.count(old) * (len(new) - len(old))) > SIZE:
        raise SecurityError(f"it replaces with more than {SIZE} characters")
    return context[BUDGET].spend(text.replace(old, new, -1 if count is None else count))


@pass_context
def _joined(context: Context, parts: Iterable[Any], d: str = "") -> str:
    return _join(context, _plain(d), parts)


@pass_context
def _tojson(context: Context, value: Any, indent: int | None = None) -> str:
    """As transformers has it: not escaped for HTML. The pure Python encoder, which gives its text piece by piece."""
    return _join(
        context, "", json.JSONEncoder(ensure_ascii=False, indent=min(indent or 0, 8) or None).iterencode(value)
    )


def _counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The filter, paid for; one that makes text takes no lists."""
    wanted = str(getattr(function, "jinja_pass_arg", None))

    @pass_context
    def counted(context: Context, value: Any, *args: Any, **kwargs: Any) -> Any:
        context[BUDGET].spend(value if _items(value) and name not in AT_ONCE else None)
        first = (_plain(value) if name in TEXTUAL and not isinstance(value, str) else value), *args
        if "eval_context" in wanted:
            first = context.eval_ctx, *first
        elif "environment" in wanted:
            first = context.environment, *first
        elif "context" in wanted:
            first = context, *first
        return context[BUDGET].spend(function(*first, **kwargs))

    return counted


def _raise(message: str) -> None:
    raise SecurityError(str(message)[:300])


def _environment() -> _Environment:
    environment = _Environment(
        trim_blocks=True, lstrip_blocks=True, finalize=_finalised, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters = {name: _counted(name, FILTERS[name]) for name in KEPT}
    own = {"turns": _turns, "concatenated": _concatenated, "join": _joined, "tojson": _tojson}
    environment.filters |= {**own, "replace": pass_context(_replace)}
    del environment.globals["lipsum"]
    environment.globals["raise_exception"] = _raise
    return environment


_ENVIRONMENT = _environment()
