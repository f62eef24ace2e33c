r"""JSON in and out with every number's spelling kept, and JSON that stays text (`JsonText`).

Its one rule: what `loads` read, `dumps` writes back with the same numbers (``1.0``, ``1e2``, ``-0``, integers of any
size), so that a document that went through us unedited means the same to every reader. Whitespace, string escapes and
all but the last of duplicate keys are not kept; `JsonText` keeps even those.

msgspec does the work. Python's own ``json`` steps in where msgspec refuses what clients really send: lone surrogates
(``"\ud800"``, half an emoji cut by a token limit) and a byte order mark.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final, NoReturn, Self

import msgspec

from ..errors import InvalidDocument

__all__ = [
    "MAX_DEPTH",
    "JsonText",
    "NumberText",
    "dumps",
    "equal",
    "json_string",
    "loads",
    "may_be_too_deep",
    "may_say_minus_zero",
    "number",
]

MAX_DEPTH: Final = 128
"""How many arrays and objects may be nested; far under Python's recursion limit, so no walker can overflow."""

_TOO_DEEP: Final = f"nested deeper than {MAX_DEPTH} levels"
_BOM: Final = "\ufeff"
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
# May match inside a string too; that costs time, not truth.
_INTEGER_MINUS_ZERO: Final = re.compile(rb"-0(?:[\s,\]}]|\Z)")


class NumberText(float):
    """A number whose spelling Python's float would not give back: ``1.00``, ``1E5``, ``-0``.

    Calculates and compares as the float it is; `dumps` writes ``text``, `equal` compares ``text``.

    Args:
        text: The number as JSON spells it.

    Raises:
        InvalidDocument: It is no JSON number, or beyond a float's range (``1e400``).
    """

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> Self:
        """See the class."""
        if not _NUMBER.fullmatch(text):
            raise InvalidDocument("", "not a JSON number")
        number = super().__new__(cls, text)
        if math.isinf(number):
            raise InvalidDocument("", "a number is out of range")
        number.text = text
        return number

    def __repr__(self) -> str:
        return self.text

    def __reduce__(self) -> tuple[type[NumberText], tuple[str]]:
        return NumberText, (self.text,)


class JsonText:
    """JSON kept as the text it came as: tool arguments, schemas. Immutable; equal and hashed by its text.

    The text may be broken JSON, since models get cut off in the middle of arguments: ask ``valid`` before embedding.

    Args:
        text: The text, verbatim: ``'{"city": "Paris", "days": 1e1}'``.
    """

    __slots__ = ("_problem", "_text", "_value")

    def __init__(self, text: str) -> None:
        self._text = text
        self._value: Any = msgspec.UNSET
        self._problem: str | None = None

    @classmethod
    def of(cls, value: Any) -> JsonText:
        """The compact text of a JSON value.

        Raises:
            InvalidDocument: As `dumps` does.
            TypeError: As `dumps` does.
        """
        return cls(dumps(value).decode())

    @property
    def text(self) -> str:
        """The text, verbatim."""
        return self._text

    @property
    def value(self) -> Any:
        """The parsed value: parsed once, shared by all who ask, so don't change it.

        Raises:
            InvalidDocument: The text is not JSON.
        """
        if not self.valid:
            raise InvalidDocument("", self._problem or "not JSON")
        return self._value

    @property
    def valid(self) -> bool:
        """Whether the text is one JSON value, whitespace around it allowed."""
        if self._value is msgspec.UNSET and self._problem is None:
            self._parse()
        return self._problem is None

    @property
    def is_object(self) -> bool:
        """Whether the text is a JSON object."""
        return self.valid and type(self._value) is dict

    def _parse(self) -> None:
        if self._text.startswith(_BOM):  # legal before a document, not inside one
            self._problem = "starts with a byte order mark"
            return
        try:
            self._value = loads(self._text)
        except InvalidDocument as error:
            self._problem = error.problem

    def same(self, other: JsonText) -> bool:
        """Whether both mean the same JSON as `equal` says; texts that are not JSON must be the same text."""
        if self._text == other._text:
            return True
        return self.valid and other.valid and equal(self._value, other._value)

    def __eq__(self, other: object) -> bool:
        return self._text == other._text if isinstance(other, JsonText) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> tuple[type[JsonText], tuple[str]]:
        return JsonText, (self._text,)

    def __repr__(self) -> str:
        shown = repr(self._text[:30])
        return f"JsonText({shown if len(shown) <= 30 else f'{shown[:29]}…'})"


def loads(data: bytes | str) -> Any:
    """Read one JSON document, keeping the spelling of its numbers.

    Args:
        data: UTF-8 bytes or text, a byte order mark allowed.

    Returns:
        dict, list, str, int, bool, None, float, and `NumberText` for numbers that float would spell otherwise.

    Raises:
        InvalidDocument: Not JSON, not UTF-8, ``NaN`` or ``Infinity``, a number out of range, or nested deeper than
            `MAX_DEPTH`. Its words hold nothing of the document.
    """
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    if may_say_minus_zero(raw):
        value = _loads_odd(data)
    else:
        try:
            value = _DECODER.decode(raw)
        except RecursionError:
            raise InvalidDocument("", _TOO_DEEP) from None
        except (msgspec.DecodeError, ValueError):
            value = _loads_odd(data)
    if may_be_too_deep(raw) and _too_deep(value):
        raise InvalidDocument("", _TOO_DEEP)
    return value


