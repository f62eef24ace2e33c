"""What an answer cost: what it says of it, else a guess at what was written."""

from __future__ import annotations

from typing import Final

from ..protocols.metering import Meter
from ..universal.estimate import BYTES_PER_TOKEN

__all__ = ["Usage"]

_FRAME: Final = 320  # bytes of an event around its text


class Usage:
    """Counts one answer as it passes.

    Args:
        stream: Whether it is one of lines, as for `Meter`.
    """

    __slots__ = ("_bytes", "_events", "_meter")

    def __init__(self, *, stream: bool) -> None:
        self._bytes = 0
        self._events = 0
        self._meter = Meter(stream=stream)

    def feed(self, data: bytes) -> None:
        """Look at bytes on their way."""
        self._bytes += len(data)
        self._events += data.count(b"data:")
        self._meter.feed(data)

    @property
    def tokens(self) -> int | None:
        """Input and output together, to be asked at the end; None when the answer has not said it."""
        counts = self._meter.close()
        return None if counts is None else counts.total

    @property
    def written(self) -> int:
        """A guess at the output of a stream that never says it, as those of Chat Completions unless they are asked to.

        An event is a token, and more where events are long; 0 for what is no stream of events.
        """
        return max(self._events, (self._bytes - self._events * _FRAME) // BYTES_PER_TOKEN) if self._events else 0
