"""The default sender: httpx2, or the httpx or httpx2 client that a user hands in.

The classes of httpx and httpx2 are unrelated but alike, so requests are built with the module that the client came
from, and exceptions are told apart by their names.
"""

from __future__ import annotations

import ssl
import sys
import time
from collections.abc import AsyncIterator, Sequence
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

from ..errors import BrokenStream, ConfigurationError, TransportError
from .sender import KEEP_ALIVE, RACE_WINDOW, shared_ssl_context

__all__ = ["HttpxAnswer", "HttpxSender"]

MAX_IDLE = 1000
"""Idle connections kept."""

_RACES = 4  # sends over reused connections: an upstream that restarts closes all of them at once

# Exception class -> (reason, whether the upstream may have begun to work); the first class of the MRO that is here.
_UNSENT = {
    "ConnectTimeout": ("connect", False),
    "ConnectError": ("connect", False),
    "ProxyError": ("connect", False),
    "PoolTimeout": ("pool", False),
    "UnsupportedProtocol": ("protocol", False),
    "LocalProtocolError": ("protocol", False),
    "InvalidURL": ("protocol", False),
    "WriteTimeout": ("write", True),
    "WriteError": ("write", True),
    "ReadTimeout": ("timeout", True),
    "ReadError": ("reset", True),
    "CloseError": ("reset", True),
    "RemoteProtocolError": ("protocol", True),
    "Exception": ("reset", True),
}
_BROKEN = {
    "ReadTimeout": "idle",
    "RemoteProtocolError": "truncated",
    "Exception": "reset",
}
_NO_ANSWER = "without sending a response"  # how both modules say that a connection ended before the first byte


