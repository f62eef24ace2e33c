"""The fast sender over TLS, of which asyncio and uvloop each have their own."""

from __future__ import annotations

import logging
import socket
import ssl
from contextlib import nullcontext, suppress
from typing import Any

import anyio
import pytest
import trustme
from anyio.streams.tls import TLSAttribute

from ds2api_asgi.errors import BrokenStream
from ds2api_asgi.upstream.http1.connection import READ_BUFFER
from ds2api_asgi.upstream.http1.dial import Dial
from ds2api_asgi.upstream.http1.sender import Http1Sender
from ds2api_asgi.upstream.http1.target import Origin
from raw_upstream import Connection, raw_upstream

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("anyio_backend", ["asyncio", ("asyncio", {"use_uvloop": True})], ids=["asyncio", "uvloop"]),
]

UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\n"
LARGE = 5 * READ_BUFFER
MEASURED = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % LARGE


@pytest.fixture(scope="module")
def trusted() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context, and that of a client who trusts it."""
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1", "provider.test").configure_cert(server)
    authority.configure_trust(client)
    return server, client


async def say_goodbye(connection: Connection) -> None:
    """Say that no more will come, and do not wait for the other side to say so."""
    stream = connection.stream
    with suppress(ssl.SSLWantReadError):
        stream.extra(TLSAttribute.ssl_object).unwrap()
    await stream.transport_stream.send(stream._write_bio.read())


@pytest.mark.parametrize("rests", [False, True], ids=["reading on", "resting"])
@pytest.mark.parametrize("said", [True, False], ids=["said", "cut"])
@pytest.mark.parametrize("head", [UNTIL_CLOSE, MEASURED], ids=["until close", "measured"])
async def test_an_answer_is_whole_when_all_of_it_came(
    trusted: tuple[ssl.SSLContext, ssl.SSLContext],
    caplog: pytest.LogCaptureFixture,
    head: bytes,
    said: bool,
    rests: bool,
) -> None:
    """An answer of no told length is whole where the upstream said so: anybody can end a connection of TCP."""
    ended = anyio.Event()

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(head + bytes(LARGE))
        if said:
            await say_goodbye(connection)
        await connection.stream.transport_stream.aclose()
        ended.set()

    server_context, client_context = trusted
    received = 0
    async with raw_upstream(script, tls=server_context) as server:
        sender = Http1Sender(ssl_context=client_context)
        answer = await sender.send("GET", server.url, [], b"")
        whole = said or head is MEASURED
        with nullcontext() if whole else pytest.raises(BrokenStream, match="truncated"):
            async for chunk in answer.chunks:
                received += len(chunk)
                if rests:
                    with anyio.move_on_after(0.05):  # all that one does not read can wait on its way
                        await ended.wait()
        await sender.aclose()
    assert received == LARGE
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_name_with_a_dot_at_its_end_is_known_without_it(
    trusted: tuple[ssl.SSLContext, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(UNTIL_CLOSE.replace(b"\r\n\r\n", b"\r\ncontent-length: 2\r\n\r\n{}"))

    async def here(_: Dial, origin: Origin) -> list[Any]:
        return socket.getaddrinfo("127.0.0.1", origin.port, type=socket.SOCK_STREAM)

    monkeypatch.setattr(Dial, "_addresses", here)
    server_context, client_context = trusted
    async with raw_upstream(script, tls=server_context) as server:
        sender = Http1Sender(ssl_context=client_context)
        answer = await sender.send("GET", server.url.replace("127.0.0.1", "provider.test."), [], b"")
        assert [chunk async for chunk in answer.chunks] == [b"{}"]
        await sender.aclose()


async def test_a_connection_whose_request_may_still_be_on_its_way_is_not_used_again(
    trusted: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    """TLS does not tell what TCP has not sent yet."""
    read = anyio.Event()

    async def script(connection: Connection) -> None:
        if connection.number > 1:
            await connection.request()
            await connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
            return
        await connection.stream.receive()
        await connection.send(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 2\r\n\r\n{}")
        await read.wait()

    server_context, client_context = trusted
    async with raw_upstream(script, tls=server_context) as server:
        sender = Http1Sender(ssl_context=client_context)
        with anyio.move_on_after(5):
            for body, status in (bytes(16_000_000), 413), (b"{}", 200):
                answer = await sender.send("POST", server.url, [], body)
                assert (answer.status, [chunk async for chunk in answer.chunks]) == (status, [b"{}"])
        read.set()
        await sender.aclose()
    assert server.connections == 2
