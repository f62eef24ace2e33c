"""Whole events only: an incomplete one at the end is held back, so that an error event can always be appended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from ..errors import FramingError
from ..framing import ndjson, sse
from ..framing.json_array import JsonArrayParser

__all__ = ["FRAMINGS", "MAX_HELD_EVENT", "ArrayTail", "EventTail", "Framing"]

MAX_HELD_EVENT = 4 * 1024 * 1024
"""Bytes of one incomplete event that are held back; a longer one passes in pieces."""


class Framing(Struct, frozen=True):
    """How the events of a stream are told apart.

    Attributes:
        end: What an event most often ends with.
        boundary: Finds the index after the last complete event, 0 if there is none.
    """

    end: bytes
    boundary: Callable[[bytes], int]


FRAMINGS: Final = {
    b"text/event-stream": Framing(b"\n\n", sse.frame_boundary),
    b"application/x-ndjson": Framing(b"\n", ndjson.frame_boundary),
}
"""By content-type, the streams that are watched."""

_OVERLAP = 3
"""The longest end of an event, ``\\r\\n\\r\\n``, begins at most this many bytes before a read."""


class EventTail:
    """Cuts a stream after its last complete event.

    Args:
        framing: How its events are told apart.

    Attributes:
        counting: Whether `events` is counted, which costs a twentieth of what a small event does; until told otherwise.
        events: How many complete events have passed, at least.
        torn: Whether an event over the bound is under way in pieces: then nothing can be appended to the stream.
        closes: Whether the framing itself has an end, without which even a complete answer cannot be read.
    """

    closes = False

    __slots__ = ("_boundary", "_edge", "_end", "_parts", "_size", "counting", "events", "torn")

    def __init__(self, framing: Framing) -> None:
        self._end = framing.end
        self._boundary = framing.boundary
        self._parts: list[bytes] = []
        self._size = 0
        self._edge = b""
        self.counting = True
        self.events = 0
        self.torn = False

    def push(self, data: bytes) -> bytes:
        """Take a read; return what may pass, often all of it."""
        if not self._size and not self.torn and data.endswith(self._end):
            if self.counting:
                self.events += data.count(self._end)
            return data
        if not data:
            return b""
        # Only the joint is searched again, so a long event in small reads takes linear time.
        cut = self._boundary(self._edge + data) - len(self._edge)
        if cut <= 0:
            return self._keep(data)
        ready = b"".join((*self._parts, data[:cut]))
        if self.counting:
            self.events += max(1, ready.count(self._end))
        self._parts = [data[cut:]]
        self._size = len(data) - cut
        self._edge = data[cut:][-_OVERLAP:]
        self.torn = False
        return ready

    def _keep(self, data: bytes) -> bytes:
        self._parts.append(data)
        self._size += len(data)
        self._edge = (self._edge + data)[-_OVERLAP:]
        if self._size <= MAX_HELD_EVENT and not self.torn:
            return b""
        self.torn = True
        return self.rest()

    def rest(self) -> bytes:
        """What is held back, given out after all."""
        rest = b"".join(self._parts)
        self._parts = []
        self._size = 0
        return rest


class ArrayTail:
    """Cuts a stream that is one JSON array behind its last complete element, and lets the end of the array pass.

    See `EventTail` for its methods and attributes.
    """

    closes = True

    __slots__ = ("_held", "_parser", "counting", "events", "torn")

    def __init__(self) -> None:
        self._parser = JsonArrayParser(max_element=MAX_HELD_EVENT)
        self._held: list[bytes] = []
        self.counting = True  # in any case: the parser does it
        self.events = 0
        self.torn = False

    def push(self, data: bytes) -> bytes:
        """Take a read; return what may pass."""
        if self.torn:
            return data
        try:
            self.events += len(self._parser.feed(data))
        except FramingError:  # no array, or an element over the bound
            self.torn = True
            self._held.append(data)
            return self.rest()
        cut = self._parser.boundary
        if not cut:
            self._held.append(data)
            return b""
        ready = b"".join((*self._held, data[:cut]))
        self._held = [data[cut:]]
        return ready

    def rest(self) -> bytes:
        """What is held back, given out after all."""
        rest = b"".join(self._held)
        self._held = []
        return rest
