"""CDATA of the ``xml`` dialect: any string, kept to the character.

Models do not escape a ``]]>`` in what they wrap, so one counts only where it is structural: before a closing tag.
`write_cdata` does escape, in the way of XML: a section ends in the midst of the mark and another goes on.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from ..cursor import Cursor, Steps
from .tags import PARAMETER, Tag, next_tag

__all__ = ["OPENING", "read_cdata", "write_cdata"]

OPENING: Final = "<![CDATA["
_END: Final = "]]>"
_MARK: Final = re.compile(r"[<\]]")
_CLOSER: Final = re.compile(r"</[A-Za-z_]")
_UNSAFE: Final = re.compile(r"\]\]>|(?<=>)<!\[CDATA\[")


def read_cdata(cursor: Cursor, say: Callable[[str], None], *, nested: bool, settled: bool) -> Steps[bool]:
    """Take CDATA behind its opening, and the white space behind it.

    Args:
        cursor: Behind the opening.
        say: Gets its characters, piece by piece, as they come.
        nested: Whether it stands in an element of a parameter's value, which another closing tag may follow.
        settled: See `Cursor.pour`.

    Returns:
        Whether it ended; if not, the text did.
    """
    depth = 0
    content = _Content(say)
    while True:
        yield from cursor.pour(_MARK, content.say, settled=settled)
        mark = cursor.look(1)
        if not mark:
            return False
        if mark == "<":
            opening = yield from cursor.start(OPENING)
            depth += opening and content.last == ">"
            content.say(cursor.take(len(OPENING) if opening else 1))
        elif not (yield from cursor.start(_END)):
            content.say(cursor.take(1))
        else:
            cursor.take(len(_END))
            if not depth and (yield from cursor.literal(OPENING)):
                content.last = "["
                continue
            space = yield from cursor.space()
            structural = yield from _closes(cursor, nested=nested)
            if structural and not depth:
                return True
            depth -= structural
            content.say(_END + space)


class _Content:
    """Says pieces, and remembers the character before the next."""

    __slots__ = ("_say", "last")

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self.last = ""

    def say(self, text: str) -> None:
        self._say(text)
        self.last = text[-1]


def _closes(cursor: Cursor, *, nested: bool) -> Steps[bool]:
    if nested:
        return bool(_CLOSER.match((yield from cursor.need(3))))
    tag = yield from next_tag(cursor)
    return isinstance(tag, Tag) and tag.closing and tag.name == PARAMETER


def write_cdata(text: str) -> str:
    """CDATA that reads back as this text."""
    return f"{OPENING}{_UNSAFE.sub(_split, text)}{_END}"


def _split(found: re.Match[str]) -> str:
    return f"]]{_END}{OPENING}>" if found.group() == _END else f"{_END}{OPENING}{OPENING}"
