"""JSON one level deep: an object as its members, an array as its elements, each kept as the text it came as.

State is edited at two levels only (a request's members, the items of a conversation), so nothing below them is ever
parsed and written again: numbers, escapes and the order of keys stay what the client or the model wrote.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from ..errors import InvalidDocument
from ..universal import jsontext

__all__ = ["NULL", "elements", "joined", "listed", "members", "value"]

NULL: Final = b"null"

_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ARRAY: Final = msgspec.json.Decoder(list[msgspec.Raw])


def members(text: bytes, path: str = "") -> dict[str, bytes]:
    """The members of an object; of a repeated key the last.

    Args:
        text: A JSON document.
        path: Where it stands, for errors.

    Raises:
        InvalidDocument: It is not JSON, or not an object.
    """
    try:
        _checked(text)
        return {key: bytes(raw) for key, raw in _OBJECT.decode(text).items()}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = _loads(text, path)  # lone surrogates and byte order marks, which msgspec refuses; or what is wrong
    if type(found) is not dict:
        raise InvalidDocument(path, "must be an object")
    return {key: jsontext.dumps(member) for key, member in found.items()}


def joined(found: Mapping[str, bytes]) -> bytes:
    """An object of these members."""
    return b"{%b}" % b",".join([jsontext.json_string(key) + b":" + text for key, text in found.items()])


def elements(text: bytes, path: str = "") -> list[bytes]:
    """The elements of an array.

    Args:
        text: A JSON document.
        path: Where it stands, for errors.

    Raises:
        InvalidDocument: It is not JSON, or not an array.
    """
    try:
        _checked(text)
        return [bytes(raw) for raw in _ARRAY.decode(text)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = _loads(text, path)
    if type(found) is not list:
        raise InvalidDocument(path, "must be an array")
    return [jsontext.dumps(element) for element in found]


def listed(found: Iterable[bytes]) -> bytes:
    """An array of these elements."""
    return b"[%b]" % b",".join(found)


def value(text: bytes, path: str = "") -> Any:
    """The JSON value of a text.

    Raises:
        InvalidDocument: It is not JSON.
    """
    return _loads(text, path)


def _checked(text: bytes) -> None:
    if not text.isascii():
        text.decode()  # what msgspec does not look into may be anything


def _loads(text: bytes, path: str) -> Any:
    try:
        return jsontext.loads(text)
    except InvalidDocument as error:
        raise InvalidDocument(path, error.problem) from None
