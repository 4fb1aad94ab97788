"""Numbers and tokens within a sentence."""

from ..glyph import chip


def quoted(text: str) -> str:
    """A token within a sentence."""
    return f"“{chip(text)}”"


def count(n: int, one: str, many: str | None = None) -> str:
    """`1 token`, `2 tokens`."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def are(n: int, one: str) -> str:
    """`is 1 token`, `are 2 tokens`."""
    return f"{'is' if n == 1 else 'are'} {count(n, one)}"


def number(value: float) -> str:
    """Two decimals, with a true minus sign."""
    return f"{value:.2f}".replace("-", "−")
