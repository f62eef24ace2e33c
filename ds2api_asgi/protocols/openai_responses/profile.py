"""What servers of this protocol accept: dialects, ids, names, efforts, and the rules a request must keep.

https://platform.openai.com/docs/api-reference/responses/create (read 2026-11-23).
"""

from __future__ import annotations

import re
from typing import Any, Final

from msgspec import Struct

from ...universal.digest import sha256
from ..dialects import named
from ..scope import Target

__all__ = [
    "CALL_ID",
    "DIALECTS",
    "NAME",
    "PREFIXES",
    "SUMMARIES",
    "TARGET",
    "TOOL_NAME",
    "Dialect",
    "dialect",
    "item_id",
    "violations",
]

NAME: Final = "openai-responses"
"""What configuration calls the protocol."""


class Dialect(Struct, frozen=True, kw_only=True):
    """What a family of upstreams accepts beside the standard.

    Attributes:
        reasoning: Whether thoughts of earlier turns are sent as plain text (vLLM, llama.cpp take them; OpenAI takes
            only those that it has encrypted itself).
    """

    reasoning: bool = False


DIALECTS: Final = {"": Dialect(), "compatible": Dialect(reasoning=True), "perplexity": Dialect()}
"""``""`` suits OpenAI, ``"compatible"`` is for servers of open models; `fitting` has what the vendor refuses."""


def dialect(name: str) -> Dialect:
    """The dialect of this name.

    Raises:
        ConfigurationError: There is none.
    """
    return named(DIALECTS, name, NAME)


CALL_ID: Final = re.compile(r"[!-~]{1,64}")
"""Call ids: OpenAI refuses more than 64 characters."""

SUMMARIES: Final = frozenset({"auto", "concise", "detailed"})
"""Values of ``reasoning.summary``."""

TOOL_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
TARGET: Final = Target(protocol=NAME, call_id=CALL_ID, tool_name=TOOL_NAME, max_tool_name=64)

PREFIXES: Final = {"message": "msg", "reasoning": "rs", "function_call": "fc", "custom_tool_call": "ctc"}
"""What ids of items begin with, by the item's type."""


def item_id(kind: str, seed: str) -> str:
    """An id for an item that has none: the same for the same seed (``"resp_1:0"``)."""
    return f"{PREFIXES[kind]}_{sha256(seed).hex()[:32]}"


def violations(document: dict[str, Any]) -> list[str]:
    """What OpenAI would refuse in a request that has the right types.

    Args:
        document: A request document.

    Returns:
        One sentence per broken rule, empty for a valid document.
    """
    found: list[str] = []
    if not document.get("model"):
        found.append("model is required")
    if not 0 <= (document.get("top_p") or 0) <= 1:
        found.append("top_p must be from 0 to 1")
    tools = document.get("tools")
    if not tools and document.get("tool_choice") not in (None, "auto", "none"):
        found.append("tool_choice needs tools")
    names = [tool.get("name", "") for tool in tools or () if tool.get("type") in ("function", "custom")]
    if len(set(names)) != len(names):
        found.append("two tools have the same name")
    if not all(map(TOOL_NAME.fullmatch, names)):
        found.append("a tool's name is outside the alphabet or too long")
    items = document.get("input")
    if isinstance(items, list):
        found += _item_violations(items)
    if not items and not any(document.get(name) for name in ("previous_response_id", "conversation", "prompt")):
        found.append("input is required")
    return found


def _item_violations(items: list[dict[str, Any]]) -> list[str]:
    found: list[str] = []
    called: set[str] = set()
    answered: set[str] = set()
    for index, item in enumerate(items):
        kind, id_ = item.get("type"), item.get("call_id") or ""
        if kind in ("function_call", "custom_tool_call"):
            if id_ in called:
                found.append(f"input[{index}] has the call id of an earlier call")
            if not CALL_ID.fullmatch(id_):
                found.append(f"input[{index}] has a call id that is empty or too long")
            called.add(id_)
        elif kind in ("function_call_output", "custom_tool_call_output"):
            if id_ not in called:
                found.append(f"input[{index}] answers no call before it")
            answered.add(id_)
    if called - answered:
        found.append("a call is not answered")
    return found
