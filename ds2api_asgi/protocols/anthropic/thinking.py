"""Whether a request of another protocol is one for thoughts, and whether the provider would take it as one.

Elsewhere a model thinks by itself, and an effort, a mode or the wish to see thoughts says how. Here it thinks only when
``thinking`` says so, and that has conditions, which a client of another protocol cannot know: no forced tool, no
temperature but 1, and, in the middle of a tool loop, the signed thought with which the loop began.
It follows https://docs.anthropic.com/en/docs/build-with-claude/extended-thinking (read 2026-11-22).
"""

from __future__ import annotations

from msgspec import UNSET

from ...universal.content import Part, Reasoning, ToolCall
from ...universal.request import NamedTool, Request, ToolSubset
from .profile import NAME

__all__ = ["may_think", "wants_thinking"]


def wants_thinking(request: Request) -> bool:
    """Whether a request of another protocol says, in any way but a budget, that the model is to think."""
    if request.reasoning_mode == "disabled" or request.reasoning_effort == "none":
        return False
    if request.reasoning_mode in {"enabled", "adaptive"} or request.reasoning_effort is not UNSET:
        return True
    return request.reasoning_display is not UNSET and request.reasoning_display != "omitted"


def may_think(request: Request) -> bool:
    """Whether the provider would take the request with ``thinking``."""
    choice = request.tool_choice
    forced = choice == "required" or isinstance(choice, NamedTool)
    if forced or (isinstance(choice, ToolSubset) and choice.mode == "required"):
        return False
    if request.temperature not in {UNSET, 1} or request.top_k is not UNSET:
        return False
    return _loop_is_signed(request)


def _loop_is_signed(request: Request) -> bool:
    """Whether the tool loop that goes on, if any, begins with a thought that this provider signed."""
    loop: list[Part] = []
    for turn in reversed(request.turns):
        if turn.role == "user":
            break
        if turn.role == "assistant":
            loop[:0] = turn.parts
    for part in loop:
        if isinstance(part, Reasoning) and any(payload.protocol == NAME for payload in part.opaque):
            return True
        if isinstance(part, ToolCall):
            return False
    return True
