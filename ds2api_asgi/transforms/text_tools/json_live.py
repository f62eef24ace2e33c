"""Arguments in JSON that are said as they come: member by member, strings character by character.

What is said is what stood there, mended and brought in line with the schema as far as that can be told by now. The last
bracket is kept back: it is said when the call's whole block is read, so that what broke off is never valid JSON.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from ...errors import InvalidDocument
from ...universal.jsontext import JsonText, loads
from ...universal.request import FunctionTool
from ...universal.templates import RAW_ARGUMENTS
from .cursor import Cursor, Steps
from .dialect import Sink
from .json_reader import read_string, read_value
from .repair import mended_string, repaired
from .schema import coerced, member

__all__ = ["Rest", "live_arguments"]

_STOP: Final = re.compile(r'["\\]')


class Rest(Struct, frozen=True):
    """What is left to be said of arguments, and whether anything of the call was."""

    text: str
    begun: bool


def live_arguments(cursor: Cursor, sink: Sink, tool: FunctionTool) -> Steps[Rest | None]:
    """Take an object and say it, but for its last bracket; the call is begun with its first member.

    Args:
        cursor: Before the object.
        sink: Where it goes.
        tool: What is called.

    Returns:
        What is left to be said; None where the object breaks off or is none.
    """
    said = cursor.take(1)
    begun = False
    while True:
        said += yield from cursor.space()
        if not begun and (yield from cursor.literal("}")):
            return Rest(said + "}", begun)
        name, key = yield from _key(cursor)
        if name is None:
            return None
        if not begun and name == RAW_ARGUMENTS[1]:
            return (yield from _raw(cursor))
        if not begun:
            begun = True
            sink.begin(tool)
        sink.more(said + key)
        if not (yield from _value(cursor, sink, tool, name)):
            return None
        said = yield from cursor.space()
        if (yield from cursor.literal("}")):
            return Rest(said + "}", begun)
        if not (yield from cursor.literal(",")):
            return None
        said += ","


def _key(cursor: Cursor) -> Steps[tuple[str | None, str]]:
    """Take a member's name and the colon: the name, and how both are spelled."""
    if (yield from cursor.need(1)) != '"':
        return None, ""
    key = yield from read_string(cursor)
    if key is None:
        return None, ""
    try:
        name = loads(key)
    except InvalidDocument:
        return None, ""
    space = yield from cursor.space()
    if not (yield from cursor.literal(":")):
        return None, ""
    return str(name), f"{key}{space}:{(yield from cursor.space())}"


def _value(cursor: Cursor, sink: Sink, tool: FunctionTool, name: str) -> Steps[bool]:
    if (yield from cursor.need(1)) != '"':
        text = yield from read_value(cursor)
        mended = None if text is None else repaired(text)
        if mended is None:
            return False
        sink.more(coerced(mended, member(tool.schema, name, tool.schema), tool.schema))
        return True
    sink.more(cursor.take(1))
    while True:
        yield from cursor.pour(_STOP, lambda text: sink.more(mended_string(text)), settled=True)
        mark = cursor.look(1)
        if not mark:
            return False
        if mark == '"':
            sink.more(cursor.take(1))
            return True
        escape = yield from cursor.need(2)
        if escape == "\\u":
            escape = yield from cursor.need(6)
            escape = escape if JsonText(f'"{escape}"').valid else escape[:2]
        sink.more(mended_string(cursor.take(len(escape))))


def _raw(cursor: Cursor) -> Steps[Rest | None]:
    """Arguments that are no JSON; see `arguments`."""
    if (yield from cursor.need(1)) != '"':
        return None
    text = yield from read_string(cursor)
    yield from cursor.space()
    if text is None or not (yield from cursor.literal("}")) or not JsonText(text).valid:
        return None
    return Rest(str(loads(text)), begun=False)
