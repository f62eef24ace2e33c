"""What accounts of a provider keep (files, batches, caches): where it is asked for, and where its ids stand.

What one account has made exists in no other, so whoever holds keys of several accounts must know whose it is. A
protocol whose providers keep something declares ``resources``, in a module of this name in its package; this one reads
documents by such a declaration.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec import Struct

from .base import Protocol

__all__ = ["SEGMENT", "WHOLE", "Resources", "Stated", "holds_data", "named_in", "resources_of", "stating"]

SEGMENT: Final = r"(?!\.{1,2}(?:/|$))[^/]+"
"""A segment of a path, for `Resources.path`; none that could lead elsewhere."""

WHOLE: Final = 64 * 1024 * 1024
"""For `Stated.most`: practically all of an answer."""

_LISTED: Final = 256 * 1024
_ANY: Final = frozenset((b'"',))
_DATA: Final = frozenset(
    {
        "args",
        "arguments",
        "functionCall",
        "functionDeclarations",
        "functionResponse",
        "function",
        "function_call",
        "function_declarations",
        "function_response",
        "input_schema",
        "metadata",
        "parameters",
        "schema",
    }
)
_CALLS: Final = ("tool_use", "server_tool_use", "mcp_tool_use")  # blocks whose input is such data
_DEEPEST: Final = 64
_decode: Final = msgspec.json.Decoder().decode


class Stated(Struct, frozen=True, kw_only=True):
    """Where an answer states ids of what its account has.

    Attributes:
        ids: Finds them in bytes: each is the first group, quotes not included.
        most: Bytes of an answer that are looked at.
        once: Whether there is one id only.
        marker: What stands in a request whose answer may state them; ``b""``: nothing needs to.
        words: What stands in requests that name them, at least one of these; the longer, the sooner it is not found.
    """

    ids: re.Pattern[bytes]
    most: int = _LISTED
    once: bool = False
    marker: bytes = b""
    words: frozenset[bytes] = _ANY


class Resources(Struct, frozen=True, kw_only=True):
    """What accounts keep, in one protocol.

    Attributes:
        path: Matches the whole paths on which it is made, listed, read, changed and deleted, with their prefix. The
            group ``id`` is the id of a single thing, the group ``more`` what follows it.
        contents: How those of them end whose answers are contents that somebody put there, and state no ids.
        stated: Where the answers of the others state ids.
        names: Members of requests that name such things: by an id, a list of ids, or an object with one.
        generated: Where answers of models state ids of what was made for them; the first whose marker is there counts.
    """

    path: re.Pattern[str]
    contents: tuple[str, ...]
    stated: Stated
    names: frozenset[str]
    generated: tuple[Stated, ...] = ()


def resources_of(protocol: Protocol) -> Resources | None:
    """What accounts keep in a protocol; None where that is nothing."""
    found: Resources | None = getattr(protocol, "resources", None)
    return found


def stating(*members: str, value: str = "") -> re.Pattern[bytes]:
    """A pattern for `Stated.ids`: the values of some members, of one that is a list its first.

    Args:
        members: Their names.
        value: What the values begin with, as a pattern; ``""``: with anything.
    """
    names, begins = "|".join(members).encode(), value.encode()
    return re.compile(rb'"(?:%b)"\s*:\s*\[?\s*"(%b[!#-\[\]-~]{1,256})"' % (names, begins))


def holds_data(member: str, node: dict[str, Any]) -> bool:
    """Whether a member of an object holds data of the client's own, in which any word may stand and means nothing."""
    return member in _DATA or (member == "input" and node.get("type") in _CALLS)


def named_in(body: bytes, names: frozenset[str]) -> Iterator[str]:
    """What a JSON document names, in its order; nothing for what is no JSON.

    Args:
        body: The document.
        names: See `Resources.names`; within the client's own data (arguments, schemas, metadata) they mean nothing.
    """
    try:
        document = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return iter(())
    return _named(document, names, _DEEPEST)


def _named(node: Any, names: frozenset[str], depth: int) -> Iterator[str]:
    if not depth:
        return
    if isinstance(node, list):
        for item in node:
            yield from _named(item, names, depth - 1)
    elif isinstance(node, dict):
        for name, value in node.items():
            if name in names:
                yield from _ids(value)
            if not holds_data(name, node):
                yield from _named(value, names, depth - 1)


def _ids(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = value.get("id")
    for each in value if isinstance(value, list) else (value,):
        if isinstance(each, str):
            yield each
