"""What servers of this protocol accept: ids, names, efforts, roles, and the rules a request must keep.

https://docs.ollama.com/api/chat (read 2026-11-23).
"""

from __future__ import annotations

import re
from typing import Any, Final

from ..scope import Target

__all__ = ["EFFORTS", "GENERATE", "LEGACY", "NAME", "ROLES", "TARGET", "violations"]

NAME: Final = "ollama"
"""What configuration calls the protocol."""

GENERATE: Final = "generate"
"""The dialect of ``POST /api/generate``: one prompt in place of a conversation."""

LEGACY: Final = "legacy"
"""The dialect of ``POST /api/embeddings``: the vector of one text."""

EFFORTS: Final = ("low", "medium", "high", "max")
"""Words that ``think`` takes beside true and false (https://docs.ollama.com/capabilities/thinking)."""

ROLES: Final = frozenset({"system", "user", "assistant", "tool"})
"""Roles that the templates of models know; messages of another are silently left out of the prompt."""

_ANYTHING: Final = re.compile(r".+", re.DOTALL)
TARGET: Final = Target(protocol=NAME, call_id=_ANYTHING, tool_name=_ANYTHING, max_tool_name=256)


def violations(document: dict[str, Any]) -> list[str]:
    """What Ollama would refuse or leave out of a request that has the right types.

    Args:
        document: A request document.

    Returns:
        One sentence per broken rule, empty for a valid document.
    """
    found: list[str] = []
    if not document.get("model"):
        found.append("model is required")
    messages = document.get("messages")
    if not messages:  # it would only load the model
        found.append("messages must have at least one message")
    waiting: list[Any] = []
    for index, message in enumerate(messages or ()):
        at = f"messages[{index}]"
        if message.get("role") == "tool":
            if not _answer(message, waiting):
                found.append(f"{at} answers no call of the assistant message before it")
        elif waiting:
            found.append(f"{at} comes before all calls are answered")
            waiting = []
        waiting += [call.get("id") for call in message.get("tool_calls") or ()]
        if message.get("role") not in ROLES:
            found.append(f"{at} has a role that no template knows")
        if message.get("tool_calls") and message["role"] != "assistant":
            found.append(f"{at} calls tools, but is not the assistant's")
        if any(not call["function"].get("name") for call in message.get("tool_calls") or ()):
            found.append(f"{at} calls a tool without a name")
    if waiting:
        found.append("the last calls are not answered")
    for index, tool in enumerate(document.get("tools") or ()):
        if not (tool.get("function") or {}).get("name"):
            found.append(f"tools[{index}] has no name")
    think = document.get("think")
    if type(think) is str and think not in EFFORTS:
        found.append("think has a word that is none of its efforts")
    return found


def _answer(message: dict[str, Any], waiting: list[Any]) -> bool:
    """Whether a result has its call, by id where it has one, else by order; that call waits no more."""
    id_ = message.get("tool_call_id")
    if id_ in waiting:
        waiting.remove(id_)
        return True
    if id_ is not None or not waiting:
        return False
    del waiting[0]
    return True
