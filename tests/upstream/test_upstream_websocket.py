"""Websockets through `Upstream`: messages and codes as they are, in both directions, over real sockets."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from ds2api_asgi import Upstream
from ds2api_asgi.errors import ConfigurationError
from ds2api_asgi.testing import serve
from ds2api_asgi.upstream import WebSockets
from ds2api_asgi.upstream import component as component_module
from ports import reserved_port
from socket_provider import Provider, dial, echo, provider

KEY = "sk-provider-canary-55aa91"
CLIENT = "sk-client-canary-9d31c0"

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """The websocket client is asyncio's."""
    return "asyncio"


@asynccontextmanager
async def passed(made: Provider, **options: Any) -> AsyncIterator[str]:
    upstream = Upstream(made.url, api_key=KEY, websockets=options.pop("websockets", True), **options)
    async with serve(upstream, ws="websockets-sansio", ws_max_size=2**25) as url:
        yield url


async def ending(connection: Any) -> tuple[int, str]:
    """How the other end left."""
    try:
        with anyio.fail_after(20):
            while True:
                await connection.recv()
    except ConnectionClosed as closed:
        return (1006, "") if closed.rcvd is None else (closed.rcvd.code, closed.rcvd.reason)


@pytest.mark.parametrize(
    "message",
    ["hello", "", "naïve 🐘 \x00 \u2028", b"", bytes(range(256)), "x" * 3_000_000, os.urandom(3_000_000)],
    ids=["text", "empty", "unicode", "no bytes", "bytes", "large text", "large bytes"],
)
async def test_messages_pass_unchanged_in_both_directions(message: str | bytes) -> None:
    async with provider(echo) as made, passed(made) as url, dial(url) as client:
        await client.send(message)
        assert await client.recv() == message


async def test_fragments_pass_as_the_message_that_they_are() -> None:
    async def in_pieces(connection: Any) -> None:
        message = await connection.recv()
        await connection.send(iter([message[:5], message[5:]]))

    async with provider(in_pieces) as made, passed(made) as url, dial(url) as client:
        await client.send(iter(["frag", "ments ", "pass"]))
        assert await client.recv() == "fragments pass"


async def test_messages_keep_their_order() -> None:
    async with provider(echo) as made, passed(made) as url, dial(url) as client:
        sent = [f"{number}" if number % 2 else f"{number}".encode() for number in range(200)]
        for message in sent:
            await client.send(message)
        assert [await client.recv() for _ in sent] == sent


CODES = [(1000, "done"), (1001, ""), (1011, "it broke"), (3000, "invalid_request_error.x"), (4999, "ü" * 60)]


@pytest.mark.parametrize(("code", "reason"), CODES)
async def test_a_clients_close_code_reaches_the_provider(code: int, reason: str) -> None:
    async with provider(echo) as made, passed(made) as url:
        async with dial(url) as client:
            await client.send("last words")
            await client.close(code, reason)
        assert await made.closed() == (code, reason)


@pytest.mark.parametrize(("code", "reason"), CODES)
async def test_the_providers_close_code_reaches_the_client(code: int, reason: str) -> None:
    async def leave(connection: Any) -> None:
        await connection.send("last words")
        await connection.close(code, reason)

    async with provider(leave) as made, passed(made) as url, dial(url) as client:
        assert await client.recv() == "last words"
        assert await ending(client) == (code, reason)


async def test_what_a_client_sent_before_it_left_arrives() -> None:
    heard: list[Any] = []

    async def listen(connection: Any) -> None:
        heard.extend([message async for message in connection])

    async with provider(listen) as made, passed(made) as url:
        async with dial(url) as client:
            for number in range(50):
                await client.send(f"{number}")
        await made.closed()
    assert heard == [f"{number}" for number in range(50)]


async def is_at_once(ends: Callable[[], Awaitable[float]]) -> bool:
    """Whether it takes 100 ms at most, which a busy machine exceeds now and then, but not each time."""
    for _ in range(5):
        if await ends() < 0.1:
            return True
    return False


async def test_a_client_that_vanishes_ends_the_provider_at_once() -> None:
    async def vanish() -> float:
        async with provider(echo) as made, passed(made) as url:
            client = await dial(url)
            await client.send("here")
            await client.recv()
            began = time.monotonic()
            client.transport.abort()
            await made.closed()
            return time.monotonic() - began

    assert await is_at_once(vanish)


async def test_a_provider_that_vanishes_ends_the_client_at_once_and_is_named() -> None:
    async def vanish(connection: Any) -> None:
        await connection.recv()
        connection.transport.abort()

    async def ends() -> float:
        async with provider(vanish) as made, passed(made) as url, dial(url) as client:
            began = time.monotonic()
            await client.send("go")
            assert await ending(client) == (1014, "the upstream is gone")
            return time.monotonic() - began

    assert await is_at_once(ends)


