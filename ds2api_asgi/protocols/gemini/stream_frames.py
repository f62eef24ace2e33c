"""Frames of a stream: server-sent events, or the elements of a JSON array; the first byte tells.

A bare object in place of both is an error that came late, which the provider sends without any framing.
"""

from __future__ import annotations

from ...errors import FramingError
from ...framing.json_array import MAX_ELEMENT, JsonArrayParser
from ...framing.sse import SseParser

__all__ = ["Frames"]


class Frames:
    """Reads the documents of one stream, whatever its framing; a `stream.FrameParser`."""

    __slots__ = ("_array", "_bare", "_head", "_sse")

    def __init__(self) -> None:
        self._head = b""
        self._sse: SseParser | None = None
        self._array: JsonArrayParser | None = None
        self._bare: list[bytes] | None = None

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes, give the documents that they complete.

        Raises:
            FramingError: They are none of the three.
        """
        if self._sse is not None:
            return [event.data for event in self._sse.feed(data)]
        if self._array is not None:
            return self._array.feed(data)
        if self._bare is not None:
            if sum(map(len, self._bare)) > MAX_ELEMENT:
                raise FramingError(f"an element is over the limit of {MAX_ELEMENT} bytes")
            self._bare.append(data)
            return []
        return self._begin(self._head + data)

    def _begin(self, data: bytes) -> list[bytes]:
        start = data.lstrip()
        if not start:
            self._head = data[-1:]
            return []
        self._head = b""
        if start.startswith(b"["):
            self._array = JsonArrayParser()
        elif start.startswith(b"{"):
            self._bare = []
        else:
            self._sse = SseParser()
        return self.feed(data)

    def close(self) -> list[bytes]:
        """The stream ended: give what is left.

        Raises:
            FramingError: As `feed` does.
        """
        if self._sse is not None:
            return [event.data for event in self._sse.close()]
        if self._array is not None:
            return self._array.close()
        return [b"".join(self._bare)] if self._bare else []
