"""JSON read from a cursor: single values to their end, and objects that are calls.

Only brackets and strings are followed, so that JSON which must be mended first is read too. A member that no call has
ends the reading at once: most JSON in an answer is no call, and nothing of it should wait.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from ...errors import InvalidDocument
from ...universal.jsontext import MAX_DEPTH, loads
from ...universal.request import FunctionTool
from .arguments import arguments_of
from .cursor import Cursor, Steps
from .dialects.base import Sink

__all__ = ["ReadCall", "read_call", "read_value"]

_STRUCTURE: Final = re.compile(r'["{}\[\]]')
_STRING: Final = re.compile(r'["\\]')
_SCALAR: Final = re.compile(r"[,}\]\s<]")
_PAIRS: Final = {"{": "}", "[": "]"}
_ARGUMENTS: Final = ("arguments", "parameters")
_OTHERS: Final = ("id", "type")
"""Members that some models add to a call; they mean nothing here."""


class ReadCall(Struct, frozen=True):
    """A call as it was read; ``arguments`` as `Sink.call` takes them."""

    tool: FunctionTool
    arguments: str


def read_value(cursor: Cursor) -> Steps[str | None]:
    """Take one value; its text, or None where brackets do not match or the text ends."""
    first = yield from cursor.need(1)
    if not first:
        return None
    if first == '"':
        return (yield from _string(cursor))
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
            string = yield from _string(cursor)
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


def _string(cursor: Cursor) -> Steps[str | None]:
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


def read_call(cursor: Cursor, sink: Sink, pending: int = 0) -> Steps[ReadCall | None]:
    """Take an object that is a call: ``{"name": "f", "arguments": {…}}``, its members in any order.

    Args:
        cursor: Before the object.
        sink: Says which tools there are.
        pending: See `Sink.accepts`.

    Returns:
        The call; None, at the first character that shows it, if there is none.
    """
    if not (yield from cursor.literal("{")):
        return None
    tool: FunctionTool | None = None
    arguments: str | None = None
    while True:
        key = yield from _key(cursor)
        if key == "name" and tool is None:
            tool = yield from _tool(cursor, sink, pending)
            if tool is None:
                return None
        elif key in _ARGUMENTS and arguments is None:
            if (yield from cursor.need(1)) not in ("{", '"'):
                return None
            arguments = yield from read_value(cursor)
            if arguments is None:
                return None
        elif key not in _OTHERS or (yield from read_value(cursor)) is None:
            return None
        yield from cursor.space()
        mark = yield from cursor.need(1)
        if mark not in (",", "}") or not mark:
            return None
        cursor.take(1)
        if mark == "}":
            break
    if tool is None:
        return None
    found = arguments_of(arguments or "{}", tool)
    return None if found is None else ReadCall(tool, found)


def _key(cursor: Cursor) -> Steps[str | None]:
    """Take a member's name and the colon; None, as early as it shows, if it is none that a call has."""
    yield from cursor.space()
    for name in ("name", *_ARGUMENTS, *_OTHERS):
        if (yield from cursor.literal(f'"{name}"')):
            yield from cursor.space()
            if not (yield from cursor.literal(":")):
                return None
            yield from cursor.space()
            return name
    return None


def _tool(cursor: Cursor, sink: Sink, pending: int) -> Steps[FunctionTool | None]:
    if (yield from cursor.need(1)) != '"':
        return None
    text = yield from _string(cursor)
    if text is None:
        return None
    try:
        name = loads(text)
    except InvalidDocument:
        return None
    return sink.accepts(name, pending) if isinstance(name, str) else None
