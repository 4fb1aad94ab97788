"""The wording of numbers and tokens in a sentence."""

from ..glyph import chip


def quoted(text: str) -> str:
    """Return a token in quotation marks, with visible spaces."""
    return f"“{chip(text)}”"


def count(n: int, singular: str, plural: str | None = None) -> str:
    """Return `1 token`, `2 tokens`."""
    return f"{n:,} {singular if n == 1 else plural or singular + 's'}"


def are(n: int, singular: str) -> str:
    """Return `is 1 token`, `are 2 tokens`."""
    return f"{'is' if n == 1 else 'are'} {count(n, singular)}"


def number(value: float) -> str:
    """Return a number with two decimals and a true minus sign."""
    return f"{value:.2f}".replace("-", "−")
