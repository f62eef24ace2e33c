"""Senders to try on an upstream that misbehaves as told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import httpx2
import pytest

from ds2api_asgi.upstream.http1 import Http1Sender
from ds2api_asgi.upstream.httpx_sender import HttpxSender
from ds2api_asgi.upstream.sender import Sender
from raw_upstream import Connection, Script, raw_upstream

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


async def answer_all(connection: Connection) -> None:
    """A well-behaved upstream."""
    while await connection.request():
        await connection.send(OK)


SENDERS = ["httpx2", "httpx2-client", "httpx-client", "http1"]


@pytest.fixture(params=SENDERS)
def sender_name(request: pytest.FixtureRequest, anyio_backend: str) -> str:
    if request.param == "http1" and anyio_backend == "trio":
        pytest.skip("the fast sender is for asyncio")
    return str(request.param)


@asynccontextmanager
async def open_sender(name: str, *, connect_timeout: float = 5.0) -> AsyncIterator[Sender]:
    client: Any = None
    if name == "http1":
        sender: Sender = Http1Sender(connect_timeout=connect_timeout)
    else:
        if name != "httpx2":
            client = (httpx2 if name == "httpx2-client" else httpx).AsyncClient(
                trust_env=False, cookies={"jar": "full"}
            )
        sender = HttpxSender(client, connect_timeout=connect_timeout)
    try:
        yield sender
    finally:
        await sender.aclose()
        if client is not None:
            await client.aclose()


@pytest.fixture
async def sender(sender_name: str) -> AsyncIterator[Sender]:
    async with open_sender(sender_name) as opened:
        yield opened


@pytest.fixture
def serve() -> Callable[[Script], Any]:
    return raw_upstream


@pytest.fixture
def well_behaved() -> Script:
    return answer_all


@pytest.fixture
def chunked_head() -> bytes:
    return CHUNKED
