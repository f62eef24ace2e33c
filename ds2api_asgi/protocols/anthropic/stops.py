"""Why an answer ended: ``stop_reason``, ``stop_sequence``, ``stop_details``.

It follows https://docs.anthropic.com/en/api/handling-stop-reasons (read 2026-11-22).
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET, UnsetType

from ...universal.loss import LossKind, Severity
from ...universal.response import Stop, StopReason
from ..fields import ext_losses
from .fields import NAME
from .scope import Scope

__all__ = ["decode_stop", "encode_stop"]

_REASONS: Final = {
    "end_turn": StopReason.END,
    "tool_use": StopReason.TOOL,
    "max_tokens": StopReason.LENGTH,
    "stop_sequence": StopReason.SEQUENCE,
    "refusal": StopReason.REFUSAL,
    "pause_turn": StopReason.PAUSE,
    "model_context_window_exceeded": StopReason.CONTEXT,
}
_WORDS: Final = {
    **{reason: word for word, reason in _REASONS.items()},
    # No word of ours; none of these may look like a success.
    StopReason.FILTER: "refusal",
    StopReason.MALFORMED: "refusal",
    StopReason.ERROR: "refusal",
    StopReason.OTHER: "end_turn",
}


def decode_stop(document: dict[str, Any]) -> tuple[Stop | UnsetType, dict[str, Any]]:
    """Read the members that say why a message ended.

    Returns:
        The stop, and what is left over where there is none.
    """
    members: dict[str, Any] = {
        name: document[name] for name in ("stop_reason", "stop_sequence", "stop_details") if name in document
    }
    word = members.get("stop_reason")
    if type(word) is not str:
        return UNSET, members
    reason = _REASONS.get(word, StopReason.PAUSE if word == "compaction" else StopReason.OTHER)
    del members["stop_reason"]
    sequence: str | UnsetType = UNSET
    if type(members.get("stop_sequence")) is str:
        sequence = members.pop("stop_sequence")
    details = members.pop("stop_details") if members.get("stop_details") is not None else UNSET
    return Stop(
        reason=reason,
        sequence=sequence,
        details=details,
        native=UNSET if word in _REASONS else word,
        ext=members or UNSET,
    ), {}


def encode_stop(stop: Stop, *, calls: bool, refused: bool, scope: Scope) -> dict[str, Any]:
    """Write the members that say why a message ended.

    Args:
        stop: The end.
        calls: Whether a tool of the client was called: clients look for ``tool_use`` to go on.
        refused: Whether the model declined in words of its own.
        scope: This run.
    """
    path = "candidates[0].stop"
    word = _WORDS[stop.reason] if stop.native is UNSET or not scope.home else stop.native
    document: dict[str, Any] = {"stop_reason": word}
    if not scope.home:
        document["stop_sequence"] = None
        if calls and stop.reason in {StopReason.END, StopReason.OTHER}:
            document["stop_reason"] = "tool_use"
        elif refused and stop.reason is StopReason.END:
            document["stop_reason"] = "refusal"
        elif stop.reason is StopReason.TOOL and not calls:
            document["stop_reason"] = "end_turn"
        if _REASONS[document["stop_reason"]] is not stop.reason:
            weak = {StopReason.END, StopReason.TOOL, StopReason.OTHER, StopReason.FILTER}
            severity = Severity.DEGRADED if stop.reason in weak else Severity.SEMANTIC
            scope.losses.add(
                f"{path}.reason", LossKind.APPROXIMATED, severity, f"{NAME} says {document['stop_reason']}"
            )
        if stop.native is not UNSET:
            scope.losses.drop(f"{path}.native", Severity.COSMETIC, "a word of another provider")
        if stop.details is not UNSET:
            scope.losses.drop(f"{path}.details", Severity.COSMETIC, f"{NAME} has other details")
        scope.losses.extend(ext_losses(stop.ext, path, NAME))
    if stop.sequence is not UNSET:
        document["stop_sequence"] = stop.sequence
    if scope.home:
        if stop.details is not UNSET:
            document["stop_details"] = stop.details
        document.update(stop.ext or {})
    return document
