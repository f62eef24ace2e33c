"""A proxy between this machine and others: it opens tunnels (CONNECT), passes plain requests on, and asks who comes."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import anyio
import anyio.abc

__all__ = ["ForwardProxy", "forward_proxy"]

_GONE = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError)


class ForwardProxy:
    """What a proxy saw.

    Attributes:
        url: Its address, with the password where it demands one.
        asked: The first lines of all requests.
        refuse: Whether it leads nowhere from now on.
    """

    def __init__(self, port: int, credentials: str) -> None:
        self.url = f"http://{credentials}@127.0.0.1:{port}" if credentials else f"http://127.0.0.1:{port}"
        self.asked: list[str] = []
        self.refuse = False
        self._demanded = f"basic {base64.b64encode(credentials.encode()).decode()}" if credentials else None

    async def serve(self, client: anyio.abc.SocketStream) -> None:
        """One connection."""
        async with client:
            with suppress(*_GONE, OSError):
                await self._serve(client)

    async def _serve(self, client: anyio.abc.SocketStream) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += await client.receive()
        head, _, rest = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        self.asked.append(first)
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if self.refuse:
            await client.send(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
            return
        if self._demanded is not None and fields.get("proxy-authorization", "").lower() != self._demanded.lower():
            await client.send(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
            return
        method, target, version = first.split(" ")
        if method == "CONNECT":
            host, _, port = target.rpartition(":")
            upstream = await anyio.connect_tcp(host, int(port))
            await client.send(b"HTTP/1.1 200 OK\r\n\r\n")
        else:
            where = urlsplit(target)
            upstream = await anyio.connect_tcp(where.hostname or "", where.port or 80)
            kept = [line for line in lines if not line.lower().startswith("proxy-")]
            start = f"{method} {where.path or '/'} {version}"
            await upstream.send("\r\n".join([start, *kept, "", ""]).encode("latin-1"))
        async with upstream, anyio.create_task_group() as group:
            if rest:
                await upstream.send(rest)
            group.start_soon(_pipe, client, upstream)
            await _pipe(upstream, client)
            group.cancel_scope.cancel()


async def _pipe(source: anyio.abc.SocketStream, target: anyio.abc.SocketStream) -> None:
    with suppress(*_GONE):
        while True:
            await target.send(await source.receive())


@asynccontextmanager
async def forward_proxy(credentials: str = "") -> AsyncIterator[ForwardProxy]:
    """A proxy on this machine; ``"user:password"`` says whom it lets through."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    proxy = ForwardProxy(listener.extra(anyio.abc.SocketAttribute.local_port), credentials)
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, proxy.serve)
        yield proxy
        group.cancel_scope.cancel()
