"""Both senders on a raw socket: what they put on the wire, and what they make of every fault."""

from __future__ import annotations

import socket
from typing import Any

import anyio
import pytest

from ds2api_asgi.errors import BrokenStream, ConfigurationError, TransportError
from ds2api_asgi.upstream.httpx_sender import HttpxSender
from ds2api_asgi.upstream.sender import Sender

pytestmark = [
    pytest.mark.anyio,
    # On trio httpcore leaves the generators of a body that is not read to its end to the garbage.
    pytest.mark.filterwarnings("ignore:Exception ignored in.*async_generator:pytest.PytestUnraisableExceptionWarning"),
]

HEADERS = [(b"content-type", b"application/json"), (b"x-twice", b"1"), (b"x-twice", b"2")]
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


async def ask(sender: Sender, url: str, *, body: bytes = b"{}") -> tuple[int, bytes]:
    answer = await sender.send("POST", url, HEADERS, body)
    try:
        return answer.status, b"".join([chunk async for chunk in answer.chunks])
    finally:
        await answer.aclose()


async def test_nothing_but_host_and_content_length_is_added(sender: Sender, serve: Any, well_behaved: Any) -> None:
    async with serve(well_behaved) as server:
        assert await ask(sender, server.url + "/a%2Fb?x=%2F") == (200, b"{}")
    request, *lines = server.heads[0].decode().split("\r\n")
    assert request == "POST /a%2Fb?x=%2F HTTP/1.1"
    names = sorted(line.partition(":")[0].lower() for line in lines)
    assert names == ["content-length", "content-type", "host", "x-twice", "x-twice"]
    assert server.bodies == [b"{}"]


async def test_a_get_has_no_body(sender: Sender, serve: Any, well_behaved: Any) -> None:
    async with serve(well_behaved) as server:
        answer = await sender.send("GET", server.url + "/v1/models", [], b"")
        await answer.aclose()
    assert b"content-length" not in server.heads[0].lower()


async def test_large_bodies_arrive_whole(sender: Sender, serve: Any, well_behaved: Any) -> None:
    body = bytes(range(256)) * 12_000
    async with serve(well_behaved) as server:
        assert await ask(sender, server.url + "/", body=body) == (200, b"{}")
    assert server.bodies == [body]


async def test_connections_are_reused_also_after_a_body_that_was_read(
    sender: Sender, serve: Any, well_behaved: Any
) -> None:
    async with serve(well_behaved) as server:
        for _ in range(3):
            await ask(sender, server.url + "/")
    assert server.connections == 1


async def test_an_answer_that_is_closed_early_closes_its_connection(
    sender: Sender, serve: Any, chunked_head: bytes
) -> None:
    async def script(connection: Any) -> None:
        await connection.request()
        await connection.send(chunked_head + b"3\r\nabc\r\n")
        await connection.eof()

    async with serve(script) as server:
        answer = await sender.send("POST", server.url + "/", [], b"{}")
        assert await anext(answer.chunks) == b"abc"
        await answer.aclose()
        await answer.aclose()
        with anyio.fail_after(20):
            await server.left.wait()


async def test_headers_keep_their_case_and_bodies_their_encoding(sender: Sender, serve: Any) -> None:
    async def script(connection: Any) -> None:
        await connection.request()
        await connection.send(
            b"HTTP/1.1 201 Created\r\nX-Mixed: a\r\nX-Mixed: b\r\n"
            b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"
        )

    async with serve(script) as server:
        answer = await sender.send("POST", server.url + "/", [], b"{}")
        assert answer.status == 201
        assert [header for header in answer.headers if header[0] == b"X-Mixed"] == [
            (b"X-Mixed", b"a"),
            (b"X-Mixed", b"b"),
        ]
        assert [chunk async for chunk in answer.chunks] == [b"abc"]
        await answer.aclose()


