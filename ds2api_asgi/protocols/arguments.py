"""Arguments of calls where a protocol takes less than ours: JSON objects only, or functions only.

* Text that is no object stands in one, ``{"_ds2_raw": "<text>"}``, and is recognised on the way back.
* A tool of free text is a function with one argument, ``{"input": "<text>"}``, and becomes itself again for the client.
"""

from __future__ import annotations

from typing import Any, Final

from ..errors import InvalidDocument
from ..universal.jsontext import JsonText
from ..universal.loss import LossKind, Severity
from ..universal.templates import RAW_ARGUMENTS
from .fields import OBJECT, Json
from .scope import Scope

__all__ = ["FREE_TEXT", "RAW", "object_of", "read_object", "unwrap_text", "wrap_text", "write_object"]

RAW: Final = RAW_ARGUMENTS[1]

FREE_TEXT: Final = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
"""The schema of a function that stands for a tool of free text."""


def read_object(value: Any, path: str) -> JsonText:
    """The arguments in a member that holds an object.

    Args:
        value: `JsonText` where ``parse`` kept the text, else the parsed object.
        path: Where it stands, for errors.

    Raises:
        InvalidDocument: It is no object.
    """
    if type(value) is JsonText:
        text = value
        if RAW not in text.text or not text.is_object:
            return text
        value = text.value
    elif type(value) is dict:
        text = JsonText.of(value)
    else:
        raise InvalidDocument(path, f"must be {OBJECT}")
    if len(value) == 1 and type(raw := value.get(RAW)) is str and raw and not JsonText(raw).is_object:
        return JsonText(raw)
    return text


def write_object(arguments: JsonText, path: str, scope: Scope) -> JsonText | Json:
    """The object that stands for arguments; what had to change in them is reported, if they are from elsewhere."""
    if not arguments.is_object and not scope.home:
        if arguments.text.strip():
            reason, template = "takes objects only; the text stands in one", RAW_ARGUMENTS[0]
            scope.add(path, LossKind.APPROXIMATED, Severity.COSMETIC, f"{scope.protocol} {reason}", template=template)
        else:
            scope.add(path, LossKind.APPROXIMATED, Severity.COSMETIC, f"{scope.protocol} says no arguments with {{}}")
    return object_of(arguments)


def object_of(arguments: JsonText) -> JsonText | Json:
    """The object that stands for arguments, without a report."""
    if arguments.is_object:
        return arguments
    return {RAW: arguments.text} if arguments.text.strip() else {}


def wrap_text(text: str) -> JsonText:
    """The arguments of a function that stands for a tool of free text."""
    return JsonText.of({"input": text})


def unwrap_text(arguments: JsonText) -> str:
    """The free text in such arguments; all of them where a model did not keep to the schema."""
    if arguments.is_object:
        value = arguments.value
        if len(value) == 1 and type(value.get("input")) is str:
            return str(value["input"])
    return arguments.text
