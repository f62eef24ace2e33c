"""One ``invoke`` of the ``xml`` dialect: parameters by name, or a JSON object in their place.

Our tags inside a parameter's plain text mean that what came before was prose, so the reading ends there: the tag may
begin a call. CDATA that nobody ended is taken to end before the tags that close its call, if these are the last of
the text.
"""

from __future__ import annotations

import re
from typing import Any, Final

from ....universal.jsontext import JsonText, json_string
from ....universal.request import FunctionTool
from ..arguments import FREE_TEXT_SCHEMA, arguments_of
from ..cursor import Cursor, Steps
from ..dialect import Sink
from ..json_call import ReadCall
from ..json_reader import read_value
from ..repair import repaired
from ..schema import Shape, member, resolve, shape
from ..tokens import members
from ..values import Value, json_of
from .cdata import OPENING, read_cdata
from .tags import INVOKE, PARAMETER, Tag, next_tag, rest_of_tag

__all__ = ["Invoke"]

_MARK: Final = re.compile(r"<")
_BODY: Final = ("input", "parameters")
"""Members that hold the arguments in a JSON body, if nothing else does."""

_NOISE: Final = r"[|｜]*(?:dsml[|｜\-_ ]*)?"
_TAIL: Final = re.compile(
    rf"(?:\]\]>)?\s*</{_NOISE}parameter\s*[>|｜]+\s*</{_NOISE}invoke\s*[>|｜]+\s*</{_NOISE}tool_calls\s*[>|｜]+\s*\Z",
    re.ASCII | re.IGNORECASE,
)
_MAX_TAIL: Final = 256
"""Characters in which the tags behind unended CDATA are looked for."""


