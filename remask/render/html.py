"""One self-contained page: a run to step through, with the chapters of a lesson if there are any. It loads nothing."""

import json
import re
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from typing import Any

from ..errors import RequestError
from ..trace.board import Cell, checked
from ..trace.format import Trace
from .figures import Chapter, Entry, Figure, Film, Likelihood, Share, Strip, Table, Token
from .glyph import chip, clean, glyph
from .ramp import colour, percent
from .svg import picture


def page(trace: Trace, chapters: Sequence[Chapter] = (), *, text: str = "", step: int = 1) -> str:
    """Return the page as a string. `text` is the answer, for readers without JavaScript; `step` is shown first.

    Raises the error of `checked` for a malformed trace.
    """
    checked(trace)  # refuse a malformed trace here, not in the reader's browser
    heading = "How a diffusion language model writes" if chapters else "One run, step by step"
    values = {
        "title": escape(heading),
        "heading": escape(heading),
        "lede": escape(_lede(bool(chapters))),
        "facts": "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in facts(trace)),
        "contents": _contents(chapters),
        "chapters": "\n".join(map(chapter, chapters)),
        "text": escape(clean(text)),
        "foot": _foot(trace),
        "data": data(trace),
        "style": _asset("page.css"),
        "script": _asset("page.js"),
    }
    body = f'<body class="told" data-step="{int(step)}">' if chapters else "<body>"
    whole = _asset("page.html").replace("<body>", body)
    pieces = whole.split("@")  # text @name@ text @name@ text: values are not searched for names
    return "".join(values[part] if i % 2 else part for i, part in enumerate(pieces))


def data(trace: Trace) -> str:
    """Return the run as JSON that is safe inside a script element. Raises RequestError for what JSON cannot say."""
    glyphs = {token: glyph(text) for token, text in trace.pieces.items()}
    run = {"header": trace.header, "steps": trace.steps, "end": trace.end, "glyphs": glyphs}
    try:
        text = json.dumps(run, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (ValueError, TypeError, RecursionError):
        raise RequestError("the trace holds a number that is not finite, or no JSON; was it edited?") from None
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def facts(trace: Trace) -> list[tuple[str, str]]:
    """Return the most important facts of a run, as names and values."""
    header, end, recipe = trace.header, trace.end or {}, trace.header.get("recipe")
    recipe = recipe if isinstance(recipe, dict) else {}
    values: list[tuple[str, Any]] = [
        ("model", header.get("model")),
        ("recipe", recipe.get("name")),
        ("steps", len(trace.steps)),
        ("tokens decided", sum(len(line["changes"]) for line in trace.steps)),
        ("seed", header.get("seed")),
        ("exactness", header.get("exactness")),
        ("ended by", end.get("finish_reason", "interruption")),
    ]
    return [(name, glyph(str(value))) for name, value in values if value is not None]


def chapter(content: Chapter) -> str:
    """Draw a chapter as a section."""
    by = ", ".join(f"<code>{escape(name)}</code>" for name in content.code)
    return (
        f'<section class="chapter" id="chapter-{content.number}">'
        f'<div class="number" aria-hidden="true">{content.number}</div>'
        f"<div><h2>{escape(content.title)}</h2><p>{escape(content.words)}</p>"
        f'<p class="formula">{formula(content.formula)}</p><p class="by">in this code base: {by}</p>'
        + "".join(map(figure, content.figures))
        + "</div></section>"
    )


def formula(line: str) -> str:
    """Draw a line of mathematics; `z_v` gets a subscript."""
    return re.sub(r"(?<=\w)_(\w)\b", r"<sub>\1</sub>", escape(line))


def figure(content: Figure) -> str:
    """Draw a figure with its caption."""
    kind, drawn = "", ""
    if isinstance(content, Strip):
        drawn = f'<div class="strip">{"".join(map(cell, content.cells))}</div>'
    elif isinstance(content, Film):
        kind, drawn = ' class="film"', picture(content.trace, alone=False)
    else:
        drawn = table(content)
    caption = f"<figcaption>{escape(content.caption)}</figcaption>" if content.caption else ""
    return f"<figure{kind}>{drawn}{caption}</figure>"


def cell(content: Cell) -> str:
    """Draw a position of a strip."""
    if content.state in ("masked", "draft"):
        return '<span class="t masked">[MASK]</span>'
    back = colour(content.confidence)
    style = (
        f' style="--c:{back.hex};--k:{back.ink.hex};--p:{content.confidence:.3f}"'
        if content.confidence == content.confidence
        else ""
    )
    sure = f"<small>{percent(content.confidence)}</small>" if content.fresh else ""
    fresh = " fresh" if content.fresh else ""
    return f'<span class="t {content.state}{fresh}"{style}>{escape(chip(content.text))}{sure}</span>'


def table(content: Table) -> str:
    """Draw a table, with numbers aligned to the right."""
    kinds = [' class="n"' if right else "" for right in content.numeric]
    head = "".join(f'<th scope="col"{k}>{escape(name)}</th>' for name, k in zip(content.columns, kinds, strict=True))
    rows = []
    for i, row in enumerate(content.rows):
        marks = " ".join(["strong"] * (i in content.strong) + ["cut"] * (i > 0 and i == content.cut))
        cells = "".join(f"<td{k}>{entry(value)}</td>" for value, k in zip(row, kinds, strict=True))
        rows.append(f'<tr class="{marks}">{cells}</tr>' if marks else f"<tr>{cells}</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def entry(value: Entry) -> str:
    """Draw the content of a table cell."""
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


def _contents(chapters: Sequence[Chapter]) -> str:
    if not chapters:
        return ""
    links = "".join(f'<li><a href="#chapter-{c.number}"><b>{c.number}</b>{escape(c.title)}</a></li>' for c in chapters)
    return f'<nav class="contents" aria-label="chapters"><ol>{links}</ol></nav>'


def _lede(lesson: bool) -> str:
    if lesson:
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
