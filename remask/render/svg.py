"""The picture of a run: a row for each step, from masks to text. One SVG file, light and dark."""

from dataclasses import dataclass
from html import escape
from textwrap import wrap

from rich.cells import cell_len

from ..trace.board import Board, Cell, board, steps, unused
from ..trace.format import Trace
from .glyph import glyph
from .ramp import colour, percent

ROWS = 14  # the most steps to draw; the last step is always one of them
WIDEST, MAP = 1500, 1100  # the most pixels of tokens side by side, and the width of the map for a longer canvas
FONT, CHARACTER, CHIP, ROW, GAP, LEFT, TOP, PAD = 13, 7.85, 20, 27, 3, 62, 20, 10
FONTS = "ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace"
LIGHT = "--rmk-paper:#fbfaf7;--rmk-ink:#1d1d22;--rmk-muted:#6f6e78;--rmk-faint:#e7e3da;--rmk-given:#3d5a80"
DARK = "--rmk-paper:#14151a;--rmk-ink:#eceae4;--rmk-muted:#9d9ca8;--rmk-faint:#2a2c35;--rmk-given:#9db7d9"
STYLE = (
    f".rmk text {{ font: {FONT}px {FONTS}; fill: var(--rmk-ink); white-space: pre }}"
    """
.rmk .label, .rmk .draft, .rmk .unused { fill: var(--rmk-muted) }
.rmk .label { font-size: 11px }
.rmk .word { text-anchor: middle }
.rmk .draft { font-style: italic; opacity: .75 }
.rmk .unused { opacity: .45 }
.rmk .given { fill: var(--rmk-given) }
.rmk .mask { fill: var(--rmk-faint) }
"""
)


@dataclass(frozen=True)
class Shot:
    """The canvas after a step; `fresh` are the positions decided since the last shot."""

    number: int
    cells: tuple[Cell, ...]
    fresh: frozenset[int]


def picture(trace: Trace, *, alone: bool = True) -> str:
    """Return the SVG text; `alone` is for a file of its own, with its own colours."""
    shots, columns = film(trace)
    widths = {at: _width(text) for at, text in columns.items()}
    total = sum(widths.values()) + GAP * len(widths)
    words = total <= WIDEST
    if not words:  # draw a map of coloured cells, and the text below it
        widths = dict.fromkeys(widths, max(2.0, MAP / len(widths) - 1))
        total = sum(widths.values()) + len(widths)
    prompt, text = _prompt(trace), [] if words else _final(shots[-1], columns)
    top = TOP + 24 * bool(prompt)
    below = top + ROW * len(shots) + 14
    width, height = max(560, LEFT + total + 28), below + 20 * len(text) + 30
    about = f"{len(trace.steps)} steps, {sum(len(line['changes']) for line in trace.steps)} tokens"
    model = glyph(str(trace.header.get("model", "a run")))
    frame = f'viewBox="0 0 {width:.0f} {height}"' + (f' width="{width:.0f}" height="{height}"' if alone else "")
    style = STYLE + (f".rmk {{ {LIGHT} }} @media (prefers-color-scheme: dark) {{ .rmk {{ {DARK} }} }}" if alone else "")
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="rmk" role="img" aria-label="{about}" {frame}>',
            f"<style>{style}</style>",
            '<rect width="100%" height="100%" rx="10" fill="var(--rmk-paper)"/>' if alone else "",
            _label(20, 30, prompt, "given"),
            *(_row(shot, top + i * ROW, widths, words) for i, shot in enumerate(shots)),
            *(_label(LEFT + 8, below + 6 + 20 * i, line, "final") for i, line in enumerate(text)),
            _legend(height - 20, f"{model} · {about}", width),
            "</svg>",
        )
    )


def _final(shot: Shot, columns: dict[int, str]) -> list[str]:
    shown = (cell for cell in shot.cells if cell.position in columns and cell.state != "unused")
    text = "".join("░" if cell.state in ("masked", "draft") else glyph(cell.text) for cell in shown)
    return wrap(text, int(MAP / CHARACTER), max_lines=6, placeholder=" …")


