"""Members that are one value on both sides, as tables: one source for decoding, encoding, losses and documentation.

A table maps the wire's spelling to a `Field`. What a table does not know, and every null, goes to ``ext`` as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from functools import cache
from operator import attrgetter
from typing import Any, TypeAlias

from msgspec import UNSET, Struct, UnsetType

from ..errors import InvalidDocument
from ..universal.loss import Loss, LossKind, Severity
from ..universal.request import Request

__all__ = [
    "ANY",
    "BOOLEAN",
    "INTEGER",
    "NUMBER",
    "OBJECT",
    "STRING",
    "STRINGS",
    "Field",
    "Json",
    "Table",
    "expect",
    "ext_losses",
    "optional",
    "put",
    "rest",
    "table",
    "take",
    "unplaced",
]

Json: TypeAlias = dict[str, Any]
"""An object of the wire."""

STRING = "a string"
BOOLEAN = "a boolean"
INTEGER = "an integer"
NUMBER = "a number"
OBJECT = "an object"
STRINGS = "an array of strings"
ANY = "any value"

_TYPES: dict[str, type] = {STRING: str, BOOLEAN: bool, INTEGER: int, NUMBER: float, OBJECT: dict}
"""Types of values that need no further check."""

_CHECKS: dict[str, Callable[[Any], bool]] = {
    STRING: lambda value: type(value) is str,
    BOOLEAN: lambda value: type(value) is bool,
    INTEGER: lambda value: type(value) is int,
    NUMBER: lambda value: isinstance(value, (int, float)) and type(value) is not bool,
    OBJECT: lambda value: type(value) is dict,
    STRINGS: lambda value: type(value) is list and all(type(item) is str for item in value),
    ANY: lambda _: True,
}


class Field(Struct, frozen=True):
    """One member.

    Attributes:
        name: The attribute of the universal node.
        wire: The member of the wire.
        kind: What its value must be (`STRING`, `INTEGER` …). `STRINGS` become tuples.
    """

    name: str
    wire: str
    kind: str = ANY


class Table(dict[str, Field]):
    """Fields by their wire name.

    Attributes:
        write: Writes the members of a node that are set into a document: `put`.
    """

    __slots__ = ("write",)

    def __init__(self, *fields: Field) -> None:
        super().__init__((field.wire, field) for field in fields)
        self.write = _writer(self.values())


def _writer(fields: Iterable[Field]) -> Callable[[Any, dict[str, Any]], None]:
    """Code as one would write it by hand.

    Nearly all members of a node are UNSET, and a loop over them takes three times as long to find that out.
    """
    lines = ["def write(node, document):", "    pass"]
    for known in fields:
        value = "list(value)" if known.kind is STRINGS else "value"
        lines += [
            f"    value = node.{known.name}",
            "    if value is not UNSET:",
            f"        document[{known.wire!r}] = {value}",
        ]
    names: dict[str, Any] = {"UNSET": UNSET}
    exec("\n".join(lines), names)  # noqa: S102 - of our own tables
    write: Callable[[Any, dict[str, Any]], None] = names["write"]
    return write


def _reader(names: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    return attrgetter(*names) if len(names) > 1 else lambda node: tuple([getattr(node, name) for name in names])


def table(*fields: Field) -> Table:
    """A table of these fields."""
    return Table(*fields)


def expect(value: Any, kind: str, path: str) -> Any:
    """The value, if it is of this kind.

    Raises:
        InvalidDocument: It is not; names the path.
    """
    if type(value) is not _TYPES.get(kind) and not _CHECKS[kind](value):
        raise InvalidDocument(path, f"must be {kind}")
    return value


def optional(document: Mapping[str, Any], name: str, kind: str, path: str) -> Any:
    """A member that may be left out or null: UNSET then.

    Args:
        document: An object of the wire, which stands at `path`.
        name: The member.
        kind: What it must be.
        path: For errors.

    Raises:
        InvalidDocument: It is something else.
    """
    value = document.get(name)
    if value is None:
        return UNSET
    if not _CHECKS[kind](value):
        raise InvalidDocument(f"{path}.{name}" if path else name, f"must be {kind}")
    return value


def rest(document: Mapping[str, Any], known: Container[str]) -> dict[str, Any] | UnsetType:
    """Members that are not known, and all nulls: a node's ``ext``."""
    ext = {name: value for name, value in document.items() if value is None or name not in known}
    return ext or UNSET


