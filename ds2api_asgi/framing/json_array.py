r"""A JSON array that arrives bit by bit: `JsonArrayParser` gives each element as soon as its last byte is there.

Gemini streams this way without ``alt=sse``: ``[{…}\n,\n{…}]``
(https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent).

The rule: only what tells one element from the next is looked at: brackets outside strings, and the commas between
elements. Elements are objects or arrays; whether they are sound JSON inside is for the reader of them.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Final

from ..errors import FramingError

__all__ = ["MAX_ELEMENT", "JsonArrayParser"]

MAX_ELEMENT: Final = 4 * 1024 * 1024
"""Default bound of one element, in bytes."""

_NO_SPACE: Final = re.compile(rb"[^ \t\r\n]")
# Both match as far as they can, then stop: in front of a bracket or of a string that doesn't end in this read; and in
# front of a string's closing quote or of a backslash that is the last byte of this read. Neither ever backtracks.
_OUTSIDE_STRING: Final = re.compile(rb'(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+', re.DOTALL)
_INSIDE_STRING: Final = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_OPENS: Final = b"{["
_QUOTE: Final = 0x22


class _State(Enum):
    BEFORE = auto()  # [ must come
    FIRST = auto()  # an element or ] must come
    NEXT = auto()  # an element must come
    ELEMENT = auto()  # inside an element, outside its strings
    STRING = auto()  # inside a string of an element
    ESCAPE = auto()  # after a backslash in a string
    BEHIND = auto()  # , or ] must come
    CLOSED = auto()  # only whitespace may come


# Between elements: what may come, and where it leads.
_BETWEEN: Final = {
    _State.BEFORE: {b"[": _State.FIRST},
    _State.FIRST: {b"{": _State.ELEMENT, b"[": _State.ELEMENT, b"]": _State.CLOSED},
    _State.NEXT: {b"{": _State.ELEMENT, b"[": _State.ELEMENT},
    _State.BEHIND: {b",": _State.NEXT, b"]": _State.CLOSED},
    _State.CLOSED: {},
}


class JsonArrayParser:
    """Reads the elements of one array, cut into reads anyhow, in linear time.

    Args:
        max_element: Bound of one element, in bytes.
    """

    def __init__(self, *, max_element: int = MAX_ELEMENT) -> None:
        self._max_element = max_element
        self._broken: str | None = None
        self._state = _State.BEFORE
        self._depth = 0
        self._element: list[bytes] = []  # the element in progress: joined once, at its end
        self._size = 0
        self._boundary = 0

    @property
    def boundary(self) -> int:
        """Where in the bytes taken last the last element ended that they completed, or the array; 0 for none."""
        return self._boundary

    @property
    def complete(self) -> bool:
        """Whether the array's closing bracket has come; asked after `close` it tells a cut stream from a whole one."""
        return self._state is _State.CLOSED and self._broken is None

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes, give the elements that they complete.

        Raises:
            FramingError: The bytes are no array of objects or arrays, or an element is over its bound; the elements
                before that were given by earlier calls.
        """
        self._raise_if_broken()
        elements: list[bytes] = []
        at = self._boundary = 0
        while at < len(data) and self._broken is None:
            at = self._inside(data, at, elements) if self._state not in _BETWEEN else self._between(data, at)
        if not elements:
            self._raise_if_broken()
        return elements

    def close(self) -> list[bytes]:
        """Say that the stream has ended. The list is always empty, for half an element is none: look at `complete`.

        Raises:
            FramingError: As `feed` does.
        """
        self._raise_if_broken()
        self._element.clear()
        return []

    def _between(self, data: bytes, at: int) -> int:
        found = _NO_SPACE.search(data, at)
        if found is None:
            return len(data)
        after = _BETWEEN[self._state].get(found.group())
        if after is None:
            self._break("not a JSON array of objects or arrays")
        elif after is _State.ELEMENT:
            self._state = after
            return found.start()  # its opening bracket is part of it
        else:
            self._state = after
            if after is _State.CLOSED:
                self._boundary = found.end()
        return found.end()

    def _inside(self, data: bytes, start: int, elements: list[bytes]) -> int:
        """Take the part of `data` from `start` that belongs to the element in progress."""
        at = self._scan(data, start)
        self._size += at - start
        if self._size > self._max_element:
            self._break(f"an element is over the limit of {self._max_element} bytes")
            return at
        self._element.append(data[start:at])
        if self._state is _State.BEHIND:
            self._boundary = at
            elements.append(b"".join(self._element))
            self._element.clear()
            self._size = 0
        return at

    def _scan(self, data: bytes, at: int) -> int:
        """Go on to the element's end, or to the end of `data`."""
        while at < len(data):
            if self._state is _State.ELEMENT:
                at = self._to_bracket(data, at)
                if self._depth == 0:
                    self._state = _State.BEHIND
                    break
            elif self._state is _State.STRING:
                at = self._to_quote(data, at)
            else:
                self._state = _State.STRING
                at += 1
        return at

    def _to_bracket(self, data: bytes, at: int) -> int:
        found = _OUTSIDE_STRING.match(data, at)
        at = found.end() if found else at
        if at == len(data):
            return at
        if data[at] == _QUOTE:
            self._state = _State.STRING
        else:
            self._depth += 1 if data[at] in _OPENS else -1
        return at + 1

    def _to_quote(self, data: bytes, at: int) -> int:
        found = _INSIDE_STRING.match(data, at)
        at = found.end() if found else at
        if at == len(data):
            return at
        self._state = _State.ELEMENT if data[at] == _QUOTE else _State.ESCAPE
        return at + 1

    def _break(self, problem: str) -> None:
        self._broken = problem
        self._element.clear()

    def _raise_if_broken(self) -> None:
        if self._broken is not None:
            raise FramingError(self._broken)
