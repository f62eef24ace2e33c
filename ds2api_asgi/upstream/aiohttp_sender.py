"""The fast sender (extra ``fast``): aiohttp's pool of connections, its parser and its reader, on asyncio only.

They come without aiohttp's session. It makes a request object, a response object and a task that writes for every
request, and looks for cookies, redirects, proxies and traces: two thirds of what a small request costs, and nothing of
it is wanted here (`sender`). What is left to do is little: write the request's bytes, read the answer's head, and give
the connection back at the end of its body.
"""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from functools import lru_cache, partial
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from ..errors import BrokenStream, TransportError
from .sender import KEEP_ALIVE, RACE_WINDOW, shared_ssl_context

__all__ = ["AiohttpAnswer", "AiohttpSender"]

READ_BUFFER = 64 * 1024
"""Bytes that aiohttp buffers of an answer (twice that) before it stops reading from the upstream."""

_TARGETS = 128  # that are remembered; clients choose paths, so there is a bound
_LARGE_BODY = 64 * 1024  # bytes from which a body is not copied to stand behind its headers
_VISIBLE = re.compile(r"[!-~]+")
_WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # methods of which a missing length says that, too

# Exception class -> (reason, whether the upstream may have begun to work); the first row that matches.
_UNSENT: tuple[tuple[type[Exception], str, bool], ...] = (
    (aiohttp.ClientSSLError, "tls", False),
    (aiohttp.ServerFingerprintMismatch, "tls", False),
    (ssl.SSLError, "tls", False),
    (aiohttp.ClientConnectorError, "connect", False),
    (aiohttp.InvalidURL, "protocol", False),
    (aiohttp.ServerDisconnectedError, "reset", True),
    (aiohttp.ClientConnectionError, "reset", True),
    (aiohttp.ClientError, "protocol", True),
    (HttpProcessingError, "protocol", True),
    (TimeoutError, "timeout", True),
    (OSError, "reset", True),
    (ValueError, "protocol", False),
)
_FOREIGN = (aiohttp.ClientError, HttpProcessingError, OSError, ValueError)
_RACE = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, aiohttp.ClientConnectionResetError)


class _Connection(ResponseHandler):
    """Takes nothing for an answer that nobody asked for, and ends a body whose connection is lost.

    aiohttp would keep what arrives on an idle connection, and give it to whoever asks next: somebody else's answer.
    After nonsense between two chunks aiohttp 3.14 would wait on.
    """

    asked = False

    def data_received(self, data: bytes) -> None:
        if self.asked:
            super().data_received(data)
        elif data.strip(b"\r\n"):  # RFC 9112, 9.2: no valid response, and nobody knows where the next one begins
            self.close()

    def connection_lost(self, exc: BaseException | None) -> None:
        payload = self._payload
        super().connection_lost(exc)
        if payload is not None and not payload.is_eof() and payload.exception() is None:
            payload.set_exception(aiohttp.ClientPayloadError("the body is no chunked encoding"))


