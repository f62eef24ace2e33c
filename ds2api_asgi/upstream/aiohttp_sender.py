"""The fast sender (extra ``fast``): aiohttp, at a quarter of httpx2's CPU and with a pool that does not slow down.

Only on asyncio.
"""

from __future__ import annotations

import io
import ssl
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextvars import ContextVar
from functools import lru_cache, partial
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from multidict import CIMultiDict
from yarl import URL

from ..errors import BrokenStream, TransportError
from .sender import KEEP_ALIVE, RACE_WINDOW, shared_ssl_context

__all__ = ["AiohttpAnswer", "AiohttpSender"]

READ_BUFFER = 64 * 1024
"""Bytes that aiohttp buffers of an answer (twice that) before it stops reading from the upstream."""

_URLS = 128  # that are kept parsed
_LARGE_BODY = 1024 * 1024  # bytes from which aiohttp wants a body written in pieces

# Exception class -> (reason, whether the upstream may have begun to work); the first row that matches.
_UNSENT: tuple[tuple[type[Exception], str, bool], ...] = (
    (aiohttp.ConnectionTimeoutError, "connect", False),
    (aiohttp.ClientSSLError, "tls", False),
    (aiohttp.ServerFingerprintMismatch, "tls", False),
    (ssl.SSLError, "tls", False),
    (aiohttp.ClientConnectorError, "connect", False),
    (aiohttp.InvalidURL, "protocol", False),
    (aiohttp.ServerTimeoutError, "timeout", True),
    (aiohttp.ServerDisconnectedError, "reset", True),
    (aiohttp.ClientConnectionError, "reset", True),
    (aiohttp.ClientError, "protocol", True),
    (TimeoutError, "timeout", True),
    (OSError, "reset", True),
    (ValueError, "protocol", False),
)
_FOREIGN = (aiohttp.ClientError, OSError, ValueError)
_RACE = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, aiohttp.ClientConnectionResetError)


class _Attempt:
    """What the connector tells the sender about one attempt, and the sender the connector."""

    __slots__ = ("fresh_only", "reused")

    def __init__(self, *, fresh_only: bool) -> None:
        self.fresh_only = fresh_only
        self.reused = False


_attempt: ContextVar[_Attempt] = ContextVar("ds2api_asgi.upstream.attempt")


class _Request(aiohttp.ClientRequest):
    """Has no headers but those it was given, ``host`` and ``content-length``."""

    _skip_auto_headers = CIMultiDict({"Content-Type": None})  # the one that belongs to the body

    def update_auto_headers(self, skip_auto_headers: Iterable[str] | None) -> None:
        """Add none."""


class _Connection(ResponseHandler):
    """Ends a body whose connection is lost; after nonsense between two chunks aiohttp 3.14 would wait on."""

    def connection_lost(self, exc: BaseException | None) -> None:
        payload = self._payload
        super().connection_lost(exc)
        if payload is not None and not payload.is_eof() and payload.exception() is None:
            payload.set_exception(aiohttp.ClientPayloadError("the body is no chunked encoding"))


class _Connector(aiohttp.TCPConnector):
    """Says whether a connection was reused, and makes a new one on request."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory = partial(_Connection, loop=self._loop)  # type: ignore[assignment]

    async def _get(self, key: Any, traces: Any) -> Any:
        attempt = _attempt.get()
        if attempt.fresh_only:
            return None
        connection = await super()._get(key, traces)
        attempt.reused = connection is not None
        return connection


class AiohttpSender:
    """Sends through aiohttp.

    Args:
        connect_timeout: Seconds for DNS, and again for TCP and TLS.

    Raises:
        RuntimeError: No asyncio event loop is running.
    """

    def __init__(self, *, connect_timeout: float = 5.0) -> None:
        self._session = aiohttp.ClientSession(
            connector=_Connector(limit=0, keepalive_timeout=KEEP_ALIVE),
            timeout=aiohttp.ClientTimeout(total=None, connect=connect_timeout, sock_connect=connect_timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            read_bufsize=READ_BUFFER,
            request_class=_Request,
            trust_env=False,
        )
        # A URL remembers what aiohttp asks of it, and most requests ask the same few URLs.
        self._target = lru_cache(maxsize=_URLS)(partial(URL, encoded=True))

    async def send(self, method: str, url: str, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> AiohttpAnswer:
        """See `Sender.send`."""
        target = self._target(url)
        fields = _text(headers)
        attempt = _Attempt(fresh_only=False)
        began = time.monotonic()
        try:
            return AiohttpAnswer(await self._send(method, target, fields, body, attempt))
        except _FOREIGN as error:
            race = attempt.reused and _may_be_race(error) and time.monotonic() - began <= RACE_WINDOW
            if not race:
                raise _unsent(error) from error
        try:
            return AiohttpAnswer(await self._send(method, target, fields, body, _Attempt(fresh_only=True)))
        except _FOREIGN as error:
            raise _unsent(error) from error

    async def _send(
        self, method: str, url: URL, headers: CIMultiDict[str], body: bytes, attempt: _Attempt
    ) -> aiohttp.ClientResponse:
        _attempt.set(attempt)
        return await self._session.request(
            method,
            url,
            data=(io.BytesIO(body) if len(body) > _LARGE_BODY else body) if body else None,
            headers=headers,
            allow_redirects=False,
            ssl=shared_ssl_context() if url.scheme == "https" else True,
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._session.close()


class AiohttpAnswer:
    """See `UpstreamAnswer`."""

    __slots__ = ("_content", "_response", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.status = response.status
        self.headers: Sequence[tuple[bytes, bytes]] = response.raw_headers
        self._response = response
        self._content = response.content

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
        if not self._response.closed:  # read to its end, it has given its connection back already
            self._response.close()


def _text(headers: Sequence[tuple[bytes, bytes]]) -> CIMultiDict[str]:
    # aiohttp writes headers as UTF-8.
    try:
        return CIMultiDict([(name.decode(), value.decode()) for name, value in headers])
    except UnicodeDecodeError:
        return CIMultiDict([(_utf8(name), _utf8(value)) for name, value in headers])


def _utf8(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _may_be_race(error: Exception) -> bool:
    if isinstance(error, aiohttp.ClientConnectorError):
        return False
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return isinstance(error.message, str)  # otherwise the part of a response that had arrived
    return isinstance(error, _RACE)


def _unsent(error: Exception) -> TransportError:
    reason, processed = next((reason, processed) for kind, reason, processed in _UNSENT if isinstance(error, kind))
    return TransportError(reason, f"no answer from the upstream ({reason})", processed=processed)


def _broken(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "idle"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "reset" if isinstance(error.__cause__, OSError) else "truncated"
    return "reset"
