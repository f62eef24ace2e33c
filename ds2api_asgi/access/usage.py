"""What an answer cost: what it says of it, else a guess at what was written."""

from __future__ import annotations

import string
from typing import Final

from ..protocols.metering import Meter
from ..universal.estimate import BYTES_PER_TOKEN

__all__ = ["Usage", "text_size", "written"]

_FRAME: Final = 320  # bytes of an event around its text

_RUN: Final = 128
"""Letters without a space or a stop that are no words."""

_SMALL: Final = 512
"""Bytes that are not searched for them: those of most events."""

_BASE64: Final = (string.ascii_letters + string.digits + "+/-_").encode()
_LETTERS: Final = bytes(65 if byte in _BASE64 else 32 for byte in range(256))
_LONG: Final = b"A" * _RUN


def text_size(data: bytes) -> int:
    """How many of these bytes may be words: pictures and sound, in long runs of base64, are none.

    Args:
        data: A part of an answer, which may begin and end in such a run.
    """
    if len(data) < _SMALL:
        return len(data)
    letters = data.translate(_LETTERS)
    left = len(data) - _RUN * letters.count(_LONG)
    return left if left >= _RUN or b" " in letters else 0


def written(events: int, size: int) -> int:
    """A guess at how many tokens events hold: an event is a token, and more where events are long.

    Args:
        events: How many.
        size: Bytes of all of them, as `text_size` counts them.
    """
    return max(events, (size - events * _FRAME) // BYTES_PER_TOKEN)


class Usage:
    """Counts one answer as it passes.

    Args:
        stream: Whether it is one of lines, as for `Meter`.
        documents: Whether each line of it is a document, and not a part of an event.
    """

    __slots__ = ("_begins", "_bytes", "_events", "_meter")

    def __init__(self, *, stream: bool, documents: bool = False) -> None:
        self._bytes = 0
        self._events = 0
        self._begins = b"\n" if documents else b"data:"
        self._meter = Meter(stream=stream)

    def feed(self, data: bytes) -> None:
        """Look at bytes on their way."""
        self._bytes += text_size(data)
        self._events += data.count(self._begins)
        self._meter.feed(data)

    @property
    def tokens(self) -> int | None:
        """Input and output together, to be asked at the end; None when the answer has not said it."""
        counts = self._meter.close()
        return None if counts is None else counts.total

    @property
    def written(self) -> int:
        """A guess at the output of a stream that never says it, as those of Chat Completions unless they are asked to.

        Streams that broke off are guessed at as well: what they have said is the request, or the first words only.

        0 for what is no stream of events.
        """
        return written(self._events, self._bytes) if self._events else 0
