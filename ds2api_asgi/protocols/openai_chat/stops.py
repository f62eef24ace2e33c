"""Why an answer ended: ``finish_reason``.

https://platform.openai.com/docs/api-reference/chat/object#chat-object-choices (read 2026-11-23). Servers send more
words than the documented five; `Stop.native` has those that a reason alone would not give back. The form
``finish_reason:absent`` is on a `Stop` whose stream ended in ``[DONE]`` without ever giving one (Snowflake).
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET

from ...universal.loss import LossKind, Severity
from ...universal.response import Stop, StopReason
from ..scope import Scope
from .profile import NAME

__all__ = ["ABSENT", "decode_stop", "encode_stop"]

ABSENT: Final = "finish_reason:absent"

_REASONS: Final = {
    "stop": StopReason.END,
    "length": StopReason.LENGTH,
    "tool_calls": StopReason.TOOL,
    "content_filter": StopReason.FILTER,
}
_WORDS: Final = {reason: word for word, reason in _REASONS.items()}
_NATIVE: Final = {
    "": StopReason.END,  # Snowflake
    "function_call": StopReason.TOOL,
    "eos": StopReason.END,  # Together
    "model_length": StopReason.LENGTH,  # Mistral
    "error": StopReason.ERROR,  # Mistral, OpenRouter
    "insufficient_system_resource": StopReason.ERROR,  # DeepSeek
}
# The word for a reason that the protocol has none for, and how much that says wrong.
_NEAREST: Final = {
    StopReason.CONTEXT: ("length", Severity.COSMETIC),
    StopReason.SEQUENCE: ("stop", Severity.COSMETIC),
    StopReason.REFUSAL: ("content_filter", Severity.DEGRADED),
    StopReason.PAUSE: ("length", Severity.SEMANTIC),
    # Of the documented words the only one that no client takes for a success.
    StopReason.MALFORMED: ("content_filter", Severity.SEMANTIC),
    StopReason.ERROR: ("content_filter", Severity.SEMANTIC),
    StopReason.OTHER: ("stop", Severity.DEGRADED),
}


def decode_stop(word: str) -> Stop:
    """A finish reason to universal form."""
    reason = _REASONS.get(word)
    if reason is not None:
        return Stop(reason=reason)
    return Stop(reason=_NATIVE.get(word, StopReason.OTHER), native=word)


def encode_stop(stop: Stop, scope: Scope, path: str, *, calls: bool, refused: bool) -> Any:
    """The finish reason of an answer; UNSET where its own wire had none.

    Args:
        stop: Why it ended.
        scope: Takes the losses.
        path: Where it stands.
        calls: Whether the answer calls a tool of the client: agents go on only if the reason says so.
        refused: Whether the answer has words of refusal.
    """
    if scope.home:
        if stop.native is not UNSET:
            return stop.native
        return UNSET if ABSENT in stop.form else _WORDS.get(stop.reason) or _NEAREST[stop.reason][0]
    scope.ext(stop.ext, path)
    scope.lacks_each(stop, ("sequence", "details", "native"), path, Severity.COSMETIC, "of a stop")
    if calls and stop.reason in (StopReason.END, StopReason.TOOL, StopReason.SEQUENCE, StopReason.OTHER):
        if stop.reason is not StopReason.TOOL:
            scope.add(f"{path}.reason", LossKind.APPROXIMATED, Severity.COSMETIC, "tools are called")
        return "tool_calls"
    word = _WORDS.get(stop.reason)
    if word is not None:
        return word
    word, severity = _NEAREST[stop.reason]
    if stop.reason is StopReason.REFUSAL and refused:
        word = "stop"
    scope.add(f"{path}.reason", LossKind.APPROXIMATED, severity, f"{NAME} has no {stop.reason.value}")
    return word
