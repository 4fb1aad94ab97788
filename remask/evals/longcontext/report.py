"""The report of a sweep: scores by task, length and depth, and how far each rotary scaling reaches."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...llm import LLM
from ...models.rotary import Extent
from . import figures
from .cliff import Cliff, Needle, cliff, needles
from .conditions import Condition, trained_length
from .positions import extents
from .suite import ruler_columns
from .sweep import Sweep, Tally, Trial

WITH_DEPTH = ("niah", "kv")  # kinds with one needle, at a depth


@dataclass(frozen=True)
class Scaling:
    """All needles under one rotary scaling by distance, how far that reaches, and where retrieval was seen to end."""

    needles: list[Needle]
    reach: int | None
    cliff: Cliff | None

    def __str__(self) -> str:
        if (step := self.cliff) is None:
            return f"none up to {self.needles[-1].distance:,} tokens"
        return (
            f"{step.distance:,.0f} tokens ({step.low:,} to {step.high:,}); found {step.inside:.0%} before it, "
            f"{step.outside:.0%} behind"
        )


@dataclass(frozen=True)
class Report:
    """What a sweep of one `kind` (niah, kv, ruler, longqa) found.

    tallies  one a condition, as they were run.
    rows      one a task and length, over all depths.
    columns   by length, the group means of RULER's tables in percent; of complete groups of tasks only.
    reach     by length, T, λ and the reach that the rotary positions promise.
    scalings  by rotary scaling, the needles of all lengths together; only of kinds with one needle at a depth.
    """

    kind: str
    model: str
    trained: int
    tallies: list[Tally]
    rows: list[Tally]
    columns: dict[int, dict[str, float]]
    reach: dict[int, Extent]
    scalings: dict[str, Scaling]

    def as_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "kind": self.kind,
            "rows": [row.summary() for row in self.rows],
            "cells": [tally.summary() for tally in self.tallies],
            "reach": {length: asdict(extent) for length, extent in self.reach.items()},
            "cliffs": {name: one.cliff and asdict(one.cliff) for name, one in self.scalings.items()},
            "columns": {length: column for length, column in self.columns.items() if column},
        }

    def __str__(self) -> str:
        """A line for each row, each length with columns, and each scaling."""
        width = max(len(row.condition.task) for row in self.rows)
        lines = [self._line(row, width) for row in self.rows]
        for length, column in self.columns.items():
            if self.kind == "ruler" and column:
                shares = "   ".join(f"{name} {value:.1f}" for name, value in column.items())
                lines.append(f"{length:>7,} tokens   {shares}")
        for extent in {extent.rope: extent for extent in self.reach.values()}.values():
            lines.append(f"{extent.rope}: λ = {extent.factor:g}, d_extra = {extent.d_extra}, T = {extent.trained:,}")
            lines.append(f"  predicted reach: {extent.reach:,} tokens")
            if extent.rope in self.scalings:
                lines.append(f"  measured cliff: {self.scalings[extent.rope]}")
        return "\n".join(lines)

    def _line(self, row: Tally, width: int) -> str:
        summary, items = row.summary(), len(row.trials)
        low, high = summary["exact_interval"]
        return (
            f"{row.condition.task:<{width}} {row.condition.length:>7,} tokens   exact {row.exact / items:6.1%} "
            f"({row.exact}/{items}; {low:.1%} to {high:.1%})   match {summary['match']:6.1%}"
            + (f"   needlebench {summary['needlebench']:5.1f}" if self.kind == "niah" else "")
            + (f"   F1 {summary['f1']:6.1%}" if self.kind == "longqa" else "")
        )

    def plot(self, folder: Path) -> None:
        """Draw the figures of this kind into `folder`, each as PNG and SVG: heat maps and distances, or lengths."""
        name = f"{self.kind} · {Path(self.model).name}"
        if not self.scalings:
            series: dict[str, list[Tally]] = {}
            for tally in self.tallies:
                series.setdefault(tally.condition.task, []).append(tally)
            figures.by_length(series, folder / "lengths", f"{name}: match by length", self.trained)
            return
        figures.heat_map(self.tallies, folder / "heatmap", f"{name}: match by length and depth")
        if self.kind == "niah":
            title = f"{name}: needlebench_score"
            figures.heat_map(self.tallies, folder / "needlebench", title, "needlebench", 100)
        figures.by_distance(
            {scaling: one.needles for scaling, one in self.scalings.items()},
            folder / "distance",
            f"{name}: found by distance",
            reach={scaling: one.reach for scaling, one in self.scalings.items() if one.reach is not None},
            cliffs={scaling: one.cliff for scaling, one in self.scalings.items()},
        )


def report(llm: LLM, kind: str, tallies: Sequence[Tally], sweep: Sweep) -> Report:
    """The report of the `tallies` of a sweep with `llm`.

        sweep = Sweep(repeats=4)
        tallies = list(run(llm, conditions(["niah"], [128, 256], [0, 50, 100]), {"niah": NIAH}, sweep))
        print(report(llm, "niah", tallies, sweep))

    `kind` (niah, kv, ruler, longqa) says which scores are shown and whether distances are.
    """
    rows = merge(tallies)
    reach = extents(llm, sweep.options, sorted({tally.condition.length for tally in tallies}))
    columns: dict[int, dict[str, float]] = {}
    for length in sorted({row.condition.length for row in rows}):
        shares = {r.condition.task: 100 * r.mean("match") for r in rows if r.condition.length == length}
        columns[length] = ruler_columns(shares)
    return Report(
        kind=kind,
        model=llm.loaded.source,
        trained=trained_length(llm),
        tallies=list(tallies),
        rows=rows,
        columns=columns,
        reach=reach,
        scalings=by_scaling(tallies, reach) if kind in WITH_DEPTH else {},
    )


def by_scaling(tallies: Iterable[Tally], reach: dict[int, Extent]) -> dict[str, Scaling]:
    """The needles of all lengths that share a scaling, as one; a model without rotary positions has one, `found`."""
    trials: dict[str, list[Trial]] = {}
    reaches: dict[str, int] = {}
    for tally in tallies:
        extent = reach.get(tally.condition.length)
        name = "found" if extent is None else extent.rope
        trials.setdefault(name, []).extend(tally.trials)
        if extent is not None:
            reaches[name] = extent.reach
    near = {name: needles(some) for name, some in trials.items()}
    return {name: Scaling(some, reaches.get(name), cliff(some)) for name, some in near.items() if some}


def merge(tallies: Iterable[Tally]) -> list[Tally]:
    """Tallies of one task and length as one, over all depths."""
    by: dict[tuple[str, int], list[Trial]] = {}
    for tally in tallies:
        by.setdefault((tally.condition.task, tally.condition.length), []).extend(tally.trials)
    return [Tally(Condition(task, length), tuple(trials)) for (task, length), trials in by.items()]
