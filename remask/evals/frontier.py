"""The quality-speed frontier as a picture."""

from collections.abc import Sequence
from io import BytesIO
from typing import Any

from .results import Result, frontier

SPEEDS = {"tokens_per_second": "kept tokens a second, on this machine", "tokens_per_forward": "kept tokens a forward"}


def plot(results: Sequence[Result], title: str, kind: str) -> bytes:
    """A row of panels a workload: quality with its 95 % interval, against tokens a second and tokens a forward.

    The stairs are the frontier: what no recipe here beats in both. `kind` is png or svg.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    workloads = list(dict.fromkeys(r.workload for r in results))
    labels = list(dict.fromkeys(r.label for r in results if r.passed is not None))
    looks = {label: {"color": f"C{i % 10}", "marker": "osD^vP*X"[i // 10 % 8]} for i, label in enumerate(labels)}
    settings: Any = {"svg.hashsalt": "remask", "svg.fonttype": "path", "font.size": 9}
    with matplotlib.rc_context(settings):
        size = (9.5, 0.9 + 3.0 * len(workloads))
        figure, axes = plt.subplots(
            len(workloads), len(SPEEDS), figsize=size, sharey="row", layout="constrained", squeeze=False
        )
        for row, workload in zip(axes, workloads, strict=True):
            mine = [r for r in results if r.workload == workload]
            for axis, speed in zip(row, SPEEDS, strict=True):
                _panel(axis, mine, speed, looks)
            what = "accuracy, %" if mine[0].judged else "answers equal to the first recipe's, %"
            row[0].set_ylabel(f"{workload}: {what}")
        for axis, name in zip(axes[-1], SPEEDS.values(), strict=True):
            axis.set_xlabel(name)
        shown = {line.get_label(): line for axis in axes.flat for line in axis.containers}
        figure.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=4, frameon=False)
        figure.suptitle(title)
        file = BytesIO()
        figure.savefig(file, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
        plt.close(figure)
    return file.getvalue()


def _panel(axis: Any, results: Sequence[Result], speed: str, looks: dict[str, dict[str, str]]) -> None:
    from matplotlib.ticker import LogLocator, NullLocator

    for result in results:
        x, quality, interval = getattr(result, speed), result.quality, result.interval
        if not x or quality is None or interval is None:
            continue
        error = [[100 * (quality - interval[0])], [100 * (interval[1] - quality)]]
        axis.errorbar(x, 100 * quality, error, capsize=2, lw=1, ms=6, label=result.label, **looks[result.label])
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_locator(NullLocator())
    axis.margins(x=0.15)
    unbeaten = frontier(results, speed)
    best = [(getattr(r, speed), 100 * (r.quality or 0.0)) for r in unbeaten]
    if best:
        stairs = [(axis.get_xlim()[0], best[0][1]), *best]
        for result, place in zip(unbeaten, best, strict=True):
            axis.annotate(result.label, place, (5, 5), textcoords="offset points", fontsize=7, rotation=40)
        axis.plot(
            *zip(*stairs, strict=True), color="0.8", lw=2, zorder=0, drawstyle="steps-pre", scalex=False, scaley=False
        )
    axis.grid(alpha=0.25)
