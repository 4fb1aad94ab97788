"""How far a recipe departs from a reference on the same prompts: tokens, first divergence, answers."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from .accuracy import paired_difference
from .items import Outcome
from .statistics import clustered, wilson


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


def departure(reference: Outcome, other: Outcome) -> Departure:
    """Compare `other` to `reference`, outcomes of one item."""
    pairs = list(zip_longest(reference.ids, other.ids))
    changed = [i for i, (a, b) in enumerate(pairs) if a != b]
    ages = [other.ages[i] for i in changed if i < len(other.ages)]
    return Departure(
        index=other.index,
        tokens=len(pairs),
        changed=len(changed),
        position=changed[0] if changed else None,
        step=min(ages) + 1 if ages else None,
        answer_changed=reference.output != other.output,
        passed=other.passed,
        reference_passed=reference.passed,
    )


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

    @property
    def tokens_share(self) -> float:
        """Changed over compared tokens."""
        return self.changed / self.tokens if self.tokens else 0.0

    @property
    def answers_share(self) -> float:
        """Changed answers over prompts."""
        return self.answers_changed / self.prompts if self.prompts else 0.0


def summarise(references: Sequence[Outcome], others: Sequence[Outcome]) -> Drift:
    """Sum up pairs of outcomes of the same items."""
    found = [departure(a, b) for a, b in zip(references, others, strict=True)]
    n, answers = max(1, len(found)), sum(d.answer_changed for d in found)
    judged = [(a, b) for a, b in zip(references, others, strict=True) if a.passed is not None]
    positions = [d.position for d in found if d.position is not None]
    steps = [d.step for d in found if d.step is not None]
    return Drift(
        prompts=len(found),
        tokens=sum(d.tokens for d in found),
        changed=sum(d.changed for d in found),
        tokens_interval=clustered([d.changed for d in found], [d.tokens for d in found]),
        answers_changed=answers,
        answers_interval=wilson(answers, len(found)),
        position=statistics.median(positions) if positions else None,
        step=statistics.median(steps) if steps else None,
        difference=paired_difference([b for _, b in judged], [a for a, _ in judged]) if judged else None,
        gained=sum(bool(b.passed) and not a.passed for a, b in judged),
        lost=sum(bool(a.passed) and not b.passed for a, b in judged),
        forwards=sum(o.forwards for o in others) / n,
        reference_forwards=sum(o.forwards for o in references) / n,
    )
