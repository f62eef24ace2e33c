"""The Responses API over a websocket: requests as messages, and the events of their streams as messages.

https://developers.openai.com/api/docs/guides/websocket-mode and the openai 3.54 SDK (read 2026-11-28).

| the client sends | it gets |
|---|---|
| ``{"type": "response.create", …}``, a request beside the type or in ``response`` | the events of a stream |
| the same with ``stream_id`` | the same, each with it; other lanes go on beside |
| anything else | an ``error`` event; the connection stays open |

In a lane one response is made after the other. Errors are ``{"type": "error", "status": 400, "error": {…}}``.
"""

from __future__ import annotations

import logging
from typing import Final

import anyio
import anyio.abc
from anyio.streams.memory import MemoryObjectSendStream

from ..asgi.body import Replay
from ..asgi.headers import HOP_BY_HOP, media_type
from ..asgi.socket_data import data_of
from ..asgi.types import Message, Receive, Scope, Send
from ..asgi.unwrapped import unwrapped
from ..errors import InvalidDocument
from ..framing.sse import SseParser
from ..universal import jsontext
from .answer import EVENT_STREAM
from .connection import Connection
from .members import NULL, joined, members, value
from .refusal import Refused, bad_gateway, invalid, misread, overloaded, too_large
from .request import CreateRequest
from .settings import Settings

__all__ = ["MAX_LANES", "MAX_WAITING", "Session"]

MAX_LANES: Final = 16
"""How many responses one connection may have made at a time."""

MAX_WAITING: Final = 32
"""How many requests may wait in a lane."""

_CREATE: Final = "response.create"
_STEER: Final = "response.steer"
_ENVELOPE: Final = ("type", "stream_id")
_MAX_ERROR: Final = 1024 * 1024

_logger = logging.getLogger("ds2api_asgi.stateful")


class Session:
    """One connection.

    Args:
        settings: The part's.
        client: Whose it is.
        scope: The ``websocket`` scope.
        receive: The connection's.
        send: The connection's.
    """

    def __init__(self, settings: Settings, client: str, scope: Scope, receive: Receive, send: Send) -> None:
        self._settings = settings
        self._client = client
        self._scope = scope
        self._receive = receive
        self._send = send
        self._connection = Connection(settings.store)
        self._turn = anyio.Lock()  # lanes speak one at a time
        self._lanes: dict[bytes | None, MemoryObjectSendStream[dict[str, bytes]]] = {}

    async def run(self) -> None:
        """Serve it until the client leaves; what is being made for it then stops."""
        if (await self._receive())["type"] != "websocket.connect":
            return
        await self._send({"type": "websocket.accept"})
        with unwrapped():
            async with anyio.create_task_group() as group:
                try:
                    while (message := await self._receive())["type"] != "websocket.disconnect":
                        await self._take(message, group)
                finally:
                    group.cancel_scope.cancel()
                    for lane in self._lanes.values():
                        lane.close()

    async def _take(self, message: Message, group: anyio.abc.TaskGroup) -> None:
        data = data_of(message)
        lane: bytes | None = None
        try:
            if len(data) > self._settings.max_body:
                raise too_large(f"the message is over the limit of {self._settings.max_body} bytes")
            event = members(data)
            lane = _lane_of(event)
            await self._put(lane, _request_of(event), group)
        except InvalidDocument as error:
            await self.tell(misread(error), lane)
        except Refused as refused:
            await self.tell(refused, lane)

    async def _put(self, lane: bytes | None, request: dict[str, bytes], group: anyio.abc.TaskGroup) -> None:
        if lane not in self._lanes:
            if len(self._lanes) >= MAX_LANES:
                raise overloaded(f"this connection has {MAX_LANES} lanes already")
            give, take = anyio.create_memory_object_stream[dict[str, bytes]](MAX_WAITING)
            self._lanes[lane] = give
            group.start_soon(self._serve_lane, lane, take)
        try:
            self._lanes[lane].send_nowait(request)
        except anyio.WouldBlock:
            raise overloaded(f"{MAX_WAITING} requests are waiting already") from None

    async def _serve_lane(self, lane: bytes | None, requests: anyio.abc.ObjectReceiveStream[dict[str, bytes]]) -> None:
        async with requests:
            async for request in requests:
                await self._serve(request, lane)

    async def _serve(self, request: dict[str, bytes], lane: bytes | None) -> None:
        body = joined({**request, "stream": b"true"})
        answer = _Messages(self, lane, limit=self._settings.max_answer)
        create = CreateRequest(
            self._settings,
            self._client,
            self._http_scope(body),
            Replay(body, _stays),
            answer,
            generates=True,
            connection=self._connection,
        )
        try:
            await create.run()
        except Exception:
            _logger.exception("the app failed while it answered over a websocket")
            if not answer.told:
                await self.tell(bad_gateway("the app failed"), lane)

    def _http_scope(self, body: bytes) -> Scope:
        """The scope of a request with the connection's headers, credentials among them."""
        headers = [
            header
            for header in self._scope["headers"]
            if (name := header[0].lower()) not in HOP_BY_HOP
            and not name.startswith(b"sec-websocket-")
            and name not in (b"content-length", b"content-encoding")
        ]
        scheme = "https" if self._scope.get("scheme") == "wss" else "http"
        length = (b"content-length", b"%d" % len(body))
        scope: Scope = {
            **self._scope,
            "type": "http",
            "method": "POST",
            "scheme": scheme,
            "headers": [*headers, length],
        }
        scope.pop("subprotocols", None)
        scope.pop("extensions", None)
        scope.setdefault("http_version", "1.1")
        return scope

    async def tell(self, refused: Refused, lane: bytes | None) -> None:
        """Say that something went wrong."""
        await self.say(_error_message(refused.status, refused.document), lane)

    async def say(self, data: bytes, lane: bytes | None) -> None:
        """Send an event, under the name of its lane."""
        if lane is not None:
            data = joined({**members(data), "stream_id": lane})
        async with self._turn:
            await self._send({"type": "websocket.send", "text": data.decode("utf-8", "replace")})


