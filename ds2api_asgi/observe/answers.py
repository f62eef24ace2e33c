"""What an answer says of itself, read as it passes: `AnswerReader`, which keeps of a stream only what is asked for."""

from __future__ import annotations

from typing import Final

from ..asgi.headers import find
from ..asgi.types import Message
from ..errors import InvalidDocument
from ..protocols import registry
from ..protocols.base import StreamDecoder
from ..universal.events import Error, Event, Start, StopEvent, UsageEvent
from ..universal.response import Response

__all__ = ["MAX_ANSWER", "AnswerReader"]

MAX_ANSWER: Final = 4 * 1024 * 1024
"""Bytes of an answer that are read; a longer one is not told, and of a longer stream only its beginning."""


class AnswerReader:
    """Reads one successful answer; garbage is no answer and raises nothing.

    Args:
        protocol: What it is in.
        contents: Whether texts are kept.
    """

    def __init__(self, protocol: str, *, contents: bool) -> None:
        self._protocol = registry.get(protocol)
        self._contents = contents
        self._decoder: StreamDecoder | None = None
        self._events: list[Event] = []
        self._body: list[bytes] = []
        self._size = 0
        self._reads = False
        self._closed = False

    def start(self, message: Message, *, streamed: bool) -> None:
        """The response starts."""
        coding = find(message.get("headers", ()), b"content-encoding") or b"identity"
        self._reads = 200 <= message["status"] < 300 and coding == b"identity"
        if streamed:
            self._decoder = self._protocol.stream_decoder()

    def feed(self, message: Message) -> None:
        """A part of its body passes."""
        chunk = message.get("body", b"")
        self._size += len(chunk)
        if not self._reads or self._size > MAX_ANSWER:
            self._body.clear()
            return
        if self._decoder is None:
            self._body.append(chunk)
            return
        self._take(self._decoder.feed(chunk))
        if not message.get("more_body", False):
            self._closed = True
            self._take(self._decoder.close())

    def answer(self) -> Response | None:
        """The answer, as far as it came; None: there is none."""
        if self._decoder is not None:
            if not self._closed:
                self._take(self._decoder.close())
            return self._protocol.fold(self._events) if self._events else None
        if not self._body:
            return None
        try:
            return self._protocol.decode_response(self._protocol.parse(b"".join(self._body)))
        except InvalidDocument:
            return None

    def _take(self, events: list[Event]) -> None:
        if self._contents:
            self._events += events
        else:
            self._events += [event for event in events if isinstance(event, (Start, StopEvent, UsageEvent, Error))]
