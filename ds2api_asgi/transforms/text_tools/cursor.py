"""`Cursor`: reads a text that comes in pieces, each character once, and can give back what it took.

Recognisers are generators over a cursor that ``yield`` when they need more text, so that a grammar reads the same
whether its text comes whole or one character at a time. What they take is *kept* until it is settled (it was a call)
or given back (it was not), up to a bound.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from typing import Final, TypeAlias, TypeVar

__all__ = ["WINDOW", "Cursor", "Full", "Steps"]

_T = TypeVar("_T")

Steps: TypeAlias = Generator[None, None, _T]
"""Runs until it needs more text, then yields; returns its result."""

WINDOW: Final = 64
"""Characters that a cursor looks ahead at most; what cannot be told from so many is told from the first of them."""

_SOLID: Final = re.compile(r"\S")


class Full(Exception):
    """More would be kept than may be; what was kept is the bound's worth of text."""


class Cursor:
    """A place in a text that grows.

    Args:
        bound: Characters that are kept at most.

    Attributes:
        ended: Whether all of the text is here.
        work: Characters that were looked at or moved so far: the measure of what reading has cost.
    """

    __slots__ = ("_at", "_bound", "_keeping", "_kept", "_size", "_text", "ended", "work")

    def __init__(self, bound: int) -> None:
        self.ended = False
        self.work = 0
        self._bound = bound
        self._text = ""
        self._at = 0
        self._keeping = False
        self._kept: list[str] = []
        self._size = 0

    def feed(self, text: str) -> None:
        """More text has come."""
        rest = self._text[self._at :]
        self.work += len(rest) + len(text)
        self._text = rest + text
        self._at = 0

    def keep(self) -> None:
        """Keep what is taken from here on."""
        self._keeping = True

    def settle(self) -> str:
        """What was kept, which is kept no longer."""
        kept = "".join(self._kept)
        self._kept.clear()
        self._size = 0
        return kept

    def give_back(self) -> str:
        """What was kept; nothing is kept from here on."""
        self._keeping = False
        return self.settle()

    @property
    def held(self) -> int:
        """Characters that are in memory: kept, or come and not taken."""
        return self._size + self.here

    @property
    def here(self) -> int:
        """Characters that have come and are not taken."""
        return len(self._text) - self._at

    def look(self, size: int = WINDOW) -> str:
        """The next characters, as many of them as have come."""
        seen = self._text[self._at : self._at + size]
        self.work += len(seen)
        return seen

    def take(self, size: int) -> str:
        """Take characters that have come.

        Raises:
            Full: Not all of them could be kept.
        """
        if self._keeping:
            room = self._bound - self._size
            if size > room:
                self._take(room)
                raise Full
        return self._take(size)

    def _take(self, size: int) -> str:
        taken = self._text[self._at : self._at + size]
        self._at += size
        self.work += size
        if self._keeping and taken:
            self._kept.append(taken)
            self._size += size
        return taken

    def find(self, stop: re.Pattern[str]) -> tuple[int, bool]:
        """How many characters that have come stand before the first match, and whether there is one.

        Args:
            stop: Matches single characters.
        """
        found = stop.search(self._text, self._at)
        size = (found.start() if found else len(self._text)) - self._at
        self.work += size
        return size, found is not None

    def need(self, size: int) -> Steps[str]:
        """The next characters without taking them; fewer only at the end of the text."""
        while self.here < size and not self.ended:
            yield
        return self.look(size)

    def until(self, stop: re.Pattern[str]) -> Steps[str]:
        """Take what stands before the first match.

        Args:
            stop: Matches single characters.

        Returns:
            What was taken; at the end of the text `here` is 0, else the match is next.
        """
        pieces: list[str] = []
        while True:
            size, found = self.find(stop)
            if size:
                pieces.append(self.take(size))
            if found or self.ended:
                return "".join(pieces)
            yield

    def pour(self, stop: re.Pattern[str], say: Callable[[str], None], *, settled: bool) -> Steps[None]:
        """Like `until`, but says each piece as it comes.

        Args:
            stop: As there.
            say: Gets the pieces; none is empty.
            settled: Whether a piece is settled by being said, so that it is never kept.
        """
        keeping = self._keeping
        while True:
            size, found = self.find(stop)
            if size:
                self._keeping = keeping and not settled
                piece = self.take(size)
                self._keeping = keeping
                say(piece)
            if found or self.ended:
                return
            yield

    def space(self) -> Steps[str]:
        """Take white space."""
        return (yield from self.until(_SOLID))

    def literal(self, text: str) -> Steps[bool]:
        """Take this very text; nothing of it where another stands."""
        seen = yield from self.start(text)
        if seen:
            self.take(len(text))
        return seen

    def start(self, text: str) -> Steps[bool]:
        """Whether this text is next; waits only as long as it may be."""
        while True:
            seen = self.look(len(text))
            if seen == text:
                return True
            if self.ended or not text.startswith(seen):
                return False
            yield
