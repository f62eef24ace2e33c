"""Answers of the app as the client knows them: its own ids, what it asked for, and no more than it asked for.

Only three things of a stream hold whole objects: the lifecycle events (``response``) and the two events that show a
whole item (``item``). All other events pass as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct

from ..errors import InvalidDocument
from .items import without_encrypted
from .members import NULL, elements, joined, listed, members, value

__all__ = ["TERMINAL", "Rewrite", "RewrittenEvent", "shown_event", "without_thoughts"]

TERMINAL: Final = frozenset({"response.completed", "response.incomplete", "response.failed"})
"""Types of the events that end a stream with a whole response."""

_ENCRYPTED: Final = b'"encrypted_content"'
_DONE: Final = "response.output_item.done"


class _Head(Struct):
    type: Any = None
    response: msgspec.Raw | msgspec.UnsetType = UNSET
    item: msgspec.Raw | msgspec.UnsetType = UNSET


_HEAD: Final = msgspec.json.Decoder(_Head)


class RewrittenEvent(Struct, frozen=True):
    """An event of the client's stream.

    Attributes:
        type: Its type; ``""`` when it has none.
        data: What is kept.
        shown: What the client sees.
        response: The whole response object in it, as it is kept, or None.
    """

    type: str
    data: bytes
    shown: bytes
    response: bytes | None = None


class Rewrite:
    """Rewrites the answer of one request.

    Args:
        echo: Members that every response object of it gets.
        encrypted: Whether the client may see encrypted reasoning.

    Attributes:
        items: The items that have ended in the stream so far.
    """

    def __init__(self, echo: Mapping[str, bytes], *, encrypted: bool) -> None:
        self._echo = echo
        self._encrypted = encrypted
        self.items: list[bytes] = []

    def document(self, text: bytes) -> tuple[bytes, bytes]:
        """A response object.

        Returns:
            As it is kept, and as it is shown.

        Raises:
            InvalidDocument: It is no response object.
        """
        found = members(text)
        if found.get("output", NULL)[:1] != b"[" or value(found.get("object", b'"response"')) != "response":
            raise InvalidDocument("", "is not a response object")
        kept = joined({**found, **self._echo})
        return kept, kept if self._encrypted else without_thoughts(kept)

    def event(self, data: bytes) -> RewrittenEvent:
        """An event of the stream; one that cannot be read passes as it is."""
        try:
            head = _HEAD.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return RewrittenEvent("", data, data)
        type_ = head.type if type(head.type) is str else ""
        try:
            if head.response is not UNSET:
                return self._lifecycle(type_, data)
            if head.item is not UNSET:
                return self._item(type_, data)
        except InvalidDocument:
            pass
        return RewrittenEvent(type_, data, data)

    def _lifecycle(self, type_: str, data: bytes) -> RewrittenEvent:
        found = members(data)
        response = members(found["response"])
        if type_ in TERMINAL and not elements(response.get("output", b"[]")):
            response["output"] = listed(self.items)  # some servers tell them in the items' own events only
        kept = joined({**response, **self._echo})
        return self._shown(type_, joined({**found, "response": kept}), kept)

    def _shown(self, type_: str, data: bytes, response: bytes | None = None) -> RewrittenEvent:
        return RewrittenEvent(type_, data, data if self._encrypted else shown_event(data), response)

    def _item(self, type_: str, data: bytes) -> RewrittenEvent:
        if type_ == _DONE:
            self.items.append(members(data)["item"])
        return self._shown(type_, data)


def shown_event(data: bytes) -> bytes:
    """An event without the encrypted content of thoughts; itself where it has none.

    Raises:
        InvalidDocument: It is no event.
    """
    if _ENCRYPTED not in data:
        return data
    found = members(data)
    if "response" in found:
        found["response"] = without_thoughts(found["response"])
    if "item" in found:
        found["item"] = without_encrypted(found["item"])
    return joined(found)


def without_thoughts(document: bytes) -> bytes:
    """A response object without the encrypted content of its thoughts; itself where it has none."""
    if _ENCRYPTED not in document:
        return document
    found = members(document)
    if "output" in found:
        found["output"] = listed([without_encrypted(item) for item in elements(found["output"])])
    return joined(found)
