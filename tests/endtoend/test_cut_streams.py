"""Recorded streams whose connection is cut, at every byte: the client never sees a success.

A real socket, a real upstream that stops in the middle of its chunked answer, all parts between. A success is what an
SDK would take for one: a complete body without an error event.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import SocketStream

from dialogues import STREAM_PATHS
from ds2api_asgi import Retry, Translator, Upstream
from ds2api_asgi.protocols import registry
from ds2api_asgi.testing import BrokenResponse, Driver
from ds2api_asgi.universal.events import End
from shared import corpus_items, corpus_stream_bytes, needs_shared

pytestmark = [pytest.mark.anyio, needs_shared, pytest.mark.timeout(300)]

BODIES = {
    "gemini": {"contents": [{"parts": [{"text": "q"}]}]},
    "openai-chat": {"model": "m", "stream": True, "messages": [{"role": "user", "content": "q"}]},
    "openai-responses": {"model": "m", "stream": True, "input": "q"},
    "anthropic": {"model": "m", "max_tokens": 9, "stream": True, "messages": [{"role": "user", "content": "q"}]},
}
CORPUS = {
    "openai-chat": "openai_chat",
    "anthropic": "anthropic_messages",
    "openai-responses": "openai_responses",
    "gemini": "gemini",
}


def _small(name: str, count: int) -> list[bytes]:
    """The smallest recorded streams that end well and call tools or think or only talk, one of each length."""
    found = []
    for item in corpus_items(CORPUS[name], "stream"):
        data = corpus_stream_bytes(item)
        decoder = registry.get(name).stream_decoder()
        ended = isinstance((decoder.feed(data) + decoder.close())[-1], End)
        words = (b"[DONE]", b"message_stop", b"finishReason", b"response.completed")
        last_word = sum(word in data for word in words) == 1 and data[:1] != b"["
        if ended and last_word and len(data) > 900 and not data.startswith(b"\xef\xbb\xbf"):
            found.append(data.rstrip(b"\r\n") + b"\n\n")
    return sorted(found, key=len)[:count]


@asynccontextmanager
async def cutting_server(stream: bytes) -> AsyncIterator[str]:
    """Serves ``/CUT/...``: the stream's first CUT bytes in one chunk, then the connection is closed."""

    async def serve(client: SocketStream) -> None:
        async with client:
            head = b""
            while b"\r\n\r\n" not in head:
                head += await client.receive()
            cut = int(head.split(b" ", 2)[1].split(b"/", 2)[1])
            await client.send(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
            )
            if cut:
                await client.send(b"%x\r\n%s\r\n" % (cut, stream[:cut]))

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with anyio.create_task_group() as group:
        group.start_soon(listener.serve, serve)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        yield f"http://127.0.0.1:{port}"
        group.cancel_scope.cancel()
    await listener.aclose()


def _tells_an_error(body: bytes) -> bool:
    return b'"error"' in body.replace(b'"error":null', b"")


def _streams() -> list[tuple[str, int]]:
    return [("openai-chat", 0), ("openai-chat", 1), ("anthropic", 0), ("openai-responses", 0), ("gemini", 0)]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("client", ["openai-chat", "anthropic", "openai-responses", "gemini"])
@pytest.mark.parametrize(("upstream", "index"), _streams())
async def test_no_cut_is_a_success(upstream: str, index: int, client: str, anyio_backend: str) -> None:
    stream = _small(upstream, index + 1)[index]
    successes = []
    async with cutting_server(stream) as base:
        for cut in range(len(stream) - 2):
            below = Upstream(f"{base}/{cut}")
            app = Translator(Retry(below, max_attempts=1), speaks=upstream)
            driver = Driver(app)
            try:
                answer = await driver.request("POST", STREAM_PATHS[client], json=BODIES[client])
            except BrokenResponse:
                continue
            if answer.status == 200 and answer.complete:
                decoder = registry.get(client).stream_decoder()
                events = decoder.feed(answer.body) + decoder.close()
                if isinstance(events[-1], End) or not _tells_an_error(answer.body):
                    successes.append(cut)
    assert successes == []
