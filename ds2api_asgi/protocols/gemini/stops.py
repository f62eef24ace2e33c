"""Why an answer ended: ``finishReason``, and ``promptFeedback.blockReason`` of a prompt that got no answer.

It follows https://ai.google.dev/api/generate-content#FinishReason (read 2026-11-23). ``STOP`` beside a call of the
client's tools is a stop for tools to everyone else.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET

from ...universal.loss import LossKind, Severity
from ...universal.response import Stop, StopReason
from ..scope import Scope
from .profile import NAME

__all__ = ["BLOCKED", "blocked", "decode_stop", "encode_stop", "is_reason"]

BLOCKED: Final = "promptFeedback"
"""The form of a stop that ``promptFeedback`` said; no candidate is written for it."""

_REASONS: Final = {
    "STOP": StopReason.END,
    "MAX_TOKENS": StopReason.LENGTH,
    "CONTINUATION": StopReason.PAUSE,
    **dict.fromkeys(
        (
            "SAFETY",
            "RECITATION",
            "LANGUAGE",
            "BLOCKLIST",
            "PROHIBITED_CONTENT",
            "SPII",
            "IMAGE_SAFETY",
            "IMAGE_PROHIBITED_CONTENT",
            "IMAGE_RECITATION",
            "MODEL_ARMOR",
            "JAILBREAK",
        ),
        StopReason.FILTER,
    ),
    **dict.fromkeys(
        (
            "MALFORMED_FUNCTION_CALL",
            "UNEXPECTED_TOOL_CALL",
            "TOO_MANY_TOOL_CALLS",
            "MISSING_THOUGHT_SIGNATURE",
            "MALFORMED_RESPONSE",
        ),
        StopReason.MALFORMED,
    ),
}
_WORDS: Final = {
    StopReason.END: "STOP",
    StopReason.TOOL: "STOP",
    StopReason.SEQUENCE: "STOP",
    StopReason.LENGTH: "MAX_TOKENS",
    StopReason.CONTEXT: "MAX_TOKENS",
    StopReason.REFUSAL: "SAFETY",
    StopReason.FILTER: "SAFETY",
    StopReason.PAUSE: "CONTINUATION",
    StopReason.MALFORMED: "MALFORMED_FUNCTION_CALL",
    StopReason.ERROR: "OTHER",
    StopReason.OTHER: "OTHER",
}


_NUMBERS: Final = dict(
    enumerate(
        (
            "STOP",
            "MAX_TOKENS",
            "SAFETY",
            "RECITATION",
            "OTHER",
            "LANGUAGE",
            "BLOCKLIST",
            "PROHIBITED_CONTENT",
            "SPII",
            "MALFORMED_FUNCTION_CALL",
            "IMAGE_SAFETY",
        ),
        1,
    )
)
"""What clients that ask for ``$alt=json;enum-encoding=int`` get."""
_NUMBER_OF: Final = {word: number for number, word in _NUMBERS.items()}
_NUMBER: Final = "number"


def is_reason(word: Any) -> bool:
    """Whether a ``finishReason`` is one that `decode_stop` reads."""
    return type(word) is str or (type(word) is int and word in _NUMBERS)


def decode_stop(word: str | int, message: Any, *, calls: bool) -> Stop:
    """Read ``finishReason``.

    Args:
        word: Its value.
        message: ``finishMessage``; UNSET when there is none.
        calls: Whether a tool of the client was called.
    """
    form = (_NUMBER,) if isinstance(word, int) else ()
    if isinstance(word, int):
        word = _NUMBERS[word]
    reason = _REASONS.get(word, StopReason.OTHER)
    if reason is StopReason.END and calls:
        reason = StopReason.TOOL
    native = UNSET if _WORDS[reason] == word else word
    return Stop(reason=reason, native=native, details=message, form=form)


def blocked(feedback: Any) -> Stop | None:
    """The stop that a ``promptFeedback`` says; None when the prompt was not blocked."""
    word = feedback.get("blockReason", feedback.get("block_reason")) if type(feedback) is dict else None
    if type(word) is not str:
        return None
    return Stop(reason=StopReason.FILTER, native=word, form=(BLOCKED,))


def encode_stop(stop: Stop, path: str, scope: Scope) -> dict[str, Any]:
    """Write ``finishReason`` and ``finishMessage``."""
    if scope.home:
        word = _WORDS[stop.reason] if stop.native is UNSET else stop.native
        document: dict[str, Any] = {"finishReason": _NUMBER_OF.get(word, word) if _NUMBER in stop.form else word}
        if stop.details is not UNSET:
            document["finishMessage"] = stop.details
        return document
    word = _WORDS[stop.reason]
    if stop.reason not in {StopReason.END, StopReason.TOOL, StopReason.LENGTH, StopReason.FILTER, StopReason.PAUSE}:
        severity = Severity.COSMETIC if stop.reason is StopReason.SEQUENCE else Severity.DEGRADED
        scope.add(f"{path}.reason", LossKind.APPROXIMATED, severity, f"{NAME} calls it {word}")
    scope.lacks_each(stop, ("sequence", "native", "details"), path, Severity.COSMETIC, "of a stop")
    scope.ext(stop.ext, path)
    return {"finishReason": word}
