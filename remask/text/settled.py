"""The text of an answer as its ids settle from the left: append-only, in time linear in its length."""

from bisect import bisect_left
from collections.abc import Sequence

from .tokenizer import Text

KEPT = 4  # ids decoded again before new ones, so that spaces and characters come out as in the whole text
LONGEST = 64  # ids decoded at once while bytes do not become a character


class SettledText:
    """Reads the settled ids of one answer, in order, and gives out text that will not change any more.

    Held back is what is not yet whole in UTF-8, and what could be the beginning of a stop string; nothing from a stop
    string on is ever given out. `ended` says that one was met. The pieces add up to the text of all ids decoded at
    once.
    """

    def __init__(self, text: Text, stop: Sequence[str] = ()) -> None:
        self.text, self.stop = text, tuple(stop)
        self.ended = False
        self._ids: list[int] = []  # the last ones, from where decoding begins
        self._known = 0  # characters of their text that are in `_length`
        self._length = 0  # characters of the answer so far
        self._tail = ""  # the last ones, not given out because a stop string may begin there
        self._starts: list[int] = []  # where the text of each id begins; kept where there are stop strings

    def read(self, ids: Sequence[int], *, last: bool = False) -> str:
        """Take further settled ids, and give the text that they let out; with `last`, all that was held back too."""
        for part in [[one] for one in ids] if self.stop else [ids] if ids else []:
            if self.ended:
                break
            self._starts += [self._length] if self.stop else []
            self._ids += part
            self._take(self._decoded(last=False))
        if last and not self.ended:
            self._take(self._decoded(last=True))
        ready = len(self._tail) if last or self.ended else self._safe()
        piece, self._tail = self._tail[:ready], self._tail[ready:]
        return piece

    @property
    def kept(self) -> int:
        """How many of the ids read have text before the stop string that ended it; all that were read, without one.

        Counted only where there are stop strings.
        """
        return bisect_left(self._starts, self._length) if self.ended else len(self._starts)

    def _decoded(self, *, last: bool) -> str:
        """The characters that have become certain since the last call."""
        text = self.text.decode(self._ids)
        whole = last or not text.endswith("\ufffd")
        ready = max(self._known, len(text) if whole else len(text.rstrip("\ufffd")))
        known, self._known = self._known, ready
        if len(self._ids) > (2 * KEPT if whole else LONGEST):  # decode on from the last few
            self._ids = self._ids[-KEPT if whole else -2 * KEPT :]
            gone = len(text) - len(self.text.decode(self._ids))
            ready = max(ready, gone)
            self._known = ready - gone
        return text[known:ready]

    def _take(self, fresh: str) -> None:
        """Add certain text, and end it before the first stop string."""
        self._length += len(fresh)
        self._tail += fresh
        places = [at for stop in self.stop if (at := self._tail.find(stop)) >= 0]
        if places:
            self.ended = True
            self._length -= len(self._tail) - min(places)
            self._tail = self._tail[: min(places)]

    def _safe(self) -> int:
        """How many characters of the tail cannot be the beginning of a stop string."""
        longest = max((len(stop) for stop in self.stop), default=1) - 1
        for held in range(min(longest, len(self._tail)), 0, -1):
            if any(stop.startswith(self._tail[-held:]) for stop in self.stop):
                return len(self._tail) - held
        return len(self._tail)
