"""New connections: the name, the addresses that it has, TCP to the first that answers, TLS."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from typing import Any

import aiohappyeyeballs
import anyio

from ...asgi.loop import AsyncioLoop
from ...errors import TransportError
from ..sender import shared_ssl_context
from .connection import Connection
from .target import Origin

__all__ = ["Dial", "unreached"]

_NAMES_LAST = 10.0  # seconds for which a name's addresses are known; a restarted upstream is dialled by many at once
_NEXT_ADDRESS = 0.25  # seconds after which the next address is tried as well (RFC 8305, 5)
_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


class Dial:
    """Makes connections.

    Args:
        loop: The event loop that runs them.
        timeout: Seconds for all of it.
        ssl_context: Whom to trust and as whom to appear; None: the shared one.
    """

    __slots__ = ("_known", "_lock", "_loop", "_ssl_context", "_timeout")

    def __init__(self, loop: AsyncioLoop, *, timeout: float, ssl_context: ssl.SSLContext | None) -> None:
        self._loop = loop
        self._timeout = timeout
        self._ssl_context = ssl_context
        self._known: dict[Origin, tuple[float, list[Any]]] = {}
        self._lock = anyio.Lock()

    async def __call__(self, connection: Connection) -> None:
        """Connect.

        Args:
            connection: Not yet used; knows whereto.

        Raises:
            TransportError: It cannot be reached, or is not who it should be.
        """
        try:
            with anyio.fail_after(self._timeout):
                await self._connect(connection)
        except ssl.SSLError as error:
            raise unreached("tls") from error
        except (OSError, UnicodeError, RuntimeError) as error:
            # TimeoutError is an OSError; a name may be too long to be looked up; uvloop takes free sockets for taken.
            raise unreached("connect") from error

    async def _connect(self, connection: Connection) -> None:
        origin = connection.origin
        addresses = await self._addresses(origin)
        channel = await aiohappyeyeballs.start_connection(
            addresses, happy_eyeballs_delay=_NEXT_ADDRESS, interleave=1, loop=self._loop
        )
        try:
            channel.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            tls = (self._ssl_context or shared_ssl_context()) if origin.secure else None
            name = origin.host.rstrip(".") if origin.secure else None
            await self._loop.create_connection(lambda: connection, sock=channel, ssl=tls, server_hostname=name)
        except BaseException:
            connection.close()  # it may have been made all the same, and would take leave for half a minute
            with suppress(OSError):  # uvloop before 0.23 has closed it, and its number may soon be another's
                channel.close()
            raise

    async def _addresses(self, origin: Origin) -> list[Any]:
        try:  # nobody must be asked about what is an address already
            return socket.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM, flags=_NUMERIC)
        except socket.gaierror:
            pass
        async with self._lock:
            until, addresses = self._known.get(origin, (0.0, []))
            if self._loop.time() >= until:
                addresses = await self._loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
                self._known[origin] = self._loop.time() + _NAMES_LAST, addresses
        return addresses


def unreached(reason: str) -> TransportError:
    """Nothing was sent."""
    return TransportError(reason, f"no answer from the upstream ({reason})", processed=False)