class Invoke:
    """Reads one.

    Args:
        cursor: At its opening tag.
        sink: Says which tools there are.
        eager: Whether strings in CDATA are said as they come.

    Attributes:
        repaired: Whether the text ended in CDATA that was taken to end earlier.
    """

    __slots__ = ("_begun", "_cursor", "_eager", "_root", "_said", "_sink", "_tool", "_values", "repaired")
    _tool: FunctionTool
    _root: Any

    def __init__(self, cursor: Cursor, sink: Sink, *, eager: bool) -> None:
        self._begun = False
        self.repaired = False
        self._cursor = cursor
        self._sink = sink
        self._eager = eager
        self._said: set[str] = set()
        self._values: dict[str, list[Value]] = {}

    def read(self, tag: Tag, pending: int) -> Steps[ReadCall | None]:
        """Take it; None if it is no call.

        Args:
            tag: Its opening tag.
            pending: See `Sink.accepts`.
        """
        cursor = self._cursor
        cursor.take(tag.size)
        rest = yield from rest_of_tag(cursor)
        if rest is None:
            return None
        attributes, empty = rest
        tool = self._sink.accepts(attributes["name"], pending) if attributes.keys() == {"name"} else None
        if tool is None:
            return None
        self._tool = tool
        self._root = FREE_TEXT_SCHEMA if tool.kind == "custom" else tool.schema
        self._eager = self._eager and tool.kind == "function"
        if empty:
            return self._complete()
        yield from cursor.space()
        if (yield from cursor.need(1)) == "{":
            return (yield from self._body())
        while True:
            yield from cursor.space()
            inner = yield from next_tag(cursor)
            if inner is None or inner.closing != (inner.name == INVOKE):
                return None
            if inner.closing:
                return self._complete() if (yield from self._closed(inner)) else None
            if inner.name != PARAMETER or not (yield from self._parameter(inner)):
                return None
            if self.repaired:
                return self._complete()

    def _closed(self, tag: Tag) -> Steps[bool]:
        """Take a closing tag."""
        self._cursor.take(tag.size)
        return (yield from rest_of_tag(self._cursor)) == ({}, False)

    def _body(self) -> Steps[ReadCall | None]:
        text = yield from read_value(self._cursor)
        if text is None:
            return None
        yield from self._cursor.space()
        tag = yield from next_tag(self._cursor)
        if tag is None or tag.name != INVOKE or not tag.closing or not (yield from self._closed(tag)):
            return None
        mended = repaired(text)
        return None if mended is None else self._read(self._unwrapped(mended))

    def _unwrapped(self, text: str) -> str:
        value = JsonText(text).value
        properties = resolve(self._root, self._root).get("properties", {})
        if len(value) == 1 and (name := next(iter(value))) in _BODY and type(value[name]) is dict:
            return text if name in properties else members(text)[0][1]
        return text

    def _parameter(self, tag: Tag) -> Steps[bool]:
        cursor = self._cursor
        cursor.take(tag.size)
        rest = yield from rest_of_tag(cursor)
        if rest is None or "name" not in rest[0]:
            return False
        name = rest[0]["name"]
        if name in self._said:
            return False
        if rest[1]:
            self._values.setdefault(name, []).append(Value(()))
            return True
        segments: list[tuple[str, bool]] = []
        while True:
            text = yield from cursor.until(_MARK)
            if text:
                segments.append((text, False))
            if not cursor.here:
                return False
            if (yield from cursor.literal(OPENING)):
                if not (yield from self._cdata(name, segments)):
                    return False
                if self.repaired or name in self._said:
                    break
                continue
            inner = yield from next_tag(cursor)
            if inner is None:
                segments.append((cursor.take(1), False))
            elif inner.closing and inner.name == PARAMETER:
                break
            else:
                return False
        if name not in self._said:
            if any(cdata for _, cdata in segments):
                segments = [(text, cdata) for text, cdata in segments if cdata or not text.isspace()]
            self._values.setdefault(name, []).append(Value(tuple(segments)))
        if self.repaired:
            return True
        inner = yield from next_tag(cursor)
        return inner is not None and (yield from self._closed(inner))

    def _cdata(self, name: str, segments: list[tuple[str, bool]]) -> Steps[bool]:
        """Take CDATA into the segments of a parameter, or say it at once."""
        alone = all(text.isspace() for text, _ in segments)
        if alone and self._streams(name):
            self._begin(name)
            if not (yield from read_cdata(self._cursor, self._say, nested=False, settled=True)):
                return False
            self._sink.more('"')
            return True
        pieces: list[str] = []
        if not (yield from read_cdata(self._cursor, pieces.append, nested=not alone, settled=False)):
            tail = _TAIL.search("".join(pieces)[-_MAX_TAIL:])
            if tail is None or not alone:
                return False
            whole = "".join(pieces)
            pieces = [whole[: len(whole) - len(tail.group())]]
            self.repaired = True
        segments.append(("".join(pieces), True))
        return True

    def _streams(self, name: str) -> bool:
        """Whether a string of this parameter may be said before it is complete: nothing before it waits."""
        if not self._eager or self._values:
            return False
        return shape(member(self._root, name, self._root), self._root) in (Shape.STRING, Shape.NULLABLE)

    def _begin(self, name: str) -> None:
        if not self._begun:
            self._begun = True
            self._sink.begin(self._tool)
        self._sink.more(f'{"," if self._said else "{"}{_string(name)}:"')
        self._said.add(name)

    def _say(self, text: str) -> None:
        self._sink.more(_string(text)[1:-1])

    def _complete(self) -> ReadCall | None:
        """The call with the parameters that wait."""
        pairs: list[str] = []
        for name, values in self._values.items():
            text = json_of(values, member(self._root, name, self._root), self._root)
            if text is None:
                return None
            pairs.append(f"{_string(name)}:{text}")
        rest = ",".join(pairs)
        if not self._begun:
            return self._read(f"{{{rest}}}")
        return ReadCall(self._tool, f"{',' if rest else ''}{rest}}}", begun=True)

    def _read(self, text: str) -> ReadCall | None:
        found = arguments_of(text, self._tool)
        return None if found is None else ReadCall(self._tool, found)


def _string(text: str) -> str:
    return json_string(text).decode()
