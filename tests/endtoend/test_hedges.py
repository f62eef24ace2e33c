"""Hedges over real connections: the loser's is closed at once, while the winner's goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from dialogues import frames_in, request_in
from ds2api_asgi import Failover, Upstream
from ds2api_asgi.resilience import Hedge
from ds2api_asgi.testing import Driver

pytestmark = pytest.mark.anyio

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class Server:
    """Answers each request with `frames`, after `waits` seconds; what follows first words waits for `goes_on`.

    Attributes:
        left: Set when somebody hung up before the end.
    """

    def __init__(self, frames: list[bytes], waits: list[float]) -> None:
        self.frames = frames
        self.waits = waits
        self.left = anyio.Event()
        self.goes_on = anyio.Event()
        self.ended = 0

    async def serve(self, client: SocketStream) -> None:
        async with client:
            await client.receive()
            async with anyio.create_task_group() as group:
                group.start_soon(self._hear, client, group)
                await client.send(HEAD)
                await anyio.sleep(self.waits.pop(0))
                for number, frame in enumerate(self.frames):
                    if number >= 2:  # the first one has no words
                        await self.goes_on.wait()
                    await client.send(b"%x\r\n%s\r\n" % (len(frame), frame))
                await client.send(b"0\r\n\r\n")
                self.ended += 1
                group.cancel_scope.cancel()

    async def _hear(self, client: SocketStream, group: anyio.abc.TaskGroup) -> None:
        try:
            while True:
                await client.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            self.left.set()
            group.cancel_scope.cancel()


@asynccontextmanager
async def listening(*servers: Server) -> AsyncIterator[list[str]]:
    async with AsyncExitStack() as stack:
        listeners = [
            await stack.enter_async_context(await anyio.create_tcp_listener(local_host="127.0.0.1")) for _ in servers
        ]
        group = await stack.enter_async_context(anyio.create_task_group())
        urls = []
        for server, listener in zip(servers, listeners, strict=True):
            group.start_soon(listener.serve, server.serve)
            urls.append(f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}")
        yield urls
        group.cancel_scope.cancel()


async def test_the_losers_connection_ends_while_the_winners_goes_on() -> None:
    frames = frames_in("openai-chat", "Hello", " there")
    stuck, quick = Server(frames, [0.0, 60.0]), Server(frames, [0.0])
    hedge = Hedge(samples=1, share=1.0, least=0.1)
    async with listening(stuck, quick) as urls:
        upstreams = [Upstream(url) for url in urls]
        driver = Driver(Failover(upstreams, protocol="openai-chat", hedge=hedge))
        question = request_in("openai-chat", stream=True)
        stuck.goes_on.set()
        await driver.request("POST", "/v1/chat/completions", json=question)
        assert stuck.ended == 1
        async with driver.open("POST", "/v1/chat/completions", json=question) as response:
            with anyio.fail_after(30):
                first = await anext(response)
                await stuck.left.wait()
                assert quick.ended == 0
                quick.goes_on.set()
                rest = [chunk async for chunk in response]
        assert b"".join([first, *rest]) == b"".join(frames)
        assert quick.ended == 1
