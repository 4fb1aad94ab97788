"""The sandbox of a checkpoint's chat template: jinja2's own, and a budget of work and of memory.

jinja2's sandbox keeps a template away from Python's internals, but does not stop endless work or a full memory: one
line can make 'a' * 10**10. So its source is short, a template pays for every value that it makes, passes on, compares
or iterates over, and the clock is looked at with every payment. That suffices, without a process to end, because no
operation between two payments is long: a text has at most SIZE characters, a list SIZE items and DEPTH levels, a number
64 bits; and only the methods of METHODS can be called.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from jinja2 import Template, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS
from jinja2.runtime import Context, Macro, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.tests import TESTS
from jinja2.visitor import NodeTransformer
from markupsafe import escape

SOURCE = 64 << 10  # bytes of a template
NODES = 4_096  # of its syntax tree; compiled, each takes up to 25 kB
SECONDS = 1.0  # of one rendering
STEPS = 200_000  # limit of one rendering: a step is a loop turn, a call, 100 characters or 10 items
SIZE = 1_000_000  # characters of the result, or of any text on the way; items of a list, with those of its items
BITS = 64  # of a whole number
NUMERAL = 100  # characters of a text that becomes a number
DEPTH = 100  # levels of lists within lists, or of expressions within expressions
KEPT = (
    "abs", "capitalize", "count", "d", "default", "dictsort", "first", "float", "int", "items", "last", "length",
    "list", "lower", "map", "max", "min", "reject", "rejectattr", "reverse", "select", "selectattr", "sort", "string",
    "title", "unique", "upper",
)  # fmt: skip
TEXTUAL = {"capitalize", "lower", "string", "title", "upper"}  # filters and tests that read any value as text
COPYING = {"dictsort", "max", "min", "sort", "unique"}  # filters that make a lower-case copy of each text
NUMERIC = {"float", "int"}
AT_ONCE = {"count", "d", "default", "first", "last", "length"}  # filters that do not iterate over items
COMPARING = (
    "!=", "<", "<=", "==", ">", ">=", "eq", "equalto", "ge", "greaterthan", "gt", "in", "le", "lessthan", "lt", "ne",
)  # fmt: skip
TEXT_METHODS = (  # those that neither pad, nor format, nor make bytes
    "capitalize", "casefold", "count", "endswith", "find", "index", "isalnum", "isalpha", "isascii", "isdecimal",
    "isdigit", "isidentifier", "islower", "isnumeric", "isprintable", "isspace", "istitle", "isupper", "join", "lower",
    "lstrip", "partition", "removeprefix", "removesuffix", "replace", "rfind", "rindex", "rpartition", "rsplit",
    "rstrip", "split", "splitlines", "startswith", "strip", "swapcase", "title", "upper",
)  # fmt: skip
METHODS: tuple[tuple[Any, Sequence[str]], ...] = (
    (str, TEXT_METHODS),
    (Mapping, ("get", "items", "keys", "values")),
    ((list, tuple, range), ("count", "index")),
    (object, ("changed", "cycle", "next", "reset")),  # of loops and cyclers
)
VIEWS: tuple[type, ...] = tuple(type(view({})) for view in (dict.keys, dict.values, dict.items))
COLLECTIONS: Any = (list, tuple, dict, range, *VIEWS)
PLAIN = (str, int, float, Undefined, type(None))  # may become text; the text of nested lists could be endless
BUDGET = "budget of this rendering"  # not a name that a template can use


def compiled(source: str) -> Template:
    """Compile a template for `render`. Raises jinja2.TemplateError if it cannot be read, or is too large."""
    if (size := len(source.encode())) > SOURCE:
        raise SecurityError(f"it has {size} bytes; the limit is {SOURCE}")
    return _ENVIRONMENT.from_string(source)


def render(template: Template, variables: Mapping[str, Any]) -> str:
    """Render a template to text, with bounded work. Raises jinja2.TemplateError, or Python's error for wrong values."""
    pieces, size = [], 0
    for piece in template.generate({**variables, BUDGET: _Budget()}):
        size += len(piece)
        if size > SIZE:
            raise SecurityError(f"it writes more than {SIZE} characters")
        pieces.append(piece)
    return "".join(pieces)


