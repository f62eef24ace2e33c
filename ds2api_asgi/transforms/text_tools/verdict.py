"""What an answer's end means once its calls are known: why it stopped, and whether it did what was demanded."""

from __future__ import annotations

from typing import Final

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from ...universal.failure import Failure, FailureKind
from ...universal.response import Stop, StopReason
from .offer import Tally

__all__ = ["NO_CALL", "stopped", "violation"]

NO_CALL: Final = "tool_call_missing"
"""The code of the failure for an answer that calls nothing although it must."""

_COMPLETE: Final = (StopReason.END, StopReason.SEQUENCE, StopReason.OTHER, StopReason.TOOL)
"""Reasons of an answer that is as long as the model wanted. Any other says what happened to it, and stays: an answer
that was cut behind a call is cut, and one that was refused may call nothing."""


def stopped(stop: Stop, tally: Tally) -> Stop:
    """Why a candidate ended, now that its calls are known."""
    if stop.reason not in _COMPLETE:
        return stop
    if tally.broken:
        return replace(stop, reason=StopReason.MALFORMED, native=UNSET, sequence=UNSET)
    if tally.calls and stop.reason is not StopReason.TOOL:
        return replace(stop, reason=StopReason.TOOL, native=UNSET, sequence=UNSET)
    return stop


def violation(stop: Stop | UnsetType, tally: Tally) -> Failure | None:
    """The failure that a candidate is, if it had to call and did not.

    The model broke the request's rule, so it is the upstream that answered with nonsense: the request is fine and may
    be sent again.
    """
    if tally.offer.demand != "required" or tally.calls or tally.native:
        return None
    if stop is not UNSET and stop.reason not in _COMPLETE:
        return None
    names = ", ".join(sorted(tally.offer.tools))
    called = f"one of {names}" if len(tally.offer.tools) > 1 else names or "a tool that the request does not declare"
    return Failure(
        kind=FailureKind.BAD_GATEWAY,
        message=f"the model had to call {called} and did not",
        code=NO_CALL,
        param="tool_choice",
    )
