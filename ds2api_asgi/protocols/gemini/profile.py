"""What this provider accepts: names, ids, bounds, and the structural rules that a schema cannot say.

It follows https://ai.google.dev/api/generate-content and https://ai.google.dev/gemini-api/docs/function-calling
(read 2026-11-23).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any, Final

from msgspec import UnsetType

from ...universal.jsontext import JsonText
from ..scope import Target

__all__ = [
    "BATCH",
    "CALL_ID",
    "DATA",
    "DIALECTS",
    "JSON_ARRAY",
    "MAX_STOP",
    "NAME",
    "SIGNATURE",
    "SKIP_SIGNATURE",
    "TARGET",
    "TOOL_NAME",
    "demands_signatures",
    "takes_levels",
    "violations",
]

NAME: Final = "gemini"
"""What configuration calls the protocol."""

JSON_ARRAY: Final = "json_array"
"""The dialect of a client that asked for a stream without ``alt=sse``."""

BATCH: Final = "batch"
"""The dialect of a client that asked for the embeddings of several contents."""

DIALECTS: Final = ("", JSON_ARRAY)

CALL_ID: Final = re.compile(r"[!-~]{1,128}")
TOOL_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}")
TARGET: Final = Target(protocol=NAME, call_id=CALL_ID, tool_name=TOOL_NAME, max_tool_name=128)

MAX_STOP: Final = 5
"""How many stop sequences a request may have."""

SIGNATURE: Final = "thought_signature"
"""The kind of this provider's payloads."""

SKIP_SIGNATURE: Final = "skip_thought_signature_validator"
"""What stands for the signature of a call that another model made; the provider's own word
(https://ai.google.dev/gemini-api/docs/thought-signatures)."""

DATA: Final = (
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
    "toolCall",
    "toolResponse",
)
"""The members of a part of which exactly one says what it is."""

_BUDGET_ONLY: Final = re.compile(r"gemini-(?:1|2)\.")
_SIGNING: Final = re.compile(r"gemini-(?:[3-9]|\d\d)")


def takes_levels(model: str | UnsetType) -> bool:
    """Whether a model takes ``thinkingLevel``; those before Gemini 3 take ``thinkingBudget`` only."""
    return not (isinstance(model, str) and _BUDGET_ONLY.match(model))


def demands_signatures(model: str | UnsetType) -> bool:
    """Whether a model refuses a step whose first call has no ``thoughtSignature``."""
    return isinstance(model, str) and _SIGNING.match(model) is not None


def violations(document: dict[str, Any]) -> list[str]:
    """The rules of the provider that a request breaks; empty when it would be taken.

    Args:
        document: A request as the encoder gives it.

    Returns:
        One line per breach, with the path: ``contents[1].parts: empty``.
    """
    contents = document.get("contents") or []
    found: list[str] = []
    if not contents:
        found.append("contents: at least one content is required")
    for index, content in enumerate(contents):
        found.extend(_content(content, f"contents[{index}]"))
    for before, after in itertools.pairwise(contents):
        if before.get("role") == after.get("role"):
            found.append("contents: users and models take turns")
    found.extend(_pairing(contents))
    found.extend(_tools(document))
    if len(_at(document, "generationConfig").get("stopSequences") or ()) > MAX_STOP:
        found.append(f"generationConfig.stopSequences: more than {MAX_STOP}")
    return found


def _at(document: dict[str, Any], name: str) -> dict[str, Any]:
    """A member that is an object; null is none."""
    found: dict[str, Any] = document.get(name) or {}
    return found


def _content(content: dict[str, Any], path: str) -> Iterator[str]:
    if content.get("role", "user") not in {"user", "model", "function"}:
        yield f"{path}.role: unknown"
    if not content.get("parts"):
        yield f"{path}.parts: empty"
    for index, part in enumerate(content.get("parts") or ()):
        if sum(part.get(name) is not None for name in DATA) != 1:
            yield f"{path}.parts[{index}]: exactly one kind of data"
        call = part.get("functionCall")
        if call is not None and content.get("role") != "model":
            yield f"{path}.parts[{index}].functionCall: a call of a user"
        if call is not None and not _is_object(call.get("args") or {}):
            yield f"{path}.parts[{index}].functionCall.args: not an object"


def _is_object(value: Any) -> bool:
    return value.is_object if isinstance(value, JsonText) else isinstance(value, dict)


def _pairing(contents: list[dict[str, Any]]) -> Iterator[str]:
    calls: list[dict[str, Any]] = []
    for index, content in enumerate(contents):
        parts = content.get("parts") or ()
        results = [part["functionResponse"] for part in parts if part.get("functionResponse") is not None]
        if len(results) != len(calls):
            yield f"contents[{index}]: as many functionResponse parts as there were functionCall parts before them"
        known = [call.get("id") for call in calls]
        if None not in known and any(result.get("id") not in {*known, None} for result in results):
            yield f"contents[{index}]: an id that none of the calls before has"
        calls = [part["functionCall"] for part in parts if part.get("functionCall") is not None]
    if calls:
        yield "contents: the last calls are not answered"


def _tools(document: dict[str, Any]) -> Iterator[str]:
    groups = document.get("tools") or ()
    names = [tool["name"] for group in groups for tool in group.get("functionDeclarations") or ()]
    if len(set(names)) != len(names):
        yield "tools: a name is used twice"
    for name in names:
        if not TOOL_NAME.fullmatch(name):
            yield "tools: a name has a wrong letter, or is too long"
    allowed = _at(_at(document, "toolConfig"), "functionCallingConfig").get("allowedFunctionNames")
    if not set(allowed or ()) <= set(names):
        yield "toolConfig.functionCallingConfig.allowedFunctionNames: no such tool"
