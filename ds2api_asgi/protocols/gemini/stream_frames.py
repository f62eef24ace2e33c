"""Frames of a stream: server-sent events, or the elements of a JSON array; the first byte tells.

A bare object in place of both is an error that came late, which the provider sends without any framing.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from msgspec import UNSET

from ...errors import FramingError
from ...framing.json_array import MAX_ELEMENT, JsonArrayParser
from ...framing.sse import SseParser
from ...universal.jsontext import dumps
from ..base import Context
from .profile import JSON_ARRAY, NAME

__all__ = ["FrameWriter", "Frames", "Framing", "framing_of"]

Framing = Literal["sse", "json_array"]

_ONE_LINE: Final = bytes.maketrans(b"\r\n", b"  ")


def framing_of(context: Context) -> Framing:
    """How the client wants its stream: its dialect says so."""
    request = context.request
    if request is not UNSET and request.origin.protocol == NAME and request.origin.dialect == JSON_ARRAY:
        return "json_array"
    return "sse"


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


class FrameWriter:
    """Writes the documents of one stream.

    Args:
        framing: Its framing.
        out: Where the bytes go, in pieces.

    Attributes:
        envelope: Members that every frame has.
        pending: Members that the next frame has beside.
        begun: Whether a frame is written.
    """

    __slots__ = ("_array", "_between", "_out", "begun", "envelope", "pending")

    def __init__(self, framing: Framing, out: list[bytes]) -> None:
        self.envelope: dict[str, Any] = {}
        self.pending: dict[str, Any] = {}
        self.begun = False
        self._array = framing == "json_array"
        self._between = b",\n" if self._array else b"data: "
        self._out = out

    def frame(self, document: dict[str, Any]) -> None:
        """Write one frame."""
        pending, self.pending = self.pending, {}
        self.bare({**pending, **document, **self.envelope})

    def bare(self, document: dict[str, Any]) -> None:
        """Write a document as it is."""
        data = dumps(document)
        # Line ends stand between the tokens of arguments only, which are verbatim; a frame is one line.
        if b"\n" in data or b"\r" in data:
            data = data.translate(_ONE_LINE)
        first, self.begun = not self.begun, True
        self._out += (b"[" if self._array and first else self._between, data, b"" if self._array else b"\n\n")

    def candidate(self, index: int, part: dict[str, Any]) -> None:
        """Write a frame with one part of one candidate."""
        self.frame(_one_part(index, part))

    def around(self, index: int, part: dict[str, Any]) -> tuple[bytes, bytes]:
        """What stands before and behind each text of a part, whose text here is NUL, in frames that say no more."""
        head, _, tail = dumps({**_one_part(index, part), **self.envelope}).partition(rb'"\u0000"')
        return self._between + head, tail + (b"" if self._array else b"\n\n")

    def end(self) -> None:
        """Write what ends a stream that is whole.

        An array that is not is not closed: who reads it at once must not take it for an answer.
        """
        if self._array:
            self._out.append(b"]")


def _one_part(index: int, part: dict[str, Any]) -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": [part], "role": "model"}, "index": index}]}