class HttpxSender:
    """Sends through httpx2; works on asyncio and trio.

    Args:
        client: An ``AsyncClient`` of httpx or httpx2, which stays the caller's to close; None: one of our own.
        connect_timeout: Seconds to connect, TLS included.
        write_timeout: Seconds between two writes of a request.
        pool_timeout: Seconds to wait for a free connection; only a client with a bound of them waits at all.
        ssl_context: Whom our own client trusts and as whom it appears; None: the shared one.
        proxy: Address of a proxy for our own client; None: there is none.

    Raises:
        ConfigurationError: The client is none of httpx or httpx2.
    """

    def __init__(
        self,
        client: Any = None,
        *,
        connect_timeout: float = 5.0,
        write_timeout: float = 30.0,
        pool_timeout: float = 5.0,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | None = None,
    ) -> None:
        self._owned = client is None
        self._client = _new_client(ssl_context or shared_ssl_context(), proxy) if client is None else client
        self._httpx = _module_of(self._client)
        self._timeout = {"connect": connect_timeout, "read": None, "write": write_timeout, "pool": pool_timeout}
        self._foreign = (self._httpx.HTTPError, self._httpx.InvalidURL, self._httpx.StreamError, OSError)

    async def send(self, method: str, url: str, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> HttpxAnswer:
        """See `Sender.send`."""
        began = time.monotonic()
        for _ in range(_RACES):
            fresh = _Freshness()
            try:
                return HttpxAnswer(await self._send(method, url, headers, body, fresh), self._foreign)
            except self._foreign as error:
                if fresh.connected or not _may_be_race(error) or time.monotonic() - began > RACE_WINDOW:
                    raise _unsent(error) from error
        raise TransportError("reset", "no answer from the upstream (reset)", processed=True)

    async def _send(
        self, method: str, url: str, headers: Sequence[tuple[bytes, bytes]], body: bytes, fresh: _Freshness
    ) -> Any:
        request = self._httpx.Request(
            method, url, headers=headers, content=body, extensions={"timeout": self._timeout, "trace": fresh.trace}
        )
        if not body and method in ("GET", "HEAD"):
            request.headers.pop("content-length", None)
        response = await self._client.send(request, stream=True, follow_redirects=False)
        if response.status_code == 101:  # nobody asked for another protocol, and whoever passes it on invites to one
            await response.aclose()
            raise self._httpx.RemoteProtocolError("the upstream switched to another protocol")
        fresh.state = _state_of(response)
        return response

    async def aclose(self) -> None:
        """Close our own client; a user's client stays open."""
        if self._owned:
            await self._client.aclose()


class HttpxAnswer:
    """See `UpstreamAnswer`."""

    def __init__(self, response: Any, foreign: tuple[type[Exception], ...]) -> None:
        self.status: int = response.status_code
        self.headers: Sequence[tuple[bytes, bytes]] = response.headers.raw
        self._response = response
        self._foreign = foreign
        self._chunks = self._read()

    @property
    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives."""
        return self._chunks

    async def _read(self) -> AsyncIterator[bytes]:
        reads = self._response.aiter_raw()
        try:
            async for chunk in reads:
                if chunk:
                    yield chunk
        except self._foreign as error:
            reason = _lookup(_BROKEN, error)
            raise BrokenStream(reason, f"the upstream's answer broke off ({reason})") from error
        finally:
            await reads.aclose()

    async def aclose(self) -> None:
        """See `UpstreamAnswer.aclose`."""
        await self._chunks.aclose()  # type: ignore[attr-defined]
        await self._response.aclose()


class _Freshness:
    """Hears from the connection pool whether a connection was made for this request, and whether it may serve another.

    h11 keeps what came behind the end of an answer, and httpcore would give it to whoever asks next: somebody else's.

    Attributes:
        connected: Whether one was made.
        state: h11's of the connection; None: not known yet, or it has none.
    """

    def __init__(self) -> None:
        self.connected = False
        self.state: Any = None

    async def trace(self, event: str, _: Any) -> None:
        if event == "connection.connect_tcp.started":
            self.connected = True
        elif event == "http11.response_closed.started" and self._has_more():
            self.state.send_failed()  # httpcore closes such a connection

    def _has_more(self) -> bool:
        """Whether something came behind the answer, which nobody asked for (RFC 9112, 9.2)."""
        return self.state is not None and bool(self.state.trailing_data[0].strip(b"\r\n"))


def _state_of(response: Any) -> Any:
    """h11's state of the connection that an answer comes over, beneath what httpx and httpcore put around it."""
    found = response.stream
    for name in ("_stream", "_httpcore_stream", "_stream", "_connection", "_h11_state"):
        found = getattr(found, name, None)
    return found


def _new_client(ssl_context: ssl.SSLContext, proxy: str | None) -> Any:
    import httpx2

    return httpx2.AsyncClient(
        verify=ssl_context,
        proxy=proxy,
        trust_env=False,
        http2=False,
        limits=httpx2.Limits(max_connections=None, max_keepalive_connections=MAX_IDLE, keepalive_expiry=KEEP_ALIVE),
        cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
    )


def _module_of(client: Any) -> Any:
    for base in type(client).__mro__:
        root = base.__module__.partition(".")[0]
        if root in ("httpx", "httpx2"):
            return sys.modules[root]
    raise ConfigurationError(f"client must be an AsyncClient of httpx or httpx2, not {type(client).__name__}")


def _may_be_race(error: Exception) -> bool:
    names = {base.__name__ for base in type(error).__mro__}
    return bool(names & {"ReadError", "WriteError"}) or ("RemoteProtocolError" in names and _NO_ANSWER in str(error))


def _unsent(error: Exception) -> TransportError:
    reason, processed = _lookup(_UNSENT, error)
    if reason == "connect" and _is_tls(error):
        reason = "tls"
    if reason == "protocol" and _NO_ANSWER in str(error):
        reason = "reset"
    return TransportError(reason, f"no answer from the upstream ({reason})", processed=processed)


def _is_tls(error: BaseException | None) -> bool:
    while error is not None:
        if type(error).__module__ == "ssl":
            return True
        error = error.__cause__ or error.__context__
    return False


def _lookup(table: dict[str, Any], error: Exception) -> Any:
    return next(table[base.__name__] for base in type(error).__mro__ if base.__name__ in table)