async def test_who_cancels_ends_the_provider_at_once() -> None:
    async def cancel() -> float:
        async with provider(echo) as made:
            sent: list[Any] = []
            opened = anyio.Event()

            async def send(message: Any) -> None:
                sent.append(message)
                opened.set()

            async with anyio.create_task_group() as group:
                app = Upstream(made.url, websockets=True)
                group.start_soon(app, {"type": "websocket", "path": "/", "headers": []}, connects(), send)
                await opened.wait()
                began = time.monotonic()
                group.cancel_scope.cancel()
            assert await made.closed() == (1001, "")
            took = time.monotonic() - began
            assert [message["type"] for message in sent] == ["websocket.accept"]
            return took

    assert await is_at_once(cancel)


async def test_a_crash_of_the_server_reaches_who_called_as_itself() -> None:
    async def send(message: Any) -> None:
        raise ZeroDivisionError

    async with provider(echo) as made:
        with pytest.raises(ZeroDivisionError):
            await Upstream(made.url, websockets=True)(
                {"type": "websocket", "path": "/", "headers": []}, connects(), send
            )
        assert (await made.closed())[0] == 1001


@pytest.mark.parametrize(
    "path", ["/v1/../admin", "/v1/%2e%2e/admin", "/v1/realtime\\..", "//evil.example/v1", "/@evil"]
)
async def test_no_path_leads_to_another_host(path: str) -> None:
    async with provider(echo) as made, passed(made) as url:
        try:
            async with dial(url, path) as client:
                await client.send("hello")
                assert await client.recv() == "hello"
        except InvalidStatus as refused:
            status = refused.response.status_code
        else:
            status = 404
        assert status == 404
        assert all("admin" not in path for path, _ in made.heads)


async def test_a_refused_handshake_is_answered_as_the_provider_did() -> None:
    document = {"error": {"code": "invalid_api_key", "message": f"Incorrect API key provided: {KEY}"}}
    refusal = (401, document, {"x-request-id": "req_1", "set-cookie": "a=b"})
    async with provider(echo, {KEY: refusal}) as made, passed(made) as url:
        with pytest.raises(InvalidStatus) as refused:
            await dial(url)
    answer = refused.value.response
    assert answer.status_code == 401
    assert answer.headers["x-request-id"] == "req_1"
    assert "set-cookie" not in answer.headers
    assert b"invalid_api_key" in answer.body
    assert KEY.encode() not in answer.body


async def test_a_redirect_is_not_followed() -> None:
    async with provider(echo) as other:
        refusal = (307, {}, {"location": other.url.replace("http", "ws") + "/v1/realtime"})
        async with provider(echo, {KEY: refusal}) as made, passed(made) as url:
            with pytest.raises(InvalidStatus) as refused:
                await dial(url)
        assert refused.value.response.status_code == 502
        assert other.heads == []


async def test_where_the_server_cannot_deny_the_websocket_is_closed(nobodys: str) -> None:
    sent = await unserved({"extensions": {}}, Upstream(nobodys, websockets=True))
    assert sent == [{"type": "websocket.close", "code": 1014, "reason": ""}]


async def test_a_provider_that_is_not_there_is_a_bad_gateway(nobodys: str) -> None:
    async with serve(Upstream(nobodys, websockets=True), ws="websockets-sansio") as url:
        with pytest.raises(InvalidStatus) as refused:
            await dial(url)
    assert refused.value.response.status_code == 502


async def test_a_provider_that_does_not_answer_the_handshake_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        upstream = Upstream(address, websockets=WebSockets(handshake_timeout=0.1))
        async with serve(upstream, ws="websockets-sansio") as url:
            with pytest.raises(InvalidStatus) as refused:
                await dial(url)
    assert refused.value.response.status_code == 504


async def test_a_client_that_leaves_during_the_handshake_is_not_dialled_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        upstream = Upstream(address, websockets=WebSockets(handshake_timeout=3600))
        with anyio.fail_after(20):
            assert await unserved({}, upstream, {"type": "websocket.disconnect", "code": 1006}) == []


async def test_a_client_that_says_nothing_is_closed_after_a_while() -> None:
    bounds = WebSockets(idle_timeout=0.2)
    async with provider(echo) as made, passed(made, websockets=bounds) as url, dial(url) as client:
        assert await ending(client) == (1001, "the connection's time is over (idle)")
        assert (await made.closed())[0] == 1001


async def test_every_connection_ends_when_its_time_is_over() -> None:
    async def chatter(connection: Any) -> None:
        while True:
            await connection.send("still here")
            await anyio.sleep(0.02)

    bounds = WebSockets(total_timeout=0.3, idle_timeout=5)
    async with provider(chatter) as made, passed(made, websockets=bounds) as url, dial(url) as client:
        assert await ending(client) == (1001, "the connection's time is over (total)")


