"""Documents drawn from the official SDKs' own types, plus what real traffic adds: unknown members, types and nulls.

`documents_of` walks a TypedDict or pydantic model of an SDK and draws JSON documents of it; `mutated` injects unknown
keys, unknown part types and nulls at random nodes. When an SDK learns a new member, the laws meet it without a change
here.
"""

from __future__ import annotations

import base64
import collections.abc
import os
import types
import typing
from datetime import date, datetime
from enum import Enum
from functools import cache
from typing import Any

import typing_extensions
from hypothesis import strategies as st
from pydantic import BaseModel

MAX_DEPTH = 6

# Private-use code points make it visible where text of the source went; quotes, escapes and separators try the framing.
ALPHABET = 'ab \n"\\{}[]:,é\u2028\U0001f600\ue000\ue001'
texts = st.text(ALPHABET, max_size=8)
names = st.text("abcXYZ019_-", min_size=1, max_size=12)
numbers = st.one_of(st.integers(-5, 2**70), st.floats(-4, 4, allow_nan=False).map(lambda f: round(f, 3)))
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(names, inner, max_size=2)),
    max_leaves=5,
)
json_objects = st.dictionaries(names, json_values, max_size=3)
base64_texts = st.binary(max_size=6).map(lambda data: base64.b64encode(data).decode())


def documents_of(
    kind: Any, *, overrides: dict[tuple[str, str], st.SearchStrategy[Any]] | None = None
) -> st.SearchStrategy[Any]:
    """Draw JSON documents of an SDK type.

    Args:
        kind: A TypedDict class, pydantic model, or any annotation of them.
        overrides: (class name, member) to the strategy that its values come from, for members whose type says less
            than the API does (``object`` that must be a JSON object, a string that must be base64).
    """
    return _of(kind, 0, _Overrides(overrides or {}))


class _Overrides(dict[tuple[str, str], st.SearchStrategy[Any]]):
    def __hash__(self) -> int:  # type: ignore[override]
        return id(self)


def _of(kind: Any, depth: int, overrides: _Overrides) -> st.SearchStrategy[Any]:
    origin = typing.get_origin(kind)
    if origin in (typing.Annotated, typing_extensions.Annotated, typing.Required, typing.NotRequired):
        return _of(typing.get_args(kind)[0], depth, overrides)
    if origin in (typing_extensions.Required, typing_extensions.NotRequired):
        return _of(typing.get_args(kind)[0], depth, overrides)
    if isinstance(
        kind,
        (
            typing.TypeAliasType if hasattr(typing, "TypeAliasType") else typing_extensions.TypeAliasType,
            typing_extensions.TypeAliasType,
        ),
    ):
        return _of(kind.__value__, depth, overrides)
    if origin in (typing.Union, types.UnionType):
        members = [member for member in typing.get_args(kind) if usable(member)]
        simple = [member for member in members if not is_document(member)]
        chosen = simple if depth >= MAX_DEPTH and simple else members
        return st.sampled_from(chosen).flatmap(lambda member: _of(member, depth, overrides))
    if origin is typing.Literal:
        return st.sampled_from(typing.get_args(kind))
    if origin in (list, collections.abc.Iterable, collections.abc.Sequence, typing.Sequence):
        (member,) = typing.get_args(kind)
        return st.lists(st.deferred(lambda: _of(member, depth + 1, overrides)), max_size=0 if depth >= MAX_DEPTH else 2)
    if origin in (dict, collections.abc.Mapping):
        value = typing.get_args(kind)[1]
        return st.dictionaries(names, st.deferred(lambda: _of(value, depth + 1, overrides)), max_size=2)
    if is_document(kind):
        return st.deferred(lambda: _document(kind, depth, overrides))
    return _scalar(kind)


