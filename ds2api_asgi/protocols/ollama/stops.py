"""Why an answer ended: ``done_reason``.

https://docs.ollama.com/api/chat (read 2026-11-23). An answer that calls tools ends with ``stop`` like any other:
calls make it `StopReason.TOOL`. Ollama has no word for a refusal or a filter; ours are words that its clients show to
who asks, instead of a success that was none.

| form | on | the wire had |
|---|---|---|
| ``done_reason:absent`` | `Stop` | no reason (servers before 0.3.6) |
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET

from ...universal.loss import LossKind, Severity
from ...universal.response import Stop, StopReason
from ..scope import Scope
from .profile import NAME

__all__ = ["decode_stop", "encode_stop"]

_ABSENT: Final = "done_reason:absent"
_REASONS: Final = {
    "stop": StopReason.END,
    "length": StopReason.LENGTH,
    "content_filter": StopReason.FILTER,
    "refusal": StopReason.REFUSAL,
}
_WORDS: Final = {reason: word for word, reason in _REASONS.items()} | {StopReason.TOOL: "stop"}
# The word for a reason that the protocol has none for, and how much that says wrong.
_NEAREST: Final = {
    StopReason.CONTEXT: ("length", Severity.COSMETIC),
    StopReason.SEQUENCE: ("stop", Severity.COSMETIC),
    StopReason.PAUSE: ("length", Severity.SEMANTIC),
    StopReason.MALFORMED: ("error", Severity.SEMANTIC),
    StopReason.ERROR: ("error", Severity.SEMANTIC),
    StopReason.OTHER: ("stop", Severity.DEGRADED),
}


def decode_stop(word: Any, *, calls: bool) -> Stop:
    """A reason to universal form.

    Args:
        word: The wire's; anything but a text: it gave none.
        calls: Whether the answer calls tools of the client.
    """
    form = () if type(word) is str else (_ABSENT,)
    reason = _REASONS.get(word if type(word) is str else "stop")
    if reason is StopReason.END and calls:
        reason = StopReason.TOOL
    return Stop(reason=StopReason.OTHER, native=word) if reason is None else Stop(reason=reason, form=form)


def encode_stop(stop: Stop, path: str, scope: Scope, *, calls: bool) -> str | None:
    """The reason of an answer; None where its own wire had none.

    Args:
        stop: Why it ended.
        path: Where it stands.
        scope: Takes the losses.
        calls: Whether the answer calls tools of the client.
    """
    if scope.home:
        if stop.native is not UNSET:
            return stop.native
        return None if _ABSENT in stop.form else _WORDS.get(stop.reason) or _NEAREST[stop.reason][0]
    scope.ext(stop.ext, path)
    scope.lacks_each(stop, ("sequence", "details", "native"), path, Severity.COSMETIC, "of a stop")
    word = _WORDS.get(stop.reason)
    if word is None:
        word, severity = _NEAREST[stop.reason]
        scope.add(f"{path}.reason", LossKind.APPROXIMATED, severity, f"{NAME} has no {stop.reason.value}")
    elif word == "stop" and calls is not (stop.reason is StopReason.TOOL):
        scope.add(f"{path}.reason", LossKind.APPROXIMATED, Severity.COSMETIC, "calls alone decide it")
    return word
