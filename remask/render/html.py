"""One self-contained page: a run to scrub through, with the chapters of a lesson if there are any. Loads nothing."""

import json
import re
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from typing import Any

from ..trace.board import Cell, checked
from ..trace.format import Trace
from .figures import Chapter, Entry, Figure, Film, Likelihood, Share, Strip, Table, Token
from .glyph import chip, clean, glyph
from .ramp import colour, percent
from .svg import picture


def page(trace: Trace, told: Sequence[Chapter] = (), *, text: str = "", step: int = 1) -> str:
    """The page as a string. `text` is what came out, for readers without JavaScript; `step` is shown first."""
    checked(trace)  # what is malformed is refused here, not in the reader's browser
    heading = "How a diffusion language model writes" if told else "One run, step by step"
    values = {
        "title": escape(heading),
        "heading": escape(heading),
        "lede": escape(_lede(bool(told))),
        "facts": "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in facts(trace)),
        "contents": _contents(told),
        "chapters": "\n".join(map(chapter, told)),
        "text": escape(clean(text)),
        "foot": _foot(trace),
        "data": data(trace),
        "style": _asset("page.css"),
        "script": _asset("page.js"),
    }
    whole = _asset("page.html").replace("<body>", f'<body class="told" data-step="{int(step)}">' if told else "<body>")
    pieces = whole.split("@")  # text @name@ text @name@ text: nothing that is put in is looked at again
    return "".join(values[part] if i % 2 else part for i, part in enumerate(pieces))


def data(trace: Trace) -> str:
    """The run as JSON that may stand inside a script element."""
    glyphs = {token: glyph(text) for token, text in trace.pieces.items()}
    run = {"header": trace.header, "steps": trace.steps, "end": trace.end, "glyphs": glyphs}
    text = json.dumps(run, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def facts(trace: Trace) -> list[tuple[str, str]]:
    """What a reader wants to know first."""
    said, end, recipe = trace.header, trace.end or {}, trace.header.get("recipe")
    recipe = recipe if isinstance(recipe, dict) else {}
    told: list[tuple[str, Any]] = [
        ("model", said.get("model")),
        ("recipe", recipe.get("name")),
        ("steps", len(trace.steps)),
        ("tokens decided", sum(len(line["changes"]) for line in trace.steps)),
        ("seed", said.get("seed")),
        ("exactness", said.get("exactness")),
        ("ended by", end.get("finish_reason", "interruption")),
    ]
    return [(name, glyph(str(value))) for name, value in told if value is not None]


def chapter(one: Chapter) -> str:
    """A chapter as a section."""
    by = ", ".join(f"<code>{escape(name)}</code>" for name in one.code)
    return (
        f'<section class="chapter" id="chapter-{one.number}"><div class="number" aria-hidden="true">{one.number}</div>'
        f"<div><h2>{escape(one.title)}</h2><p>{escape(one.words)}</p>"
        f'<p class="formula">{formula(one.formula)}</p><p class="by">in this code base: {by}</p>'
        + "".join(map(figure, one.figures))
        + "</div></section>"
    )


def formula(line: str) -> str:
    """A line of mathematics; `z_v` gets its index below."""
    return re.sub(r"(?<=\w)_(\w)\b", r"<sub>\1</sub>", escape(line))


def figure(one: Figure) -> str:
    """A figure with its caption."""
    kind, drawn = "", ""
    if isinstance(one, Strip):
        drawn = f'<div class="strip">{"".join(map(cell, one.cells))}</div>'
    elif isinstance(one, Film):
        kind, drawn = ' class="film"', picture(one.trace, alone=False)
    else:
        drawn = table(one)
    caption = f"<figcaption>{escape(one.caption)}</figcaption>" if one.caption else ""
    return f"<figure{kind}>{drawn}{caption}</figure>"


def cell(one: Cell) -> str:
    """A position in a row of positions."""
    if one.state in ("masked", "draft"):
        return '<span class="t masked">[MASK]</span>'
    back = colour(one.confidence)
    style = (
        f' style="--c:{back.hex};--k:{back.ink.hex};--p:{one.confidence:.3f}"'
        if one.confidence == one.confidence
        else ""
    )
    sure = f"<small>{percent(one.confidence)}</small>" if one.fresh else ""
    fresh = " fresh" if one.fresh else ""
    return f'<span class="t {one.state}{fresh}"{style}>{escape(chip(one.text))}{sure}</span>'


def table(one: Table) -> str:
    """A table; numbers to the right."""
    kinds = [' class="n"' if right else "" for right in one.numeric]
    head = "".join(f'<th scope="col"{k}>{escape(name)}</th>' for name, k in zip(one.columns, kinds, strict=True))
    rows = []
    for i, row in enumerate(one.rows):
        marks = " ".join(["strong"] * (i in one.strong) + ["cut"] * (i > 0 and i == one.cut))
        cells = "".join(f"<td{k}>{entry(value)}</td>" for value, k in zip(row, kinds, strict=True))
        rows.append(f'<tr class="{marks}">{cells}</tr>' if marks else f"<tr>{cells}</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def entry(value: Entry) -> str:
    """What stands in a cell of a table."""
    if isinstance(value, Token):
        return f'<span class="token">{escape(chip(value.text))}</span>'
    if isinstance(value, Share):
        return f'<span class="share">{_bar(value.value)}<b>{percent(value.value)}</b></span>'
    if isinstance(value, Likelihood):
        logit = f"{value.logit:.2f}".replace("-", "−")
        return (
            f'<span class="likely"><span><span class="token">{escape(chip(value.text))}</span></span>'
            f"{_bar(value.probability)}<small>{logit} · {percent(value.probability)}</small></span>"
        )
    return escape(value)


def _bar(share: float) -> str:
    return f'<i style="width:{100 * min(1.0, max(0.0, share)):.1f}%;background:{colour(share).hex}"></i>'


def _contents(told: Sequence[Chapter]) -> str:
    if not told:
        return ""
    links = "".join(f'<li><a href="#chapter-{c.number}"><b>{c.number}</b>{escape(c.title)}</a></li>' for c in told)
    return f'<nav class="contents" aria-label="chapters"><ol>{links}</ol></nav>'


def _lede(told: bool) -> str:
    if told:
        return (
            "One run of a masked diffusion model, taken apart. Every number on this page is from this run, computed by "
            "the code that decodes."
        )
    return (
        "A recorded run of a masked diffusion model. Step through it, and point at a token to see what else it might "
        "have been."
    )


def _foot(trace: Trace) -> str:
    recipe = (
        json.dumps(trace.header.get("recipe"), ensure_ascii=False) if trace.header.get("recipe") else "not recorded"
    )
    return (
        f"<p>Recipe: <code>{escape(clean(recipe))}</code></p><p>This page is complete in itself: it loads nothing.</p>"
    )


def _asset(name: str) -> str:
    return (files("remask") / "web" / name).read_text(encoding="utf-8")
