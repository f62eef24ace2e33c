"""The transforms of one request: on its way to the app first to last, on its answer's way back last to first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..protocols.base import StreamDecoder
from ..transforms.base import Begun, Transform, TransformStream
from ..universal.events import Event
from ..universal.loss import Loss
from ..universal.request import Request
from ..universal.response import Response

__all__ = ["Transformed"]


class Transformed:
    """A request and its answer between transforms.

    Args:
        transforms: In the order in which the request meets them.
        request: The client's.

    Attributes:
        request: What the app is asked.
        losses: What that does not say of the client's.
    """

    def __init__(self, transforms: Iterable[Transform], request: Request) -> None:
        self._way_back: list[Begun] = []
        self.losses: list[Loss] = []
        for transform in transforms:
            begun = transform.begin(request)
            self._way_back.insert(0, begun)
            self.losses += begun.losses
            request = begun.request
        self.request = request

    def response(self, response: Response) -> Response:
        """The client's answer for the app's."""
        for begun in self._way_back:
            response = begun.response(response)
        return response

    def decoder(self, decoder: StreamDecoder) -> StreamDecoder:
        """A decoder whose events have gone through the transforms."""
        return _Decoder(decoder, [begun.stream() for begun in self._way_back]) if self._way_back else decoder


class _Decoder:
    """A decoder and the transforms behind it."""

    def __init__(self, decoder: StreamDecoder, streams: Sequence[TransformStream]) -> None:
        self._decoder = decoder
        self._streams = streams

    def feed(self, data: bytes) -> list[Event]:
        """See `StreamDecoder.feed`."""
        return self._through(self._decoder.feed(data))

    def close(self) -> list[Event]:
        """See `StreamDecoder.close`."""
        return self._through(self._decoder.close())

    def _through(self, events: list[Event]) -> list[Event]:
        for stream in self._streams:
            events = stream.feed(events)
        return events