async def test_a_message_over_the_bound_ends_both_sides() -> None:
    async def shout(connection: Any) -> None:
        await connection.send("x" * 2_000)

    bounds = WebSockets(max_message=1_000)
    async with provider(echo) as made, passed(made, websockets=bounds) as url, dial(url) as client:
        await client.send("x" * 2_000)
        assert (await ending(client))[0] == 1009
        assert (await made.closed())[0] == 1009
    async with provider(shout) as made, passed(made, websockets=bounds) as url, dial(url) as client:
        assert (await ending(client))[0] == 1009
        assert (await made.closed())[0] == 1009


async def test_a_client_that_does_not_read_stops_the_provider() -> None:
    sent = 0

    async def pour(connection: Any) -> None:
        nonlocal sent
        while True:
            await connection.send(b"x" * 100_000)
            sent += 100_000

    async with provider(pour) as made, passed(made) as url:
        client = await dial(url, max_queue=1)
        await stands_still(lambda: sent)
        assert 0 < sent < 40_000_000  # what the sockets on the way hold; unbounded it would be gigabytes
        client.transport.abort()


async def test_a_provider_that_does_not_read_stops_the_client() -> None:
    sent = 0
    over = anyio.Event()

    async def deaf(connection: Any) -> None:
        connection.transport.pause_reading()
        await over.wait()
        connection.transport.abort()

    async def pour(client: Any) -> None:
        nonlocal sent
        while True:
            await client.send(b"x" * 100_000)
            sent += 100_000

    async with provider(deaf) as made, passed(made) as url:
        client = await dial(url)
        async with anyio.create_task_group() as group:
            group.start_soon(pour, client)
            await stands_still(lambda: sent)
            group.cancel_scope.cancel()
        assert 0 < sent < 40_000_000
        over.set()
        client.transport.abort()


async def test_credentials_of_the_client_go_no_further() -> None:
    async with (
        provider(echo) as made,
        passed(made) as url,
        dial(
            url,
            f"/v1/realtime?model=gpt-realtime&api_key={CLIENT}",
            additional_headers={"x-api-key": CLIENT, "cookie": CLIENT, "openai-beta": "realtime=v1"},
            subprotocols=["realtime", f"openai-insecure-api-key.{CLIENT}"],
        ) as client,
    ):
        assert client.subprotocol == "realtime"
    path, head = made.heads[0]
    assert path == "/v1/realtime?model=gpt-realtime"
    assert head["authorization"] == f"Bearer {KEY}"
    assert head["openai-beta"] == "realtime=v1"
    assert head["sec-websocket-protocol"] == "realtime"
    assert CLIENT not in str(head)
    assert "origin" not in head


async def test_no_key_is_logged_and_none_is_passed_to_the_client(caplog: pytest.LogCaptureFixture) -> None:
    async def tell(connection: Any) -> None:
        await connection.send(f"your key is {KEY}")
        await connection.close(3000, f"no {KEY}")

    caplog.set_level(logging.DEBUG)
    for name in ("websockets.client", "websockets.server"):  # the test's own ends
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        async with provider(tell) as made, passed(made) as url, dial(url) as client:
            assert await client.recv() == "your key is " + "*" * len(KEY)
            assert await ending(client) == (3000, "no " + "*" * len(KEY))
    finally:
        for name in ("websockets.client", "websockets.server"):
            logging.getLogger(name).setLevel(logging.NOTSET)
    assert KEY not in caplog.text


async def test_without_a_websocket_client_the_reason_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(component_module, "is_installed", lambda: False)
    (message,) = await unserved({}, Upstream("http://127.0.0.1:1", websockets=True))
    assert message["code"] == 1003
    assert "extra 'websocket'" in message["reason"]


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_on_trio_the_reason_is_said(anyio_backend: str) -> None:
    (message,) = await unserved({}, Upstream("http://127.0.0.1:1", websockets=True))
    assert (message["code"], message["reason"]) == (1003, "websockets are passed through on asyncio only")


@pytest.mark.parametrize("name", WebSockets.__struct_fields__)
def test_bounds_that_cannot_work_are_refused(name: str) -> None:
    for value in (0, -1, float("nan")):
        with pytest.raises(ConfigurationError, match=name):
            WebSockets(**{name: value})


def connects() -> Any:
    """A ``receive`` of a client that connects and stays."""
    messages = [{"type": "websocket.connect"}]

    async def receive() -> Any:
        if not messages:
            await anyio.sleep_forever()
        return messages.pop(0)

    return receive


async def unserved(scope: Any, app: Any, *further: Any) -> list[Any]:
    """What an app sends on a websocket that no server carries."""
    sent: list[Any] = []
    messages = [{"type": "websocket.connect"}, *further]

    async def receive() -> Any:
        if not messages:
            await anyio.sleep_forever()
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    await app({"type": "websocket", "path": "/v1/realtime", "headers": [], **scope}, receive, send)
    return sent


async def stands_still(count: Any) -> None:
    with anyio.fail_after(20):
        before = -1
        while before != count() or before == 0:
            before = count()
            await anyio.sleep(0.3)


@pytest.fixture
def nobodys() -> Iterator[str]:
    """An address where nobody listens."""
    with reserved_port() as port:
        yield f"http://127.0.0.1:{port}"