class _Messages:
    """The ``send`` of one request: events become messages."""

    def __init__(self, session: Session, lane: bytes | None, *, limit: int) -> None:
        self.told = False
        self._session = session
        self._lane = lane
        self._parser = SseParser(max_line=limit, max_event=limit)
        self._status = 0
        self._streams = False
        self._error = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._streams = self._status < 300 and media_type(list(message["headers"])) == EVENT_STREAM
        elif message["type"] == "http.response.body":
            body = message.get("body", b"")
            more = message.get("more_body", False)
            if self._streams:
                await self._events(body, more=more)
            else:
                await self._failed(body, more=more)

    async def _events(self, body: bytes, *, more: bool) -> None:
        events = self._parser.feed(body)
        if not more:
            events += self._parser.close()
        for event in events:
            self.told = True
            try:
                await self._session.say(_nested(event.data), self._lane)
            except InvalidDocument:  # what is no object cannot be said to be of a lane
                continue

    async def _failed(self, body: bytes, *, more: bool) -> None:
        if len(self._error) < _MAX_ERROR:
            self._error += body
        if more:
            return
        self.told = True
        try:
            document = value(self._error)
        except InvalidDocument:
            document = None
        if type(document) is not dict or "error" not in document:
            document = bad_gateway("the app did not answer with a stream of events").document
        await self._session.say(_error_message(self._status, document), self._lane)


def _error_message(status: int, document: dict[str, object]) -> bytes:
    """An ``error`` event of this connection.

    Args:
        status: What would have been the HTTP status.
        document: An error document.
    """
    return jsontext.dumps({"type": "error", "status": status if status >= 400 else 502, "error": document["error"]})


def _nested(event: bytes) -> bytes:
    """An event; an error of a stream, which is flat there, as it is here."""
    if b'"error"' not in event:
        return event
    found = members(event)
    if "error" in found or value(found.get("type", NULL)) != "error":
        return event
    number = found.pop("sequence_number", NULL)
    error = {"type": b'"server_error"', **{name: text for name, text in found.items() if name != "type"}}
    return joined({"type": found["type"], "sequence_number": number, "error": joined(error)})


def _lane_of(event: dict[str, bytes]) -> bytes | None:
    lane = event.get("stream_id", NULL)
    if lane == NULL:
        return None
    if lane[:1] != b'"':
        raise InvalidDocument("stream_id", "must be a string")
    return lane


def _request_of(event: dict[str, bytes]) -> dict[str, bytes]:
    kind = value(event.get("type", NULL), "type")
    if kind == _STEER:
        raise invalid("steering is not supported here", param="type", code="steering_not_supported")
    if kind != _CREATE:
        raise invalid(f"type must be {_CREATE}", param="type")
    inner = event.get("response", NULL)
    if inner != NULL:
        return members(inner, "response")
    return {name: text for name, text in event.items() if name not in _ENVELOPE}


async def _stays() -> Message:
    """The rest of a request's ``receive``: who leaves cancels."""
    await anyio.sleep_forever()
    raise AssertionError("unreachable")
