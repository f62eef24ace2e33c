"""A streaming ASGI test client without sockets, servers or buffers, on asyncio and trio.

::

    async with Driver(app).open("POST", "/v1/messages", json=document) as response:
        assert response.status == 200
        async for chunk in response:      # chunk n is here before chunk n+1 is made
            ...
            await response.disconnect()   # the app's receive() says http.disconnect
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self
from urllib.parse import unquote

import anyio
from msgspec import Struct

from ..asgi.headers import find
from ..asgi.types import ASGIApp
from ..asgi.unwrapped import unwrapped
from ..errors import ClientGone
from ..universal import jsontext
from .wire import BrokenResponse, NoResponse, RawHeaders, Wire

__all__ = ["GRACE", "Answer", "Driver", "Response"]

GRACE = 1.0
"""Seconds that an app gets to end after its client has left, before it is cancelled."""

_GONE = (ClientGone, OSError)

Body = bytes | Iterable[bytes] | AsyncIterable[bytes]
Headers = Mapping[str, str] | Iterable[tuple[bytes, bytes]]


class Answer(Struct, frozen=True, kw_only=True):
    """A response that was read to its end.

    Attributes:
        status: HTTP status.
        headers: As the app sent them.
        body: All parts of the body, joined.
        complete: False when the app ended before its last body message.
    """

    status: int
    headers: RawHeaders
    body: bytes
    complete: bool

    def header(self, name: str) -> str | None:
        """The first value of a header, or None."""
        value = find(self.headers, name.lower().encode("latin-1"))
        return None if value is None else value.decode("latin-1")

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            InvalidDocument: It is none.
        """
        return jsontext.loads(self.body)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()


class Response:
    """A response that has started; iterate over it for the body's parts as the app sends them.

    ``await anext(response)`` takes one part.

    Attributes:
        status: HTTP status.
        headers: As the app sent them.
    """

    def __init__(self, wire: Wire, status: int, headers: RawHeaders) -> None:
        self._wire = wire
        self.status = status
        self.headers = headers

    @property
    def complete(self) -> bool:
        """Whether the app has sent its last body message."""
        return self._wire.complete

    def __aiter__(self) -> Self:
        """Give itself."""
        return self

    async def __anext__(self) -> bytes:
        """Take the next part; empty ones are left out.

        Raises:
            BrokenResponse: The app ended before its last body message.
        """
        chunk = await self._wire.chunk()
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    async def disconnect(self) -> None:
        """Leave; the app is told, and gets the chance to act on it."""
        self._wire.leave()
        await anyio.lowlevel.checkpoint()

    async def read(self) -> Answer:
        """Read what is left; a body that breaks off is told by ``complete``."""
        parts = []
        try:
            async for chunk in self:
                parts.append(chunk)  # noqa: PERF401 - what came before a break must be kept
        except BrokenResponse:
            pass
        return Answer(status=self.status, headers=self.headers, body=b"".join(parts), complete=self.complete)


class Driver:
    """Makes requests to an app.

    Args:
        app: The app.
        root_path: Where it is mounted; it is put before the path, as frameworks and the specification have it.
        headers: Sent with every request.
        scope: Further members of every scope.
    """

    def __init__(
        self, app: ASGIApp, *, root_path: str = "", headers: Headers = (), scope: Mapping[str, Any] | None = None
    ) -> None:
        self._app = app
        self._root_path = root_path
        self._headers = _raw(headers)
        self._extra = dict(scope or {})

    @asynccontextmanager
    async def open(
        self,
        method: str,
        path: str,
        *,
        headers: Headers = (),
        body: Body = b"",
        json: Any = None,
        scope: Mapping[str, Any] | None = None,
    ) -> AsyncIterator[Response]:
        """Make a request and give its response as soon as it has started.

        On leaving, the client disconnects if the response is not complete, and the app gets `GRACE` seconds to end.

        Args:
            method: ``"POST"``.
            path: Percent-encoded, with a query after ``?`` if there is one.
            headers: Headers; ``host`` is added.
            body: The body, whole or in parts; each part is one ``http.request`` message.
            json: A JSON value for the body, instead of `body`.
            scope: Further members of the scope.

        Yields:
            The response.

        Raises:
            NoResponse: The app returned without a start. What the app raised comes out as it is when the response
                could not tell of it (as BrokenResponse): before its start, after its end, and after the client left,
                then without ClientGone and OSError.
        """
        raw = [*self._headers, *_raw(headers)]
        if json is not None:
            body = jsontext.dumps(json)
            if find(raw, b"content-type") is None:
                raw.append((b"content-type", b"application/json"))
        wire = Wire(self._app, self._scope(method, path, raw, scope), _parts(body))
        with unwrapped():
            async with anyio.create_task_group() as group:
                group.start_soon(wire.run)
                try:
                    yield await _started(wire)
                finally:
                    wire.leave()
                group.cancel_scope.deadline = anyio.current_time() + GRACE
        if wire.error is not None and not wire.told and not (wire.left and isinstance(wire.error, _GONE)):
            raise wire.error

    async def request(
        self,
        method: str,
        path: str,
        *,
        headers: Headers = (),
        body: Body = b"",
        json: Any = None,
        scope: Mapping[str, Any] | None = None,
    ) -> Answer:
        """Make a request and read its response to the end; arguments and exceptions as for `open`."""
        async with self.open(method, path, headers=headers, body=body, json=json, scope=scope) as response:
            return await response.read()
        raise AssertionError("unreachable")

    def _scope(self, method: str, path: str, headers: RawHeaders, extra: Mapping[str, Any] | None) -> dict[str, Any]:
        target, _, query = path.partition("?")
        target = self._root_path + target
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(target),
            "raw_path": target.encode("ascii"),
            "query_string": query.encode("ascii"),
            "root_path": self._root_path,
            "headers": headers if find(headers, b"host") is not None else [(b"host", b"testserver"), *headers],
            "client": ("127.0.0.1", 50000),
            "server": ("testserver", 80),
            **self._extra,
            **(extra or {}),
        }


async def _started(wire: Wire) -> Response:
    try:
        status, headers = await wire.start()
    except NoResponse:
        if wire.error is not None:
            raise wire.error from None
        raise
    return Response(wire, status, headers)


def _raw(headers: Headers) -> list[tuple[bytes, bytes]]:
    if isinstance(headers, Mapping):
        return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    return [(name.lower(), value) for name, value in headers]


async def _parts(body: Body) -> AsyncIterator[bytes]:
    if isinstance(body, bytes):
        if body:
            yield body
    elif isinstance(body, Iterable):
        for part in body:
            yield part
    else:
        async for part in body:
            yield part
