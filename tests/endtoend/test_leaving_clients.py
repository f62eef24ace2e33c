"""Clients that leave a real server: the upstream sees its connection end, and no request goes on.

uvicorn in front, the whole nest, and an upstream on a raw socket. Nothing but the closing of sockets tells anybody.
"""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio
import anyio.to_thread
import httpx2
import pytest
from anyio.abc import SocketAttribute, SocketStream

from dialogues import frames_in, path_of, request_in
from ds2api_asgi import KeyPool, Retry, Translator, Upstream
from ds2api_asgi.testing import serve

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

SOON = 2.0  # seconds; what is promised is a tenth of one
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
HALF = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{"
LIMITED = (
    b"HTTP/1.1 429 Too Many Requests\r\nretry-after-ms: 300\r\ncontent-type: application/json\r\n"
    b'content-length: 49\r\n\r\n{"error":{"message":"slow","type":"rate_limited"}'
)


async def in_time(event: anyio.Event | threading.Event) -> None:
    """Wait for an event of this loop or of the server's thread."""
    with anyio.fail_after(SOON):
        if isinstance(event, threading.Event):
            await anyio.to_thread.run_sync(event.wait, abandon_on_cancel=True)
        else:
            await event.wait()


class SlowUpstream:
    """Reads requests, says what it is given for them, and waits for the other side to hang up.

    Attributes:
        asked: How many requests came.
        heard: Set when one has come and all is said.
        left: Set when the other side has hung up.
    """

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.asked = 0
        self.heard = anyio.Event()
        self.left = anyio.Event()

    async def serve(self, client: SocketStream) -> None:
        async with client:
            try:
                while True:
                    await _read_request(client)
                    self.asked += 1
                    if self.answer:
                        await client.send(self.answer)
                    self.heard.set()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                self.left.set()


async def _read_request(stream: SocketStream) -> None:
    data = b""
    while b"\r\n\r\n" not in data:
        data += await stream.receive()
    head, _, body = data.partition(b"\r\n\r\n")
    lines = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    while len(body) < int(lines[0].partition(b":")[2]):
        body += await stream.receive()


class Gateway:
    """The nest on a real server, for one request.

    Attributes:
        working: How many requests are being worked on.
        begun: Set when one has come.
        ended: Set when one has ended.
        errors: What came out of the nest.
    """

    def __init__(self, app: Any, http: httpx2.AsyncClient | None) -> None:
        self._app = app
        self._http = http
        self.working = 0
        self.begun = threading.Event()
        self.ended = threading.Event()
        self.errors: list[BaseException] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            if self._http is not None:
                await self._http.aclose()
            return
        self.working += 1
        self.begun.set()
        try:
            await self._app(scope, receive, send)
        except BaseException as error:
            self.errors.append(error)
            raise
        finally:
            self.working -= 1
            self.ended.set()


@asynccontextmanager
async def gateway_over(upstream: SlowUpstream, sender: str) -> AsyncIterator[tuple[Gateway, str]]:
    async with AsyncExitStack() as stack:
        listener = await stack.enter_async_context(await anyio.create_tcp_listener(local_host="127.0.0.1"))
        group = await stack.enter_async_context(anyio.create_task_group())
        stack.callback(group.cancel_scope.cancel)
        group.start_soon(listener.serve, upstream.serve)
        base = f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
        http = None if sender == "http1" else httpx2.AsyncClient()
        pool = KeyPool(Upstream(base, client=http), protocol="openai-chat", keys=["sk-upstream"])
        gateway = Gateway(Translator(Retry(pool), speaks="openai-chat"), http)
        url = await stack.enter_async_context(serve(gateway, lifespan="on"))
        yield gateway, url


async def _ask(url: str, client: str, *, stream: bool) -> SocketStream:
    body = json.dumps(request_in(client, stream=stream)).encode()
    connection = await anyio.connect_tcp("127.0.0.1", int(url.rpartition(":")[2]))
    path = path_of(client, stream=stream)
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    await connection.send(head.encode() + b"\r\n\r\n" + body)
    return connection


@pytest.mark.parametrize("sender", ["http1", "httpx2"])
@pytest.mark.parametrize("client", ["openai-chat", "anthropic", "openai-responses", "gemini"])
@pytest.mark.parametrize(
    ("answer", "stream"),
    [
        (b"", True),
        (b"", False),
        (STREAM, True),
        (HALF, False),
    ],
    ids=["waiting for a stream", "waiting for an answer", "before content", "within an answer"],
)
async def test_the_upstream_sees_the_end_when_a_client_leaves_before_its_answer(
    answer: bytes, client: str, sender: str, *, stream: bool, anyio_backend: str
) -> None:
    upstream = SlowUpstream(answer)
    async with gateway_over(upstream, sender) as (gateway, url):
        async with await _ask(url, client, stream=stream):
            await upstream.heard.wait()
            assert gateway.working == 1
        await in_time(upstream.left)
        await in_time(gateway.ended)
        assert (upstream.asked, gateway.errors) == (1, [])


@pytest.mark.parametrize("sender", ["http1", "httpx2"])
@pytest.mark.parametrize("client", ["openai-chat", "anthropic", "openai-responses", "gemini"])
async def test_the_upstream_sees_the_end_when_a_client_leaves_within_its_stream(
    client: str, sender: str, anyio_backend: str
) -> None:
    frames = b"".join(frames_in("openai-chat", "Hello", " there")[:3])
    upstream = SlowUpstream(STREAM + b"%x\r\n%s\r\n" % (len(frames), frames))
    async with gateway_over(upstream, sender) as (gateway, url):
        async with await _ask(url, client, stream=True) as connection:
            seen = b""
            while b"there" not in seen:
                seen += await connection.receive()
        await in_time(upstream.left)
        await in_time(gateway.ended)
        assert (upstream.asked, gateway.errors) == (1, [])


@pytest.mark.parametrize("sender", ["http1", "httpx2"])
async def test_nobody_asks_again_for_a_client_that_left_while_a_retry_waited(sender: str, anyio_backend: str) -> None:
    upstream = SlowUpstream(LIMITED)
    async with gateway_over(upstream, sender) as (gateway, url):
        async with await _ask(url, "anthropic", stream=True):
            await upstream.heard.wait()
            await anyio.sleep(0.05)
            assert gateway.working == 1
        await in_time(gateway.ended)
        await anyio.sleep(0.4)  # longer than the upstream said to wait
        assert (upstream.asked, gateway.errors) == (1, [])


async def test_a_client_that_stays_gets_its_retry(anyio_backend: str) -> None:
    upstream = SlowUpstream(LIMITED)
    async with gateway_over(upstream, "http1") as (gateway, url):
        async with await _ask(url, "anthropic", stream=True) as connection:
            assert (await connection.receive()).startswith(b"HTTP/1.1 429")
        await in_time(gateway.ended)
        assert upstream.asked > 1


@pytest.mark.parametrize("sender", ["http1"])
async def test_a_client_that_leaves_within_its_request_costs_no_call(sender: str, anyio_backend: str) -> None:
    upstream = SlowUpstream(LIMITED)
    async with gateway_over(upstream, sender) as (gateway, url):
        async with await anyio.connect_tcp("127.0.0.1", int(url.rpartition(":")[2])) as connection:
            await connection.send(b'POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n{"model"')
            await in_time(gateway.begun)
        await in_time(gateway.ended)
        assert (upstream.asked, gateway.errors) == (0, [])
