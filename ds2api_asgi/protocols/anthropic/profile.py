"""What this provider accepts: dialects, alphabets, bounds, and the structural rules that a schema cannot say.

It follows https://docs.anthropic.com/en/api/messages and https://docs.anthropic.com/en/api/versioning
(read 2026-11-22).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from msgspec import UnsetType

from ...universal.jsontext import JsonText
from ..scope import Target

__all__ = [
    "CACHE_TTLS",
    "CALL_ID",
    "DEFAULT_DIALECT",
    "DEFAULT_MAX_TOKENS",
    "DIALECTS",
    "EFFORTS",
    "IMAGE_TYPES",
    "MIN_BUDGET",
    "NAME",
    "STRICT_DIALECT",
    "TARGET",
    "TOOL_NAME",
    "is_strict",
    "takes_adaptive",
    "takes_thinking",
    "violations",
]

NAME: Final = "anthropic"
"""What configuration calls the protocol."""

DEFAULT_DIALECT: Final = "2023-06-01"
"""What a client without the header speaks, and what we speak upstream: it still takes the sampling parameters."""

STRICT_DIALECT: Final = "2026-10-21"
"""Refuses temperature, top_p, top_k, documents of assistants, and citations on texts of users."""

DIALECTS: Final = (DEFAULT_DIALECT, STRICT_DIALECT)

DEFAULT_MAX_TOKENS: Final = 8192
"""Tokens, for requests that state no bound: the API demands one, and each model served since Claude 3.5 takes this."""

MIN_BUDGET: Final = 1024
"""Tokens: the smallest ``thinking.budget_tokens``."""

EFFORTS: Final = ("low", "medium", "high", "xhigh", "max")
CACHE_TTLS: Final = ("5m", "1h")
IMAGE_TYPES: Final = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})

CALL_ID: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
TOOL_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,128}")
TARGET: Final = Target(protocol=NAME, call_id=CALL_ID, tool_name=TOOL_NAME, max_tool_name=128)

_THOUGHTLESS: Final = re.compile(r"claude-(?:instant|[12](?!\d)|3-(?!7))")
_BUDGET_ONLY: Final = re.compile(
    r"claude-(?:instant|[123](?!\d)|(?:opus|sonnet|haiku)-4(?:-[0-5](?!\d)|-20\d{6}|(?!-)|$))"
)


def is_strict(dialect: str) -> bool:
    """Whether a dialect refuses what `STRICT_DIALECT` does; ``""`` is the default one."""
    return (dialect or DEFAULT_DIALECT) >= STRICT_DIALECT


def takes_thinking(model: str | UnsetType) -> bool:
    """Whether a model takes ``thinking``; those before Claude 3.7 refuse it."""
    return not (isinstance(model, str) and _THOUGHTLESS.search(model))


def takes_adaptive(model: str | UnsetType) -> bool:
    """Whether a model takes ``adaptive`` and an effort; those before Claude 4.6 take ``budget_tokens``."""
    return not (isinstance(model, str) and _BUDGET_ONLY.search(model))


def violations(document: dict[str, Any]) -> list[str]:
    """The rules of the provider that a request breaks; empty when it would be taken.

    Args:
        document: A request as the encoder gives it.

    Returns:
        One line per breach, with the path: ``messages[1]: a system message right after an assistant's``.
    """
    messages = document.get("messages", [])
    found: list[str] = []
    if not document.get("model"):
        found.append("model: is required")
    if not messages:
        found.append("messages: at least one message is required")
    found.extend(_placement(messages))
    for index, message in enumerate(messages):
        last = index == len(messages) - 1
        found.extend(_content(message, f"messages[{index}]", last=last))
    found.extend(_pairing(messages))
    found.extend(_tools(document))
    found.extend(_numbers(document))
    return found


def _blocks(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _placement(messages: list[dict[str, Any]]) -> Iterator[str]:
    for index, message in enumerate(messages):
        if message["role"] not in {"user", "assistant", "system"}:
            yield f"messages[{index}].role: unknown"
        if message["role"] != "system":
            continue
        if index == 0:
            yield "messages[0]: a system message cannot be the first"
        elif messages[index - 1]["role"] == "assistant":
            yield f"messages[{index}]: a system message right after an assistant's"
        if index + 1 < len(messages) and messages[index + 1]["role"] == "user":
            yield f"messages[{index}]: a system message right before a user's"


def _content(message: dict[str, Any], path: str, *, last: bool) -> Iterator[str]:
    blocks = _blocks(message)
    assistant = message["role"] == "assistant"
    if not blocks and not (last and assistant):
        yield f"{path}.content: empty"
    results_over = False
    for index, block in enumerate(blocks):
        kind = block["type"]
        if kind == "text" and not block["text"].strip():
            yield f"{path}.content[{index}]: text without a visible character"
        if kind == "thinking" and not block.get("signature"):
            yield f"{path}.content[{index}]: thinking without a signature"
        if kind == "tool_use" and not assistant:
            yield f"{path}.content[{index}]: a call outside an assistant's message"
        if kind == "tool_use" and not _is_object(block.get("input")):
            yield f"{path}.content[{index}].input: not an object"
        if kind == "tool_result" and (assistant or results_over):
            yield f"{path}.content[{index}]: results come first in a user's message"
        results_over = results_over or kind != "tool_result"
    if last and assistant and blocks and blocks[-1]["type"] == "text":
        text = blocks[-1]["text"]
        if text != text.rstrip():
            yield f"{path}.content: the last assistant text ends in white space"


def _is_object(value: Any) -> bool:
    return value.is_object if isinstance(value, JsonText) else isinstance(value, dict)


def _pairing(messages: list[dict[str, Any]]) -> Iterator[str]:
    seen: set[str] = set()
    if messages and any(block["type"] == "tool_result" for block in _blocks(messages[0])):
        yield "messages[0]: results without calls before them"
    for index, message in enumerate(messages):
        blocks = _blocks(message)
        calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
        for call in calls:
            if call in seen or not CALL_ID.fullmatch(call):
                yield f"messages[{index}]: a call id is used twice or has a wrong letter"
            seen.add(call)
        following = _blocks(messages[index + 1]) if index + 1 < len(messages) else []
        results = [block["tool_use_id"] for block in following if block["type"] == "tool_result"]
        if index + 1 < len(messages) and set(calls) != set(results):
            yield f"messages[{index + 1}]: results do not answer the calls before them"


def _tools(document: dict[str, Any]) -> Iterator[str]:
    tools = document.get("tools", [])
    names = [tool["name"] for tool in tools if "name" in tool]
    if len(set(names)) != len(names):
        yield "tools: a name is used twice"
    for index, tool in enumerate(tools):
        if tool.get("type", "custom") == "custom":
            if not TOOL_NAME.fullmatch(tool["name"]):
                yield f"tools[{index}].name: a wrong letter, or too long"
            if tool.get("input_schema", {}).get("type") != "object":
                yield f"tools[{index}].input_schema: not of type object"
    choice = document.get("tool_choice")
    if choice is not None and not tools:
        yield "tool_choice: there are no tools"
    if choice is not None and choice["type"] == "tool" and choice["name"] not in names:
        yield "tool_choice.name: no such tool"


def _numbers(document: dict[str, Any]) -> Iterator[str]:
    bound = document.get("max_tokens")
    if not isinstance(bound, int):
        yield "max_tokens: required"
    budget = document.get("thinking", {}).get("budget_tokens")
    if budget is not None and (budget < MIN_BUDGET or (isinstance(bound, int) and budget >= bound)):
        yield "thinking.budget_tokens: at least 1024 and under max_tokens"
    for name in ("temperature", "top_p"):
        if not 0 <= document.get(name, 0) <= 1:
            yield f"{name}: from 0 to 1"
    for index, sequence in enumerate(document.get("stop_sequences", [])):
        if not sequence.strip():
            yield f"stop_sequences[{index}]: only white space"
