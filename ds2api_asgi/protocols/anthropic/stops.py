"""Why an answer ended: ``stop_reason``, ``stop_sequence``, ``stop_details``.

It follows https://docs.anthropic.com/en/api/handling-stop-reasons (read 2026-11-22).
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET, UnsetType

from ...universal.loss import LossKind, Severity
from ...universal.response import Stop, StopReason
from ..scope import Scope
from .profile import NAME

__all__ = ["decode_stop", "encode_stop"]

_MEMBERS: Final = ("stop_reason", "stop_sequence", "stop_details")
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

    A null ``stop_sequence`` is how it always is; the form ``stop_sequence:absent`` says where it is left out,
    ``stop_details:null`` where that one is there for nothing.

    Returns:
        The stop, and what is left over where there is none.
    """
    left: dict[str, Any] = {name: document[name] for name in _MEMBERS if name in document}
    word = left.get("stop_reason")
    if type(word) is not str:
        return UNSET, left
    del left["stop_reason"]
    form: list[str] = []
    if "stop_details" in left and left["stop_details"] is None:
        form.append("stop_details:null")
    if "stop_sequence" not in left:
        form.append("stop_sequence:absent")
    sequence = left.pop("stop_sequence", None)
    if sequence is not None and type(sequence) is not str:
        left["stop_sequence"] = sequence
    details = left.pop("stop_details", None)
    return Stop(
        reason=_REASONS.get(word, StopReason.PAUSE if word == "compaction" else StopReason.OTHER),
        sequence=sequence if type(sequence) is str else UNSET,
        details=UNSET if details is None else details,
        native=UNSET if word in _REASONS else word,
        ext=left or UNSET,
        form=tuple(form),
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
    if not (scope.home and "stop_sequence:absent" in stop.form):
        document["stop_sequence"] = None if stop.sequence is UNSET else stop.sequence
    if not scope.home:
        if calls and stop.reason in {StopReason.END, StopReason.OTHER}:
            document["stop_reason"] = "tool_use"
        elif refused and stop.reason is StopReason.END:
            document["stop_reason"] = "refusal"
        elif stop.reason is StopReason.TOOL and not calls:
            document["stop_reason"] = "end_turn"
        if _REASONS[document["stop_reason"]] is not stop.reason:
            weak = {StopReason.END, StopReason.TOOL, StopReason.OTHER, StopReason.FILTER}
            severity = Severity.DEGRADED if stop.reason in weak else Severity.SEMANTIC
            scope.add(f"{path}.reason", LossKind.APPROXIMATED, severity, f"{NAME} says {document['stop_reason']}")
        if stop.native is not UNSET:
            scope.drop(f"{path}.native", Severity.COSMETIC, "a word of another provider")
        if stop.details is not UNSET:
            scope.drop(f"{path}.details", Severity.COSMETIC, f"{NAME} has other details")
        if stop.ext is not UNSET:
            scope.ext(stop.ext, path)
    else:
        if stop.details is not UNSET or "stop_details:null" in stop.form:
            document["stop_details"] = stop.details or None
        document.update(stop.ext or {})
    return document
