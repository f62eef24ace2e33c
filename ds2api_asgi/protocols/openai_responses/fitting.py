"""Requests made to fit Perplexity, which answers 400 to every member that it does not document.

https://docs.perplexity.ai/docs/agent-api/migrate-from-sonar/how-to, the types of its SDK 0.46.1, and the mapping in
https://github.com/perplexityai/api-platform-developers (read 2026-11-29). It works on the written document; losses are
named after the universal members.
"""

from __future__ import annotations

from typing import Any, Final

from ...universal.loss import LossKind, Severity
from ...universal.request import Request
from ..fields import Json, unplaced
from ..scope import Scope
from .fields import PLACED, REQUEST

__all__ = ["VENDOR", "fit"]

VENDOR: Final = "perplexity"
"""The dialect that this is."""

_ACCEPTS: Final = frozenset(
    {
        "background",
        "input",
        "instructions",
        "language_preference",
        "max_output_tokens",
        "max_steps",
        "max_tool_calls",
        "metadata",
        "model",
        "models",
        "parallel_tool_calls",
        "preset",
        "previous_response_id",
        "reasoning",
        "response_format",
        "skills",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "tool_choice",
        "tools",
        "top_p",
        "truncation",
    }
)
_EFFORTS: Final = frozenset({"minimal", "low", "medium", "high", "xhigh", "max"})
_SCHEMA: Final = frozenset({"name", "schema", "description", "strict"})
_PLACED: Final = (
    PLACED
    - {field.name for wire, field in REQUEST.items() if wire not in _ACCEPTS}
    - {"verbosity", "logprobs", "stream_obfuscation"}
)


def fit(request: Request, document: Json, scope: Scope) -> Json:
    """The document without what the vendor refuses.

    Args:
        request: What it was written of.
        document: As OpenAI takes it.
        scope: Of the encoder; takes the losses.
    """
    scope.losses.extend(unplaced(request, _PLACED, VENDOR))
    if scope.home:
        for key, value in (request.ext or {}).items():
            if value is not None and key.partition(".")[0] not in _ACCEPTS:
                _lacks(scope, f"ext.{key}", Severity.DEGRADED, "such member")
    fitted = {key: value for key, value in document.items() if key in _ACCEPTS}
    options = fitted.pop("stream_options", None) or {}
    if "include_usage" in options:
        fitted["stream_options"] = {"include_usage": options["include_usage"]}
    _reasoning(fitted, scope)
    _format((document.get("text") or {}).get("format"), fitted, scope)
    _choice(fitted, scope)
    _images(fitted.get("input"), scope)
    return fitted


def _lacks(scope: Scope, path: str, severity: Severity, what: str) -> None:
    scope.drop(path, severity, f"{VENDOR} has no {what}")


def _reasoning(document: Json, scope: Scope) -> None:
    """Leave the effort, which is all that it knows of reasoning."""
    reasoning = document.pop("reasoning", None) or {}
    effort = reasoning.get("effort")
    if effort in _EFFORTS:
        document["reasoning"] = {"effort": effort}
    elif effort is not None:
        _lacks(scope, "reasoning_effort", Severity.DEGRADED, "such effort")
    if any(value is not None for key, value in reasoning.items() if key != "effort"):
        _lacks(scope, "reasoning_display", Severity.COSMETIC, "way to show reasoning")


def _format(shape: Json | None, document: Json, scope: Scope) -> None:
    """Write the shape of answers where Chat has it."""
    if shape is None or shape.get("type") == "text":
        return
    if shape.get("type") == "json_schema":
        schema = {key: value for key, value in shape.items() if key in _SCHEMA}
        document["response_format"] = {"type": "json_schema", "json_schema": schema}
    else:
        _lacks(scope, "output_format", Severity.SEMANTIC, "such format of answers")


def _choice(document: Json, scope: Scope) -> None:
    """Name a tool without its type; several cannot be named."""
    choice: Any = document.get("tool_choice")
    match choice:
        case {"type": "function" | "custom", "name": name}:
            document["tool_choice"] = {"name": name}
        case {"type": "allowed_tools", "mode": mode}:
            reason = f"{VENDOR} allows all tools or none"
            scope.add("tool_choice", LossKind.APPROXIMATED, Severity.SEMANTIC, reason)
            document["tool_choice"] = mode


def _images(items: Any, scope: Scope) -> None:
    """Take the detail from images."""
    contents = [item.get("content") for item in items if type(item) is dict] if type(items) is list else []
    parts = [part for content in contents if type(content) is list for part in content if type(part) is dict]
    details = {part.pop("detail", None) for part in parts if part.get("type") == "input_image"}
    if details - {None, "auto"}:
        _lacks(scope, "turns", Severity.DEGRADED, "detail of images")
