"""The items of a conversation: what they are called, what they refer to, and how a list of them shows them.

https://platform.openai.com/docs/api-reference/responses/input-items and the openai 3.54 SDK's types (read 2026-11-28).
Items of a request need no id, listed ones have one; so one is derived from the response and the place.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from ..errors import InvalidDocument
from ..universal import jsontext
from ..universal.digest import sha256
from .members import NULL, joined, listed, members, value
from .stored import StoredResponse

__all__ = ["Head", "head_of", "named_items", "shown_item", "text_item", "without_encrypted"]

_ENCRYPTED: Final = "encrypted_content"
_MARK: Final = b'"encrypted_content"'
_REFERENCE: Final = "item_reference"
_PREFIXES: Final = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
}


class Head(Struct, frozen=True):
    """What decides about an item.

    Attributes:
        type: As on the wire; absent for short messages and short references.
        id: As on the wire.
        role: As on the wire.
        encrypted_content: As on the wire.
    """

    type: Any = UNSET
    id: Any = UNSET
    role: Any = UNSET
    encrypted_content: Any = UNSET

    @property
    def is_reference(self) -> bool:
        """Whether it stands for an item that the server has: ``{"type": "item_reference", "id": …}``, type optional."""
        return self.type == _REFERENCE or (self.type in (UNSET, None) and self.role is UNSET and self.id is not UNSET)

    @property
    def is_bare_thought(self) -> bool:
        """Whether it is a thought without what only a server can read, which clients are not shown unasked."""
        return self.type == "reasoning" and not self.encrypted_content

    @property
    def known_id(self) -> str | None:
        """The id, where it is one."""
        return self.id if type(self.id) is str and self.id else None


_HEAD: Final = msgspec.json.Decoder(Head)


def head_of(item: bytes, path: str = "") -> Head:
    """Look at an item.

    Args:
        item: JSON.
        path: Where it stands: ``input[3]``.

    Raises:
        InvalidDocument: It is not an object.
    """
    try:
        return _HEAD.decode(item)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = value(item, path)
    if type(found) is not dict:
        raise InvalidDocument(path, "must be an object")
    return Head(**{name: found[name] for name in Head.__struct_fields__ if name in found})


def text_item(text: bytes) -> bytes:
    """The message that an input of one string stands for; the string is JSON."""
    return b'{"type":"message","role":"user","content":[{"type":"input_text","text":%b}]}' % text


def named_items(response: StoredResponse) -> Iterator[tuple[str, bytes]]:
    """The new input and the output of a response with their ids, in order; the items are as they came."""
    for at, item in enumerate(response.input):
        yield _id_of(item, f"{response.id}:{at}"), item
    for at, item in enumerate(response.output):
        yield _id_of(item, f"{response.id}:output:{at}"), item


def _id_of(item: bytes, seed: str) -> str:
    try:
        head = head_of(item)
    except InvalidDocument:
        head = Head()
    if head.known_id is not None:
        return head.known_id
    kind = head.type if type(head.type) is str else "message"
    return f"{_PREFIXES.get(kind, 'item')}_{sha256(seed).hex()[:48]}"


def shown_item(id_: str, item: bytes, *, encrypted: bool) -> bytes:
    """An item as a list shows it: with its id, and short messages written out.

    Args:
        id_: Its id.
        item: As it came.
        encrypted: Whether the client asked to see encrypted reasoning.
    """
    try:
        found = members(item if encrypted else without_encrypted(item))
    except InvalidDocument:  # an app may answer with anything
        return item
    role = value(found["role"]) if "role" in found else UNSET
    if role is not UNSET and value(found.get("type", NULL)) in (None, "message"):
        found["type"] = b'"message"'
        found.setdefault("status", b'"completed"')
        if found.get("content", NULL)[:1] == b'"':
            found["content"] = _content(found["content"], role)
    return joined({"id": jsontext.json_string(id_), **{key: text for key, text in found.items() if key != "id"}})


def _content(text: bytes, role: Any | UnsetType) -> bytes:
    if role == "assistant":
        return listed([b'{"type":"output_text","annotations":[],"text":%b}' % text])
    return listed([b'{"type":"input_text","text":%b}' % text])


def without_encrypted(item: bytes) -> bytes:
    """The item; a thought without its encrypted content."""
    if _MARK not in item:
        return item
    try:
        found = members(item)
    except InvalidDocument:
        return item
    if _ENCRYPTED not in found or value(found.get("type", NULL)) != "reasoning":
        return item
    del found[_ENCRYPTED]
    return joined(found)
