"""Heat maps and curves of a record, as PNG and SVG. matplotlib is imported only to draw."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...files import replacing
from ..statistics import wilson
from .cliff import Cliff, Needle, bins
from .sweep import Tally

FORMATS = ("png", "svg")
COLOURS = ("#1f4e79", "#c55a11", "#2e7d32", "#7b1fa2", "#b71c1c", "#00838f", "#5d4037", "#455a64")


@contextmanager
def saved_axis(stem: Path, size: tuple[float, float]) -> Iterator[Any]:
    """An axis to draw on; afterwards `stem`.png and .svg hold it, each written whole or not at all."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "remask"  # the same figure is the same file
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=size, layout="constrained")
    try:
        yield axis
        for kind in FORMATS:
            with replacing(stem.with_suffix(f".{kind}")) as path:
                figure.savefig(path, dpi=140, format=kind, metadata={"Date": None} if kind == "svg" else None)
    finally:
        plt.close(figure)


def heat_map(tallies: Sequence[Tally], stem: Path, title: str, score: str = "match", top: float = 1.0) -> None:
    """Mean score by length (columns) and depth (rows, from the start of the haystack down), with its number in each."""
    lengths = sorted({tally.condition.length for tally in tallies})
    depths = sorted({depth for tally in tallies if (depth := tally.condition.depth) is not None})
    by = {(tally.condition.depth, tally.condition.length): 100 * tally.mean(score) / top for tally in tallies}
    values = [[by.get((depth, length), float("nan")) for length in lengths] for depth in depths]
    with saved_axis(stem, (1.8 + 0.75 * max(4, len(lengths)), 1.6 + 0.36 * max(4, len(depths)))) as axis:
        image = axis.imshow(values, vmin=0, vmax=100, cmap="viridis", aspect="auto")
        for row, line in enumerate(values):
            for column, value in enumerate(line):
                if value == value:
                    dark = value < 65
                    axis.text(
                        column, row, f"{value:.0f}", ha="center", va="center", fontsize=8,
                        color="white" if dark else "black",
                    )  # fmt: skip
        axis.set_xticks(range(len(lengths)), [f"{length:,}" for length in lengths])
        axis.set_yticks(range(len(depths)), [f"{depth:g}" for depth in depths])
        axis.set(xlabel="canvas (tokens)", ylabel="depth of the needle (%)")
        axis.set_title(title, fontsize=10)
        axis.figure.colorbar(image, ax=axis, label=f"{score} (%)", fraction=0.05)


def by_distance(
    series: Mapping[str, Sequence[Needle]],
    stem: Path,
    title: str,
    *,
    reach: Mapping[str, float] | None = None,
    cliffs: Mapping[str, Cliff | None] | None = None,
) -> None:
    """Share found against how far away the needle was, with 95 % intervals; dashed: the reach that is predicted for a
    series, dotted: the cliff that was measured."""
    with saved_axis(stem, (7.2, 4.2)) as axis:
        for colour, (name, needles) in zip(_colours(len(series)), series.items(), strict=True):
            parts = bins(needles)
            middles = [(part.low + part.high) / 2 for part in parts]
            shares = [100 * part.found / part.items for part in parts]
            bounds = [wilson(part.found, part.items) for part in parts]
            axis.fill_between(
                middles, [100 * b[0] for b in bounds], [100 * b[1] for b in bounds], color=colour, alpha=0.15, lw=0
            )
            axis.plot(middles, shares, "o-", color=colour, ms=3.5, lw=1.5, label=name)
            if reach and name in reach:
                axis.axvline(reach[name], color=colour, ls="--", lw=1.2, label=f"reach {reach[name]:,.0f}")
            if cliffs and (step := cliffs.get(name)) is not None:
                axis.axvline(step.distance, color=colour, ls=":", lw=1.6, label=f"cliff {step.distance:,.0f}")
        axis.set(xlabel="distance from needle to answer (tokens)", ylabel="found (%)", ylim=(-3, 103))
        axis.set_xlim(left=0)
        axis.set_title(title, fontsize=10)
        axis.grid(alpha=0.25)
        axis.legend(fontsize=8, framealpha=0.9)


def by_length(series: Mapping[str, Sequence[Tally]], stem: Path, title: str, trained: int | None = None) -> None:
    """Mean match against the length of the canvas, one line a series; grey: the length of the training."""
    with saved_axis(stem, (7.2, 4.2)) as axis:
        for i, (colour, (name, tallies)) in enumerate(zip(_colours(len(series)), series.items(), strict=True)):
            by: dict[int, list[Tally]] = {}
            for tally in tallies:
                by.setdefault(tally.condition.length, []).append(tally)
            lengths = sorted(by)
            means = [100 * sum(r.mean("match") for r in by[length]) / len(by[length]) for length in lengths]
            axis.plot(lengths, means, "o--" if i >= len(COLOURS) else "o-", color=colour, ms=3.5, lw=1.5, label=name)
        if trained is not None:
            axis.axvline(trained, color="0.6", lw=1, label=f"trained on {trained:,}")
        axis.set(xlabel="canvas (tokens)", ylabel="match (%)", ylim=(-3, 103))
        axis.set_title(title, fontsize=10)
        axis.grid(alpha=0.25)
        axis.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))  # beside, not over lines


def curves(
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    stem: Path,
    title: str,
    *,
    ylabel: str,
    bands: Mapping[str, Sequence[tuple[float, float]]] | None = None,
    trained: int | None = None,
) -> None:
    """Lines over token positions on a logarithmic scale, with intervals where `bands` has them."""
    with saved_axis(stem, (7.2, 4.2)) as axis:
        for colour, (name, (x, y)) in zip(_colours(len(lines)), lines.items(), strict=True):
            axis.plot(x, y, "-o", color=colour, ms=3, lw=1.5, label=name)
            if bands and name in bands:
                low, high = zip(*bands[name], strict=True)
                axis.fill_between(x, low, high, color=colour, alpha=0.15, lw=0)
        if trained is not None:
            axis.axvline(trained, color="0.6", lw=1, label=f"trained on {trained:,}")
        axis.set(xlabel="position (tokens)", ylabel=ylabel, yscale="log")
        low, high = axis.get_ylim()
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_formatter("{x:g}" if high < 10 * low else "")
        axis.set_xlim(left=0)
        axis.set_title(title, fontsize=10)
        axis.grid(alpha=0.25, which="both")
        axis.legend(fontsize=8, framealpha=0.9)


def _colours(count: int) -> list[str]:
    return [COLOURS[i % len(COLOURS)] for i in range(count)]
