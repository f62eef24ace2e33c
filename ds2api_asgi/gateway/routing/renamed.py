"""`Renamed`: answers that say the model that the client asked for.

The name stands at the same few places in every protocol: ``model`` (Gemini: ``modelVersion``) of the document, and in a
stream also within ``response`` (OpenAI Responses) and ``message`` (Anthropic). Whole answers are held until they are
whole, streams until the end of a line or of an element (Gemini's arrays), since no client can read them sooner; an
event whose document spreads over several lines stays as it is. All else stays as it was; so does a line, an element or
an answer that is longer than the bound, and an answer that is compressed.
"""

from __future__ import annotations

from typing import Final

from ...asgi.headers import find, media_type, replace
from ...asgi.types import Message, Send
from ...errors import FramingError
from ...framing.json_array import JsonArrayParser
from ...universal import jsontext
from .splice import renamed

__all__ = ["MAX_HELD", "Renamed"]

MAX_HELD: Final = 8 * 1024 * 1024
"""Bytes of a line of a stream, or of a whole answer, that are held back."""

_NAMES: Final = frozenset({"model", "modelVersion"})
_WITHIN: Final = frozenset({"response", "message"})
_BEFORE: Final = frozenset({b"", b"data:"})
"""What a document in a stream stands behind on its line: nothing in lines, this in events."""

_LINES: Final = frozenset({b"text/event-stream", b"application/x-ndjson", b"application/jsonl"})


class Renamed:
    """A ``send`` for one answer.

    Args:
        send: The client's.
        model: What the client asked for.
    """

    __slots__ = ("_array", "_encoded", "_held", "_lines", "_send", "_size", "_start", "_through")

    def __init__(self, send: Send, model: str) -> None:
        self._send = send
        self._encoded = jsontext.dumps(model)
        self._start: Message | None = None
        self._lines = False
        self._array: JsonArrayParser | None = None
        self._through = False
        self._held: list[bytes] = []
        self._size = 0

    async def __call__(self, message: Message) -> None:
        """Take a message of the app."""
        if self._through:
            await self._send(message)
        elif message["type"] == "http.response.start":
            await self._begin(message)
        elif message["type"] != "http.response.body":
            await self._send(message)
        elif self._lines:
            await self._line(message)
        elif self._array is not None:
            await self._elements(self._array, message)
        elif not self._size and message.get("body", b"").lstrip()[:1] == b"[":  # Gemini's other framing of streams
            self._array = JsonArrayParser(max_element=MAX_HELD)
            await self._send(_unsized(self._start))
            await self._elements(self._array, message)
        else:
            await self._whole(message)

    async def _begin(self, start: Message) -> None:
        headers = start.get("headers", ())
        kind = media_type(headers)
        plain = (find(headers, b"content-encoding") or b"identity") == b"identity"
        self._lines = kind in _LINES
        self._through = start["status"] != 200 or not plain or not (self._lines or kind == b"application/json")
        if self._lines and not self._through:
            await self._send(_unsized(start))
        elif self._through:
            await self._send(start)
        else:
            self._start = start

    async def _whole(self, message: Message) -> None:
        self._keep(message.get("body", b""))
        start = self._start
        assert start is not None
        if not message.get("more_body", False):
            held = b"".join(self._held)
            body = renamed(held, self._encoded, names=_NAMES, within=_WITHIN, once=True)
            if len(body) != len(held):
                headers = replace(start.get("headers", ()), {b"content-length": b"%d" % len(body)})
                start = {**start, "headers": headers}
            self._through = True
            await self._send(start)
            await self._send({**message, "body": body})
        elif self._size > MAX_HELD:
            self._through = True
            await self._send(start)
            await self._send({**message, "body": b"".join(self._held)})

    async def _line(self, message: Message) -> None:
        chunk: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        end = chunk.rfind(b"\n") + 1 if more else len(chunk)
        if more and end == 0:
            self._keep(chunk)
            if self._size <= MAX_HELD:
                return
            body = b"".join(self._held)
            self._through = True  # what follows is the rest of this line, and nobody's to look at
        else:
            body = self._spliced(b"".join((*self._held, chunk[:end])))
        self._held, self._size = [], 0
        if more and not self._through:
            self._keep(chunk[end:])
        if body or not more:
            await self._send({**message, "body": body})

    async def _elements(self, array: JsonArrayParser, message: Message) -> None:
        chunk: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        try:
            elements = array.feed(chunk)
        except FramingError:  # no array, or an element beyond the bound: nothing after it is looked at
            elements, self._through = [], True
        end = array.boundary if more and not self._through else len(chunk)
        if end == 0 and more:
            self._keep(chunk)
            return
        whole = b"".join((*self._held, chunk[:end]))
        self._held, self._size = [], 0
        self._keep(chunk[end:])
        pieces, at = [], 0
        for element in elements:  # each stands in there as it is
            start = whole.index(element, at)
            pieces += [whole[at:start], renamed(element, self._encoded, names=_NAMES, once=True)]
            at = start + len(element)
        await self._send({**message, "body": b"".join((*pieces, whole[at:]))})

    def _keep(self, chunk: bytes) -> None:
        if chunk:
            self._held.append(chunk)
            self._size += len(chunk)

    def _spliced(self, data: bytes) -> bytes:
        if b'"model' not in data:
            return data
        return b"".join([self._renamed(line) for line in data.splitlines(keepends=True)])

    def _renamed(self, line: bytes) -> bytes:
        at = line.find(b"{")
        if at < 0 or b'"model' not in line or line[:at].strip() not in _BEFORE:
            return line
        return line[:at] + renamed(line[at:], self._encoded, names=_NAMES, within=_WITHIN, once=True)


def _unsized(start: Message | None) -> Message:
    assert start is not None
    return {**start, "headers": replace(start.get("headers", ()), {b"content-length": None})}
