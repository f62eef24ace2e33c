"""One stream on its way: the app's bytes to events, and events to the client's bytes."""

from __future__ import annotations

from ..protocols.base import StreamDecoder, StreamEncoder
from ..universal.events import End, Error, Event
from ..universal.failure import Failure

__all__ = ["Transcoder"]


class Transcoder:
    """A decoder and an encoder, and whether the stream has come to its end between them.

    Args:
        decoder: Of the app's stream.
        encoder: Of the client's.

    Attributes:
        terminal: Whether an end or an error has been encoded.
    """

    __slots__ = ("_decoder", "_feed", "_write", "terminal")

    def __init__(self, decoder: StreamDecoder, encoder: StreamEncoder) -> None:
        self._decoder = decoder
        self._feed = decoder.feed
        self._write = encoder.write
        self.terminal = False

    def transcode(self, data: bytes) -> bytes:
        """The client's bytes for bytes of the app; every delta comes along here."""
        events = self._feed(data)
        if not events:
            return b""
        last = type(events[-1])
        if last is End or last is Error:
            self.terminal = True
        return self._write(events)

    def decode(self, data: bytes, *, more: bool) -> list[Event]:
        """The events of bytes of the app.

        Args:
            data: The bytes.
            more: Whether others follow; at the end comes what was held back, an error if the stream has no end.
        """
        events = self._feed(data)
        return events if more else [*events, *self._decoder.close()]

    def encode(self, events: list[Event]) -> bytes:
        """The client's bytes for events."""
        if events and type(events[-1]) in (End, Error):
            self.terminal = True
        return self._write(events)

    def cut(self, failure: Failure) -> bytes:
        """The client's bytes for a stream that ends here: none if it has come to its end, else an error event."""
        if self.terminal:
            return b""
        events = self._decoder.close()
        if not (events and type(events[-1]) is Error):
            events = [Error(failure)]  # what was held back may be an end, which a cut stream must not have
        return self.encode(events)
