"""Tags of the ``xml`` dialect, with the noise that models put around their names.

| noise | example |
|---|---|
| DSML between pipes, glued, or joined by ``-``, ``_``, a space; also twice | ``<|DSML|invoke``, ``<DSML_invoke`` |
| full-width pipes | ``<｜DSML｜tool_calls>`` |
| up to three further ``<`` | ``<<invoke`` |
| a pipe before or in place of the last ``>`` | ``<|DSML|tool_calls|`` |
| any case; ``tool-calls`` behind a prefix | ``<Tool_Calls>``, ``<|DSML|tool-calls>`` |

A name ends at its boundary: ``<tool_calls_extra>`` is another tag, and so is ``<tool-calls>``.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from ..cursor import WINDOW, Cursor, Steps
from ..values import unescaped

__all__ = ["INVOKE", "PARAMETER", "WRAPPER", "Tag", "next_tag", "read_tag", "rest_of_tag"]

WRAPPER: Final = "tool_calls"
INVOKE: Final = "invoke"
PARAMETER: Final = "parameter"

_NAMES: Final = (WRAPPER, INVOKE, PARAMETER)
_PIPES: Final = "|｜"
_PREFIX: Final = "dsml"
_WORD: Final = re.compile(r"[A-Za-z0-9_-]*")
_ATTRIBUTE: Final = re.compile(r"[^A-Za-z_]")
_QUOTE: Final = {'"': re.compile('"'), "'": re.compile("'")}
_MAX_ATTRIBUTE: Final = 16
"""Characters of an attribute's name; those that we know have four."""


class Tag(Struct, frozen=True):
    """The beginning of a tag.

    Attributes:
        name: `WRAPPER`, `INVOKE` or `PARAMETER`.
        closing: Whether it is ``</…``.
        size: Characters up to the end of the name.
    """

    name: str
    closing: bool
    size: int


def read_tag(seen: str) -> Tag | bool | None:
    """The tag that a text begins with.

    Args:
        seen: Begins with ``<``.

    Returns:
        The tag; False if there is none; None if more text must tell.
    """
    at = 0
    while at < min(len(seen), 4) and seen[at] == "<":
        at += 1
    closing = seen[at : at + 1] == "/"
    at += closing
    at, prefixed = _prefix(seen, at)
    left = seen[at:].lower() if len(seen) - at < len(_PREFIX) else ""
    if at == len(seen) or (left and _PREFIX.startswith(left)):
        return None
    found = _WORD.match(seen, at)
    assert found is not None
    word, end = found.group().lower(), found.end()
    if prefixed:
        word = word.replace("tool-", "tool_", 1)
    if end == len(seen):
        return None if any(name.startswith(word) for name in _NAMES) else False
    return Tag(word, closing, end) if word in _NAMES else False


def _prefix(seen: str, at: int) -> tuple[int, bool]:
    """Where the name begins, behind prefixes, and whether there were any."""
    prefixed = False
    while True:
        while at < len(seen) and seen[at] in _PIPES:
            at += 1
        if seen[at : at + len(_PREFIX)].lower() != _PREFIX:
            return at, prefixed
        at, prefixed = at + len(_PREFIX), True
        if seen[at : at + 1] in ("-", "_", " "):
            at += 1


def next_tag(cursor: Cursor) -> Steps[Tag | None]:
    """The tag that is next, without taking it; None if there is none."""
    while True:
        seen = cursor.look()
        tag = read_tag(seen) if seen.startswith("<") else (None if not seen else False)
        if isinstance(tag, Tag):
            return tag
        if tag is False or cursor.ended or len(seen) == WINDOW:
            return None
        yield


def rest_of_tag(cursor: Cursor) -> Steps[tuple[dict[str, str], bool] | None]:
    """Take a tag behind its name.

    Returns:
        Its attributes, and whether it is complete in itself (``/>``); None if it is malformed.
    """
    attributes: dict[str, str] = {}
    while True:
        yield from cursor.space()
        char = yield from cursor.need(1)
        if char == ">":
            cursor.take(1)
            return attributes, False
        if char == "/":
            cursor.take(1)
            return (attributes, True) if (yield from cursor.literal(">")) else None
        if char and char in _PIPES:
            cursor.take(1)
            yield from cursor.literal(">")
            return attributes, False
        attribute = yield from _attribute(cursor)
        if attribute is None or attribute[0] in attributes:
            return None
        attributes[attribute[0]] = attribute[1]


def _attribute(cursor: Cursor) -> Steps[tuple[str, str] | None]:
    name = ""
    while True:
        char = yield from cursor.need(1)
        if not char or _ATTRIBUTE.match(char):
            break
        name += cursor.take(1)
        if len(name) > _MAX_ATTRIBUTE:
            return None
    if not name:
        return None
    yield from cursor.space()
    if not (yield from cursor.literal("=")):
        return None
    yield from cursor.space()
    quote = yield from cursor.need(1)
    if quote not in _QUOTE:
        return None
    cursor.take(1)
    value = yield from cursor.until(_QUOTE[quote])
    if not cursor.here:
        return None
    cursor.take(1)
    return name.lower(), unescaped(value)
