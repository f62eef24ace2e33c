r"""What a JSON Schema says of strings, and arguments brought in line with it.

Models that write JSON write ``90210`` where a postcode is declared as a string. Only that is mended: what a schema
declares as nothing but a string becomes one, of the very characters that stood there. Everything else, and whatever a
schema leaves open, stays as it was spelled.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Final

from ...universal.jsontext import json_string, loads
from .tokens import items, members

__all__ = ["Shape", "coerced", "member", "resolve", "shape", "takes"]

_MAX_REFS: Final = 8
"""References that are followed one after the other."""

_MAX_UNION: Final = 32
"""Schemas that are looked at to tell what one says; of one that has more in it, nothing is told."""


class Shape(Enum):
    """What may stand where a schema applies, as far as strings go."""

    STRING = "string"  # a string and nothing else
    NULLABLE = "nullable"  # a string or null
    OPEN = "open"  # a string among others, or nothing is said
    OTHER = "other"  # no string


def resolve(schema: Any, root: Any) -> dict[str, Any]:
    """The schema that a reference inside the document stands for; an empty one if there is none.

    Args:
        schema: A schema, or anything.
        root: The whole document, for ``#/$defs/…``.
    """
    for _ in range(_MAX_REFS):
        if not isinstance(schema, dict):
            break
        reference = schema.get("$ref")
        if not isinstance(reference, str) or not reference.startswith("#"):
            return schema
        schema = root
        for step in reference[1:].split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            schema = schema.get(name) if isinstance(schema, dict) else None
    return {}


def member(schema: Any, name: str, root: Any) -> Any:
    """The schema of a member of an object: its property's, else that of additional ones; ``{}`` if open."""
    schema = resolve(schema, root)
    properties = schema.get("properties")
    if isinstance(properties, dict) and name in properties:
        return properties[name]
    return schema.get("additionalProperties", {})


def shape(schema: Any, root: Any) -> Shape:
    """What a schema says of strings.

    Args:
        schema: A schema, or anything (then it is open).
        root: The whole document.
    """
    kinds = _Kinds(root).of(schema)
    if kinds is None:
        return Shape.OPEN
    if "string" not in kinds:
        return Shape.OTHER
    rest = kinds - {"string"}
    return Shape.STRING if not rest else Shape.NULLABLE if rest == {"null"} else Shape.OPEN


def takes(schema: Any, root: Any, kind: str) -> bool:
    """Whether a schema says that values of a kind (``"array"``) are welcome."""
    return kind in (_Kinds(root).of(schema) or ())


class _Kinds:
    """Tells the kinds of value that a schema names.

    Args:
        root: The whole document.
    """

    __slots__ = ("_left", "_root")

    def __init__(self, root: Any) -> None:
        self._root = root
        self._left = _MAX_UNION

    def of(self, schema: Any) -> set[str] | None:
        """The kinds; None when the schema leaves them open."""
        if self._left == 0:
            return None
        self._left -= 1
        schema = resolve(schema, self._root)
        kind = schema.get("type")
        if isinstance(kind, str):
            return {kind.lower()}  # Gemini spells them in capitals
        if isinstance(kind, list):
            return {str(one).lower() for one in kind}
        if "const" in schema:
            return {_kind(schema["const"])}
        if isinstance(schema.get("enum"), list) and schema["enum"]:
            return {_kind(value) for value in schema["enum"]}
        return self._of_union(schema)

    def _of_union(self, schema: dict[str, Any]) -> set[str] | None:
        for word in ("anyOf", "oneOf"):
            if isinstance(schema.get(word), list):
                found = [self.of(one) for one in schema[word]]
                return None if None in found else {kind for kinds in found if kinds for kind in kinds}
        if isinstance(schema.get("allOf"), list):
            said = [kinds for one in schema["allOf"] if (kinds := self.of(one)) is not None]
            return set.intersection(*said) if said else None
        if "properties" in schema:
            return {"object"}
        return {"array"} if "items" in schema else None


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case str():
            return "string"
        case list():
            return "array"
        case dict():
            return "object"
        case _:
            return "number"


def coerced(text: str, schema: Any, root: Any) -> str:
    """JSON text with strings where the schema says so.

    Args:
        text: One valid JSON value.
        schema: Of it.
        root: The whole document.

    Returns:
        The same text if nothing had to change.
    """
    text = text.strip()
    if text[0] not in "{[":
        kind = shape(schema, root)
        if kind not in (Shape.STRING, Shape.NULLABLE) or text[0] == '"' or text == "null":
            return text
        return json_string(text).decode()
    if shape(schema, root) in (Shape.STRING, Shape.NULLABLE):
        return json_string(text).decode()
    schema = resolve(schema, root)
    if text[0] == "{":
        if not any(word in schema for word in ("properties", "additionalProperties")):
            return text
        return _object(text, schema, root)
    inner = schema.get("items")
    if inner is None:
        return text
    old = items(text)
    new = [coerced(item, inner, root) for item in old]
    return text if new == old else f"[{','.join(new)}]"


def _object(text: str, schema: Any, root: Any) -> str:
    old = members(text)
    new = [(key, coerced(value, member(schema, _name(key), root), root)) for key, value in old]
    return text if new == old else f"{{{','.join(f'{key}:{value}' for key, value in new)}}}"


def _name(key: str) -> str:
    return str(loads(key))
