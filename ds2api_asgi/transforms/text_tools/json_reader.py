"""JSON values read from a cursor to their end.

Only brackets and strings are followed, so that JSON which must be mended first is read too.
"""

from __future__ import annotations

import re
from typing import Final

from ...universal.jsontext import MAX_DEPTH
from .cursor import Cursor, Steps

__all__ = ["read_string", "read_value"]

_STRUCTURE: Final = re.compile(r'["{}\[\]]')
_STRING: Final = re.compile(r'["\\]')
_SCALAR: Final = re.compile(r"[,}\]\s<]")
_PAIRS: Final = {"{": "}", "[": "]"}


def read_value(cursor: Cursor) -> Steps[str | None]:
    """Take one value; its text, or None where brackets do not match or the text ends."""
    first = yield from cursor.need(1)
    if not first:
        return None
    if first == '"':
        return (yield from read_string(cursor))
    if first not in _PAIRS:
        text = yield from cursor.until(_SCALAR)
        return text if text and cursor.here else None
    pieces: list[str] = []
    closers: list[str] = []
    while True:
        pieces.append((yield from cursor.until(_STRUCTURE)))
        char = cursor.look(1)
        if not char:
            return None
        if char == '"':
            string = yield from read_string(cursor)
            if string is None:
                return None
            pieces.append(string)
            continue
        if char in _PAIRS:
            closers.append(_PAIRS[char])
        elif char != closers.pop():
            return None
        pieces.append(cursor.take(1))
        if not closers:
            return "".join(pieces)
        if len(closers) > MAX_DEPTH:
            return None


def read_string(cursor: Cursor) -> Steps[str | None]:
    """Take a string, quotes and all, as spelled; None where the text ends in it."""
    pieces = [cursor.take(1)]
    while True:
        pieces.append((yield from cursor.until(_STRING)))
        char = cursor.look(1)
        if not char:
            return None
        if char == '"':
            pieces.append(cursor.take(1))
            return "".join(pieces)
        escape = yield from cursor.need(2)
        pieces.append(cursor.take(len(escape)))