class _Budget:
    """The steps that are left of a rendering."""

    def __init__(self) -> None:
        self.steps = STEPS
        self.end = time.monotonic() + SECONDS

    def spend(self, value: Any = None) -> Any:
        """Pay for a step that made `value`, and return it; an iterator pays for each item when it yields the item."""
        if isinstance(value, Iterator):
            return self.turns(value)
        if isinstance(value, str) and len(value) > SIZE:
            raise SecurityError(f"it makes a text of more than {SIZE} characters")
        if isinstance(value, int) and value.bit_length() > BITS:
            raise SecurityError(f"it makes a whole number of more than {BITS} bits")
        self.pay(1 + (len(value) // 100 if isinstance(value, str) else _cost(value)))
        return value

    def search(self, text: str, *patterns: Any) -> None:
        """Pay for a search of `text` for each pattern from each position, as in the slowest of str's methods."""
        self.pay(sum(len(text) * len(part) // 10_000 for part in patterns if isinstance(part, str)))

    def pay(self, steps: int) -> None:
        self.steps -= steps
        if self.steps < 0:
            raise SecurityError(f"it takes more than {STEPS} steps")
        if time.monotonic() > self.end:
            raise SecurityError(f"it takes more than {SECONDS:g} s")

    def turns(self, items: Iterable[Any], cost: int = 0) -> Iterator[Any]:
        """Yield the items, and pay for each; `cost` is the number of characters that the loop's body always writes."""
        for item in items:
            self.pay(cost // 100)
            yield self.spend(item)


class _Environment(ImmutableSandboxedEnvironment):
    """jinja2's sandbox, in which everything that can be large or long pays from the budget."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        _measure(tree)
        tree = _Counted().visit(tree)
        tree.set_environment(self)
        return tree

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        known = next(names for kind, names in METHODS if isinstance(obj, kind))
        return (attr in known or not callable(value)) and super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> None:
        """Refuse str.format: a width in its text pads without a limit."""

    def call(self, context: Context, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        budget, owner = context[BUDGET], getattr(function, "__self__", None)
        budget.spend(None if isinstance(function, Macro) else (owner, args, kwargs))  # the call may compare these
        if isinstance(owner, str):
            budget.search(owner, *args)
            if function.__name__ in ("join", "replace"):
                return (_join if function.__name__ == "join" else _replace)(context, owner, *args, **kwargs)
        return budget.spend(super().call(context, function, *args, **kwargs))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "%" and isinstance(left, str):
            raise SecurityError("it formats with %; use ~")
        if operator == "*" and max(_length(left) * _count(right), _count(left) * _length(right)) > SIZE:
            raise SecurityError(f"its * makes more than {SIZE}")
        if operator == "**" and _count(right) > BITS and _count(left) > 1:
            raise SecurityError(f"its ** makes a whole number of more than {BITS} bits")
        return context[BUDGET].spend(super().call_binop(context, operator, left, right))


class _Counted(NodeTransformer):
    """A transformer that puts filters that pay around loops' items, parts of `~`, lists, slices and compared values."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        if node.recursive:
            raise SecurityError("it has a recursive loop; use a macro")
        self.generic_visit(node)
        characters = sum(len(part.data) for part in node.find_all(nodes.TemplateData))
        node.iter = _through("turns", node.iter, nodes.Const(characters))
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Expr:
        self.generic_visit(node)
        return _through("concatenated", nodes.List(node.nodes, lineno=node.lineno))

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
        self.generic_visit(node)
        node.expr = _through("spent", node.expr)
        for operand in node.ops:
            operand.expr = _through("spent", operand.expr)
        return node

    def visit_List(self, node: nodes.List | nodes.Dict | nodes.Tuple) -> nodes.Node:
        self.generic_visit(node)
        return node if isinstance(node, nodes.Tuple) and node.ctx != "load" else _through("spent", node)

    visit_Dict = visit_Tuple = visit_List

    def visit_Pair(self, node: nodes.Pair) -> nodes.Node:
        self.generic_visit(node)
        node.key = _through("spent", node.key)  # it is hashed
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
        self.generic_visit(node)
        if isinstance(node.arg, nodes.Slice):
            return _through("spent", node)
        if not isinstance(node.arg, nodes.Const):
            node.arg = _through("spent", node.arg)
        return node

    def visit_Const(self, node: nodes.Const) -> nodes.Node:
        if _count(node.value).bit_length() > BITS:
            raise SecurityError(f"it has a whole number of more than {BITS} bits")
        return node

    def visit_ScopedEvalContextModifier(self, node: nodes.ScopedEvalContextModifier) -> nodes.Node:
        raise SecurityError("it escapes by itself; use the filter")


def _through(name: str, node: nodes.Node, *args: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(node, name, list(args), [], None, None, lineno=node.lineno)


def _measure(tree: nodes.Template) -> None:
    """Refuse a tree that would take long to compile, level by level."""
    level: list[nodes.Node] = [tree]
    count = depth = 0
    while level:
        count, depth = count + len(level), depth + 1
        if count > NODES:
            raise SecurityError(f"it has more than {NODES} parts")
        if depth > DEPTH:
            raise SecurityError(f"its expressions nest more than {DEPTH} deep")
        level = [child for node in level for child in node.iter_child_nodes()]


def _length(value: Any) -> int:
    return len(value) if isinstance(value, (str, list, tuple)) else 0


def _count(value: Any) -> int:
    return abs(value) if isinstance(value, int) else 0


def _cost(value: Any) -> int:
    """Return the steps for a comparison of `value`: for its items and theirs, as often as it contains them."""
    items = characters = 0
    level = [value]
    for _ in range(DEPTH):
        characters += sum(len(each) for each in level if isinstance(each, str))
        nested = [each for each in level if isinstance(each, COLLECTIONS)]
        if not nested:
            return items // 10 + characters // 10_000
        items += sum(len(each) * (2 if isinstance(each, (dict, *VIEWS)) else 1) for each in nested)
        if items > SIZE:
            raise SecurityError(f"it makes a list of more than {SIZE} items")
        level = [item for each in nested for item in (chain(each, each.values()) if isinstance(each, dict) else each)]
    raise SecurityError(f"it nests lists more than {DEPTH} deep")


def _characters(value: Any) -> int:
    """Return the number of characters of the texts in a collection, or in its items."""
    level = chain(value, value.values()) if isinstance(value, dict) else value
    texts = chain.from_iterable(each if isinstance(each, (list, tuple)) else (each,) for each in level)
    return sum(len(each) for each in texts if isinstance(each, str))


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
    """Return separator.join(parts), if that is not too long."""
    texts = [_plain(part) for part in context[BUDGET].turns(parts)]
    if sum(map(len, texts)) + len(separator) * len(texts) > SIZE:
        raise SecurityError(f"it joins more than {SIZE} characters")
    return context[BUDGET].spend(separator.join(texts))


def _replace(context: Context, text: str, old: str, new: str, count: int | None = None) -> str:
    """Return text.replace(old, new), if that cannot be too long."""
    text, old, new = _plain(text), _plain(old), _plain(new)
    context[BUDGET].search(text, old)
    if len(new) > len(old) and (text.count(old) * (len(new) - len(old))) > SIZE:
        raise SecurityError(f"it replaces with more than {SIZE} characters")
    return context[BUDGET].spend(text.replace(old, new, -1 if count is None else count))


@pass_context
def _joined(context: Context, parts: Iterable[Any], d: str = "") -> str:
    return _join(context, _plain(d), parts)


@pass_context
def _tojson(context: Context, value: Any, indent: int | None = None) -> str:
    """Encode as transformers does, without escapes for HTML, by the Python encoder, which yields its text in pieces."""
    return _join(
        context, "", json.JSONEncoder(ensure_ascii=False, indent=min(indent or 0, 8) or None).iterencode(value)
    )


@pass_context
def _spent(context: Context, value: Any) -> Any:
    """Pay for a value that is only compared or iterated over, and return it."""
    budget = context[BUDGET]
    return budget.spend(value) if isinstance(value, Iterator) else budget.spend((value,))[0]


@pass_context
def _trimmed(context: Context, value: Any, chars: str | None = None) -> str:
    text = _plain(value)
    context[BUDGET].search(text, chars)
    return context[BUDGET].spend(text.strip(chars))


@pass_context
def _rounded(context: Context, value: Any, precision: Any = 0, method: str = "common") -> Any:
    if not isinstance(precision, int) or abs(precision) > 100:
        raise SecurityError("it rounds to more than 100 places")
    return context[BUDGET].spend(FILTERS["round"](value, precision, method))


@pass_context
def _escaped(context: Context, value: Any) -> str:
    return context[BUDGET].spend(str(escape(_plain(value))))


@pass_context
def _safe(context: Context, value: Any) -> str:
    return context[BUDGET].spend(_plain(value))


@pass_context
def _summed(context: Context, items: Iterable[Any], attribute: Any = None, start: Any = 0) -> Any:
    if not isinstance(start, (int, float)):
        raise SecurityError("it sums what is no number; use join")
    total = FILTERS["sum"](context.environment, context[BUDGET].turns(items), attribute, start)
    return context[BUDGET].spend(total)


def _counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a filter or test that pays; one that makes text takes no lists."""
    argument = str(getattr(function, "jinja_pass_arg", None))

    @pass_context
    def counted(context: Context, value: Any, *args: Any, **kwargs: Any) -> Any:
        context[BUDGET].spend(None if name in AT_ONCE else (value, args, kwargs))
        if name in NUMERIC and isinstance(value, str) and len(value) > NUMERAL:
            raise SecurityError(f"it reads a number from more than {NUMERAL} characters")
        if name in COPYING and isinstance(value, (str, *COLLECTIONS)):
            context[BUDGET].pay(_characters(value) // 100)
        first = (_plain(value) if name in TEXTUAL and not isinstance(value, str) else value), *args
        if "eval_context" in argument:
            first = context.eval_ctx, *first
        elif "environment" in argument:
            first = context.environment, *first
        elif "context" in argument:
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
    environment.filters |= {"turns": _turns, "concatenated": _concatenated, "spent": _spent}
    environment.filters |= {"join": _joined, "tojson": _tojson, "replace": pass_context(_replace)}
    environment.filters |= {"round": _rounded, "sum": _summed, "trim": _trimmed}
    environment.filters |= {"e": _escaped, "escape": _escaped, "safe": _safe}
    reading: dict[str, Any] = {name: TESTS[name] for name in (*COMPARING, "lower", "upper")}  # others ask for the type
    environment.tests |= {name: _counted(name, test) for name, test in reading.items()}
    del environment.globals["lipsum"]
    environment.globals["raise_exception"] = _raise
    return environment


_ENVIRONMENT = _environment()
