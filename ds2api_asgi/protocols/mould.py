"""`Mould`: reads frames of a stream that differ from an earlier one in a single string, without parsing the rest again.

Nearly all frames of a stream do. It is exact, not a guess: bytes before and after the string are those of a frame
that was read, and what stands between them is one whole JSON string, so the document is the same but for that string.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final

import msgspec

from ..errors import InvalidDocument
from ..universal.jsontext import loads

__all__ = ["Mould"]

_STRING: Final = msgspec.json.Decoder(str)
_PROBE: Final = b'"\\u0000"'
_LONGEST_WAIT: Final = 64


class Mould:
    """The frame read last, if only one string of the next may be other.

    Streams whose frames all differ elsewhere too (random padding, log probabilities) cost little: after each mould
    that fitted nothing, twice as many frames pass before the next is made.

    Args:
        path: Where the object that holds the string is in a frame: ``("choices", 0, "delta")``.
        members: What the string may be called there.
    """

    __slots__ = ("_after", "_before", "_end", "_fitted", "_path", "_pattern", "_skip", "_start", "_wait")

    def __init__(self, path: tuple[str | int, ...], *members: str) -> None:
        self._path = path
        self._pattern = _pattern(members)
        self._before: bytes | None = None
        self._after = b""
        self._start = self._end = 0
        self._fitted = True
        self._skip = self._wait = 0

    def text(self, frame: bytes) -> str | None:
        """The string of a frame that fits; None: it has to be read as a whole."""
        if self._before is None or not (frame.startswith(self._before) and frame.endswith(self._after)):
            return None
        try:
            text = _STRING.decode(frame[self._start : self._end])
        except (msgspec.DecodeError, ValueError):
            return None  # more than one string, or what only the slow reader takes
        self._fitted = True
        return text

    def drop(self) -> None:
        """A frame that did not fit is read: what it does may change what the next ones mean."""
        self._before = None

    def make(self, frame: bytes, text: str) -> None:
        """Take a frame as the mould.

        Args:
            frame: It was read, and reading it again with another string would only give that string.
            text: The string.
        """
        if self._skip:
            self._skip -= 1
            return
        self._wait = 0 if self._fitted else min(2 * self._wait + 1, _LONGEST_WAIT)
        self._skip = self._wait
        self._fitted = False
        found = list(self._pattern.finditer(frame))
        if len(found) != 1:
            return
        start, end = found[0].span(2)
        before, after = frame[:start], frame[end:]
        if self._string(frame, found[0][1]) == text and self._string(before + _PROBE + after, found[0][1]) == "\0":
            self._before, self._after = before, after
            self._start, self._end = start, end - len(frame)

    def _string(self, frame: bytes, member: bytes) -> Any:
        try:
            value = loads(frame)
            for key in self._path:
                value = value[key]
            return value[member.decode()]
        except (InvalidDocument, LookupError, TypeError):
            return None


@cache
def _pattern(members: tuple[str, ...]) -> re.Pattern[bytes]:
    names = "|".join(map(re.escape, members)).encode()
    return re.compile(rb'"(%b)"\s*:\s*("[^"\\]*(?:\\.[^"\\]*)*")' % names, re.DOTALL)
