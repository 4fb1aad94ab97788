"""The views: safe with any token text, complete in themselves, and true to the run."""

import io
import json
import math
import re
import unicodedata
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from remask.engine.requests import Candidate, Change, Guesses, Step
from remask.errors import RequestError
from remask.render.ansi import Look, flow, grid, line, live, strip
from remask.render.figures import Chapter, Likelihood, Share, Strip, Table, Token
from remask.render.glyph import chip, clean, glyph
from remask.render.html import data, page
from remask.render.pages import pages
from remask.render.ramp import bar, colour, percent
from remask.render.svg import picture
from remask.trace.board import board, checked, steps, unused
from remask.trace.format import Trace, Writer, read

MARKUP = [
    "</script><img src=x onerror=alert(1)>",
    "<!--",
    "]]>",
    "&amp;",
    '"><svg onload=alert(1)>',
    "[bold]",
    "@data@",
]
CONTROLS = ["\x1b[31m\x1b]0;owned\x07", "\u202eevil", "\ufffe", "\x00", "a\nb", "", " ", "\u2028", "日本", "🦙"]
HOSTILE = MARKUP + CONTROLS
MASK = 99


def recorded(pieces: list[str], *, prompt: int = 2, per_step: int = 2, model: str = "toy") -> Trace:
    """A run that writes `pieces`, the even positions first, with a remasked position on the way."""
    length = len(pieces)
    names = dict(enumerate(pieces)) | {MASK: "<|mdm_mask|>"}
    tokens = np.array([*range(prompt), *[MASK] * (length - prompt)], np.int64)
    file = io.StringIO()
    writer = Writer(file, tokens, [at < prompt for at in range(length)], names.__getitem__, mask_id=MASK, model=model)
    order = [at for at in range(prompt, length) if at % 2 == 0] + [at for at in range(prompt, length) if at % 2]
    batches = [order[i : i + per_step] for i in range(0, len(order), per_step)]
    batches.append(batches[0][:1])
    left = set(order)
    for index, batch in enumerate(batches):
        changes = [Change(at, at, "committed", 0.1 + 0.8 * at / length, -0.5) for at in batch]
        if index == len(batches) - 2:
            changes.append(Change(batches[0][0], MASK, "masked", float("nan"), -9.0))
        left -= set(batch)
        read_at = np.array(sorted(left | set(batch)))
        seen = Guesses(read_at, read_at, np.full(len(read_at), 0.5), np.full(len(read_at), -0.7))
        top = {at: (Candidate(at, 0.6), Candidate(0, 0.2)) for at in batch}
        done = index + 1
        writer.step(Step(index, 0, 1, tuple(order), tuple(sorted(changes)), seen, len(left), 0, done, 0.01 * done, top))
    writer.end(finish_reason="length", text="".join(pieces[prompt:]), unused=[[length - 1, length]])
    return read(io.StringIO(file.getvalue()))


@pytest.fixture(scope="module")
def hostile() -> Trace:
    return recorded(["A", " b", *HOSTILE])


@pytest.mark.parametrize("count", [6, 8, 40])
def test_replay_ends_in_the_tokens_of_the_run(count: int) -> None:
    trace = recorded([f" w{i}" for i in range(count)])
    canvas, taken = board(trace), list(steps(trace))
    for step in taken:
        canvas.take(step)
        assert step.undecided == canvas.undecided
    assert canvas.token == trace.final().tolist() and canvas.undecided == 0
    assert [step.index for step in taken] == [saved["step"] for saved in trace.steps]
    assert taken[0].changes[0].confidence == pytest.approx(
        0.1 + 0.8 * taken[0].changes[0].position / count, abs=1 / 255
    )


