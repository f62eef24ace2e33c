"""What servers of this protocol accept: ids, names, efforts, and the rules a request must keep; vendors: `dialects`.

https://platform.openai.com/docs/api-reference/chat/create (read 2026-11-23).
"""

from __future__ import annotations

import re
from typing import Any, Final

from ..scope import Target

__all__ = [
    "CALL_ID",
    "MAX_STOP",
    "NAME",
    "TARGET",
    "TOOL_NAME",
    "violations",
]

NAME: Final = "openai-chat"
"""What configuration calls the protocol."""


CALL_ID: Final = re.compile(r"[!-~]{1,40}")
"""Call ids: OpenAI refuses more than 40 characters."""

MAX_STOP: Final = 4
"""How many stop sequences a request may have."""

TOOL_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
TARGET: Final = Target(protocol=NAME, call_id=CALL_ID, tool_name=TOOL_NAME, max_tool_name=64)


def violations(document: dict[str, Any]) -> list[str]:  # noqa: C901 - one rule after the other
    """What OpenAI would refuse in a request that has the right types.

    Args:
        document: A request document.

    Returns:
        One sentence per broken rule, empty for a valid document.
    """
    found: list[str] = []
    messages = document.get("messages")
    if not document.get("model"):
        found.append("model is required")
    if not isinstance(messages, list) or not messages:
        return [*found, "messages must have at least one message"]
    if not 0 <= (document.get("top_p") or 0) <= 1:
        found.append("top_p must be from 0 to 1")
    stop = document.get("stop")
    if isinstance(stop, list) and len(stop) > MAX_STOP:
        found.append(f"stop has more than {MAX_STOP} sequences")
    tools = document.get("tools")
    if tools == []:
        found.append("tools is empty")
    if not tools:
        found += [f"{name} needs tools" for name in ("tool_choice", "parallel_tool_calls") if name in document]
    names = [tool.get(tool.get("type"), {}).get("name", "") for tool in tools or ()]
    names += [function.get("name", "") for function in document.get("functions") or ()]
    if len(set(names)) != len(names):
        found.append("two tools have the same name")
    for name in names:
        if not TOOL_NAME.fullmatch(name):
            found.append("a tool's name is outside the alphabet or too long")
    waiting: set[str] = set()
    for index, message in enumerate(messages):
        at = f"messages[{index}]"
        role, content = message.get("role"), message.get("content")
        if role == "tool":
            if message.get("tool_call_id") not in waiting:
                found.append(f"{at} answers no call of the assistant message before it")
            waiting.discard(message.get("tool_call_id", ""))
            if not isinstance(content, (str, list)):
                found.append(f"{at} has no content")
            continue
        if role == "function" and not (index and messages[index - 1].get("function_call")):
            found.append(f"{at} answers no call of the assistant message before it")
        if waiting:
            found.append(f"{at} comes before all calls are answered")
            waiting = set()
        calls = message.get("tool_calls") or ()
        waiting = {call.get("id", "") for call in calls}
        if len(waiting) != len(calls):
            found.append(f"{at} has two calls of the same id")
        if any(not CALL_ID.fullmatch(id_) for id_ in waiting):
            found.append(f"{at} has a call id that is too long")
        if content is None and not calls and not message.get("refusal") and not message.get("audio"):
            found.append(f"{at} has neither content nor calls")
        if content == []:
            found.append(f"{at} has empty content")
    if waiting:
        found.append("the last calls are not answered")
    return found
