"""One websocket that is passed through to the provider, both ways, message by message.

It needs the extra ``websocket`` and asyncio. Messages pass as they are; how they were cut into frames, pings and
compression are each hop's own affair. Whoever leaves, the other end is told so with the same code at once.

What is buffered, in each direction: one message here, `_FRAMES` in the websocket client, and what the sockets hold. A
side that does not read therefore stops the other side.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import anyio
from msgspec import Struct

from ..asgi.headers import RawHeaders, response_headers
from ..asgi.loop import current_time
from ..asgi.types import Message, Receive, Send
from ..asgi.unwrapped import unwrapped
from ..errors import ConfigurationError, TransportError
from .sender import shared_ssl_context

if TYPE_CHECKING:
    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
    from websockets.asyncio.client import ClientConnection

__all__ = ["Denied", "Passage", "WebSockets", "is_installed"]

CLOSE_TIMEOUT: Final = 0.1
"""Seconds that telling an end of the other end's leaving may take; then the connection is dropped."""

_FRAMES: Final = 1  # that the websocket client reads ahead
_AHEAD: Final = 1  # messages that are taken from a client before the provider has the one before
_STEP: Final = 16  # the idle deadline is moved when a sixteenth of it has passed, not at every message
_NO_CODE: Final = 1005  # closed without a code: may not be sent
_ABNORMAL: Final = 1006  # not closed at all: may not be sent
_TOO_BIG: Final = 1009
_GOING: Final = 1001
_BAD_GATEWAY: Final = 1014

# The client logs every header at DEBUG, and among them is the key.
_SILENT: Final = logging.Logger("ds2api_asgi.upstream.websocket", logging.CRITICAL + 1)  # noqa: LOG001


class WebSockets(Struct, frozen=True, kw_only=True):
    """How websockets are passed through.

    Attributes:
        handshake_timeout: Seconds to connect and to be accepted by the provider.
        idle_timeout: Seconds without a message in either direction; OpenAI's Realtime is silent while nobody speaks.
        total_timeout: Seconds of a connection's life (65 minutes; OpenAI ends a session after 60).
        max_message: Bytes of a message, from either side; servers have a bound of their own (uvicorn: 16 MiB).
        ping_interval: Seconds between two pings of the provider, and until one must be answered.

    Raises:
        ConfigurationError: A value that is not above 0.
    """

    handshake_timeout: float = 15.0
    idle_timeout: float = 600.0
    total_timeout: float = 3_900.0
    max_message: int = 16 * 1024 * 1024
    ping_interval: float = 20.0

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if not getattr(self, name) > 0:
                raise ConfigurationError(f"{name} must be more than 0")


class Denied(Exception):
    """The provider did not accept the websocket.

    Attributes:
        status: HTTP status.
        headers: What of the answer's headers may go on.
        body: The answer's body.
    """

    def __init__(self, status: int, headers: RawHeaders, body: bytes) -> None:
        super().__init__(f"the upstream answered {status}")
        self.status = status
        self.headers = headers
        self.body = body


@cache
def is_installed() -> bool:
    """Whether there is a websocket client."""
    try:
        import websockets.asyncio.client  # noqa: F401
    except ImportError:
        return False
    return True


