"""An upstream on a raw socket that misbehaves as told."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import anyio.abc
from anyio.streams.tls import TLSListener

__all__ = ["Connection", "RawUpstream", "Script", "raw_upstream"]


class Connection:
    """One accepted connection; `number` counts from 1."""

    def __init__(self, stream: Any, number: int, server: RawUpstream) -> None:
        self.stream = stream
        self.number = number
        self.server = server
        self._buffer = b""

    async def request(self) -> bytes:
        """Read one request: its head, then its body, which is kept in `server.bodies`. Empty at EOF."""
        while b"\r\n\r\n" not in self._buffer:
            if not await self._more():
                return b""
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        while len(self._buffer) < length:
            if not await self._more():
                return b""
        self.server.bodies.append(self._buffer[:length])
        self._buffer = self._buffer[length:]
        self.server.heads.append(head)
        self.server.asked.set()
        return head

    async def _more(self) -> bool:
        try:
            self._buffer += await self.stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return False
        return True

    async def send(self, data: bytes) -> None:
        await self.stream.send(data)

    async def eof(self) -> None:
        """Wait until the other side has closed the connection."""
        while await self._more():
            pass
        self.server.left.set()

    async def reset(self) -> None:
        """Close with RST."""
        raw = self.stream.extra(anyio.abc.SocketAttribute.raw_socket)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await self.stream.aclose()


class RawUpstream:
    """What the upstream saw.

    Attributes:
        url: Its base URL.
        heads: The heads of all requests.
        bodies: Their bodies.
        connections: How many were accepted.
        asked: Set when a request has arrived.
        left: Set by `Connection.eof`.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self.asked = anyio.Event()
        self.left = anyio.Event()


Script = Callable[[Connection], Awaitable[None]]


@asynccontextmanager
async def raw_upstream(script: Script, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawUpstream]:
    listener: Any = await anyio.create_tcp_listener(local_host="127.0.0.1")
    scheme = "http" if tls is None else "https"
    server = RawUpstream(f"{scheme}://127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}")
    if tls is not None:
        listener = TLSListener(listener, tls, standard_compatible=False)

    async def accept(stream: Any) -> None:
        server.connections += 1
        async with stream:
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                await script(Connection(stream, server.connections, server))

    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, accept)
        yield server
        group.cancel_scope.cancel()
