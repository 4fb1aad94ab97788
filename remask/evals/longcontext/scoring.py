"""Scores of an answer: the published ones beside a strict one. Every function accepts any string."""

import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

ARTICLES = {"a", "an", "the"}


@dataclass(frozen=True)
class Score:
    """One answer: `exact` or not, `match` (RULER) and `f1` from 0 to 1, `needlebench` from 0 to 100."""

    exact: bool
    match: float
    f1: float
    needlebench: float

    @classmethod
    def of(cls, output: str, references: Sequence[str], *, part: bool = False, needle: str = "") -> "Score":
        """All scores of `output`. With `part` one of the references is enough; `needle` is what was hidden, as text."""
        matched = match_part(output, references) if part else match_all(output, references)
        exact = any(exact_match(output, [one]) for one in references) if part else exact_match(output, references)
        best = max(needlebench(output, needle or one, one) for one in references)
        return cls(exact, matched, max(token_f1(output, one) for one in references), best)


def exact_match(output: str, references: Sequence[str]) -> bool:
    """Whether the first line of `output` says the references and nothing else, in any order where there are several.

    Case, spaces and a final full stop do not count; several are separated by spaces, commas, semicolons or "and".
    """
    line = next((line for line in output.splitlines() if line.strip()), "").strip().rstrip(".;").lower()
    if len(references) == 1:
        return line.split() == references[0].lower().rstrip(".;").split()
    words = [word for word in re.split(r"[\s,;]+", line) if word and word != "and"]
    return Counter(words) == Counter(word for one in references for word in one.lower().split())


def match_all(output: str, references: Sequence[str]) -> float:
    """The share of the references that occur in `output`, whatever their case (RULER, `string_match_all`)."""
    return sum(one.lower() in output.lower() for one in references) / len(references)


def match_part(output: str, references: Sequence[str]) -> float:
    """1 if one of the references occurs in `output`, else 0 (RULER, `string_match_part`)."""
    return float(any(one.lower() in output.lower() for one in references))


def needlebench(output: str, needle: str, keyword: str) -> float:
    """100 if `keyword` occurs in `output`, else a fifth of its likeness to the needle in percent (OpenCompass 0.4).

    A miss therefore scores some points, about 3 to 6: LongLLaDA's figures hold this score.
    """
    if keyword in output:
        return 100.0
    answer, hidden = ("".join(text.split()) for text in (output, needle))
    longest = max(len(answer), len(hidden))
    return 20.0 * (1 - edit_distance(answer, hidden) / longest) if longest else 20.0


def edit_distance(a: str, b: str) -> int:
    """Levenshtein distance: insertions, deletions and substitutions of one character."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        corner, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            corner, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, corner + (x != y))
    return row[-1]


def token_f1(output: str, reference: str) -> float:
    """Harmonic mean of precision and recall over words, without case, punctuation and articles (SQuAD, LongBench)."""
    answer, truth = (Counter(_words(text)) for text in (output, reference))
    common = (answer & truth).total()
    return 2 * common / (answer.total() + truth.total()) if common else float(answer == truth)


def _words(text: str) -> list[str]:
    plain = text.lower().translate(str.maketrans("", "", string.punctuation))
    return [word for word in plain.split() if word not in ARTICLES]
