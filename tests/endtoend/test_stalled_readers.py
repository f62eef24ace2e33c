"""Clients that stop reading a stream: the upstream is slowed down, and in the end let go."""

from __future__ import annotations

import json
import socket
from typing import Any

import anyio
import anyio.to_thread
import pytest
from anyio.abc import SocketAttribute, SocketStream

from dialogues import frames_in, request_in
from ds2api_asgi import Retry, Translator, Upstream
from ds2api_asgi.testing import serve

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
STALL = 0.5


class Endless:
    """An upstream that says words for ever.

    Attributes:
        sent: Bytes that were taken from it.
        left: Set when the other side has hung up.
    """

    def __init__(self) -> None:
        self.sent = 0
        self.left = anyio.Event()

    async def serve(self, client: SocketStream) -> None:
        begin, word = frames_in("openai-chat", "Hello", " there")[:2]
        frame = begin + word * 200
        async with client:
            await client.receive()
            try:
                await client.send(HEAD)
                while True:
                    await client.send(b"%x\r\n%s\r\n" % (len(frame), frame))
                    self.sent += len(frame)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                self.left.set()


def _stalled(url: str, path: str, body: bytes) -> socket.socket:
    """Ask, and take nothing: the window is small, so that the server's buffers fill soon."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", int(url.rpartition(":")[2])))
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    client.sendall(head.encode() + body)
    return client


NESTS: dict[str, Any] = {
    "upstream": lambda url: Upstream(url, idle_timeout=STALL),
    "retry": lambda url: Retry(Upstream(url), protocol="openai-chat", idle_timeout=STALL),
    "keep-alive": lambda url: Retry(Upstream(url), protocol="openai-chat", idle_timeout=STALL, early_commit_after=0.1),
    "translator": lambda url: Translator(Retry(Upstream(url), idle_timeout=STALL), speaks="openai-chat"),
}


@pytest.mark.parametrize("nest", NESTS)
async def test_a_client_that_stops_reading_slows_the_upstream_and_then_loses_it(nest: str, anyio_backend: str) -> None:
    upstream = Endless()
    protocol = "anthropic" if nest == "translator" else "openai-chat"
    path = "/v1/messages" if nest == "translator" else "/v1/chat/completions"
    body = json.dumps(request_in(protocol, stream=True)).encode()
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, upstream.serve)
        base = f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
        async with serve(NESTS[nest](base), lifespan="off") as url:
            client = await anyio.to_thread.run_sync(_stalled, url, path, body)
            try:
                with anyio.fail_after(60):
                    await upstream.left.wait()
            finally:
                client.close()
        group.cancel_scope.cancel()
    assert upstream.sent < 32 * 1024 * 1024  # what sockets hold, not what a stream has
