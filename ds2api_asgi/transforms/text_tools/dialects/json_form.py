"""Calls and results as JSON, as the dialects write them that wrap it in something."""

from __future__ import annotations

from typing import Final

from ....universal.jsontext import dumps, json_string
from ..dialect import Call, Result

__all__ = ["GUIDE", "call_text", "result_text"]

GUIDE: Final = (
    "Inside it stands one JSON object with the name of the tool and its arguments. It must be valid JSON: escape "
    "quotes, backslashes and line breaks in strings. Leave out arguments that you do not need."
)


def call_text(call: Call, arguments: str = "arguments") -> str:
    """A call: ``{"name": "f", "arguments": {…}}``, the arguments as spelled."""
    return f'{{"name": {json_string(call.name).decode()}, "{arguments}": {call.arguments.text}}}'


def result_text(result: Result, content: str = "content") -> str:
    """A result: ``{"name":"f","content":"…"}``."""
    return dumps({"name": result.name, content: result.text}).decode()
