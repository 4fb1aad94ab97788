"""Text that will not change any more."""

from collections.abc import Sequence

from .tokenizer import Text


class Settled:
    """Text that will not change any more, fed with ever longer lists of settled ids.

    Holds back what is not yet whole in UTF-8, and what could be the beginning of a stop string; nothing from a stop
    string on is ever given out.
    """

    def __init__(self, text: Text, stop: Sequence[str] = ()) -> None:
        self.text, self.stop = text, tuple(stop)
        self.given = 0

    def feed(self, ids: Sequence[int], *, last: bool = False) -> str:
        """The new text since the last call; with `last`, all that is left."""
        whole = self.cut(self.text.decode(ids))
        ready = len(whole) if last or self.reached(ids) else self._safe(whole)
        piece = whole[self.given : ready]
        self.given = max(self.given, ready)
        return piece

    def reached(self, ids: Sequence[int]) -> bool:
        """Whether a stop string stands in the text of `ids`."""
        if not self.stop:
            return False
        text = self.text.decode(ids)
        return any(stop in text for stop in self.stop)

    def cut(self, text: str) -> str:
        """The text before the first stop string."""
        found = [at for stop in self.stop if (at := text.find(stop)) >= 0]
        return text[: min(found)] if found else text

    def _safe(self, text: str) -> int:
        text = text.rstrip("\ufffd")  # a character whose bytes have not all come
        longest = max((len(stop) for stop in self.stop), default=1) - 1
        for held in range(min(longest, len(text)), 0, -1):
            if any(stop.startswith(text[-held:]) for stop in self.stop):
                return len(text) - held
        return len(text)
