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

__all__ = [
    "SEGMENT",
    "WHOLE",
    "Resources",
    "Stated",
    "holds_data",
    "named_in",
    "resources_of",
    "stated_in",
    "stating",
]

SEGMENT: Final = r"(?!\.{1,2}(?:/|$))[^/]+"
"""A segment of a path, for `Resources.path`; none that could lead elsewhere."""

WHOLE: Final = 64 * 1024 * 1024
"""For `Stated.most`: practically all of an answer."""

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
_ECHOED: Final = frozenset({"attributes", "item", "sample", "variables"})  # members of answers that hold such data
_DEEPEST: Final = 64
_SHALLOW: Final = 4  # a document, its list, an item, an object in that
_decode: Final = msgspec.json.Decoder().decode


class Stated(Struct, frozen=True, kw_only=True):
    """Where an answer of a model states ids of what was made for it.

    Attributes:
        ids: Finds them in bytes, whole or streamed: each is the first group, quotes not included.
        words: What stands in requests that name them, at least one of these; the longer, the sooner it is not found.
        most: Bytes of an answer that are looked at.
        once: Whether there is one id only.
        marker: What stands in a request whose answer may state them; ``b""``: nothing needs to.
    """

    ids: re.Pattern[bytes]
    words: frozenset[bytes]
    most: int
    once: bool = False
    marker: bytes = b""


class Resources(Struct, frozen=True, kw_only=True):
    """What accounts keep, in one protocol.

    Attributes:
        path: Matches the whole paths on which it is made, listed, read, changed and deleted, with their prefix. The
            group ``id`` is the id of a thing, the group ``more`` what follows it: words and ids in turn.
        contents: How those of them end whose answers are contents that somebody put there, and state no ids.
        states: Members of the answers of the others that hold ids.
        own: Matches the whole ids of what is an account's own; all else is everybody's.
        names: Members of requests that name such things: by an id, a list of ids, or an object with one.
        models: How the names of models begin that are an account's own.
        generated: Where answers of models state ids; the first whose marker is there counts.
    """

    path: re.Pattern[str]
    contents: tuple[str, ...]
    states: frozenset[str]
    own: re.Pattern[str]
    names: frozenset[str]
    models: tuple[str, ...] = ()
    generated: tuple[Stated, ...] = ()


def resources_of(protocol: Protocol) -> Resources | None:
    """What accounts keep in a protocol; None where that is nothing."""
    found: Resources | None = getattr(protocol, "resources", None)
    return found


def stating(*members: str, value: str) -> re.Pattern[bytes]:
    """A pattern for `Stated.ids`.

    Args:
        members: Whose values they are.
        value: How they begin, as a pattern.
    """
    names, begins = "|".join(members).encode(), value.encode()
    return re.compile(rb'"(?:%b)"\s*:\s*"(%b[!#-\[\]-~]{1,256})"' % (names, begins))


def holds_data(member: str, node: dict[str, Any]) -> bool:
    """Whether a member of an object holds data of the client's own, in which any word may stand and means nothing."""
    return member in _DATA or (member == "input" and node.get("type") in _CALLS)


def named_in(body: bytes, resources: Resources) -> Iterator[str]:
    """What a request's document names, in its order, known or not; nothing for what is no JSON."""
    return _found(_parsed(body), resources.names, frozenset(), _DEEPEST)


def stated_in(body: bytes, resources: Resources) -> Iterator[str]:
    """Ids of what an account has, as an answer's document states them; nothing for what is no JSON."""
    for found in _found(_parsed(body), resources.states, _ECHOED, _SHALLOW):
        if resources.own.fullmatch(found):
            yield found


def _parsed(body: bytes) -> Any:
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _found(node: Any, members: frozenset[str], data: frozenset[str], depth: int) -> Iterator[str]:
    if not depth:
        return
    if isinstance(node, list):
        for item in node:
            yield from _found(item, members, data, depth - 1)
    elif isinstance(node, dict):
        for name, value in node.items():
            if name in members:
                yield from _ids(value)
            if name not in data and not holds_data(name, node):
                yield from _found(value, members, data, depth - 1)


def _ids(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = value.get("id")
    for each in value if isinstance(value, list) else (value,):
        if isinstance(each, str):
            yield each