def take(
    document: Mapping[str, Any],
    table: Mapping[str, Field],
    *,
    handled: Container[str],
    path: str = "",
    strict: bool = True,
) -> tuple[dict[str, Any], dict[str, Any] | UnsetType]:
    """Read the members that a table knows.

    Args:
        document: An object of the wire.
        table: By wire name.
        handled: Members that the caller reads by itself.
        path: Where the object stands, for errors.
        strict: Whether a value of the wrong kind is an error (requests) or kept in ``ext`` (answers).

    Returns:
        Values by universal name, and ``ext``.

    Raises:
        InvalidDocument: A value of the wrong kind, if strict.
    """
    values: dict[str, Any] = {}
    ext: dict[str, Any] = {}
    for key, value in document.items():
        if key in handled:
            continue
        known = table.get(key)
        if known is None or value is None:
            ext[key] = value
        elif type(value) is _TYPES.get(known.kind) or _CHECKS[known.kind](value):
            values[known.name] = tuple(value) if known.kind is STRINGS else value
        elif strict:
            raise InvalidDocument(f"{path}.{key}" if path else key, f"must be {known.kind}")
        else:
            ext[key] = value
    return values, ext or UNSET


def put(node: Any, table: Table, document: dict[str, Any]) -> None:
    """Write the members that a table knows into a document; `take` backwards."""
    table.write(node, document)


def ext_losses(ext: dict[str, Any] | UnsetType, path: str, protocol: str) -> Iterable[Loss]:
    """The losses of members that only their home protocol knows; a null is none.

    Args:
        ext: A node's ``ext``.
        path: Where the node stands (``"turns[0]"``; ``""`` for the root).
        protocol: The target's name.
    """
    if ext is UNSET:
        return
    for key, value in ext.items():
        if value is not None:
            yield Loss(
                path=f"{path}.ext.{key}" if path else f"ext.{key}",
                kind=LossKind.DROPPED,
                severity=Severity.DEGRADED,
                reason=f"{protocol} does not know it",
            )


_SEVERITY = {
    "previous_response_id": Severity.BLOCKING,
    "thread": Severity.BLOCKING,
    "conversation": Severity.BLOCKING,
    "prompt": Severity.BLOCKING,
    "background": Severity.BLOCKING,
    "candidates": Severity.SEMANTIC,
    "stop": Severity.SEMANTIC,
    "output_format": Severity.SEMANTIC,
    "modalities": Severity.SEMANTIC,
    "audio": Severity.SEMANTIC,
    "tool_choice": Severity.SEMANTIC,
    "mcp_servers": Severity.SEMANTIC,
    "web_search": Severity.SEMANTIC,
    "container": Severity.SEMANTIC,
    "context_management": Severity.SEMANTIC,
    "logprobs": Severity.SEMANTIC,
    "top_logprobs": Severity.SEMANTIC,
    "inference_geo": Severity.SEMANTIC,
    "moderation": Severity.SEMANTIC,
    "stream_usage": Severity.COSMETIC,
    "stream_obfuscation": Severity.COSMETIC,
    "cache": Severity.COSMETIC,
    "cache_key": Severity.COSMETIC,
    "cache_retention": Severity.COSMETIC,
    "cache_options": Severity.COSMETIC,
    "prediction": Severity.COSMETIC,
    "user": Severity.COSMETIC,
    "safety_identifier": Severity.COSMETIC,
    "metadata": Severity.COSMETIC,
    "store": Severity.COSMETIC,
    "speed": Severity.COSMETIC,
    "service_tier": Severity.COSMETIC,
}
_STRUCTURE = frozenset({"turns", "tools", "origin", "ext", "form", "model", "stream"})


@cache
def _others(placed: frozenset[str]) -> tuple[tuple[str, ...], Callable[[Any], tuple[Any, ...]]]:
    names = tuple(name for name in Request.__struct_fields__ if name not in placed and name not in _STRUCTURE)
    return names, _reader(names)


def unplaced(request: Request, placed: frozenset[str], protocol: str) -> Iterable[Loss]:
    """The losses of a request's members that a protocol has no place for.

    Args:
        request: The request.
        placed: The members that the protocol's encoder writes or reports by itself.
        protocol: The protocol's name.
    """
    names, read = _others(placed)
    values = read(request)
    if values.count(UNSET) == len(values):
        return ()
    return [
        Loss(
            path=name,
            kind=LossKind.DROPPED,
            severity=_SEVERITY.get(name, Severity.DEGRADED),
            reason=f"{protocol} has no {name}",
        )
        for name, value in zip(names, values, strict=True)
        if value is not UNSET
    ]