def dumps(value: Any) -> bytes:
    """Write a JSON value as compact UTF-8, numbers and `JsonText` verbatim, lone surrogates as escapes.

    Args:
        value: dict with text keys, list, tuple, str, int, float, bool, None, `NumberText`, `JsonText`, nested freely.
            A NaN or infinity, which no JSON document holds, is written as ``null``.

    Raises:
        InvalidDocument: A `JsonText` in it is not JSON, or the nesting is endless.
        TypeError: A value that JSON has no form for.
    """
    try:
        return _ENCODER.encode(value)
    except UnicodeEncodeError:
        # Only inside strings can surrogates stand, so Python's escape for them is JSON's.
        return _dumps_odd(value).encode("utf-8", "backslashreplace")
    except RecursionError:
        raise InvalidDocument("", _TOO_DEEP) from None


def json_string(text: str) -> bytes:
    """Write one text as a JSON string, quotes included; total, lone surrogates become escapes."""
    try:
        return _ENCODER.encode(text)
    except UnicodeEncodeError:
        return _dumps_odd(text).encode("utf-8", "backslashreplace")


def equal(a: Any, b: Any) -> bool:
    """Whether two JSON values are the same, number text included; the order of keys doesn't matter.

    ``1`` is neither ``1.0`` nor ``True``, and ``1.0`` is not ``1.00``. A `JsonText` counts as its parsed value.
    """
    if isinstance(a, JsonText):
        return a.same(b) if isinstance(b, JsonText) else a.valid and equal(a.value, b)
    if isinstance(b, JsonText):
        return equal(b, a)
    if isinstance(a, dict):
        return isinstance(b, dict) and len(a) == len(b) and all(key in b and equal(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return isinstance(b, (list, tuple)) and len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, float) and isinstance(b, float):
        return _number_text(a) == _number_text(b)
    return type(a) is type(b) and bool(a == b)


def may_say_minus_zero(raw: bytes) -> bool:
    """Whether the integer ``-0`` may be in a document, which readers of integers take for another one."""
    return _INTEGER_MINUS_ZERO.search(raw) is not None


def may_be_too_deep(raw: bytes) -> bool:
    """Whether a document may be nested deeper than `MAX_DEPTH`: each level takes a bracket, and most have fewer."""
    if len(raw) <= 2 * MAX_DEPTH:
        return False
    return len(raw) - len(raw.replace(b"{", b"").replace(b"[", b"")) > MAX_DEPTH  # a third of the time of counting them


def number(text: str) -> float:
    """A number that is no integer, from its text; a `NumberText` where a float would be spelled otherwise.

    Raises:
        InvalidDocument: It is out of range.
    """
    value = float(text)
    return value if _ENCODER.encode(value) == text.encode() else NumberText(text)


def _number_text(number: float) -> str:
    return number.text if isinstance(number, NumberText) else _ENCODER.encode(number).decode()


def _integer(text: str) -> int | NumberText:
    return NumberText(text) if text == "-0" else int(text)


def _constant(_: str) -> NoReturn:
    raise InvalidDocument("", "NaN and Infinity are not JSON")


def _loads_odd(data: bytes | str) -> Any:
    try:
        text = data if isinstance(data, str) else data.decode()
        return json.loads(text.removeprefix(_BOM), parse_float=number, parse_int=_integer, parse_constant=_constant)
    except InvalidDocument:
        raise
    except json.JSONDecodeError as error:
        problem = f"not valid JSON at character {error.pos}"
    except UnicodeDecodeError as error:
        problem = f"not valid UTF-8 at byte {error.start}"
    except RecursionError:
        problem = _TOO_DEEP
    except ValueError:  # int() refuses thousands of digits: their conversion takes quadratic time
        problem = "a number is out of range"
    raise InvalidDocument("", problem)


def _too_deep(value: Any) -> bool:
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(MAX_DEPTH):
        level = [
            child
            for node in level
            for child in (node.values() if type(node) is dict else node)
            if (kind := type(child)) is dict or kind is list
        ]
        if not level:
            return False
    return True


def _embed(value: Any) -> msgspec.Raw:
    if isinstance(value, NumberText):
        return msgspec.Raw(value.text.encode())
    if isinstance(value, JsonText):
        return msgspec.Raw(_embeddable(value).encode("utf-8", "backslashreplace"))
    raise TypeError(f"JSON has no form for {type(value).__name__}")


def _embeddable(value: JsonText) -> str:
    if not value.valid:
        raise InvalidDocument("", "embedded text is not valid JSON")
    return value.text


def _dumps_odd(value: Any) -> str:
    """Write what holds lone surrogates, leaving these as they are."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict):
        return f"{{{','.join(f'{_dumps_odd(key)}:{_dumps_odd(item)}' for key, item in value.items())}}}"
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(_dumps_odd, value))}]"
    if isinstance(value, JsonText):
        return _embeddable(value)
    return _ENCODER.encode(value).decode()


_ENCODER: Final = msgspec.json.Encoder(enc_hook=_embed)
_DECODER: Final = msgspec.json.Decoder(float_hook=number)
