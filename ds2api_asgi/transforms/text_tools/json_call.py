"""Calls in JSON, read from a cursor: ``{"name": "f", "arguments": {…}}``.

A member that no call has ends the reading at once: most JSON in an answer is no call, and nothing of it should wait.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from ...errors import InvalidDocument
from ...universal.jsontext import loads
from ...universal.request import FunctionTool
from .arguments import arguments_of
from .cursor import Cursor, Steps
from .dialect import Sink
from .json_live import live_arguments
from .json_reader import read_string, read_value

__all__ = ["ReadCall", "read_arguments", "read_call"]

_ARGUMENTS: Final = ("arguments", "parameters")
_OTHERS: Final = ("id", "type")
"""Members that some models add to a call; they mean nothing here."""


class ReadCall(Struct, frozen=True):
    """A call as it was read.

    Attributes:
        tool: What is called.
        arguments: As `Sink.call` takes them.
        begun: Whether the call was begun while it was read, so that these are only the rest of its arguments.
    """

    tool: FunctionTool
    arguments: str
    begun: bool = False

    def settle(self, sink: Sink) -> None:
        """Hand it over: its block is one."""
        if self.begun:
            sink.more(self.arguments)
            sink.finish()
        else:
            sink.call(self.tool, self.arguments)


def read_arguments(cursor: Cursor, sink: Sink, tool: FunctionTool, *, live: bool) -> Steps[ReadCall | None]:
    """Take the arguments of a call: an object, or a string that holds one.

    Args:
        cursor: Before them.
        sink: See `read_call`.
        tool: What is called.
        live: Whether they may be said as they come.
    """
    first = yield from cursor.need(1)
    if live and first == "{" and tool.kind == "function":
        rest = yield from live_arguments(cursor, sink, tool)
        return None if rest is None else ReadCall(tool, rest.text, rest.begun)
    if first not in ("{", '"') or not first:
        return None
    text = yield from read_value(cursor)
    arguments = None if text is None else arguments_of(text, tool)
    return None if arguments is None else ReadCall(tool, arguments)


def read_call(cursor: Cursor, sink: Sink, pending: int = 0, *, live: bool = False) -> Steps[ReadCall | None]:
    """Take an object that is a call, its members in any order.

    Args:
        cursor: Before the object.
        sink: Says which tools there are.
        pending: See `Sink.accepts`.
        live: Whether arguments that come behind their tool's name may be said as they come (`Sink.eager`).

    Returns:
        The call; None, at the first character that shows it, if there is none.
    """
    if not (yield from cursor.literal("{")):
        return None
    tool: FunctionTool | None = None
    early: str | None = None  # arguments that came before the name
    read: ReadCall | None = None
    while True:
        key = yield from _key(cursor)
        if key == "name" and tool is None:
            tool = yield from _tool(cursor, sink, pending)
            if tool is None:
                return None
        elif key in _ARGUMENTS and early is None and read is None:
            if tool is not None:
                read = yield from read_arguments(cursor, sink, tool, live=live)
            elif (yield from cursor.need(1)) in ("{", '"'):
                early = yield from read_value(cursor)
            if early is None and read is None:
                return None
        elif key not in _OTHERS or (yield from read_value(cursor)) is None:
            return None
        yield from cursor.space()
        if (yield from cursor.literal("}")):
            break
        if not (yield from cursor.literal(",")):
            return None
    if tool is None or read is not None:
        return read
    arguments = arguments_of(early or "{}", tool)
    return None if arguments is None else ReadCall(tool, arguments)


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
    text = yield from read_string(cursor)
    if text is None:
        return None
    try:
        name = loads(text)
    except InvalidDocument:
        return None
    return sink.accepts(name, pending) if isinstance(name, str) else None
