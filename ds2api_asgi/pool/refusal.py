"""What a client is told when no key can be had, and when it shall come again."""

from __future__ import annotations

import math

from msgspec import UNSET

from ..universal.failure import Failure, FailureKind
from .survey import Empty, EmptyReason

__all__ = ["advice_of", "failure_of"]

_KINDS: dict[EmptyReason, tuple[FailureKind, int, str]] = {
    EmptyReason.TRIED: (FailureKind.RATE, 429, "Every upstream key that can be used has failed for this request."),
    EmptyReason.BUSY: (FailureKind.RATE, 429, "All upstream keys are in use."),
    EmptyReason.LIMITED: (FailureKind.RATE, 429, "The configured limits of all upstream keys are reached."),
    EmptyReason.COOLING: (FailureKind.RATE, 429, "All upstream keys are rate limited."),
    EmptyReason.EXHAUSTED: (FailureKind.BILLING, 429, "All upstream keys are out of quota."),
    EmptyReason.BLOCKED: (FailureKind.NOT_FOUND, 404, "No upstream key may use this model."),
    EmptyReason.DISABLED: (FailureKind.OVERLOADED, 503, "No upstream key is in service."),
    EmptyReason.UNKNOWN: (FailureKind.OVERLOADED, 503, "Whether an upstream key is free is not known at the moment."),
}


def failure_of(empty: Empty) -> Failure:
    """What the client is told."""
    kind, status, message = _KINDS[empty.reason]
    return Failure(
        kind=kind,
        status=status,
        message=message,
        retry_after=UNSET if empty.retry_after is None else empty.retry_after,
    )


def advice_of(empty: Empty) -> dict[bytes, bytes | None]:
    """Headers that tell client libraries when to come back: OpenAI's and Anthropic's retry twice by themselves."""
    advice: dict[bytes, bytes | None] = {}
    if empty.retry_after is not None:
        advice[b"retry-after"] = b"%d" % math.ceil(empty.retry_after)
        advice[b"retry-after-ms"] = b"%d" % math.ceil(empty.retry_after * 1000)
    if empty.reason not in (EmptyReason.BUSY, EmptyReason.LIMITED, EmptyReason.COOLING, EmptyReason.UNKNOWN):
        advice[b"x-should-retry"] = b"false"
    return advice
