"""Whether a JSON document is what an official SDK's types say, unknown members refused at every depth."""

from __future__ import annotations

import base64
import binascii
import collections.abc
import types
import typing
from collections.abc import Callable, Iterator
from datetime import date, datetime
from enum import Enum
from functools import cache
from typing import Any

import typing_extensions

from documents import is_document, members_of, usable


def problems(value: Any, kind: Any, path: str = "$") -> list[str]:
    """In what a JSON value is not of an SDK type.

    Args:
        value: The JSON value.
        kind: A TypedDict class, pydantic model or annotation.
        path: Where the value stands.

    Returns:
        One line per problem; empty when it conforms.
    """
    return list(_problems(value, kind, path))


def _problems(value: Any, kind: Any, path: str) -> Iterator[str]:
    """Each when it is asked for: most of a union's members are left at their first."""
    shape, inner = _shape(kind)
    match shape:
        case "union":
            if all(next(_problems(value, member, path), None) for member in inner):
                found = [problems(value, member, path) for member in inner]
                yield from min(found, key=lambda lines: (_depth(lines), len(lines)))
        case "literal":
            if value not in inner:
                yield f"{path}: {value!r} is not one of {inner}"
        case "list":
            if not isinstance(value, list):
                yield f"{path}: not a list"
            else:
                for index, item in enumerate(value):
                    yield from _problems(item, inner, f"{path}[{index}]")
        case "object":
            if not isinstance(value, dict):
                yield f"{path}: not an object"
            else:
                for key, item in value.items():
                    yield from _problems(item, inner, f"{path}.{key}")
        case "document":
            yield from _document(value, inner, path)
        case _:
            yield from _scalar(value, inner, path)


@cache
def _shape(kind: Any) -> tuple[str, Any]:
    """What an annotation is, and of what."""
    origin = typing.get_origin(kind)
    if origin in (
        typing.Annotated,
        typing.Required,
        typing.NotRequired,
        typing_extensions.Required,
        typing_extensions.NotRequired,
    ):
        return _shape(typing.get_args(kind)[0])
    if isinstance(kind, typing_extensions.TypeAliasType):
        return _shape(kind.__value__)
    if origin in (typing.Union, types.UnionType):
        return "union", [member for member in typing.get_args(kind) if usable(member)]
    if origin is typing.Literal:
        return "literal", typing.get_args(kind)
    if origin in (list, collections.abc.Iterable, collections.abc.Sequence):
        return "list", typing.get_args(kind)[0]
    if origin in (dict, collections.abc.Mapping):
        return "object", typing.get_args(kind)[1]
    return ("document" if is_document(kind) else "scalar"), kind


def _depth(lines: list[str]) -> int:
    """The member of a union that was meant is the one that fails deepest."""
    return -max(line.split(":")[0].count(".") + line.split(":")[0].count("[") for line in lines)


def _document(value: Any, kind: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path}: not an object"
        return
    members = members_of(kind)
    for name, (_, required) in members.items():
        if required and name not in value:
            yield f"{path}: {name} is missing"
    for name, item in value.items():
        if name not in members:
            yield f"{path}.{name}: unknown to {kind.__name__}"
        else:
            yield from _problems(item, members[name][0], f"{path}.{name}")


def _scalar(value: Any, kind: Any, path: str) -> Iterator[str]:
    if isinstance(kind, type) and issubclass(kind, Enum):
        if value not in [member.value for member in kind]:
            yield f"{path}: {value!r} is not one of {kind!r}"
        return
    fits = _FITS.get(kind)
    if fits is not None and not fits(value):
        yield f"{path}: not {kind!r}"


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text.translate(str.maketrans("-_", "+/")), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


_FITS: dict[Any, Callable[[Any], bool]] = {
    str: lambda value: isinstance(value, str),
    bytes: lambda value: isinstance(value, str) and _is_base64(value),
    bool: lambda value: isinstance(value, bool),
    int: lambda value: isinstance(value, int) and not isinstance(value, bool),
    float: lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    type(None): lambda value: value is None,
    datetime: lambda value: isinstance(value, str),
    date: lambda value: isinstance(value, str),
}
