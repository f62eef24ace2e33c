"""Why an answer ended: ``status`` and ``incomplete_details``.

https://platform.openai.com/docs/api-reference/responses/object (read 2026-11-23). An answer that calls a tool of the
client is ``completed`` as any other; `StopReason.TOOL` is read from its items.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET

from ...universal.loss import LossKind, Severity
from ...universal.response import Stop, StopReason
from ..fields import Json
from ..scope import Scope
from .profile import NAME

__all__ = ["DETAILS", "decode_stop", "encode_stop"]

DETAILS: Final = "incomplete_details"

_COMPLETED: Final = "completed"
_INCOMPLETE: Final = "incomplete"
_FAILED: Final = "failed"
_REASONS: Final = {"max_output_tokens": StopReason.LENGTH, "content_filter": StopReason.FILTER}
_WORDS: Final = {reason: word for word, reason in _REASONS.items()}
# What is said of a reason that the protocol has no word for (None: that the answer is complete), and how wrong that is.
_NEAREST: Final[dict[StopReason, tuple[str | None, Severity]]] = {
    StopReason.SEQUENCE: (None, Severity.COSMETIC),
    StopReason.OTHER: (None, Severity.DEGRADED),
    StopReason.CONTEXT: ("max_output_tokens", Severity.COSMETIC),
    StopReason.PAUSE: ("max_output_tokens", Severity.SEMANTIC),
    StopReason.REFUSAL: ("content_filter", Severity.DEGRADED),
    StopReason.MALFORMED: ("content_filter", Severity.SEMANTIC),
    StopReason.ERROR: ("content_filter", Severity.SEMANTIC),
}


def decode_stop(document: Json, ext: Json, *, calls: bool) -> Stop | Any:
    """The end of an answer; UNSET when nothing says that it has ended.

    Args:
        document: The answer.
        ext: Takes what a stop does not say.
        calls: Whether it calls a tool of the client.
    """
    status, details = document.get("status"), document.get(DETAILS)
    reason = details.get("reason") if type(details) is dict else None
    plain = status == _INCOMPLETE and type(reason) is str and details == {"reason": reason}
    if DETAILS in document and not plain:
        ext[DETAILS] = details
    if type(status) is not str:
        if "status" in document:
            ext["status"] = status
        return UNSET
    if status == _COMPLETED:
        return Stop(reason=StopReason.TOOL if calls else StopReason.END)
    if status == _INCOMPLETE:
        if type(reason) is str:
            known = _REASONS.get(reason)
            return Stop(reason=StopReason.OTHER, native=reason) if known is None else Stop(reason=known)
        return Stop(reason=StopReason.OTHER, form=(_INCOMPLETE,))
    return Stop(reason=StopReason.ERROR if status == _FAILED else StopReason.OTHER, form=(f"status:{status}",))


def encode_stop(
    stop: Stop | Any,
    document: Json,
    scope: Scope,
    path: str,
    *,
    calls: bool,
    refused: bool,
    kept: Any = None,
) -> None:
    """Write the end of an answer.

    Args:
        stop: Why it ended; UNSET: nobody said.
        document: The answer; takes ``status`` and ``incomplete_details``.
        scope: Takes the losses.
        path: Where the stop stands.
        calls: Whether the answer calls a tool of the client.
        refused: Whether the answer has words of refusal.
        kept: The ``incomplete_details`` that were kept beside the stop.
    """
    if scope.home:
        _encode_home(stop, document, kept)
        return
    document.update({"status": _COMPLETED, DETAILS: None})
    if stop is UNSET:
        return
    scope.ext(stop.ext, path)
    scope.lacks_each(stop, ("sequence", "details", "native"), path, Severity.COSMETIC, "of a stop")
    word: str | None = _WORDS.get(stop.reason)
    if word is None and stop.reason not in (StopReason.END, StopReason.TOOL):
        word, severity = _NEAREST[stop.reason]
        if stop.reason is StopReason.REFUSAL and refused:
            word, severity = None, Severity.COSMETIC
        scope.add(f"{path}.reason", LossKind.APPROXIMATED, severity, f"{NAME} has no {stop.reason.value}")
    elif word is None and (stop.reason is StopReason.TOOL) != calls:
        scope.add(f"{path}.reason", LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} tells it by the items")
    if word is not None:
        document.update({"status": _INCOMPLETE, DETAILS: {"reason": word}})


def _encode_home(stop: Stop | Any, document: Json, kept: Any) -> None:
    if stop is UNSET:
        return
    status = next((form[7:] for form in stop.form if form.startswith("status:")), None)
    word = _WORDS.get(stop.reason) or stop.native
    if status is not None:
        document["status"] = status
    elif _INCOMPLETE in stop.form:
        document["status"] = _INCOMPLETE
    elif word is not UNSET:
        document.update({"status": _INCOMPLETE, DETAILS: {"reason": word}})
        if type(kept) is dict and kept.get("reason") == word:
            document[DETAILS] = kept
    else:
        document["status"] = _COMPLETED