def test_a_board_knows_given_drafts_and_what_is_fresh() -> None:
    trace = recorded(["A", " b", " c", " d", " e", " f"])
    canvas = board(trace)
    assert [cell.state for cell in canvas.cells()] == ["given"] * 2 + ["masked"] * 4
    canvas.take(next(steps(trace)))
    cells = canvas.cells()
    assert [cell.state for cell in cells] == ["given", "given", "committed", "draft", "committed", "draft"]
    assert [cell.fresh for cell in cells] == [False, False, True, False, True, False]
    assert cells[3].text == " d" and cells[3].confidence == pytest.approx(0.5, abs=0.01) and cells[2].born == 0
    canvas.finish(unused(trace))
    assert canvas.cells()[-1].state == "unused"


# --- the page ---


class Reader(HTMLParser):
    """What a browser would see: tags, and the addresses that it would load."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loaded: list[str] = []
        self.handlers: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "srcset", "data", "action", "poster") or (
                name == "href" and not (value or "").startswith("#")
            ):
                self.loaded.append(f"{tag} {name}={value}")
            if name.startswith("on"):
                self.handlers.append(name)


def chapter() -> Chapter:
    rows = tuple((Token(text), Share(0.5), Likelihood(text, -1.5, 0.25), "3") for text in HOSTILE)
    return Chapter(
        1, "<b>", "<i>", "z_v <", ("a<b",), (Table(("token", "p", "likely", "n"), rows, "<u>", 2, frozenset({1})),)
    )


def test_the_page_loads_nothing_and_runs_nothing_of_a_token(hostile: Trace) -> None:
    html = page(hostile, [chapter()], text="</pre><img>")
    reader = Reader()
    reader.feed(html)
    assert reader.loaded == [] and reader.handlers == []
    assert not {"img", "iframe", "link", "object", "embed", "b>", "u"} & set(reader.tags)
    assert reader.tags.count("script") == 2 and reader.tags.count("style") == 1
    assert set(re.findall(r"https?://[^\s\"'<]+", html)) <= {"http://www.w3.org/2000/svg"}, "a name, not an address"
    assert "@import" not in html and "url(" not in html
    assert "default-src 'none'" in html


def test_the_page_holds_the_run(hostile: Trace) -> None:
    html = page(hostile)
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    run = json.loads(text)
    assert text == data(hostile) and not set("<>&") & set(text)
    assert run["steps"] == hostile.steps and run["header"] == hostile.header and run["end"] == hostile.end
    tokens = list(run["header"]["tokens"])
    for step in run["steps"]:
        for position, token, *_ in step["changes"]:
            tokens[position] = token
    assert tokens == hostile.final().tolist()
    assert run["glyphs"]["2"] == HOSTILE[0], "markup stays text, as data"


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("repeat", [1, 12])
def test_the_picture_is_xml_whatever_the_tokens(alone: bool, repeat: int) -> None:
    trace = recorded(["A", " b", *HOSTILE * repeat], model="<model>&\x1b")
    root = ElementTree.fromstring(picture(trace, alone=alone))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    kinds = {node.tag.split("}")[1] for node in root.iter()}
    assert kinds <= {"svg", "style", "rect", "text", "title"}


def test_a_long_prompt_goes_on_a_line_of_its_own() -> None:
    trace = recorded([f" p{i}" for i in range(20)] + [" x", " y", " z"], prompt=20)
    drawn = picture(trace)
    assert drawn.count("p19") == 1 and " z".strip() in drawn


# --- the terminal ---


def shown(renderable: Any, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, height=24, force_terminal=False)
    console.print(renderable)
    return console.file.getvalue()  # type: ignore[attr-defined]


def controls(text: str) -> set[str]:
    return {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") and c != "\n"}


def test_no_control_character_reaches_the_terminal(hostile: Trace) -> None:
    canvas, taken = board(hostile), list(steps(hostile))
    console = Console(file=io.StringIO(), width=80, height=24)
    for step in taken:
        canvas.take(step)
        views = (flow(canvas.cells()), strip(canvas.cells()), line(canvas, 3), live(canvas, console, Look("toy", 3)))
        assert not any(controls(shown(view)) for view in views)
    assert not controls(shown(grid(board(hostile), taken, 80)))
    assert not any(controls(shown(one)) for one in pages([chapter()], 80))


def test_the_grid_shows_the_step_that_decided_each_position() -> None:
    trace = recorded(["A", " b", " cat", " dog", " elk", " fox"])
    rows = shown(grid(board(trace), list(steps(trace)), 80)).splitlines()
    names = rows[0].split()
    assert names == ["␣cat", "␣dog", "␣elk", "␣fox"]
    assert rows[1].split() == ["1", "37▃", "·", "64▆", "·"]
    narrow = shown(grid(board(trace), list(steps(trace)), 14)).splitlines()
    assert len(narrow) == len(rows) and narrow[1] == " 1▃·▆·", "no room for numbers: bars alone"
    wide = recorded(["A", " b", *[" w"] * 30])
    taken = list(steps(wide))
    assert len(shown(grid(board(wide), taken, 23)).splitlines()) == 2 * (len(taken) + 1) + 1, "goes on below"


def test_a_confidence_is_never_colour_alone() -> None:
    cells = [SimpleNamespace(position=i, text=f" w{i}", state="committed", confidence=c, fresh=True, born=0)
             for i, c in enumerate((0.0, 0.5, 1.0))]  # fmt: skip
    assert flow(cells).plain == " w0▁ w1▅ w2█"  # type: ignore[arg-type]


def test_a_strip_of_positions() -> None:
    trace = recorded(["A", " b", " c", " d", " e", " f"])
    canvas = board(trace)
    canvas.take(next(steps(trace)))
    told = Chapter(1, "t", "w", "f", (), (Strip(tuple(canvas.cells()), "after"),))
    text = "".join(shown(one) for one in pages([told], 80))
    assert "A ␣b ␣c▃ [MASK] ␣e▆ [MASK]" in text


# --- words and colours ---


@given(st.text())
def test_glyphs_fit_one_line_and_hold_no_controls(text: str) -> None:
    assert glyph(text) and "\n" not in glyph(text) and not controls(glyph(text)) and not controls(chip(text))
    assert not controls(clean(text)) - {"\t"}
    ElementTree.fromstring(f"<a>{''.join(c for c in glyph(text) if c not in '<&')}</a>")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\n\n", "⏎⏎"),
        ("<|endoftext|>", "⟨end⟩"),
        ("<|eot_id|>", "⟨turn⟩"),
        ("", "∅"),
        ("\x1b", "␛"),
        ("\u202e", "⟨U+202E⟩"),
    ],
)
def test_glyphs(text: str, expected: str) -> None:
    assert glyph(text) == expected


@pytest.mark.parametrize(("text", "expected"), [(" a", "␣a"), ("  ", "␣␣"), ("a ", "a␣"), ("a b", "a b")])
def test_chips_show_spaces_at_the_ends(text: str, expected: str) -> None:
    assert chip(text) == expected


def luminance(red: int, green: int, blue: int) -> float:
    linear = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in (red, green, blue)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_the_ramp_grows_brighter_and_its_ink_can_be_read() -> None:
    ramp = [colour(i / 50) for i in range(51)]
    light = [luminance(*one) for one in ramp]
    assert light == sorted(light)
    for one in ramp:
        bright, dark = sorted((luminance(*one), luminance(*one.ink)), reverse=True)
        assert (bright + 0.05) / (dark + 0.05) >= 4.5


@given(st.floats())
def test_any_number_is_a_confidence(value: float) -> None:
    assert colour(value).hex.startswith("#") and bar(value) in "▁▂▃▄▅▆▇█" and percent(value).endswith("%")


def test_percentages_do_not_claim_certainty() -> None:
    assert [percent(x) for x in (0.0, 0.994, 0.997, 1.0)] == ["0%", "99%", ">99%", "100%"]


def test_a_trace_that_json_cannot_say_is_refused(hostile: Trace) -> None:
    for value in (math.inf, math.nan, object()):
        with pytest.raises(RequestError, match="not finite, or no JSON"):
            page(replace(hostile, header=hostile.header | {"seed": value}))


def test_a_trace_is_checked_before_it_is_drawn(hostile: Trace) -> None:
    assert checked(hostile) is hostile