def _scalar(kind: Any) -> st.SearchStrategy[Any]:
    if kind is str:
        return texts
    if kind is bytes:  # as JSON has them
        return base64_texts
    if isinstance(kind, type) and issubclass(kind, Enum):
        return st.sampled_from([member.value for member in kind])
    if kind is bool:
        return st.booleans()
    if kind is int:
        return st.integers(0, 2**60)
    if kind is float:
        return st.one_of(st.integers(0, 2), st.floats(0, 2).map(lambda f: round(f, 3)))
    if kind is type(None):
        return st.none()
    if kind in (datetime, date):
        return st.just("2026-11-23T00:00:00Z")
    if kind in (object, Any):
        return json_values
    raise AssertionError(f"no strategy for {kind!r}")


def usable(kind: Any) -> bool:
    """Whether a value of this type can stand in JSON (not a file handle or path)."""
    origin = typing.get_origin(kind)
    return origin not in (os.PathLike, typing.IO) and not (origin is None and isinstance(kind, type) and _foreign(kind))


def _foreign(kind: type) -> bool:
    known = (str, bytes, bool, int, float, type(None), datetime, date, object, Any)
    return kind not in known and not is_document(kind) and not (issubclass(kind, Enum) and len(kind))


def is_document(kind: Any) -> bool:
    return typing_extensions.is_typeddict(kind) or (isinstance(kind, type) and issubclass(kind, BaseModel))


@cache
def members_of(kind: Any) -> dict[str, tuple[Any, bool]]:
    """Member name to (annotation, required)."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return {
            field.alias or name: (field.annotation, field.is_required()) for name, field in kind.model_fields.items()
        }
    hints = typing_extensions.get_type_hints(kind, include_extras=True)
    return {name: (hint, name in kind.__required_keys__ or _required(hint)) for name, hint in hints.items()}


def _required(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Required, typing_extensions.Required)


def _document(kind: Any, depth: int, overrides: _Overrides) -> st.SearchStrategy[dict[str, Any]]:
    required: dict[str, st.SearchStrategy[Any]] = {}
    optional: dict[str, st.SearchStrategy[Any]] = {}
    for name, (hint, must) in members_of(kind).items():
        values = overrides.get((kind.__name__, name))
        if values is None:
            values = _of(hint, depth + 1, overrides)
        (required if must or name in ("type", "role") else optional)[name] = values
    if depth >= MAX_DEPTH:
        optional = {}
    return st.fixed_dictionaries(required) if not optional else _some(required, optional)


@st.composite
def _some(draw: st.DrawFn, required: dict[str, Any], optional: dict[str, Any]) -> dict[str, Any]:
    document = {name: draw(values) for name, values in required.items()}
    for name in draw(st.lists(st.sampled_from(sorted(optional)), max_size=4, unique=True)):
        document[name] = draw(optional[name])
    return document


@st.composite
def mutated(draw: st.DrawFn, documents: st.SearchStrategy[dict[str, Any]], *, types: bool = True) -> dict[str, Any]:
    """A document with unknown members, unknown part types and nulls injected at random nodes.

    Args:
        draw: Hypothesis.
        documents: Where the documents come from.
        types: Whether unknown part types are put into lists of parts.
    """
    document = draw(documents)
    nodes = list(_objects(document))
    for _ in range(draw(st.integers(0, 3))):
        node = draw(st.sampled_from(nodes))
        node["x_" + draw(names)] = draw(json_values)
    if types and draw(st.booleans()):
        lists = [
            value for value in _lists(document) if value and all(isinstance(i, dict) and "type" in i for i in value)
        ]
        if lists:
            draw(st.sampled_from(lists)).append({"type": "x_" + draw(names), **draw(json_objects)})
    return document


def _objects(value: Any) -> collections.abc.Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for member in value.values():
            yield from _objects(member)
    elif isinstance(value, list):
        for member in value:
            yield from _objects(member)


def _lists(value: Any) -> collections.abc.Iterator[list[Any]]:
    if isinstance(value, dict):
        for member in value.values():
            yield from _lists(member)
    elif isinstance(value, list):
        yield value
        for member in value:
            yield from _lists(member)
