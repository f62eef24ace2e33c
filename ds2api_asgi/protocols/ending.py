"""How a failure is said in the middle of a stream, where the stream itself decides: its numbers, its brackets.

A watch that has seen the stream go by may know better than the protocol: the next sequence number and the answer that
was begun (OpenAI's Responses), or that the events are elements of an array (Gemini's without ``alt=sse``).
"""

from __future__ import annotations

import typing

from ..universal.failure import Failure
from .base import Protocol, StreamWatch

__all__ = ["KnowsTheStream", "stream_error"]


class KnowsTheStream(typing.Protocol):
    """A watch that says failures to fit what it has seen."""

    def stream_error(self, failure: Failure) -> bytes:
        """The bytes that say a failure after all that was fed, which ends a whole event."""
        ...


def stream_error(protocol: Protocol, watch: StreamWatch | None, failure: Failure) -> bytes:
    """The bytes that say a failure in the middle of a stream, which ends after them without its success end.

    Args:
        protocol: Of the stream.
        watch: It has seen all that the client has; None: nothing has passed yet.
        failure: What went wrong.
    """
    knows: KnowsTheStream | Protocol = watch if hasattr(watch, "stream_error") else protocol  # type: ignore[assignment]
    return knows.stream_error(failure)
