"""Answers on their way back: taken as the app sends them, given to the client in its own protocol.

`Answer` is the ``send`` of one request. Nothing is said to the client before it is known whether the answer is one: a
stream's start and its lifecycle frames wait for the first content, so a stream that begins with an error becomes a
true error status. Only where a part beneath begins early to keep the connection (`facts.KeptAlive`), so do we, in the
client's own words; what is kept waits on.

| state | the app's body | the app ends too early |
|---|---|---|
| WAITING | dropped: there was no start | error status |
| WHOLE | kept, translated at its end | error status |
| FOLDING | decoded and kept, folded at its end | error status |
| HELD | encoded and kept until content comes | error status; the error event if the stream was begun |
| STREAMING | decoded, encoded, sent | the client protocol's error event, unless its end has come already |
| DONE | dropped | nothing |
| GIVEN_UP | refused: ClientGone stops the app | nothing |
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from enum import Enum
from typing import TypeVar

from ..asgi.coding import BadCoding, Inflate
from ..asgi.facts import KeptAlive
from ..asgi.headers import RawHeaders, decode, find, media_type, readable_type
from ..asgi.respond import respond
from ..asgi.types import Message, Send
from ..errors import BrokenStream, ClientGone, InvalidDocument, TransportError
from ..protocols.alive import keep_alive_of
from ..protocols.base import Protocol, StreamDecoder
from ..universal.events import Error, Event
from ..universal.failure import Failure
from ..universal.loss import Loss
from .commit import says_content
from .failures import bad_gateway, failure_of, truncated
from .headers import document_headers, error_headers, stream_headers
from .transcoder import Transcoder
from .translation import Companion, Embedding, Generation, PlainGeneration

__all__ = ["MAX_ERROR_BODY", "MAX_HELD", "Answer"]

MAX_ERROR_BODY = 1024 * 1024
"""Bytes of an error answer that are read; the rest is dropped."""

MAX_HELD = 256 * 1024
"""Bytes of lifecycle frames and keep-alives that wait for content before they are sent all the same."""

_ABSENT = (404, 405, 501)  # statuses of a server that lacks an operation

Given = TypeVar("Given")


class _State(Enum):
    WAITING = "waiting"
    WHOLE = "whole"
    FOLDING = "folding"
    HELD = "held"
    STREAMING = "streaming"
    DONE = "done"
    GIVEN_UP = "given_up"


class Answer:
    """The ``send`` of one translated request.

    Args:
        send: The client's.
        upstream: What the app speaks.
        client: What the client speaks.
        translation: What becomes of the answer.
        limit: Bytes of a whole answer.
        headers: Further headers of a good answer.
        otherwise: Answers the client where the app has no such operation; tells whether it did.
    """

    __slots__ = (
        "_begun",
        "_client",
        "_decoder",
        "_events",
        "_extra",
        "_headers",
        "_inflate",
        "_keep_alive",
        "_kept",
        "_limit",
        "_otherwise",
        "_send",
        "_size",
        "_state",
        "_status",
        "_telling",
        "_transcoder",
        "_translation",
        "_upstream",
    )

    def __init__(
        self,
        send: Send,
        upstream: Protocol,
        client: Protocol,
        translation: Companion | Embedding | Generation | PlainGeneration,
        *,
        limit: int,
        headers: Sequence[tuple[bytes, bytes]] = (),
        otherwise: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        self._otherwise = otherwise
        self._send = send
        self._upstream = upstream
        self._client = client
        self._translation = translation
        self._limit = limit
        self._extra = headers
        self._state = _State.WAITING
        self._telling = False
        self._begun = False  # whether the client's stream was begun though nothing of its answer is known
        self._keep_alive = False  # whether the message that comes only keeps the connection
        self._status = 0
        self._headers: RawHeaders = []
        self._inflate: Inflate | None = None
        self._size = 0
        self._kept: list[bytes] = []
        self._events: list[Event] = []
        self._decoder: StreamDecoder | None = None
        self._transcoder: Transcoder | None = None

    @property
    def complete(self) -> bool:
        """Whether the client has all that it will get."""
        return self._state is _State.DONE or self._state is _State.GIVEN_UP

    @property
    def losses(self) -> Sequence[Loss]:
        """What the answer does not say; nothing before it was translated."""
        return self._translation.losses

    def observe(self, fact: object) -> None:
        """Hear of a fact; to be registered with the exchange where the client's stream can be kept alive."""
        if type(fact) is KeptAlive:
            self._keep_alive = True

    async def __call__(self, message: Message) -> None:
        """Take one ASGI message of the app.

        Raises:
            ClientGone: The answer was refused already; there is nobody to go on for.
        """
        kind = message["type"]
        if kind == "http.response.body":
            body = message.get("body", b"")
            more = message.get("more_body", False)
            if self._keep_alive and self._says_nothing(body):
                await self._say_nothing()
            elif self._inflate is not None:
                await self._inflated(self._inflate, body, more=more)
            elif self._state is _State.STREAMING:  # every delta comes along here
                await self._stream(body, more=more)
            elif self._state is _State.WHOLE:
                await self._keep(body, more=more)
            else:
                await self._body(body, more=more)
        elif kind == "http.response.start" and self._state is _State.WAITING:
            await self._start(message)

    async def broke(self, error: Exception) -> bool:
        """The app raised; tell the client, if it may still be told.

        Returns:
            Whether that is all there is to do; False: the exception must go on.
        """
        if self._telling:
            return False  # the client's own send raised, not the app
        if not self.complete:
            await self._cut(failure_of(error, started=self._state is not _State.WAITING))
        return isinstance(error, (BrokenStream, TransportError))

    async def ended(self) -> None:
        """The app returned; an answer that it did not finish was cut."""
        if self._state is _State.WAITING:
            await self._fail(bad_gateway("the upstream did not answer"))
        elif not self.complete:
            await self._cut(truncated())

    async def _start(self, message: Message) -> None:
        self._status = message["status"]
        self._headers = [(bytes(name).lower(), bytes(value)) for name, value in message.get("headers", ())]
        readable = readable_type(self._headers)
        self._state = self._state_of_start(media_type(self._headers) if readable is None else readable)
        if readable is None:
            coding = (find(self._headers, b"content-encoding") or b"").strip().lower()
            try:
                self._inflate = None if coding == b"identity" else Inflate(coding.decode("latin-1"))
            except BadCoding as error:
                await self._unreadable(str(error))

    def _state_of_start(self, kind: bytes) -> _State:
        streamed = self._status < 300 and kind.decode("latin-1") == self._upstream.stream_type()
        if not streamed or isinstance(self._translation, (Companion, Embedding)):
            return _State.WHOLE
        if isinstance(self._translation, PlainGeneration):
            self._translation = self._translation.long()
        generation = self._translation
        if not generation.streams:
            self._decoder = generation.decoder()
            return _State.FOLDING
        self._transcoder = Transcoder(generation.decoder(), generation.encoder())
        return _State.HELD

    def _says_nothing(self, body: bytes) -> bool:
        self._keep_alive = False  # who noted it may stand behind another part, which holds it back
        return body == keep_alive_of(self._upstream)

    async def _say_nothing(self) -> None:
        if self._state is not _State.HELD and self._state is not _State.STREAMING:
            return
        if self._state is _State.HELD:
            await self._begin()
        await self._say(keep_alive_of(self._client), more=True)

    async def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            await self._tell_start(stream_headers(self._headers, self._stream_type))

    async def _inflated(self, inflate: Inflate, body: bytes, *, more: bool) -> None:
        try:
            for piece in inflate.pieces(body):
                await self._body(piece, more=True)
        except BadCoding as error:
            await self._unreadable(str(error))
            return
        if not more:
            await self._body(b"", more=False)

    async def _unreadable(self, problem: str) -> None:
        if self.complete:
            return
        if self._status >= 400:  # the status alone says what went wrong
            await self._fail(self._upstream.decode_error(self._status, decode(self._headers), b""))
        else:
            await self._cut(bad_gateway(f"the upstream answered with {problem}"))
        self._state = _State.GIVEN_UP

    async def _body(self, body: bytes, *, more: bool) -> None:
        match self._state:
            case _State.STREAMING:
                await self._stream(body, more=more)
            case _State.HELD:
                await self._hold(body, more=more)
            case _State.FOLDING:
                await self._collect(body, more=more)
            case _State.WHOLE:
                await self._keep(body, more=more)
            case _State.GIVEN_UP:
                raise ClientGone
            case _State.WAITING | _State.DONE:
                pass

    async def _stream(self, body: bytes, *, more: bool) -> None:
        assert self._transcoder is not None
        if more:
            data = self._transcoder.transcode(body)
        else:
            data = self._transcoder.encode(self._transcoder.decode(body, more=False))
        await self._say(data, more=more)

    async def _say(self, data: bytes, *, more: bool) -> None:
        if not more:
            self._state = _State.DONE
        if data or not more:
            self._telling = True
            await self._send({"type": "http.response.body", "body": data, "more_body": more})
            self._telling = False

    async def _hold(self, body: bytes, *, more: bool) -> None:
        assert self._transcoder is not None
        events = self._transcoder.decode(body, more=more)
        committed = any(map(says_content, events))
        if not committed and not self._begun and events and type(events[-1]) is Error:
            await self._fail(events[-1].failure)
            return
        data = self._transcoder.encode(events)
        if data:
            self._size += len(data)
            self._kept.append(data)
        if committed or self._size > MAX_HELD or self._transcoder.terminal:
            self._state = _State.STREAMING
            held, self._kept = b"".join(self._kept), []
            await self._begin()
            await self._say(held, more=more)

    async def _collect(self, body: bytes, *, more: bool) -> None:
        generation = self._translation
        assert self._decoder is not None
        assert isinstance(generation, Generation)
        self._size += len(body)
        if self._size > self._limit:
            await self._too_large()
            return
        self._events += self._decoder.feed(body)
        if not more:
            self._events += self._decoder.close()
            await self._finish(generation.folded, self._events)

    async def _keep(self, body: bytes, *, more: bool) -> None:
        if self._status < 400:
            self._size += len(body)
            if self._size > self._limit:
                await self._too_large()
                return
            self._kept.append(body)
        elif self._size < MAX_ERROR_BODY:
            self._kept.append(body[: MAX_ERROR_BODY - self._size])
            self._size += len(body)
        if more:
            return
        whole, self._kept = b"".join(self._kept), []
        if self._status < 300:
            await self._finish(self._whole, whole)
        elif self._status < 400:
            await self._fail(bad_gateway(f"the upstream answered with a redirect ({self._status})"))
        elif self._otherwise is None or not self._lacks_it(whole) or not await self._replaced(self._otherwise):
            await self._fail(self._upstream.decode_error(self._status, decode(self._headers), whole))

    def _lacks_it(self, body: bytes) -> bool:
        """Whether the app lacks the operation; a 404 that speaks of a model is about the model."""
        return self._status in _ABSENT and b"model" not in body.lower()

    async def _replaced(self, otherwise: Callable[[], Awaitable[bool]]) -> bool:
        self._telling = True
        replaced = await otherwise()
        self._telling = False
        if replaced:
            self._state = _State.DONE
        return replaced

    def _whole(self, body: bytes) -> bytes | Failure:
        if isinstance(self._translation, PlainGeneration):
            told = self._translation.short(body)
            if told is not None:
                return told
            self._translation = self._translation.long()
        return self._translation.whole(self._upstream.parse(body))

    async def _too_large(self) -> None:
        self._kept, self._events = [], []
        await self._fail(bad_gateway(f"the upstream's answer is over the limit of {self._limit} bytes"))
        self._state = _State.GIVEN_UP

    async def _finish(self, translate: Callable[[Given], bytes | Failure], given: Given) -> None:
        try:
            body = translate(given)
        except InvalidDocument as error:
            body = bad_gateway(f"the upstream's answer cannot be read: {error}")
        if isinstance(body, Failure):
            await self._fail(body)
            return
        if self._translation.streams:
            headers = stream_headers(self._headers, self._stream_type)
        else:
            headers = document_headers(self._headers, len(body))
        await self._tell_start(headers)
        await self._say(body, more=False)

    async def _fail(self, failure: Failure) -> None:
        self._state = _State.DONE
        wire = self._client.encode_error(failure)
        headers = error_headers(self._headers, wire.headers, succeeded=self._status < 400)
        self._telling = True
        await respond(self._send, status=wire.status, document=wire.document, headers=headers)
        self._telling = False

    async def _cut(self, failure: Failure) -> None:
        """End what the app did not: by an error status, or by an error event when the client heard a beginning."""
        if (self._state is _State.STREAMING or self._begun) and self._transcoder is not None:
            await self._say(b"".join((*self._kept, self._transcoder.cut(failure))), more=False)
        else:
            await self._fail(failure)

    @property
    def _stream_type(self) -> str:
        """The content-type of the client's stream."""
        assert isinstance(self._translation, Generation)
        return self._translation.stream_type

    async def _tell_start(self, headers: RawHeaders) -> None:
        self._telling = True
        await self._send({"type": "http.response.start", "status": 200, "headers": [*headers, *self._extra]})
        self._telling = False
