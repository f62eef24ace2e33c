"""Contents as OpenTelemetry's conventions have them: messages of parts, as JSON; only where contents are asked for.

Texts are cut, and the bytes of media are never told.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from msgspec import UNSET

from ..universal.content import Media, Part, Reasoning, Refusal, Text, ToolCall, ToolResult, Url
from ..universal.request import FunctionTool, Request, Turn
from ..universal.response import Response, StopReason

__all__ = ["MAX_MESSAGES", "finish_reason", "input_messages", "instructions", "output_messages", "tool_definitions"]

MAX_MESSAGES: Final = 256
"""Messages, or parts of one, that are told: the last ones of more."""

_SYSTEM: Final = ("system", "developer")
_FINISH: Final = {
    StopReason.END: "stop",
    StopReason.SEQUENCE: "stop",
    StopReason.LENGTH: "length",
    StopReason.CONTEXT: "length",
    StopReason.TOOL: "tool_call",
    StopReason.FILTER: "content_filter",
    StopReason.REFUSAL: "content_filter",
    StopReason.ERROR: "error",
    StopReason.MALFORMED: "error",
}


def finish_reason(reason: StopReason) -> str:
    """Why an answer ended, as the conventions say it; our own word where they have none."""
    return _FINISH.get(reason, reason.value)


def instructions(request: Request, *, most: int) -> list[dict[str, Any]]:
    """The system prompt's parts.

    Args:
        request: In universal form.
        most: Characters of a text that are kept; likewise below.
    """
    return _parts([part for turn in request.turns if turn.role in _SYSTEM for part in turn.parts], most)


def input_messages(request: Request, *, most: int) -> list[dict[str, Any]]:
    """The conversation without the system prompt."""
    return _messages([turn for turn in request.turns if turn.role not in _SYSTEM], most)


def output_messages(response: Response, *, most: int) -> list[dict[str, Any]]:
    """The answers, each with why it ended."""
    found = []
    for candidate in response.candidates:
        reason = "" if candidate.stop is UNSET else finish_reason(candidate.stop.reason)
        found += [{**message, "finish_reason": reason} for message in _messages(candidate.turns, most)]
    return found


def tool_definitions(request: Request) -> list[dict[str, Any]]:
    """The client's tools, by their names; their schemas say nothing of a request."""
    tools = () if request.tools is UNSET else request.tools
    return [{"type": "function", "name": tool.name} for tool in tools if isinstance(tool, FunctionTool)][-MAX_MESSAGES:]


def _messages(turns: Iterable[Turn], most: int) -> list[dict[str, Any]]:
    return [{"role": turn.role, "parts": _parts(turn.parts, most)} for turn in list(turns)[-MAX_MESSAGES:]]


def _parts(parts: Iterable[Part], most: int) -> list[dict[str, Any]]:
    return [_part(part, most) for part in list(parts)[-MAX_MESSAGES:]]


def _part(part: Part, most: int) -> dict[str, Any]:
    match part:
        case Text():
            return {"type": "text", "content": _cut(part.text, most)}
        case Refusal():
            return {"type": "refusal", "content": _cut(part.text, most)}
        case Reasoning():
            text = "\n".join(part.summary) if part.text is UNSET else part.text
            return {"type": "reasoning", "content": _cut(text, most)}
        case ToolCall():
            call = {"type": "tool_call", "name": part.name, "arguments": _cut(part.arguments.text, most)}
            return call if part.id is UNSET else {**call, "id": part.id}
        case ToolResult():
            inner = () if part.parts is UNSET else part.parts
            result = {"type": "tool_call_response", "response": _parts(inner, most)}
            return result if part.call_id is UNSET else {**result, "id": part.call_id}
        case Media(source=Url(url=url)):
            return {"type": "uri", "modality": str(part.kind), "uri": _cut(url, most)}
        case Media():
            return {"type": "blob", "modality": str(part.kind)}
        case _:
            return {"type": type(part).__name__}


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: max(0, most - 1)] + "…"
