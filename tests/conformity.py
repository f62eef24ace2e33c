"""Whether a JSON document is what an official SDK's types say, unknown members refused at every depth."""

from __future__ import annotations

import base64
import binascii
import collections.abc
import types
import typing
from datetime import date, datetime
from enum import Enum
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
    origin = typing.get_origin(kind)
    if origin in (
        typing.Annotated,
        typing.Required,
        typing.NotRequired,
        typing_extensions.Required,
        typing_extensions.NotRequired,
    ):
        return problems(value, typing.get_args(kind)[0], path)
    if isinstance(kind, typing_extensions.TypeAliasType):
        return problems(value, kind.__value__, path)
    if origin in (typing.Union, types.UnionType):
        found = [problems(value, member, path) for member in typing.get_args(kind) if usable(member)]
        return min(found, key=lambda lines: (_depth(lines), len(lines))) if all(found) else []
    if origin is typing.Literal:
        return [] if value in typing.get_args(kind) else [f"{path}: {value!r} is not one of {typing.get_args(kind)}"]
    if origin in (list, collections.abc.Iterable, collections.abc.Sequence):
        if not isinstance(value, list):
            return [f"{path}: not a list"]
        (member,) = typing.get_args(kind)
        return [line for index, item in enumerate(value) for line in problems(item, member, f"{path}[{index}]")]
    if origin in (dict, collections.abc.Mapping):
        if not isinstance(value, dict):
            return [f"{path}: not an object"]
        return [
            line for key, item in value.items() for line in problems(item, typing.get_args(kind)[1], f"{path}.{key}")
        ]
    if is_document(kind):
        return _document(value, kind, path)
    return _scalar(value, kind, path)


def _depth(lines: list[str]) -> int:
    """The member of a union that was meant is the one that fails deepest."""
    return -max(line.split(":")[0].count(".") + line.split(":")[0].count("[") for line in lines)


def _document(value: Any, kind: Any, path: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{path}: not an object"]
    members = members_of(kind)
    lines = [f"{path}: {name} is missing" for name, (_, required) in members.items() if required and name not in value]
    for name, item in value.items():
        if name not in members:
            lines.append(f"{path}.{name}: unknown to {kind.__name__}")
        else:
            lines += problems(item, members[name][0], f"{path}.{name}")
    return lines


def _scalar(value: Any, kind: Any, path: str) -> list[str]:
    if isinstance(kind, type) and issubclass(kind, Enum):
        return [] if value in [member.value for member in kind] else [f"{path}: {value!r} is not one of {kind!r}"]
    fits = {
        str: isinstance(value, str),
        bytes: isinstance(value, str) and _is_base64(value),
        bool: isinstance(value, bool),
        int: isinstance(value, int) and not isinstance(value, bool),
        float: isinstance(value, (int, float)) and not isinstance(value, bool),
        type(None): value is None,
        datetime: isinstance(value, str),
        date: isinstance(value, str),
    }
    return [] if fits.get(kind, True) else [f"{path}: not {kind!r}"]


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text.translate(str.maketrans("-_", "+/")), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True