async def test_redirects_are_not_followed_and_cookies_not_kept(sender: Sender, serve: Any) -> None:
    async def script(connection: Any) -> None:
        while await connection.request():
            await connection.send(
                b"HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:1/\r\n"
                b"set-cookie: canary=1\r\ncontent-length: 0\r\n\r\n"
            )

    async with serve(script) as server:
        for _ in range(2):
            assert await ask(sender, server.url + "/") == (307, b"")
    assert not any(b"cookie" in head.lower() for head in server.heads)


async def test_a_chunk_arrives_before_the_next_is_made(sender: Sender, serve: Any, chunked_head: bytes) -> None:
    go = anyio.Event()

    async def script(connection: Any) -> None:
        await connection.request()
        await connection.send(chunked_head + b"1\r\na\r\n")
        await go.wait()
        await connection.send(b"1\r\nb\r\n0\r\n\r\n")

    async with serve(script) as server:
        answer = await sender.send("POST", server.url + "/", [], b"{}")
        assert await anext(answer.chunks) == b"a"
        go.set()
        assert [chunk async for chunk in answer.chunks] == [b"b"]
        await answer.aclose()


async def refuse(connection: Any) -> None:
    return


async def reset_at_once(connection: Any) -> None:
    await connection.request()
    await connection.reset()


async def close_without_answer(connection: Any) -> None:
    await connection.request()