def film(trace: Trace) -> tuple[list[Shot], dict[int, str]]:
    """Return up to ROWS shots of the run after its start, and the final text of each position to draw."""
    canvas, history = board(trace), list(steps(trace))
    numbers = {round((i + 1) * len(history) / min(ROWS, len(history))) for i in range(min(ROWS, len(history)))}
    shots: list[Shot] = [Shot(0, tuple(canvas.cells()), frozenset())]
    fresh: set[int] = set()
    for number, step in enumerate(history, 1):
        canvas.take(step)
        fresh |= canvas.fresh
        if number == len(history):
            canvas.finish(unused(trace))
        if number in numbers:
            shots.append(Shot(number, tuple(canvas.cells()), frozenset(fresh)))
            fresh = set()
    first = _first(canvas)
    return shots, {at: _word(canvas.piece(canvas.token[at])) for at in range(first, len(canvas.token))}


def _first(canvas: Board) -> int:
    """Return the first position to draw; a long prompt before it is on the top line instead."""
    lead = next((at for at, state in enumerate(canvas.state) if state != "given"), 0)
    return 0 if lead <= 6 else lead


def _prompt(trace: Trace) -> str:
    canvas = board(trace)
    if not (lead := _first(canvas)):
        return ""
    text = "".join(glyph(canvas.piece(token)) for token in canvas.token[:lead])
    return text if len(text) <= 120 else "…" + text[-119:]


def _word(text: str) -> str:
    return glyph(text).strip(" ") or "␣"


def _width(text: str) -> float:
    return max(2, cell_len(text)) * CHARACTER + PAD


def _row(shot: Shot, y: int, widths: dict[int, float], text: bool) -> str:
    parts, x = [_label(20, y + 14, f"step {shot.number}" if shot.number else "start", "label")], float(LEFT + 8)
    for cell in shot.cells:
        if cell.position in widths:
            parts.append(_cell(cell, x, y, widths[cell.position], text, cell.position in shot.fresh))
            x += widths[cell.position] + (GAP if text else 1)
    return "".join(parts)


def _cell(cell: Cell, x: float, y: int, width: float, text: bool, fresh: bool) -> str:
    back = colour(cell.confidence)
    decided = cell.state in ("committed", "revised")
    box = f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{CHIP}" rx="{4 if text else 1}" '
    if cell.state == "masked" or (cell.state == "draft" and not text):
        return box + 'class="mask"/>'
    if decided:
        tip = f"<title>{escape(glyph(cell.text))} {percent(cell.confidence)}, step {cell.born + 1}</title>"
        box += f'fill="{back.hex}" opacity="{1 if fresh or not text else 0.28}">{tip}</rect>'
    elif cell.state == "draft":
        box += 'class="mask" opacity=".5"/>'
    else:
        box = "" if text else box + f'class="{"mask" if cell.state == "unused" else "given"}" opacity=".4"/>'
    if not text:
        return box
    ink = f' style="fill:{back.ink.hex};font-weight:600"' if decided and fresh else ""
    shown, most = _word(cell.text), round((width - PAD) / CHARACTER)
    shown = shown if cell_len(shown) <= most else shown[: most - 1] + "…"
    return box + f'<text x="{x + width / 2:.1f}" y="{y + 14.5}" class="{cell.state} word"{ink}>{escape(shown)}</text>'


def _legend(y: float, about: str, width: float) -> str:
    parts, x = [], 20.0
    parts.append(_label(x, y, "unsure", "label"))
    box = '<rect x="{}" y="{}" width="4.5" height="10" fill="{}"/>'
    parts += [box.format(x + 46 + 4 * i, y - 9, colour(i / 23).hex) for i in range(24)]
    parts.append(_label(x + 150, y, "sure", "label"))
    parts.append(f'<text x="{width - 20:.0f}" y="{y}" text-anchor="end" class="label">{escape(about)}</text>')
    return "".join(parts)


def _label(x: float, y: float, text: str, kind: str) -> str:
    return f'<text x="{x}" y="{y}" class="{kind}">{escape(text)}</text>' if text else ""
