"""Schemas: the provider's older dialect (OpenAPI 3.0) and JSON Schema.

``parametersJsonSchema`` and ``responseJsonSchema`` are JSON Schema and stay as they are, but for types in capitals,
which Gemini CLI 0.61 sends there, too. ``parameters`` and ``responseSchema`` differ in three things, which are
converted: types in capitals, ``nullable``, and ``enum`` beside it. All other members (``format``,
``propertyOrdering``, ``example``) mean the same or nothing in JSON Schema.
It follows https://ai.google.dev/api/caching#Schema (read 2026-11-23).
"""

from __future__ import annotations

from typing import Any, Final

from ...universal.jsontext import equal

__all__ = ["CAPITALS", "LOWER", "UPPER", "from_json_schema", "from_openapi", "spelling_of", "to_openapi"]

CAPITALS: Final = "json:openapi"
"""The form of a JSON Schema that was spelled with types in capitals."""

UPPER: Final = "openapi"
"""The form of a schema that was spelled with types in capitals."""

LOWER: Final = "openapi:lower"
"""The form of one with small types, which the API takes too."""

_NESTED: Final = ("items", "additionalProperties")
_LISTS: Final = ("anyOf", "prefixItems")
_MAPS: Final = ("properties", "$defs", "defs")


def from_openapi(schema: Any) -> Any:
    """A schema of the older dialect as JSON Schema; what is no object stays as it is."""
    return _map(schema, _to_json)


def from_json_schema(schema: Any) -> tuple[Any, tuple[str, ...]]:
    """A JSON Schema whose types may be in capitals, and its form; what `to_openapi` would not give back stays."""
    made = from_openapi(schema)
    if equal(made, schema) or not equal(to_openapi(made, upper=True), schema):
        return schema, ()
    return made, (CAPITALS,)


def to_openapi(schema: Any, *, upper: bool) -> Any:
    """`from_openapi` backwards, for schemas that it made."""
    return _map(schema, _to_upper if upper else _to_lower)


def spelling_of(schema: Any) -> str | None:
    """The form under which `to_openapi` gives this schema back; None when none does."""
    made = from_openapi(schema)
    for tag in (UPPER, LOWER):
        if equal(to_openapi(made, upper=tag == UPPER), schema):
            return tag
    return None


def _map(schema: Any, convert: Any) -> Any:
    if type(schema) is not dict:
        return schema
    document = convert(schema)
    for name in _NESTED:
        if type(document.get(name)) is dict:
            document[name] = _map(document[name], convert)
    for name in _LISTS:
        if type(document.get(name)) is list:
            document[name] = [_map(item, convert) for item in document[name]]
    for name in _MAPS:
        if type(document.get(name)) is dict:
            document[name] = {key: _map(item, convert) for key, item in document[name].items()}
    return document


def _to_json(schema: dict[str, Any]) -> dict[str, Any]:
    document = dict(schema)
    kind = document.get("type")
    if type(kind) is str and kind.upper() == kind:
        document["type"] = kind.lower()
    if document.get("nullable") is True and type(kind) is str:
        del document["nullable"]
        document["type"] = [document["type"], "null"]
        if type(document.get("enum")) is list:
            document["enum"] = [*document["enum"], None]
    return document


def _to_upper(schema: dict[str, Any]) -> dict[str, Any]:
    document = _to_lower(schema)
    if type(document.get("type")) is str:
        document["type"] = document["type"].upper()
    return document


def _to_lower(schema: dict[str, Any]) -> dict[str, Any]:
    document = dict(schema)
    kind = document.get("type")
    if type(kind) is list and len(kind) == 2 and kind[1] == "null":
        document["type"] = kind[0]
        document["nullable"] = True
        if type(document.get("enum")) is list and document["enum"][-1:] == [None]:
            document["enum"] = document["enum"][:-1]
    return document