class _Connector(aiohttp.TCPConnector):
    """Keeps apart what aiohttp has in one: a connection that was `used` before, and a new one (`connect`)."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory = partial(_Connection, loop=self._loop)  # type: ignore[assignment]

    async def used(self, key: Any) -> Connection | None:
        """An idle connection that is still alive and owes nothing, as far as one can tell."""
        while (connection := await super()._get(key, [])) is not None:
            protocol = connection.protocol
            if protocol is not None and not protocol.should_close:
                return connection
            connection.close()  # another answer came with the end of the last one
        return None

    async def _get(self, *_: Any) -> Connection | None:
        return None


class _Target:
    """Where requests go, as aiohttp wants to know it, and how they begin.

    Args:
        method: ``"POST"``.
        url: Absolute, percent-encoded.
        ssl_context: For ``https``; None: the shared one.

    Raises:
        ValueError: Nothing can be there.
    """

    __slots__ = ("key", "request", "start")

    def __init__(self, method: str, url: str, ssl_context: ssl.SSLContext | None) -> None:
        where = URL(url, encoded=True)
        verified = ssl_context or shared_ssl_context() if where.scheme == "https" else True
        self.request = request = aiohttp.ClientRequest(method, where, ssl=verified)
        self.key = request.connection_key
        asked, host = where.raw_path_qs, request.headers["Host"]
        if not _VISIBLE.fullmatch(asked) or not _VISIBLE.fullmatch(host):
            raise ValueError("an address holds a blank, a line break or what is not ASCII")
        self.start = f"{method} {asked} HTTP/1.1\r\nHost: {host}\r\n".encode("ascii")


class AiohttpSender:
    """Sends over aiohttp's connections.

    Args:
        connect_timeout: Seconds for DNS, and again for TCP and TLS.
        ssl_context: Whom to trust and as whom to appear; None: the shared one.

    Raises:
        RuntimeError: No asyncio event loop is running.
    """

    def __init__(self, *, connect_timeout: float = 5.0, ssl_context: ssl.SSLContext | None = None) -> None:
        self._connector = _Connector(limit=0, keepalive_timeout=KEEP_ALIVE)
        self._timeout = aiohttp.ClientTimeout(total=None, connect=connect_timeout, sock_connect=connect_timeout)
        self._target = lru_cache(maxsize=_TARGETS)(partial(_Target, ssl_context=ssl_context))

    async def send(self, method: str, url: str, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> AiohttpAnswer:
        """See `Sender.send`."""
        try:
            target = self._target(method, url)
            message = _message(target, method, headers, body)
            connection = await self._connector.used(target.key)
            if connection is not None:
                began = time.monotonic()
                try:
                    return await _exchange(connection, method, message)
                except _FOREIGN as error:
                    if not _may_be_race(error) or time.monotonic() - began > RACE_WINDOW:
                        raise
            return await _exchange(await self._connect(target), method, message)
        except _FOREIGN as error:
            raise _unsent(error) from error

    async def _connect(self, target: _Target) -> Connection:
        try:
            return await self._connector.connect(target.request, [], self._timeout)
        except TimeoutError as error:
            raise _no_answer("connect", processed=False) from error

    async def aclose(self) -> None:
        """Close all connections."""
        await self._connector.close()


class AiohttpAnswer:
    """See `UpstreamAnswer`."""

    __slots__ = ("_connection", "_content", "headers", "status")

    def __init__(
        self, connection: Connection, status: int, headers: Sequence[tuple[bytes, bytes]], content: aiohttp.StreamReader
    ) -> None:
        self.status = status
        self.headers = headers
        self._connection = connection
        self._content = content
        content.on_eof(partial(_give_back, connection))

    @property
    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives."""
        return self

    def __aiter__(self) -> AiohttpAnswer:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await self._content.readany()
        except _FOREIGN as error:
            reason = _broken(error)
            raise BrokenStream(reason, f"the upstream's answer broke off ({reason})") from error
        if not chunk:
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        """See `UpstreamAnswer.aclose`."""
        self._connection.close()  # unless it was given back already, at the end of the body


async def _exchange(connection: Connection, method: str, message: Sequence[bytes]) -> AiohttpAnswer:
    """Write a request and wait for the head of its answer."""
    protocol, transport = connection.protocol, connection.transport
    if not isinstance(protocol, _Connection) or transport is None:
        raise aiohttp.ClientConnectionResetError("the connection was closed at once")
    protocol.asked = True
    try:
        protocol.set_response_params(
            skip_payload=method == "HEAD", read_until_eof=True, auto_decompress=False, read_bufsize=READ_BUFFER
        )
        transport.writelines(message)
        while True:
            head, content = await protocol.read()
            if head.code == 101:
                raise aiohttp.ClientError("it switched to a protocol that nobody asked for")  # noqa: TRY301
            if not 100 <= head.code <= 199:
                return AiohttpAnswer(connection, head.code, head.raw_headers, content)
    except BaseException:
        connection.close()
        raise


def _give_back(connection: Connection) -> None:
    """The body has ended: the connection may serve again, unless the request is still on its way."""
    protocol, transport = connection.protocol, connection.transport
    if isinstance(protocol, _Connection):
        protocol.asked = False
    if transport is not None and transport.get_write_buffer_size():
        connection.close()
    else:
        connection.release()


def _message(target: _Target, method: str, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> list[bytes]:
    """The bytes of a request.

    Raises:
        ValueError: A header would make another one, or another request.
    """
    fields = b"".join([b"%b: %b\r\n" % field for field in headers])
    if fields.count(b"\n") != len(headers) or fields.count(b"\r") != len(headers) or b"\0" in fields:
        raise ValueError("a header holds a line break or NUL")
    length = b"Content-Length: %d\r\n\r\n" % len(body) if body or method not in _WITHOUT_BODY else b"\r\n"
    if len(body) < _LARGE_BODY:
        return [b"".join((target.start, fields, length, body))]
    return [b"".join((target.start, fields, length)), body]


def _may_be_race(error: Exception) -> bool:
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return isinstance(error.message, str)  # otherwise the part of a response that had arrived
    return isinstance(error, _RACE)


def _unsent(error: Exception) -> TransportError:
    reason, processed = next((reason, processed) for kind, reason, processed in _UNSENT if isinstance(error, kind))
    return _no_answer(reason, processed=processed)


def _no_answer(reason: str, *, processed: bool) -> TransportError:
    return TransportError(reason, f"no answer from the upstream ({reason})", processed=processed)


def _broken(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "idle"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "reset" if isinstance(error.__cause__, OSError) else "truncated"
    return "reset"
