"""Training curves: loss, and held-out loss by task, against the step."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..files import replacing


def draw_curves(history: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw `history` (lines of metrics.jsonl) into a PNG or SVG file."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(8, 4.5), layout="constrained")
    axis.plot([h["step"] for h in history], [h["loss"] for h in history], color="0.75", lw=1, label="training")
    measured = [h for h in history if h["heldout"]]
    for task in measured[-1]["heldout"] if measured else ():
        points = [(h["step"], h["heldout"][task]) for h in measured if task in h["heldout"]]
        axis.plot(*zip(*points, strict=True), lw=1.6, label=task)
    axis.set(
        xlabel="step", ylabel="nats per masked token", yscale="log", title="Held-out loss by task (averaged weights)"
    )
    axis.grid(alpha=0.3, which="both")
    axis.legend(ncols=2, fontsize=8)
    with replacing(path) as fresh:
        figure.savefig(fresh, dpi=140)
    plt.close(figure)
