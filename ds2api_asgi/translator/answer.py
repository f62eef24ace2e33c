"""Answers on their way back: taken as the app sends them, given to the client in its own protocol.

`Answer` is the ``send`` of one request. What it makes of a whole answer and of a stream is an `AnswerTranslation`'s
affair. Nothing is said to the client before it is known whether the answer is one: a stream's start waits for the
first bytes to send, so a stream that begins with an error becomes a true error status.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

from msgspec import UNSET

from ..asgi.headers import decode
from ..asgi.respond import respond
from ..asgi.types import Message, Send
from ..errors import BodyTooLarge, BrokenStream, ClientGone, InvalidDocument
from ..protocols.base import Context, Protocol, StreamDecoder, StreamEncoder
from ..universal import jsontext
from ..universal.events import Error, Event
from ..universal.failure import Failure, FailureKind
from ..universal.fold import unfold
from ..universal.response import Response

__all__ = ["Answer", "AnswerTranslation", "GenerationAnswer"]

_MAX_ERROR_BODY = 1024 * 1024
# What the app said about a body that the client never sees, or what the server says again.
_BODY_HEADERS = frozenset(
    {
        b"content-length",
        b"content-type",
        b"content-encoding",
        b"content-md5",
        b"digest",
        b"etag",
        b"transfer-encoding",
        b"date",
        b"server",
    }
)
_JSON = (b"content-type", b"application/json")


class AnswerFailed(Exception):
    """The app's answer is no answer; says so to the client."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class AnswerTranslation:
    """Translates whole documents by a function."""

    def __init__(self, document: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        self._document = document

    streams = False

    def whole(self, body: dict[str, Any]) -> bytes:
        """A whole answer in the client's protocol.

        Raises:
            InvalidDocument: The app's answer cannot be read.
            AnswerFailed: It is an error under a success status.
        """
        return jsontext.dumps(self._document(body))

    def decoder(self) -> StreamDecoder | None:
        """A decoder of the app's stream; None where an answer cannot be one."""
        return None

    def encoder(self) -> StreamEncoder:
        """An encoder of the client's stream."""
        raise InvalidDocument("", "the answer is a stream")

    def folded(self, events: list[Event]) -> bytes:
        """A whole answer in the client's protocol from the app's stream."""
        raise InvalidDocument("", "the answer is a stream")


class GenerationAnswer(AnswerTranslation):
    """Translates what a model generated.

    Args:
        upstream: What the app speaks.
        client: What the client speaks.
        context: What the request's encoder wants its answer to know.
        streams: Whether the client asked for a stream; an app that answers otherwise is folded or unfolded.
    """

    def __init__(self, upstream: Protocol, client: Protocol, context: Context, *, streams: bool) -> None:
        super().__init__(lambda body: self._encode(upstream.decode_response(body)))
        self._upstream = upstream
        self._client = client
        self._context = context
        self.streams = streams

    def _encode(self, response: Response) -> dict[str, Any]:
        if response.error is not UNSET:
            raise AnswerFailed(response.error)
        return self._client.encode_response(response, self._context).document

    def whole(self, body: dict[str, Any]) -> bytes:
        """A whole answer; as a stream when the client asked for one."""
        if not self.streams:
            return super().whole(body)
        response = self._upstream.decode_response(body)
        if response.error is not UNSET:
            raise AnswerFailed(response.error)
        return self.encoder().write(unfold(response))

    def decoder(self) -> StreamDecoder:
        """A decoder of the app's stream."""
        return self._upstream.stream_decoder()

    def encoder(self) -> StreamEncoder:
        """An encoder of the client's stream."""
        return self._client.stream_encoder(self._context)

    def folded(self, events: list[Event]) -> bytes:
        """A whole answer from the app's stream."""
        return jsontext.dumps(self._encode(self._upstream.fold(events)))


class _State(Enum):
    WAITING = "waiting"  # for the app's start
    BUFFERING = "buffering"  # a whole answer or an error
    HOLDING = "holding"  # a stream that has said nothing yet
    STREAMING = "streaming"  # the client has heard its beginning
    DONE = "done"  # the client has all


class Answer:
    """The ``send`` of one translated request.

    Args:
        send: The client's.
        upstream: What the app speaks.
        client: What the client speaks.
        translation: What becomes of the answer.
        limit: Bytes of a whole answer.
        headers: Further headers of a good answer.
    """

    def __init__(
        self,
        send: Send,
        upstream: Protocol,
        client: Protocol,
        translation: AnswerTranslation,
        *,
        limit: int,
        headers: tuple[tuple[bytes, bytes], ...],
    ) -> None:
        self._send = send
        self._upstream = upstream
        self._client = client
        self._translation = translation
        self._limit = limit
        self._extra = headers
        self._state = _State.WAITING
        self._status = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._parts: list[bytes] = []
        self._size = 0
        self._decoder: StreamDecoder | None = None
        self._encoder: StreamEncoder | None = None
        self._events: list[Event] = []

    async def send(self, message: Message) -> None:
        """Take one ASGI message of the app."""
        if message["type"] == "http.response.body":
            body = message.get("body", b"")
            more = message.get("more_body", False)
            if self._state is _State.STREAMING or self._state is _State.HOLDING:
                await self._stream(body, more=more)
            elif self._state is _State.BUFFERING:
                await self._buffer(body, more=more)
        elif message["type"] == "http.response.start" and self._state is _State.WAITING:
            self._start(message)

    def _start(self, message: Message) -> None:
        self._status = message["status"]
        self._headers = list(message.get("headers", ()))
        self._state = _State.BUFFERING
        if self._status < 400 and _media_type(self._headers) == self._upstream.stream_type:
            self._decoder = self._translation.decoder()
            if self._decoder is not None:
                self._state = _State.HOLDING
                if self._translation.streams:
                    self._encoder = self._translation.encoder()

    async def _stream(self, body: bytes, *, more: bool) -> None:
        assert self._decoder is not None
        events = self._decoder.feed(body) if body else []
        if not more:
            events += self._decoder.close()
        await self._pass_on(events, more=more)

    async def _pass_on(self, events: list[Event], *, more: bool) -> None:
        encoder = self._encoder
        if encoder is None:
            self._events += events
            if not more:
                await self._finish(lambda: self._translation.folded(self._events))
            return
        if self._state is _State.HOLDING:
            if events and isinstance(events[-1], Error) and not _says_content(events):
                await self._fail(events[-1].failure)
                return
            data = encoder.write(events)
            if not data and more:
                return
            self._state = _State.STREAMING
            await self._send({"type": "http.response.start", "status": 200, "headers": self._stream_headers()})
        else:
            data = encoder.write(events)
        if not more:
            self._state = _State.DONE
        if data or not more:
            await self._send({"type": "http.response.body", "body": data, "more_body": more})

    async def _buffer(self, body: bytes, *, more: bool) -> None:
        if body:
            self._size += len(body)
            if self._size > (self._limit if self._status < 400 else _MAX_ERROR_BODY):
                if self._status < 400:
                    await self._fail(_bad_gateway("the upstream's answer is too large to be translated"))
                    return
            else:
                self._parts.append(body)
        if more:
            return
        whole = b"".join(self._parts)
        if self._status >= 400:
            failure = self._upstream.decode_error(self._status, decode(self._headers), whole)
            await self._fail(failure)
        elif self._status >= 300:
            await self._fail(_bad_gateway(f"the upstream answered {self._status}"))
        else:
            await self._finish(lambda: self._translation.whole(self._upstream.parse(whole)))

    async def _finish(self, translate: Callable[[], bytes]) -> None:
        try:
            data = translate()
        except AnswerFailed as error:
            await self._fail(error.failure)
        except InvalidDocument as error:
            await self._fail(_bad_gateway(f"the upstream's answer cannot be read: {error}"))
        else:
            self._state = _State.DONE
            if self._translation.streams:
                headers = self._stream_headers()
            else:
                headers = [*self._kept(), _JSON, (b"content-length", b"%d" % len(data)), *self._extra]
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})
            await self._send({"type": "http.response.body", "body": data, "more_body": False})

    async def _fail(self, failure: Failure) -> None:
        self._state = _State.DONE
        wire = self._client.encode_error(failure)
        names = {name for name, _ in wire.headers}
        kept = [header for header in self._kept() if header[0] not in names]
        await respond(self._send, status=wire.status, document=wire.document, headers=(*kept, *wire.headers))

    async def broke(self, error: Exception) -> bool:
        """The app raised.

        Returns:
            Whether the client has been told and the exception is dealt with; False: it must go on.
        """
        if isinstance(error, (ClientGone, BodyTooLarge)):
            return False
        if self._state is _State.WAITING and not isinstance(error, BrokenStream):
            return False
        if self._state is not _State.DONE:
            await self._cut()
        return isinstance(error, BrokenStream)

    async def ended(self) -> None:
        """The app returned; an answer that it did not finish was cut."""
        if self._state is not _State.DONE:
            await self._cut()

    async def _cut(self) -> None:
        failure = Failure(kind=FailureKind.TRUNCATED, message="the upstream broke off before its answer was complete")
        if self._state is _State.STREAMING:
            events = self._decoder.close() if self._decoder is not None else []
            if not (events and isinstance(events[-1], Error)):
                events = [Error(failure)]
            await self._pass_on(events, more=False)
        else:
            await self._fail(failure)

    def _kept(self) -> list[tuple[bytes, bytes]]:
        return [(name.lower(), value) for name, value in self._headers if name.lower() not in _BODY_HEADERS]

    def _stream_headers(self) -> list[tuple[bytes, bytes]]:
        own = (b"cache-control", b"x-accel-buffering")
        kept = [header for header in self._kept() if header[0] not in own]
        return [
            *kept,
            (b"content-type", self._client.stream_type.encode("ascii")),
            (b"cache-control", b"no-cache"),
            (b"x-accel-buffering", b"no"),
            *self._extra,
        ]


def _media_type(headers: list[tuple[bytes, bytes]]) -> str:
    for name, value in headers:
        if name.lower() == b"content-type":
            return value.split(b";", 1)[0].strip().lower().decode("latin-1")
    return ""


def _says_content(events: list[Event]) -> bool:
    return any(type(event).__name__ in ("Delta", "Set", "StopEvent") for event in events)


def _bad_gateway(message: str) -> Failure:
    return Failure(kind=FailureKind.BAD_GATEWAY, status=502, message=message)
