"""`Upstream` between a driven ASGI client and an upstream on a raw socket."""

from __future__ import annotations

import gzip
import logging
import math
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import Any

import anyio
import httpx
import httpx2
import pytest

from ds2api_asgi.asgi.exchange import CREDENTIAL, KEY, Exchange
from ds2api_asgi.asgi.facts import Broke, Unreachable
from ds2api_asgi.asgi.lifespan import running
from ds2api_asgi.errors import BrokenStream, ClientGone, ConfigurationError
from ds2api_asgi.upstream.component import Upstream
from ds2api_asgi.upstream.http1 import Http1Sender
from ds2api_asgi.upstream.httpx_sender import HttpxSender
from ds2api_asgi.upstream.per_loop import default_sender
from ds2api_asgi.upstream.sender import Sender

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore:Exception ignored in.*async_generator:pytest.PytestUnraisableExceptionWarning"),
]

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


class Client:
    """One request of a client, and what it was answered."""

    def __init__(
        self,
        path: str = "/v1/unclaimed",
        *,
        method: str = "POST",
        body: bytes = b"{}",
        query: bytes = b"",
        headers: tuple[tuple[bytes, bytes], ...] = (),
        **scope: Any,
    ) -> None:
        self.scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query,
            "headers": [(b"content-type", b"application/json"), *headers],
            **scope,
        }
        self.messages: list[Any] = []
        self.left = anyio.Event()
        self.sent = anyio.Event()
        self.body_sent = anyio.Event()
        self._body = body
        self._asked = False

    async def receive(self) -> Any:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": self._body, "more_body": False}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.messages.append(message)
        self.sent.set()
        if message["type"] == "http.response.body":
            self.body_sent.set()

    async def ask(self, app: Any) -> Client:
        with anyio.fail_after(10):
            await app(self.scope, self.receive, self.send)
        return self

    @property
    def status(self) -> int:
        status: int = self.messages[0]["status"]
        return status

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.messages[0]["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.messages[1:])


@asynccontextmanager
async def opened(*args: Any, **options: Any) -> AsyncIterator[Upstream]:
    upstream = Upstream(*args, **options)
    async with running(upstream):
        yield upstream


async def test_a_request_and_its_answer_pass(serve: Any, well_behaved: Any) -> None:
    async with serve(well_behaved) as server, opened(server.url + "/base") as upstream:
        client = await Client("/llm/v1/a/", query=b"x=1", root_path="/llm").ask(upstream)
    assert (client.status, client.body) == (200, b"{}")
    assert client.headers == {b"content-type": b"application/json", b"content-length": b"2"}
    assert [message.get("more_body") for message in client.messages] == [None, False]
    assert server.heads[0].startswith(b"POST /base/v1/a?x=1 HTTP/1.1")
    assert server.bodies == [b"{}"]


async def test_no_credential_of_the_client_goes_up(serve: Any, well_behaved: Any) -> None:
    names = [b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"cookie", b"proxy-authorization"]
    headers = tuple((name, b"canary") for name in [*names, b"x-forwarded-for", b"forwarded"])
    async with serve(well_behaved) as server, opened(server.url) as upstream:
        await Client(headers=headers, query=b"key=canary&api_key=canary&access_token=canary").ask(upstream)
    assert b"canary" not in server.heads[0]


async def test_credentials_go_up_when_a_pool_put_them_there(serve: Any, well_behaved: Any) -> None:
    headers = ((b"authorization", b"Bearer pooled"),)
    async with serve(well_behaved) as server, opened(server.url, api_key="own") as upstream:
        await Client(headers=headers, **{CREDENTIAL: True}).ask(upstream)
        await Client(headers=headers).ask(upstream)
    assert b"authorization: Bearer pooled" in server.heads[0]
    assert b"own" not in server.heads[0]
    assert b"authorization: Bearer own" in server.heads[1]
    assert b"pooled" not in server.heads[1]


async def test_configured_headers_replace_the_clients(serve: Any, well_behaved: Any) -> None:
    options = {"headers": {"Anthropic-Beta": "mine", "User-Agent": "me"}}
    async with serve(well_behaved) as server, opened(server.url, **options) as upstream:
        await Client(headers=((b"anthropic-beta", b"theirs"), (b"user-agent", b"them"))).ask(upstream)
    assert b"theirs" not in server.heads[0]
    assert b"them" not in server.heads[0]
    assert b"anthropic-beta: mine" in server.heads[0]
    assert b"accept-encoding: identity" in server.heads[0]


@pytest.mark.parametrize("path", ["/../x", "x/v1/", "/a/../../b", "/a\r\nb"])
async def test_path_tricks_never_reach_the_upstream(serve: Any, well_behaved: Any, path: str) -> None:
    async with serve(well_behaved) as server, opened(server.url) as upstream:
        client = await Client(path).ask(upstream)
    assert client.status == 404
    assert server.connections == 0


@pytest.mark.parametrize("headers", [(), ((b"content-length", b"11"),)])
async def test_a_body_over_the_bound_is_refused(serve: Any, well_behaved: Any, headers: Any) -> None:
    async with serve(well_behaved) as server, opened(server.url, max_body=10) as upstream:
        client = await Client(body=b"x" * 11, headers=headers).ask(upstream)
    assert client.status == 413
    assert b'"error"' in client.body
    assert server.connections == 0


async def test_get_is_sent_without_reading_a_body(serve: Any, well_behaved: Any) -> None:
    async with serve(well_behaved) as server, opened(server.url) as upstream:
        client = Client(method="GET")
        client._asked = True  # as uvicorn on HTTP/2, which never delivers http.request here
        await client.ask(upstream)
    assert client.status == 200
    assert server.heads[0].startswith(b"GET ")


@pytest.mark.parametrize(
    ("method", "answer", "length"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n", b"7"),
        ("POST", b"HTTP/1.1 204 No Content\r\n\r\n", None),
        ("POST", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n", None),
        ("POST", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", b"0"),
    ],
)
async def test_answers_without_a_body_have_none(serve: Any, method: str, answer: bytes, length: bytes | None) -> None:
    async def script(connection: Any) -> None:
        while await connection.request():
            await connection.send(answer)

    async with serve(script) as server, opened(server.url) as upstream:
        for _ in range(2):
            client = await Client(method=method).ask(upstream)
            assert client.body == b""
            assert client.headers.get(b"content-length") == length
            assert client.messages[-1]["more_body"] is False
    assert server.connections == 1


async def test_a_chunk_goes_down_before_the_next_is_made(serve: Any, chunked_head: bytes) -> None:
    client = Client()

    async def script(connection: Any) -> None:
        await connection.request()
        await connection.send(chunked_head + b"1\r\na\r\n")
        await client.body_sent.wait()
        await connection.send(b"1\r\nb\r\n0\r\n\r\n")

    async with serve(script) as server, opened(server.url) as upstream:
        await client.ask(upstream)
    assert client.body == b"ab"
    assert b"content-length" not in client.headers


async def test_a_client_that_does_not_read_slows_the_upstream_down(serve: Any, chunked_head: bytes) -> None:
    written = 0

    async def script(connection: Any) -> None:
        nonlocal written
        await connection.request()
        await connection.send(chunked_head)
        while True:
            await connection.send(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
            written += 0x10000

    async with serve(script) as server, opened(server.url) as upstream:
        client = Client()
        stalled = anyio.Event()

        async def send(message: Any) -> None:
            if message["type"] == "http.response.body":
                stalled.set()
                await anyio.sleep_forever()

        client.send = send  # type: ignore[method-assign]
        async with anyio.create_task_group() as group:
            group.start_soon(client.ask, upstream)
            await stalled.wait()
            before = -1
            while before != written:
                before = written
                await anyio.sleep(0.2)
            client.left.set()
    assert written < 32 * 1024 * 1024


async def leave_when_asked(client: Client, server: Any, app: Any, phase: str) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(client.ask, app)
        if phase == "waiting":
            await server.asked.wait()
        else:
            await client.sent.wait()
        client.left.set()
        with anyio.fail_after(20):
            await server.left.wait()


@pytest.mark.parametrize("phase", ["waiting", "streaming"])
async def test_the_upstream_sees_the_end_when_the_client_leaves(serve: Any, chunked_head: bytes, phase: str) -> None:
    async def script(connection: Any) -> None:
        await connection.request()
        if phase == "streaming":
            await connection.send(chunked_head + b"1\r\na\r\n")
        await connection.eof()

    async with serve(script) as server, opened(server.url) as upstream:
        client = Client()
        await leave_when_asked(client, server, upstream, phase)
    assert not any(message.get("more_body") is False for message in client.messages)


async def test_parts_above_learn_that_the_client_left(serve: Any) -> None:
    async def script(connection: Any) -> None:
        await connection.request()
        await connection.eof()

    async with serve(script) as server, opened(server.url) as upstream:
        client = Client(**{KEY: Exchange(started=anyio.current_time())})
        client.left.set()
        with pytest.raises(ClientGone):
            await client.ask(upstream)


async def test_a_send_that_finds_nobody_is_a_client_that_left(serve: Any, well_behaved: Any) -> None:
    async with serve(well_behaved) as server, opened(server.url) as upstream:
        client = Client(**{KEY: Exchange(started=anyio.current_time())})

        async def send(message: Any) -> None:
            raise BrokenPipeError

        client.send = send  # type: ignore[method-assign]
        with pytest.raises(ClientGone):
            await client.ask(upstream)


async def stall(connection: Any) -> None:
    await connection.request()
    await connection.eof()


async def hang_up(connection: Any) -> None:
    await connection.request()


async def test_a_model_that_thinks_may_have_its_own_time(serve: Any) -> None:
    asked: list[str] = []

    def allowed(model: str) -> float:
        asked.append(model)
        return 0.1 if model == "quick" else 5.0

    async with serve(stall) as server, opened(server.url, first_byte_timeout=allowed, total_timeout=2.0) as upstream:
        for body, least, most in (
            (b'{"stream":true,"model":"quick"}', 0.09, 2.0),
            (b'{"stream":true}', 1.99, math.inf),
        ):
            start = anyio.current_time()
            assert (await Client(body=body).ask(upstream)).status == 504
            assert least <= anyio.current_time() - start < most
    assert asked == ["quick", ""]


@pytest.mark.parametrize(
    ("script", "options", "body", "status", "reason"),
    [
        (hang_up, {}, b"{}", 502, "reset"),
        (stall, {"first_byte_timeout": 0.5}, b'{"stream":true}', 504, "timeout"),
        (stall, {"total_timeout": 1.0}, b'{"stream":false}', 504, "timeout"),
    ],
)
async def test_an_upstream_that_does_not_answer_is_an_error_document_and_a_fact(
    serve: Any, script: Any, options: Any, body: bytes, status: int, reason: str
) -> None:
    exchange = Exchange(started=anyio.current_time())
    async with serve(script) as server, opened(server.url, **options) as upstream:
        client = await Client(body=body, **{KEY: exchange}).ask(upstream)
    assert client.status == status
    assert b'"error"' in client.body
    assert b"127.0.0.1" not in client.body
    assert exchange.last(Unreachable) == Unreachable(reason=reason, processed=True)


async def test_the_exchanges_deadline_bounds_the_request(serve: Any) -> None:
    exchange = Exchange(started=anyio.current_time())
    exchange.deadline = anyio.current_time() + 0.1
    async with serve(stall) as server, opened(server.url) as upstream:
        assert (await Client(**{KEY: exchange}).ask(upstream)).status == 504


@pytest.mark.parametrize(
    ("path", "body", "whole"),
    [
        ("/v1/images/generations", b'{"stream":true}', True),
        ("/v1/chat/completions", b'{"stream":true}', False),
        ("/v1/chat/completions", b'{"stream":false}', True),
    ],
)
async def test_what_is_not_translated_may_say_nothing_before_its_end(
    serve: Any, path: str, body: bytes, whole: bool
) -> None:
    async def script(connection: Any) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 3\r\n\r\n")
        await anyio.sleep(0.4)
        await connection.send(b"abc")

    async with serve(script) as server, opened(server.url, first_byte_timeout=0.2, idle_timeout=0.2) as upstream:
        client = Client(path, body=body)
        with nullcontext() if whole else pytest.raises(BrokenStream, match="idle"):
            await client.ask(upstream)
    assert (client.body == b"abc") is whole


@pytest.mark.parametrize(
    ("body", "closes", "options", "reason"),
    [
        (b"content-length: 9\r\n\r\nabc", True, {}, "truncated"),
        (b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", True, {}, "truncated"),
        (b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", False, {"idle_timeout": 0.1}, "idle"),
        (b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", False, {"total_timeout": 1.0}, "total"),
    ],
)
async def test_an_answer_that_breaks_off_is_raised_and_noted(
    serve: Any, body: bytes, closes: bool, options: Any, reason: str
) -> None:
    async def script(connection: Any) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\n" + body)
        if not closes:
            await connection.eof()

    exchange = Exchange(started=anyio.current_time())
    async with serve(script) as server, opened(server.url, **options) as upstream:
        client = Client(**{KEY: exchange})
        with pytest.raises(BrokenStream) as caught:
            await client.ask(upstream)
        if not closes:
            with anyio.fail_after(20):
                await server.left.wait()
    assert caught.value.reason == reason
    assert exchange.last(Broke) == Broke(reason=reason)
    assert client.body == b"abc"
    assert client.messages[-1]["more_body"] is True


@pytest.mark.parametrize("coding", ["gzip", "X-GZip", "deflate"])
async def test_what_a_server_compresses_unasked_arrives_plain(serve: Any, coding: str, sender: Sender) -> None:
    packed = (zlib if coding == "deflate" else gzip).compress(b'{"a": "' + b"x" * 500 + b'"}')

    async def script(connection: Any) -> None:
        await connection.request()
        head = f"HTTP/1.1 200 OK\r\ncontent-encoding: {coding}\r\ncontent-length: {len(packed)}\r\n\r\n"
        await connection.send(head.encode() + packed)

    async with serve(script) as server, opened(server.url, sender=sender) as upstream:
        client = await Client().ask(upstream)
    assert client.body == b'{"a": "' + b"x" * 500 + b'"}'
    assert not {b"content-encoding", b"content-length"} & {name for name, _ in client.messages[0]["headers"]}


async def test_what_is_not_in_the_coding_that_it_states_is_broken_off(serve: Any) -> None:
    async def script(connection: Any) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 9\r\n\r\nnot gzip!")

    async with serve(script) as server, opened(server.url) as upstream:
        with pytest.raises(BrokenStream) as caught:
            await Client().ask(upstream)
    assert caught.value.reason == "protocol"


async def test_a_coding_that_nobody_here_reads_passes_as_it_is(serve: Any) -> None:
    async def script(connection: Any) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\ncontent-encoding: br\r\ncontent-length: 3\r\n\r\nabc")

    async with serve(script) as server, opened(server.url) as upstream:
        client = await Client().ask(upstream)
    assert (client.body, dict(client.messages[0]["headers"])[b"content-encoding"]) == (b"abc", b"br")


async def test_a_slow_stream_is_not_idle(serve: Any, chunked_head: bytes) -> None:
    async def script(connection: Any) -> None:
        await connection.request()
        await connection.send(chunked_head)
        for _ in range(16):
            await anyio.sleep(0.1)
            await connection.send(b"1\r\na\r\n")
        await connection.send(b"0\r\n\r\n")

    async with serve(script) as server, opened(server.url, idle_timeout=1.5) as upstream:
        assert (await Client().ask(upstream)).body == b"a" * 16


async def test_without_a_lifespan_it_opens_by_itself_and_says_so_once(
    serve: Any, well_behaved: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "ds2api_asgi.upstream"):
        async with serve(well_behaved) as server:
            upstream = Upstream(server.url)
            for _ in range(2):
                assert (await Client().ask(upstream)).status == 200
    assert len(caplog.records) == 1


async def test_it_opens_again_after_its_lifespan_has_ended(serve: Any, well_behaved: Any) -> None:
    async with serve(well_behaved) as server:
        upstream = Upstream(server.url)
        for _ in range(2):
            async with running(upstream):
                assert (await Client().ask(upstream)).status == 200


async def test_websockets_are_closed_with_a_reason() -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await Upstream("http://127.0.0.1:1")({"type": "websocket", "path": "/"}, receive, send)
    assert [(message["type"], message["code"]) for message in sent] == [("websocket.close", 1003)]


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_the_fast_sender_is_picked_where_it_works(serve: Any, well_behaved: Any, anyio_backend: str) -> None:
    wanted = {"asyncio": Http1Sender, "trio": HttpxSender}[anyio_backend]
    sender = default_sender(connect_timeout=5)
    assert isinstance(sender, wanted)
    await sender.aclose()


@pytest.mark.parametrize("module", [httpx, httpx2])
async def test_a_client_of_the_user_is_used_and_left_open(serve: Any, well_behaved: Any, module: Any) -> None:
    async with module.AsyncClient(trust_env=False, headers={"x-of-client": "canary"}) as client:
        async with serve(well_behaved) as server, opened(server.url, client=client) as upstream:
            assert (await Client().ask(upstream)).status == 200
        assert not client.is_closed
    assert b"canary" not in server.heads[0]


@pytest.mark.parametrize(
    "options",
    [
        {"api_key": "", "protocol": None},
        {"api_key": "sk-1\n"},
        {"api_key": "x", "forward_credentials": True},
        {"idle_timeout": 0},
        {"write_timeout": 0},
        {"pool_timeout": -1},
        {"total_timeout": float("nan")},
        {"headers": {"host": "evil"}},
        {"headers": {"x": "a\r\nb"}},
        {"headers": {"a b": "c"}},
        {"headers": {"x": "secret-of-ours"}, "secrets": "secret-of-ours"},
        {"client": object()},
        {"protocol": "no-such-protocol"},
    ],
)
async def test_what_cannot_work_is_refused_at_once(options: Any) -> None:
    with pytest.raises(ConfigurationError):
        Upstream("https://h", **options)


@pytest.mark.parametrize(
    ("protocol", "path", "header"),
    [
        ("anthropic", "/v1/messages", b"x-api-key: own"),
        (None, "/v1/messages", b"x-api-key: own"),
        ("openai-chat", "/v1/chat/completions", b"authorization: Bearer own"),
        (None, "/v1/chat/completions", b"authorization: Bearer own"),
        ("gemini", "/v1beta/models/m:generateContent", b"x-goog-api-key: own"),
        (None, "/v1beta/models/m:generateContent", b"x-goog-api-key: own"),
    ],
)
async def test_the_api_key_goes_in_the_protocols_own_header(
    serve: Any, well_behaved: Any, protocol: str | None, path: str, header: bytes
) -> None:
    async with serve(well_behaved) as server, opened(server.url, protocol=protocol, api_key="own") as upstream:
        await Client(path, headers=((b"x-api-key", b"theirs"),)).ask(upstream)
    assert header in server.heads[0].split(b"\r\n")
    assert b"theirs" not in server.heads[0]


@pytest.mark.parametrize(
    ("path", "mark"),
    [
        ("/v1/messages", b'"type":"error"'),
        ("/v1/chat/completions", b'"param"'),
        ("/v1beta/models/m:generateContent", b'"status":"'),
    ],
)
async def test_errors_are_spelled_in_the_protocol_of_the_path(serve: Any, path: str, mark: bytes) -> None:
    async with serve(hang_up) as server, opened(server.url) as upstream:
        client = await Client(path).ask(upstream)
    assert client.status >= 500
    assert mark in client.body
