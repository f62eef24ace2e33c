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


UVLOOP = ("asyncio", {"use_uvloop": True})
SENDERS = {
    "httpx2": ["asyncio", "trio"],
    "httpx2-client": ["asyncio", "trio"],
    "httpx-client": ["asyncio", "trio"],
    "http1": ["asyncio", UVLOOP],
}
"""Each with the event loops that run it."""


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test of a sender runs with all of them, on all their loops."""
    own = [mark for mark in metafunc.definition.iter_markers("parametrize") if "sender_name" in mark.args[0]]
    if "sender_name" in metafunc.fixturenames and not own:
        pairs = {
            f"{'uvloop' if loop is UVLOOP else loop}-{name}": (loop, name)
            for name, loops in SENDERS.items()
            for loop in loops
        }
        mark = pytest.mark.parametrize(("anyio_backend", "sender_name"), list(pairs.values()), ids=list(pairs))
        metafunc.definition.add_marker(mark)  # as a mark it goes before the fixtures' own parameters


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
