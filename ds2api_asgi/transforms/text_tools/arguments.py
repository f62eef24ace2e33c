"""Arguments of a call from JSON text, and as JSON text: what is the same for every dialect.

Free text (a custom tool's) stands in an object of one member, ``{"input": "<text>"}``; arguments that are no JSON
object, since a model was cut off, in ``{"_ds2_raw": "<text>"}``. Both are recognised on the way back.
"""

from __future__ import annotations

from typing import Final

from ...universal.content import ToolCall
from ...universal.jsontext import JsonText, dumps, loads
from ...universal.request import FunctionTool
from ...universal.templates import RAW_ARGUMENTS
from .repair import repaired
from .schema import coerced

__all__ = ["FREE_TEXT", "FREE_TEXT_SCHEMA", "arguments_of", "written"]

FREE_TEXT: Final = "input"
"""The member that holds a custom tool's free text."""

FREE_TEXT_SCHEMA: Final = {"type": "object", "properties": {FREE_TEXT: {"type": "string"}}, "required": [FREE_TEXT]}

_RAW: Final = RAW_ARGUMENTS[1]


def arguments_of(text: str, tool: FunctionTool) -> str | None:
    """The arguments that a model's JSON means.

    Args:
        text: What stood where the arguments belong: an object, or a string that holds one, mended where it is broken.
        tool: The tool that is called.

    Returns:
        JSON text (a custom tool's: its free text), as spelled where nothing had to change; None if it is no object.
    """
    text = text.strip()
    mended = text if JsonText(text).is_object else repaired(text)
    if mended is None:
        return None
    found = JsonText(mended)
    if type(found.value) is str:
        return arguments_of(found.value, tool) if found.value.lstrip().startswith("{") else None
    if not found.is_object:
        return None
    raw = _only(found, _RAW)
    if raw is not None and not JsonText(raw).is_object:
        return raw
    if tool.kind == "custom":
        said = _only(found, FREE_TEXT)
        return mended if said is None else said
    return coerced(mended, tool.schema, tool.schema)


def _only(found: JsonText, name: str) -> str | None:
    value = found.value
    return value[name] if len(value) == 1 and type(value.get(name)) is str else None


def written(call: ToolCall) -> JsonText:
    """The object that is written for the arguments of a call, as spelled where they are one."""
    text = call.arguments.text
    if call.kind == "custom":
        return JsonText.of({FREE_TEXT: text})
    if not call.arguments.is_object:
        return JsonText.of({_RAW: text} if text.strip() else {})
    return call.arguments if _plain(call.arguments) else JsonText(dumps(loads(text)).decode())


def _plain(arguments: JsonText) -> bool:
    """Whether the text may be written as it is: in a line, and with characters that all bytes can say."""
    return arguments.text.isprintable()