class Passage:
    """One websocket; `run` once.

    Args:
        settings: Bounds.
        receive: The client's; ``websocket.connect`` was received.
        send: The client's.
        deadline: When it must have ended, in seconds of `anyio.current_time`.
        ssl_context: For ``wss``; None: the shared one.
        proxy: Address of a proxy; None: there is none.
    """

    def __init__(
        self,
        settings: WebSockets,
        receive: Receive,
        send: Send,
        *,
        deadline: float,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | None = None,
    ) -> None:
        self._settings = settings
        self._receive = receive
        self._send = send
        self._ssl_context = ssl_context
        self._proxy = proxy
        self._deadline = min(deadline, current_time() + settings.total_timeout)
        self._moved = float("-inf")
        self._scope: anyio.CancelScope | None = None
        self._client_left: tuple[int, str] | None = None
        self._upstream_left: tuple[int, str] | None = None

    async def run(self, url: str, headers: RawHeaders, subprotocols: Sequence[str]) -> None:
        """Open the websocket at the provider, and pass messages until one side leaves.

        Args:
            url: ``ws`` or ``wss``.
            headers: Lower-case names.
            subprotocols: What the client offers.

        Raises:
            Denied: The provider refused the handshake; nothing was sent to the client.
            TransportError: The provider could not be asked; nothing was sent to the client.
        """
        connection: ClientConnection | None = None
        give, take = anyio.create_memory_object_stream[Message](_AHEAD)
        try:
            with unwrapped():
                async with anyio.create_task_group() as group:
                    self._scope = scope = group.cancel_scope
                    scope.deadline = min(self._deadline, current_time() + self._settings.handshake_timeout)
                    group.start_soon(self._listen, give)
                    connection = await self._dial(url, headers, subprotocols)
                    self._touch()
                    await self._send(_accept(connection))
                    group.start_soon(self._up, take, connection)
                    await self._down(connection)
                    scope.cancel()
        except OSError:  # of the server's `send`: the client was gone before it was accepted
            self._client_left = self._client_left or (_ABNORMAL, "")
        finally:
            give.close()
            take.close()
            if connection is not None:
                await self._hang_up(connection)
        if connection is None:
            if self._client_left is None:
                raise TransportError("timeout", "the upstream did not accept the websocket in time", processed=True)
        elif self._client_left is None:
            await self._tell_client()

    async def _dial(self, url: str, headers: RawHeaders, subprotocols: Sequence[str]) -> ClientConnection:
        from websockets.exceptions import InvalidHandshake, InvalidStatus, ProxyError
        from websockets.typing import Subprotocol

        try:
            connection: ClientConnection = await _connector()(
                url,
                subprotocols=[Subprotocol(name) for name in subprotocols] or None,
                additional_headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers],
                user_agent_header=None,
                compression=None,
                proxy=self._proxy,
                ssl=(self._ssl_context or shared_ssl_context()) if url.startswith("wss:") else None,
                open_timeout=None,
                close_timeout=CLOSE_TIMEOUT,
                ping_interval=self._settings.ping_interval,
                ping_timeout=self._settings.ping_interval,
                max_size=self._settings.max_message,
                max_queue=_FRAMES,
                logger=_SILENT,
            )
        except InvalidStatus as error:
            answer = error.response
            raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in answer.headers.raw_items()]
            # A 2xx is no websocket either, and a redirect would take the key elsewhere.
            status = answer.status_code if answer.status_code >= 400 else 502
            raise Denied(status, response_headers(raw), bytes(answer.body or b"")) from None
        except ProxyError:
            raise TransportError("connect", "the proxy does not lead to the upstream", processed=False) from None
        except InvalidHandshake:
            raise TransportError("protocol", "the upstream's handshake is none", processed=True) from None
        except ssl.SSLError:
            raise TransportError("tls", "no secure connection to the upstream", processed=False) from None
        except (OSError, EOFError):
            raise TransportError("connect", "the upstream cannot be reached", processed=False) from None
        return connection

    async def _listen(self, give: MemoryObjectSendStream[Message]) -> None:
        """Take what the client sends; once it has left, the provider gets the rest for a moment."""
        assert self._scope is not None
        while True:
            message = await self._receive()
            if message["type"] == "websocket.receive":
                await give.send(message)
            elif message["type"] == "websocket.disconnect":
                self._client_left = (message.get("code") or _NO_CODE, message.get("reason") or "")
                self._scope.deadline = min(self._scope.deadline, current_time() + CLOSE_TIMEOUT)
                if self._moved == float("-inf"):
                    self._scope.cancel()  # it was not even accepted
                give.close()
                return

    async def _up(self, take: MemoryObjectReceiveStream[Message], connection: ClientConnection) -> None:
        from websockets.exceptions import ConnectionClosed

        assert self._scope is not None
        try:
            async for message in take:
                text = message.get("text")
                data: str | bytes = message.get("bytes") or b"" if text is None else text
                if len(data) > self._settings.max_message:
                    self._upstream_left = (_TOO_BIG, "the message is too big")
                    break
                await connection.send(data)
                self._touch()
        except ConnectionClosed:
            return  # who reads finds out why
        self._scope.cancel()

    async def _down(self, connection: ClientConnection) -> None:
        from websockets.exceptions import ConnectionClosed

        while True:
            try:
                data = await connection.recv()
            except ConnectionClosed as closed:
                self._upstream_left = _ending(closed)
                return
            member = "text" if isinstance(data, str) else "bytes"
            try:
                await self._send({"type": "websocket.send", member: data})
            except OSError:  # the server has no client any more, and is about to say how it left
                await anyio.sleep(CLOSE_TIMEOUT)
                self._client_left = self._client_left or (_ABNORMAL, "")
                return
            self._touch()

    def _touch(self) -> None:
        """Something passed: the idle time begins anew."""
        assert self._scope is not None
        idle, now = self._settings.idle_timeout, current_time()
        if now - self._moved > idle / _STEP and self._client_left is None:
            self._moved = now
            self._scope.deadline = min(self._deadline, now + idle + idle / _STEP)

    async def _hang_up(self, connection: ClientConnection) -> None:
        """Tell the provider; when it does not answer, drop the connection."""
        code, reason = _sendable(self._client_left or self._upstream_left or (_GOING, ""))
        try:
            with anyio.move_on_after(CLOSE_TIMEOUT, shield=True):
                await connection.close(code, reason)
        finally:
            connection.transport.abort()

    async def _tell_client(self) -> None:
        if self._upstream_left is None:
            over = "total" if current_time() >= self._deadline else "idle"
            self._upstream_left = (_GOING, f"the connection's time is over ({over})")
        code, reason = _sendable(self._upstream_left)
        with anyio.move_on_after(CLOSE_TIMEOUT):
            try:
                await self._send({"type": "websocket.close", "code": code, "reason": reason})
            except OSError:
                return


def _accept(connection: ClientConnection) -> Message:
    assert connection.response is not None
    raw = [(name.encode(), value.encode("latin-1")) for name, value in connection.response.headers.raw_items()]
    return {"type": "websocket.accept", "subprotocol": connection.subprotocol, "headers": response_headers(raw)}


def _ending(closed: Any) -> tuple[int, str]:
    """How the provider left."""
    if closed.rcvd is not None:
        return closed.rcvd.code, closed.rcvd.reason
    if closed.sent is not None and closed.sent.code == _TOO_BIG:
        return _TOO_BIG, "the upstream's message is too big"
    return _BAD_GATEWAY, "the upstream is gone"


def _sendable(ending: tuple[int, str]) -> tuple[int, str]:
    """Codes that only tell what was seen are not for the wire."""
    code, reason = ending
    if code == _NO_CODE:
        return 1000, reason
    if not (1000 <= code < 5000) or code in (1004, _ABNORMAL, 1015):
        return _GOING, reason
    return code, reason


@cache
def _connector() -> Any:
    from websockets.asyncio.client import connect

    class Connect(connect):
        """Follows no redirect: the key is for this provider alone."""

        def process_redirect(self, exc: Exception) -> Exception | str:
            return exc

    return Connect
