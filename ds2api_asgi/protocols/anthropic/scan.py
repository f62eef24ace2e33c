"""Telling when JSON that arrives in pieces is complete, without parsing it."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["Scanner"]

_OUTSIDE: Final = re.compile(r'["{}\[\]]')
_INSIDE: Final = re.compile(r'["\\]')


class Scanner:
    """Follows the braces and strings of one JSON object.

    Attributes:
        first: The first letter that is no white space; ``""`` while none came.
        complete: The object has ended.
    """

    __slots__ = ("_depth", "_escaped", "_quoted", "complete", "first")

    def __init__(self) -> None:
        self.first = ""
        self.complete = False
        self._depth = 0
        self._quoted = False
        self._escaped = False

    def feed(self, text: str) -> None:
        """Follow the next piece."""
        if not self.first:
            self.first = text.lstrip()[:1]
        at = 0
        if self._escaped and text:
            self._escaped = False
            at = 1
        while True:
            match = (_INSIDE if self._quoted else _OUTSIDE).search(text, at)
            if match is None:
                return
            at = match.end()
            letter = match[0]
            if letter == '"':
                self._quoted = not self._quoted
            elif letter == "\\":
                self._escaped = at == len(text)
                at += 1
            elif letter in "{[":
                self._depth += 1
            else:
                self._depth -= 1
                self.complete = self.complete or self._depth <= 0
