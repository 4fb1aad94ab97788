"""Settled text: the text of an answer as its ids settle from the left; append-only, in time linear in its length."""

from bisect import bisect_left
from collections.abc import Sequence

from .tokenizer import Text

KEPT = 4  # ids to decode again before new ones, so that spaces and characters are those of the whole text
LONGEST = 64  # ids to decode at once while their bytes do not end with a whole character


class SettledText:
    """A reader of the settled ids of one answer, in order, that returns text which can no longer change.

    It holds back an incomplete UTF-8 character, and the possible beginning of a stop string. It never returns a stop
    string or the text behind it; `ended` is True after a stop string. The pieces add up to the text of all ids decoded
    at once.
    """

    def __init__(self, text: Text, stop: Sequence[str] = ()) -> None:
        self.text, self.stop = text, tuple(stop)
        self.ended = False
        self._ids: list[int] = []  # the last ones, from which decoding begins
        self._offset = 0  # characters of their text that are in `_length`
        self._length = 0  # characters of the answer so far
        self._tail = ""  # the last characters, held back because a stop string may begin there
        self._starts: list[int] = []  # start of the text of each id; empty without stop strings

    def read(self, ids: Sequence[int], *, last: bool = False) -> str:
        """Take further settled ids, and return the text that they complete; with `last`, also the text held back."""
        for part in [[token] for token in ids] if self.stop else [ids] if ids else []:
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
        """The number of ids whose text begins before the stop string, or of all ids if none came.

        Without stop strings, ids are not counted: 0.
        """
        return bisect_left(self._starts, self._length) if self.ended else len(self._starts)

    def _decoded(self, *, last: bool) -> str:
        """Return the characters that have become certain since the last call."""
        text = self.text.decode(self._ids)
        whole = last or not text.endswith("\ufffd")
        ready = max(self._offset, len(text) if whole else len(text.rstrip("\ufffd")))
        start, self._offset = self._offset, ready
        if len(self._ids) > (2 * KEPT if whole else LONGEST):  # decode on from the last few
            self._ids = self._ids[-KEPT if whole else -2 * KEPT :]
            dropped = len(text) - len(self.text.decode(self._ids))
            ready = max(ready, dropped)
            self._offset = ready - dropped
        return text[start:ready]

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
        """Return the number of characters of the tail that cannot be the beginning of a stop string."""
        longest = max((len(stop) for stop in self.stop), default=1) - 1
        for count in range(min(longest, len(self._tail)), 0, -1):
            if any(stop.startswith(self._tail[-count:]) for stop in self.stop):
                return len(self._tail) - count
        return len(self._tail)
