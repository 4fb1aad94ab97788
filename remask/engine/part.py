"""The rows of a step that decide together, and what their rules see: flat for the scan, a grid for what settles."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ..decoding.classes import ReadClasses
from ..decoding.columns import cut, remade, widen
from ..decoding.grid import Grid
from ..decoding.history import Memory
from ..decoding.joint import JointRow
from ..decoding.recipe import Recipe
from ..decoding.scan import Reads, Seen
from ..decoding.settle import Changes
from ..models.contract import Bools, Ints, Plan
from .row import NUMBERS, Row, together
from .transfer import Array, Arrays, Tensors


def partition(rows: Sequence[Row], plans: Sequence[Plan]) -> list["Part"]:
    """Put rows that decide together into one part each, in the order of their first rows."""
    plan = dict(zip(rows, plans, strict=True))
    return [Part(members, [plan[row] for row in members]) for members in together(rows)]


def banned(row: Row, positions: Ints, width: int) -> Ints:
    """Return the tokens (R, width) that are never guessed at `positions` (R,) of a row, filled up with -1."""
    tokens = np.full((len(positions), width), -1, np.int64)
    for line, position in zip(tokens, positions.tolist(), strict=True):
        bans = row.bans.get(position, ())
        line[: len(bans)] = bans
    return tokens


@dataclass(frozen=True)
class Part:
    """Rows whose recipes take the same branches, and their plans.

    Its reads lie end to end (R,). Its grid has one row for each of its B rows, and as many columns W as the longest of
    them reads.
    """

    rows: Sequence[Row]
    plans: Sequence[Plan]

    @property
    def streams(self) -> int:
        """Hidden rows for each read: 2 under guidance."""
        return self.rows[0].streams

    @property
    def top(self) -> int:
        """The largest number of candidates that a row asks for."""
        return max([row.candidates for row in self.rows])

    @cached_property
    def counts(self) -> Ints:
        """The number of reads of each row (B,)."""
        return np.array([len(plan.reads) for plan in self.plans])

    @cached_property
    def numbers(self) -> Array:
        """The floats in the recipe of each row (B, n), float64."""
        return np.array([row.numbers for row in self.rows])

    @cached_property
    def differing(self) -> Bools:
        """Marks those floats (n,) in which rows differ."""
        differing: Bools = (self.numbers != self.numbers[0]).any(0)
        return differing

    def inputs(self) -> Arrays:
        """Return what the rows know of their reads, on the host: (R, …), but (B, …) for what is said of a whole row."""
        known = [row.inputs(plan.reads) for row, plan in zip(self.rows, self.plans, strict=True)]
        values = {name: np.concatenate([of[name] for of in known]) for name in known[0]}
        values["quota"] = np.array([row.quota for row in self.rows])
        values["time"] = np.array([row.time for row in self.rows], np.float32)
        values["previous"] = np.array([row.previous for row in self.rows])
        if most := max((len(tokens) for row in self.rows for tokens in row.bans.values()), default=0):
            bans = [banned(row, plan.reads, most) for row, plan in zip(self.rows, self.plans, strict=True)]
            values["banned"] = np.concatenate(bans)
        if canvases := [row.canvas for row in self.rows if row.proposer]:
            values["tokens of canvas"] = np.concatenate([canvas.tokens for canvas in canvases])
            values["decided"] = np.concatenate([~canvas.undecided for canvas in canvases])
        if self.differing.any():
            values["numbers"] = self.numbers[:, self.differing]
            values["row"] = np.repeat(np.arange(len(self.rows)), self.counts)
        if (self.counts != self.counts[0]).any():
            column = np.arange(self.counts.max())
            values["valid"] = column < self.counts[:, None]
            starts = self.counts.cumsum() - self.counts
            values["cell"] = np.where(values["valid"], starts[:, None] + column, 0)
        return values

    def recipe(self, inputs: Tensors) -> Recipe:
        """Return the recipe of all rows, with columns (B, 1) where their numbers differ."""
        first = self.rows[0].recipe
        if "numbers" not in inputs:
            return first
        column = iter(inputs["numbers"].split(1, 1))
        columns = (next(column) if differs else None for differs in self.differing)
        axes = {f.name: getattr(first, f.name) for f in fields(first)}
        return remade(first, axes | {axis: widen(axes[axis], columns) for axis in NUMBERS})

    def recipe_of_reads(self, inputs: Tensors) -> Recipe:
        """Return the recipe of all reads, with columns (R, 1) where the numbers of their rows differ."""
        return cut(self.recipe(inputs), inputs["row"]) if "row" in inputs else self.rows[0].recipe

    def reads(self, inputs: Tensors) -> Reads:
        """Return the inputs of a scan."""
        memory = Memory(inputs["tokens"], inputs["shares"]) if "tokens" in inputs else None
        current = inputs["current"] if "likelihood" in self.rows[0].recipe.wants else None
        classes = self._classes if "decided" in inputs else None
        return Reads(inputs.get("keys"), inputs.get("scores"), current, memory, classes, inputs.get("banned"))

    def joint(self, inputs: dict[str, Tensor]) -> list[JointRow]:
        """Return the rows that propose their windows jointly, and read something."""
        if "decided" not in inputs:
            return []
        made, first = [], 0
        for row, reads in zip(self.rows, self._slices, strict=True):
            if row.proposer is None:
                continue
            canvas, first = slice(first, first + len(row.canvas)), first + len(row.canvas)
            if reads.start == reads.stop:
                continue
            position, committed = (inputs[name][reads] for name in ("position", "committed"))
            tokens, decided = (inputs[name][canvas] for name in ("tokens of canvas", "decided"))
            temperature = row.recipe.process.temperature
            made.append(JointRow(row.proposer, reads, position, committed, tokens, decided, temperature))
        return made

    def grid(self, inputs: Tensors, seen: Seen) -> Grid:
        """Return the grid (B, W) on which the rules decide; scores are float64 there."""

        flat = {name: inputs[name] for name in ("position", "candidate", "committed", "current", "stored")}
        flat |= {"guess": seen.guess, "confidence": (seen.confidence * inputs["weight"]).double()}
        if seen.entropy is not None:
            flat["entropy"] = seen.entropy.double()
        if seen.likelihood is not None:
            flat["likelihood"] = seen.likelihood.double()
        if "coins" in inputs:
            flat["uniform"] = inputs["coins"]
        if seen.drift is not None:
            flat["drift"] = torch.cat((seen.drift[:, None], inputs["drift"]), 1).double()
        clock = {name: inputs[name] for name in ("quota", "time", "previous")}
        if "cell" not in inputs:  # as many reads in each row
            cells = {name: values.unflatten(0, (len(self.rows), -1)) for name, values in flat.items()}
            return Grid(valid=torch.ones_like(cells["candidate"]), **cells, **clock)
        valid, cells = inputs["valid"], {name: values[inputs["cell"]] for name, values in flat.items()}
        cells |= {name: cells[name] & valid for name in ("candidate", "committed")}
        return Grid(valid=valid, **cells, **clock)

    def unspread(self, changes: Changes, inputs: Tensors) -> Changes:
        """Return the changes of the reads (R,) from those of a grid (B, W)."""
        cells = [getattr(changes, f.name) for f in fields(changes)]
        if "cell" not in inputs:
            return Changes(*[values.flatten() for values in cells])
        counts = self.counts.tolist()
        return Changes(*[torch.cat([values[b, :count] for b, count in enumerate(counts)]) for values in cells])

    @property
    def _slices(self) -> list[slice]:
        """The reads of each row."""
        ends = self.counts.cumsum()
        return [slice(int(end - count), int(end)) for end, count in zip(ends, self.counts, strict=True)]

    @property
    def _classes(self) -> ReadClasses:
        """The token classes of the reads, where some rows propose jointly."""
        asked = zip(self.rows, self._slices, strict=True)
        spans = tuple((own.start, own.stop, row.proposer.classes) for row, own in asked if row.proposer)
        return ReadClasses(spans, max(classes.count for *_, classes in spans))
