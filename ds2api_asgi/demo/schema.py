"""A value for a JSON Schema: the arguments of a tool call, or an answer in JSON.

`make_value` follows ``type``, ``properties``, ``required``, ``enum``, ``const``, ``minimum`` and its kin, ``minLength``
and its kin, ``minItems`` and its kin, ``prefixItems``, ``format``, ``$ref`` into the document, ``allOf``, and the first
branch of ``anyOf`` and ``oneOf`` (https://json-schema.org/draft/2020-12/json-schema-validation, read 2026-11-23). It
fills strings and numbers with `Words` of the conversation. It does not follow ``pattern``, ``not`` and ``if``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import InvalidDocument

__all__ = ["Words", "is_free_text", "make_value"]

MAX_NODES = 4_096
"""Values that one schema may ask for; more is refused, since a client chooses ``minItems``."""

MAX_STRING = 65_536
"""Characters that ``minLength`` may ask for."""

MAX_DEPTH = 32
"""Levels of required values; a schema that requires itself ends here."""

DEEP = 4
"""Levels from which on nothing optional is made and a branch without ``$ref`` is preferred."""

_HUGE = 1e300
"""Bounds beyond it count as absent, so that no sum of two overflows."""

_FORMATS = {
    "date-time": "2026-01-01T12:00:00Z",
    "date": "2026-01-01",
    "time": "12:00:00Z",
    "duration": "P1D",
    "email": "ada@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "123e4567-e89b-42d3-a456-426614174000",
}


class Words:
    """What a conversation offers for filling in: names, numbers, and the text they stood in.

    Strings are dealt out in order and again from the first when they are used up; so are numbers that fit.
    """

    __slots__ = ("_dealt", "_lowered", "numbers", "strings", "text")

    def __init__(self, text: str = "", strings: Sequence[str] = (), numbers: Sequence[int | float] = ()) -> None:
        self.text = text
        self.strings = tuple(strings)
        self.numbers = tuple(numbers)
        self._lowered = text.casefold()
        self._dealt = 0

    def deal(self, name: str) -> str:
        """The next string; without any, the text itself when it is short, else the name of what is to be filled."""
        if self.strings:
            self._dealt += 1
            return self.strings[(self._dealt - 1) % len(self.strings)]
        return self.text if 0 < len(self.text) <= 80 else name or "text"

    def mentions(self, value: object) -> bool:
        """Whether the text holds this string."""
        return isinstance(value, str) and value != "" and value.casefold() in self._lowered

    def number(self, low: float, high: float, *, whole: bool) -> int | float | None:
        """The first number within the bounds."""
        for number in self.numbers:
            if low <= number <= high and not (whole and isinstance(number, float)):
                return number
        return None


def is_free_text(schema: Any) -> bool:
    """Whether a property takes any string: the kind that is filled with names from the text."""
    return (
        isinstance(schema, Mapping)
        and schema.get("type") == "string"
        and not any(word in schema for word in ("enum", "const", "format"))
    )


def make_value(schema: Any, words: Words, *, path: str = "") -> Any:
    """Make the value for a schema; the same one each time.

    Args:
        schema: A JSON Schema, which is an object or a boolean.
        words: What to fill in; it deals, so use a new one for each value.
        path: Where the schema stands in the request, for the error.

    Returns:
        A JSON value.

    Raises:
        InvalidDocument: The schema is none, refers to what is not there, or asks for too much.
    """
    return _Maker(schema, words, path).make(schema)


class _Maker:
    """Walks one schema; counts the nodes that it makes."""

    def __init__(self, root: Any, words: Words, path: str) -> None:
        self._root = root
        self._words = words
        self._path = path
        self._nodes = 0

    def make(self, schema: Any, *, name: str = "", depth: int = 0, turn: int = 0) -> Any:
        """Make a value. `turn` tells apart the items of an array that must be unique."""
        self._nodes += 1
        if self._nodes > MAX_NODES or depth > MAX_DEPTH:
            raise self._refuse("asks for too large a value")
        schema = self._resolve(schema, depth)
        if schema is True:
            return self._words.deal(name)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._choose(schema["enum"], turn)
        match self._type_of(schema):
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, name, depth)
            case "string":
                return self._string(schema, name, turn)
            case "integer":
                return self._number(schema, turn, whole=True)
            case "number":
                return self._number(schema, turn, whole=False)
            case "boolean":
                return turn % 2 == 0
            case "null":
                return None
            case _:
                raise self._refuse("names a type that JSON does not have")

    def _refuse(self, problem: str) -> InvalidDocument:
        return InvalidDocument(self._path, f"the schema {problem}")

    def _resolve(self, schema: Any, depth: int) -> Any:
        """Follow references and branches until a plain schema is left: a mapping, or True."""
        for _ in range(MAX_DEPTH):
            if schema is True or schema == {}:
                return True
            if not isinstance(schema, Mapping):
                raise self._refuse("is neither an object nor true")
            rest = {key: value for key, value in schema.items() if key not in ("$ref", "allOf", "anyOf", "oneOf")}
            if "$ref" in schema:
                schema = self._merge([rest, self._follow(schema["$ref"])])
            elif "allOf" in schema:
                kept = {key: schema[key] for key in ("anyOf", "oneOf") if key in schema}
                schema = self._merge([{**rest, **kept}, *self._branches(schema["allOf"])])
            elif "anyOf" in schema or "oneOf" in schema:
                branches = self._branches(schema["anyOf" if "anyOf" in schema else "oneOf"])
                schema = self._merge([rest, _pick(branches, depth)])
            else:
                return schema
        raise self._refuse("refers to itself")

    def _branches(self, value: Any) -> list[Any]:
        if isinstance(value, list) and value:
            return value
        raise self._refuse("has a list of branches that is none")

    def _merge(self, schemas: Sequence[Any]) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for schema in schemas:
            if schema is True:
                continue
            if not isinstance(schema, Mapping):
                raise self._refuse("is neither an object nor true")
            for key, value in schema.items():
                old = merged.get(key)
                if key == "properties" and isinstance(old, Mapping) and isinstance(value, Mapping):
                    merged[key] = {**old, **value}
                elif key in ("required", "allOf") and isinstance(old, list) and isinstance(value, list):
                    merged[key] = old + value
                else:
                    merged[key] = value
        return merged

    def _follow(self, reference: Any) -> Any:
        if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
            raise self._refuse("refers to another document")
        target = self._root
        for step in reference.split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            if not isinstance(target, Mapping) or key not in target:
                raise self._refuse("refers to what is not there")
            target = target[key]
        return target

    def _type_of(self, schema: Mapping[str, Any]) -> Any:
        kind = schema.get("type")
        if isinstance(kind, list):
            return next((one for one in kind if one != "null"), "null")
        if kind is not None:
            return kind
        for word, implied in _IMPLIED.items():
            if word in schema:
                return implied
        return "string"

    def _choose(self, options: Any, turn: int) -> Any:
        if not isinstance(options, list) or not options:
            raise self._refuse("has an enum without members")
        named = [option for option in options if self._words.mentions(option)]
        return named[0] if named and turn == 0 else options[turn % len(options)]

    def _string(self, schema: Mapping[str, Any], name: str, turn: int) -> str:
        known = schema.get("format")
        text = _FORMATS[known] if isinstance(known, str) and known in _FORMATS else self._words.deal(name)
        low, high = self._bound(schema, "minLength", 0), self._bound(schema, "maxLength", MAX_STRING)
        if low > MAX_STRING:
            raise self._refuse("asks for too large a value")
        mark = f" {turn + 1}" if turn else ""
        return (text + "." * (low - len(text) - len(mark)))[: max(high - len(mark), 0)] + mark

    def _number(self, schema: Mapping[str, Any], turn: int, *, whole: bool) -> Any:
        step = schema.get("multipleOf", 1 if whole else None)
        if step is not None and (not _is_number(step) or step <= 0):
            raise self._refuse("has a multipleOf that is no number above zero")
        least = self._limit(schema, "minimum", -math.inf)
        above = self._limit(schema, "exclusiveMinimum", -math.inf)
        most = self._limit(schema, "maximum", math.inf)
        below = self._limit(schema, "exclusiveMaximum", math.inf)
        found = self._words.number(least, most, whole=whole) if turn == 0 else None
        if found is not None and above < found < below and (step is None or found % step == 0):
            return found
        if step is None:
            return _between(least, above, most, below) + turn
        start = max(least, above)
        if start == -math.inf:
            start = min(most, below)
            start = 1 if start > step else start - step  # nothing below: stay within what is above
        number = math.ceil(start / step) * step
        if number <= above:
            number += step
        return number + turn * step

    def _limit(self, schema: Mapping[str, Any], word: str, default: float) -> Any:
        limit = schema.get(word)
        return limit if _is_number(limit) else default

    def _bound(self, schema: Mapping[str, Any], word: str, default: int) -> int:
        bound: Any = schema.get(word)
        return int(bound) if _is_number(bound) and bound >= 0 else default

    def _array(self, schema: Mapping[str, Any], name: str, depth: int) -> list[Any]:
        first = schema.get("prefixItems")
        prefix = first if isinstance(first, list) else []
        items = schema.get("items", True)
        low = self._bound(schema, "minItems", 0)
        wanted = len(self._words.strings) if is_free_text(items) else 1
        if depth >= DEEP or items is False:
            wanted = 0
        size = min(max(low, len(prefix), wanted), self._bound(schema, "maxItems", MAX_NODES + 1))
        if size > MAX_NODES:
            raise self._refuse("asks for too large a value")
        unique = schema.get("uniqueItems") is True
        values: list[Any] = []
        for index in range(size):
            kind = prefix[index] if index < len(prefix) else items
            values.append(self.make(kind, name=name, depth=depth + 1, turn=index if unique else 0))
        return values

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        declared = schema.get("properties")
        properties: Mapping[str, Any] = declared if isinstance(declared, Mapping) else {}
        names = schema.get("required")
        required = [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
        chosen = dict.fromkeys(required)
        if not required and depth < DEEP:
            chosen = dict.fromkeys(properties)
        extra = schema.get("additionalProperties", True)
        extra = True if extra is False else extra
        for name in self._more_names(properties, len(chosen), self._bound(schema, "minProperties", 0)):
            chosen.setdefault(name)
        ordered = [name for name in properties if name in chosen] + [name for name in chosen if name not in properties]
        return {name: self.make(properties.get(name, extra), name=name, depth=depth + 1) for name in ordered}

    def _more_names(self, properties: Mapping[str, Any], have: int, need: int) -> list[str]:
        if need > MAX_NODES:
            raise self._refuse("asks for too large a value")
        if have >= need:
            return []
        return [*properties, *(f"member_{index + 1}" for index in range(need - len(properties)))]


_IMPLIED = {
    "properties": "object",
    "required": "object",
    "additionalProperties": "object",
    "minProperties": "object",
    "items": "array",
    "prefixItems": "array",
    "minItems": "array",
    "minimum": "number",
    "maximum": "number",
    "exclusiveMinimum": "number",
    "exclusiveMaximum": "number",
    "multipleOf": "number",
}


def _pick(branches: Sequence[Any], depth: int) -> Any:
    """The first branch; deep down the first that does not refer to another schema, so that recursion ends."""
    if depth >= DEEP:
        for branch in branches:
            if not (isinstance(branch, Mapping) and ("$ref" in branch or branch.get("type") in ("object", "array"))):
                return branch
    return branches[0]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -_HUGE < value < _HUGE


def _between(least: Any, above: Any, most: Any, below: Any) -> Any:
    """A number within bounds: 1 where it fits, else the middle, else next to the one bound there is."""
    low, high = max(least, above), min(most, below)
    if low < 1 < high:
        return 1
    if low > -math.inf and high < math.inf:
        return low / 2 + high / 2
    if low > -math.inf:
        return low + 1
    return high - 1
