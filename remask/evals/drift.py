"""How far a recipe departs from a reference on the same prompts: tokens, first divergence, answers."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
from typing import Any

from .accuracy import paired_difference
from .bench import Bench
from .items import Outcome
from .statistics import clustered, in_points, wilson
from .workloads import Workload


@dataclass(frozen=True)
class Departure:
    """One prompt under both recipes, compared position by position up to where the longer answer ends.

    tokens    positions compared, the token that ended the answer included.
    changed   those that hold another token, or one in one answer only.
    position  the first of them from the left, counted in decided positions from 0; None if there is none.
    step      the first forward of the recipe, from 1, that decided a token which the reference's answer does not have
              there; None if it only ended earlier.
    """

    index: int
    tokens: int
    changed: int
    position: int | None
    step: int | None
    answer_changed: bool
    passed: bool | None
    reference_passed: bool | None

    @classmethod
    def of(cls, reference: Outcome, other: Outcome) -> "Departure":
        """Compare `other` to `reference`, outcomes of one item."""
        pairs = list(zip_longest(reference.ids, other.ids))
        changed = [i for i, (a, b) in enumerate(pairs) if a != b]
        ages = [other.ages[i] for i in changed if i < len(other.ages)]
        return cls(
            index=other.index,
            tokens=len(pairs),
            changed=len(changed),
            position=changed[0] if changed else None,
            step=min(ages) + 1 if ages else None,
            answer_changed=reference.output != other.output,
            passed=other.passed,
            reference_passed=reference.passed,
        )

    @property
    def verdict(self) -> str:
        """The answer beside the reference's, in words."""
        if not self.answer_changed:
            return "same"
        if self.passed is None:
            return "changed"
        before, after = ("right" if p else "wrong" for p in (self.reference_passed, self.passed))
        return f"{before} → {after}" if before != after else f"changed, {after} as before"


@dataclass(frozen=True)
class Drift:
    """All prompts together. Shares with 95 % intervals: of tokens (each prompt a cluster), and of answers (Wilson).

    `position` and `step` are medians over the prompts that differ. `difference` in accuracy is the recipe's less the
    reference's, with its paired interval; None where nobody can judge. Forwards are means an item.
    """

    prompts: int
    tokens: int
    changed: int
    tokens_interval: tuple[float, float]
    answers_changed: int
    answers_interval: tuple[float, float]
    position: float | None
    step: float | None
    difference: tuple[float, float, float] | None
    gained: int
    lost: int
    forwards: float
    reference_forwards: float

    @classmethod
    def of(cls, references: Sequence[Outcome], others: Sequence[Outcome]) -> "Drift":
        """Sum up pairs of outcomes of the same items."""
        departures = [Departure.of(a, b) for a, b in zip(references, others, strict=True)]
        n, answers = max(1, len(departures)), sum(d.answer_changed for d in departures)
        judged = [(a, b) for a, b in zip(references, others, strict=True) if a.passed is not None]
        positions = [d.position for d in departures if d.position is not None]
        steps = [d.step for d in departures if d.step is not None]
        return cls(
            prompts=len(departures),
            tokens=sum(d.tokens for d in departures),
            changed=sum(d.changed for d in departures),
            tokens_interval=clustered([d.changed for d in departures], [d.tokens for d in departures]),
            answers_changed=answers,
            answers_interval=wilson(answers, len(departures)),
            position=statistics.median(positions) if positions else None,
            step=statistics.median(steps) if steps else None,
            difference=paired_difference([b for _, b in judged], [a for a, _ in judged]) if judged else None,
            gained=sum(bool(b.passed) and not a.passed for a, b in judged),
            lost=sum(bool(a.passed) and not b.passed for a, b in judged),
            forwards=sum(o.forwards for o in others) / n,
            reference_forwards=sum(o.forwards for o in references) / n,
        )

    @property
    def tokens_share(self) -> float:
        """Changed over compared tokens."""
        return self.changed / self.tokens if self.tokens else 0.0

    @property
    def answers_share(self) -> float:
        """Changed answers over prompts."""
        return self.answers_changed / self.prompts if self.prompts else 0.0

    def as_dict(self) -> dict[str, Any]:
        """As plain JSON values, the shares with them."""
        return asdict(self) | {"tokens_share": self.tokens_share, "answers_share": self.answers_share}

    def __str__(self) -> str:
        """A line a figure, with 95 % intervals."""

        def share(part: int, whole: int, interval: tuple[float, float]) -> str:
            low, high = interval
            return f"{part:,} of {whole:,}: {part / max(1, whole):.1%} ({low:.1%} to {high:.1%})"

        lines = [
            f"tokens changed   {share(self.changed, self.tokens, self.tokens_interval)}",
            f"answers changed  {share(self.answers_changed, self.prompts, self.answers_interval)}",
        ]
        if self.position is not None:
            step = "" if self.step is None else f", step {self.step:g}"
            lines.append(f"first divergence position {self.position:g}{step} (medians where they differ)")
        if self.difference is not None:
            mean, low, high = map(in_points, self.difference)
            moved = f"{self.lost} right → wrong, {self.gained} wrong → right"
            lines.append(f"accuracy         {mean} points ({low} to {high}); {moved}")
        lines.append(f"forwards         {self.forwards:.1f} an item, the reference {self.reference_forwards:.1f}")
        return "\n".join(lines)


@dataclass(frozen=True)
class WorkloadDrift:
    """One workload under both recipes of a comparison, prompt by prompt and summed up."""

    name: str
    prompts: tuple[str, ...]
    references: tuple[Outcome, ...]
    others: tuple[Outcome, ...]
    departures: tuple[Departure, ...]
    total: Drift

    @classmethod
    def of(cls, bench: Bench, workload: Workload) -> "WorkloadDrift":
        """The answers on record of the first contender of `bench`, the reference, and of the second."""
        reference, other = (tuple(bench.outcomes([workload], c).values()) for c in bench.contenders)
        departures = tuple(Departure.of(a, b) for a, b in zip(reference, other, strict=True))
        prompts = tuple(item.prompt for item in workload.items)
        return cls(workload.name, prompts, reference, other, departures, Drift.of(reference, other))

    def as_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        rows = zip(self.prompts, self.references, self.others, self.departures, strict=True)
        return {
            "workload": self.name,
            "prompts": [
                {"prompt": prompt, "reference": a.output, "answer": b.output} | asdict(departure)
                for prompt, a, b, departure in rows
            ],
            "sum": self.total.as_dict(),
        }
