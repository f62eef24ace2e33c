"""What is said when it is the app's answer that failed."""

from __future__ import annotations

from ..errors import BrokenStream, TransportError
from ..universal.failure import Failure, FailureKind

__all__ = ["bad_gateway", "failure_of", "truncated"]


def failure_of(error: Exception, *, started: bool) -> Failure:
    """What to say of an exception of the app; never its own words.

    Args:
        error: What it raised.
        started: Whether it had started its answer.
    """
    if started or isinstance(error, BrokenStream):
        return truncated()
    if isinstance(error, TransportError):
        if error.reason == "timeout":
            return Failure(kind=FailureKind.TIMEOUT, status=504, message="the upstream did not answer in time")
        return bad_gateway("the upstream could not be reached")
    return Failure(kind=FailureKind.SERVER, status=500, message="the upstream failed")


def truncated() -> Failure:
    """The app's answer has no end."""
    return Failure(kind=FailureKind.TRUNCATED, message="the upstream broke off before its answer was complete")


def bad_gateway(message: str) -> Failure:
    """The app's answer is none of its protocol."""
    return Failure(kind=FailureKind.BAD_GATEWAY, status=502, message=message)