async def garbage(connection: Any) -> None:
    await connection.request()
    await connection.send(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")


async def half_a_head(connection: Any) -> None:
    await connection.request()
    await connection.send(b"HTTP/1.1 200 OK\r\ncontent-le")


@pytest.mark.parametrize(
    ("script", "reasons"),
    [
        (refuse, {"reset", "write"}),
        (reset_at_once, {"reset"}),
        (close_without_answer, {"reset"}),
        (garbage, {"protocol"}),
        (half_a_head, {"protocol", "reset"}),
    ],
)
async def test_faults_before_the_answer_are_transport_errors(
    sender: Sender, serve: Any, script: Any, reasons: set[str]
) -> None:
    async with serve(script) as server:
        with pytest.raises(TransportError) as caught:
            await ask(sender, server.url + "/secret-path")
    assert caught.value.reason in reasons
    assert caught.value.processed
    assert "127.0.0.1" not in str(caught.value)
    assert "secret" not in str(caught.value)
    assert server.connections == 1


async def test_a_refused_connection_was_surely_not_processed(sender: Sender) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        with pytest.raises(TransportError) as caught:
            await ask(sender, url)
    assert (caught.value.reason, caught.value.processed) == ("connect", False)


async def test_an_upstream_without_tls_is_a_tls_fault(sender: Sender, serve: Any) -> None:
    async def script(connection: Any) -> None:
        await connection.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await connection.eof()

    async with serve(script) as server:
        with pytest.raises(TransportError) as caught:
            await ask(sender, server.url.replace("http:", "https:") + "/")
    assert (caught.value.reason, caught.value.processed) == ("tls", False)


@pytest.mark.parametrize(
    ("body", "reset", "reasons"),
    [
        (b"content-length: 9\r\n\r\nabc", False, {"truncated"}),
        (b"content-length: 9\r\n\r\nabc", True, {"reset", "truncated"}),
        (b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", False, {"truncated"}),
        (b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n5\r\nde", False, {"truncated"}),
        (b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", True, {"reset", "truncated"}),
    ],
)
async def test_faults_within_the_answer_are_broken_streams(
    sender: Sender, serve: Any, body: bytes, reset: bool, reasons: set[str]
) -> None:
    seen = anyio.Event()

    async def script(connection: Any) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\n" + body)
        if reset:
            await seen.wait()
            await connection.reset()

    received = b""

    async def read(answer: Any) -> None:
        nonlocal received
        async for chunk in answer.chunks:
            received += chunk
            seen.set()

    async with serve(script) as server:
        answer = await sender.send("POST", server.url + "/", [], b"{}")
        with pytest.raises(BrokenStream) as caught:
            await read(answer)
        await answer.aclose()
    assert received in (b"abc", b"abcde", b"")
    assert caught.value.reason in reasons
    assert "127.0.0.1" not in str(caught.value)


async def test_nonsense_between_chunks_is_a_broken_stream(sender: Sender, serve: Any, chunked_head: bytes) -> None:
    seen = anyio.Event()

    async def script(connection: Any) -> None:
        await connection.request()
        await connection.send(chunked_head + b"3\r\nabc\r\n")
        await seen.wait()
        await connection.send(b"nonsense\r\n")
        await connection.eof()

    async with serve(script) as server:
        answer = await sender.send("POST", server.url + "/", [], b"{}")
        assert await anext(answer.chunks) == b"abc"
        seen.set()
        with pytest.raises(BrokenStream):
            await anext(answer.chunks)
        await answer.aclose()


@pytest.mark.parametrize(("anyio_backend", "sender_name"), [("asyncio", "http1")])  # httpx writes all of it first
async def test_a_connection_whose_request_is_still_on_its_way_is_not_used_again(sender: Sender, serve: Any) -> None:
    """An upstream that refuses an upload before it has read it; what it has not read is no other request."""
    read = anyio.Event()

    async def script(connection: Any) -> None:
        if connection.number > 1:
            await connection.request()
            await connection.send(OK)
            return
        await connection.stream.receive()
        await connection.send(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 2\r\n\r\n{}")
        await read.wait()

    async with serve(script) as server:
        assert await ask(sender, server.url + "/", body=bytes(16_000_000)) == (413, b"{}")
        assert await ask(sender, server.url + "/") == (200, b"{}")
        read.set()
    assert server.connections == 2


@pytest.mark.parametrize("value", [b"a\r\nx-other: b", b"a\nb", b"a\rb", b"a\0b"])
async def test_a_header_that_would_be_more_than_one_is_not_sent(
    sender: Sender, serve: Any, well_behaved: Any, value: bytes
) -> None:
    async with serve(well_behaved) as server:
        with pytest.raises(TransportError) as raised:
            await sender.send("POST", server.url + "/", [(b"x-one", value)], b"{}")
    assert raised.value.reason == "protocol"
    assert server.heads == []


async def test_interim_answers_are_passed_over(sender: Sender, serve: Any) -> None:
    async def script(connection: Any) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + OK)

    async with serve(script) as server:
        assert await ask(sender, server.url + "/") == (200, b"{}")


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_connection_closed_as_the_request_arrives_costs_no_error(sender: Sender, serve: Any, how: str) -> None:
    async def script(connection: Any) -> None:
        while await connection.request():
            if connection.number == 1 and len(connection.server.heads) == 2:
                if how == "reset":
                    await connection.reset()
                return
            await connection.send(OK)

    async with serve(script) as server:
        for _ in range(2):
            assert await ask(sender, server.url + "/") == (200, b"{}")
    assert server.connections == 2
    assert len(server.heads) == 3


async def test_many_connections_closed_at_once_cost_no_error(sender: Sender, serve: Any) -> None:
    """An upstream that restarts closes all idle connections, just as requests arrive on them."""
    warm = anyio.Event()
    together = 0

    async def script(connection: Any) -> None:
        nonlocal together
        await connection.request()
        if not warm.is_set():
            together += 1
            if together == 3:
                warm.set()
            await warm.wait()
            await connection.send(OK)
            await connection.request()
            return
        await connection.send(OK)
        await connection.request()

    async with serve(script) as server:
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(ask, sender, server.url + "/")
        assert server.connections == 3
        assert await ask(sender, server.url + "/") == (200, b"{}")
        assert server.connections == 4


async def test_the_race_is_run_once_only(sender: Sender, serve: Any) -> None:
    async def script(connection: Any) -> None:
        await connection.request()
        if len(connection.server.heads) == 1:
            await connection.send(OK)
            await connection.request()

    async with serve(script) as server:
        await ask(sender, server.url + "/")
        with pytest.raises(TransportError):
            await ask(sender, server.url + "/")
    assert len(server.heads) == 3


async def test_a_cancelled_request_closes_its_connection(sender: Sender, serve: Any) -> None:
    async def script(connection: Any) -> None:
        await connection.request()
        await connection.eof()

    async with serve(script) as server:
        async with anyio.create_task_group() as group:
            group.start_soon(ask, sender, server.url + "/")
            await server.asked.wait()
            group.cancel_scope.cancel()
        with anyio.fail_after(20):
            await server.left.wait()


def test_a_client_of_another_library_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="object"):
        HttpxSender(object())


STRANGE = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecret"


@pytest.mark.parametrize("when", ["with the head", "with the end", "in pieces", "idle", "half"])
async def test_an_answer_that_nobody_asked_for_is_nobodys(sender: Sender, serve: Any, when: str) -> None:
    """Somebody else's answer, of an upstream that lost count, must not be taken for the next one."""
    told = anyio.Event()

    async def script(connection: Any) -> None:
        while await connection.request():
            if connection.number > 1:
                await connection.send(OK)
                continue
            if when == "with the head":
                await connection.send(OK + STRANGE)
            elif when == "with the end":
                await connection.send(OK[:-2])
                await anyio.sleep(0.05)
                await connection.send(OK[-2:] + STRANGE)
            elif when == "in pieces":
                await connection.send(OK[:-2])
                await anyio.sleep(0.05)
                await connection.send(OK[-2:] + STRANGE[:9])
                await anyio.sleep(0.02)
                await connection.send(STRANGE[9:])
            else:
                await connection.send(OK)
                await anyio.sleep(0.05)
                await connection.send(STRANGE if when == "idle" else STRANGE[:20])
            told.set()

    async with serve(script) as server:
        try:
            assert await ask(sender, server.url + "/") == (200, b"{}")
        except TransportError:
            assert when == "with the head"  # it may as well be refused whole
        with anyio.fail_after(20):
            await told.wait()
        await anyio.sleep(0.05)
        assert await ask(sender, server.url + "/") == (200, b"{}")
    assert server.connections == 2


async def test_empty_lines_after_an_answer_do_not_matter(sender: Sender, serve: Any) -> None:
    answered, told = anyio.Event(), anyio.Event()

    async def script(connection: Any) -> None:
        while await connection.request():
            await connection.send(OK)
            await answered.wait()
            await connection.send(b"\r\n")
            told.set()

    async with serve(script) as server:
        for _ in range(3):
            answered, told = anyio.Event(), anyio.Event()
            assert await ask(sender, server.url + "/") == (200, b"{}")
            answered.set()
            await told.wait()


async def test_no_other_protocol_is_switched_to(sender: Sender, serve: Any) -> None:
    """A status of 101 that went on to a client would have proxies between take the rest for no HTTP."""

    async def script(connection: Any) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nhello")
        await connection.eof()

    async with serve(script) as server:
        with pytest.raises(TransportError) as raised:
            await sender.send("GET", server.url + "/", [], b"")
        assert raised.value.reason == "protocol"
        with anyio.fail_after(20):
            await server.left.wait()


@pytest.mark.parametrize(
    "path", ["/a b", "/a\r\nx-other: b", "/a HTTP/1.1\r\nhost: b\r\n\r\nGET /", "/?q=a b", "/\x7f"]
)
@pytest.mark.parametrize(("anyio_backend", "sender_name"), [("asyncio", "http1")])  # httpx encodes what it is given
async def test_a_path_that_would_be_more_than_one_is_not_sent(
    sender: Sender, serve: Any, well_behaved: Any, path: str
) -> None:
    async with serve(well_behaved) as server:
        with pytest.raises(TransportError) as raised:
            await sender.send("GET", server.url + path, [], b"")
    assert raised.value.reason == "protocol"
    assert server.heads == []
