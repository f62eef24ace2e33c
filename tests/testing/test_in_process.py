from __future__ import annotations

from contextlib import aclosing

import anyio
import httpx
import httpx2
import pytest
from anthropic import AsyncAnthropic

from ds2api_asgi.testing import InProcessTransport, ScriptedUpstream, in_process_client, json_script
from leaving import leave_waiting

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[httpx2, httpx], ids=["httpx2", "httpx"])
def library(request):
    return request.param


async def echo(scope, receive, send):
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message["more_body"]
    headers = [(b"x-path", scope["raw_path"]), (b"x-query", scope["query_string"])]
    await send({"type": "http.response.start", "status": 201, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def test_request_and_response_arrive_whole(library):
    async with in_process_client(echo, library=library) as client:
        response = await client.post("/a%2Fb?x=1", content=b"hello")
    assert (response.status_code, response.content) == (201, b"hello")
    assert (response.headers["x-path"], response.headers["x-query"]) == ("/a%2Fb", "x=1")


async def test_parts_are_taken_one_by_one(library):
    go = [anyio.Event() for _ in range(3)]

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for event in go:
            await event.wait()
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async with in_process_client(app, library=library) as client, client.stream("GET", "/") as response:
        chunks = response.aiter_raw()
        for event in go:
            event.set()
            assert await anext(chunks) == b"x"
        assert [chunk async for chunk in chunks] == []


@pytest.mark.filterwarnings("ignore:Async generator 'httpx:ResourceWarning")  # httpx's own, on trio
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_closing_a_response_disconnects(library):
    told = anyio.Event()

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        told.set()

    async with in_process_client(app, library=library) as client:
        async with client.stream("GET", "/") as response, aclosing(response.aiter_raw()) as chunks:
            assert await anext(chunks) == b"x"
        with anyio.fail_after(20):
            await told.wait()


async def test_closing_the_client_lets_the_app_see_the_disconnect(library):
    told = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while (await receive())["type"] != "http.disconnect":
            pass
        await anyio.lowlevel.checkpoint()
        told.append(True)

    async with in_process_client(app, library=library) as client:
        await client.send(client.build_request("GET", "/"), stream=True)
    assert told == [True]


@pytest.mark.parametrize("started", [True, False])
async def test_app_that_fails_is_a_remote_protocol_error(library, started):
    async def app(scope, receive, send):
        if started:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise ZeroDivisionError

    async with in_process_client(app, library=library) as client:
        with pytest.raises(library.RemoteProtocolError) as error:
            await client.get("/")
    assert isinstance(error.value.__cause__, ZeroDivisionError)


async def test_streams_of_one_client_may_end_in_any_order(library):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(2):
            await send({"type": "http.response.body", "body": scope["raw_path"], "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async with in_process_client(app, library=library) as client:
        first = await client.send(client.build_request("GET", "/1"), stream=True)
        second = await client.send(client.build_request("GET", "/2"), stream=True)
        assert await first.aread() == b"/1/1"
        assert await second.aread() == b"/2/2"


async def test_cancelled_request_disconnects():
    told = anyio.Event()

    async def app(scope, receive, send):
        while (await receive())["type"] != "http.disconnect":
            pass
        told.set()

    async with in_process_client(app) as client:
        await leave_waiting(client.get, "/")
        with anyio.fail_after(20):
            await told.wait()


async def test_client_outside_of_async_with_is_told_so():
    client = httpx2.AsyncClient(transport=InProcessTransport(echo))
    with pytest.raises(RuntimeError, match="async with"):
        await client.get("http://app/")


async def test_anthropics_sdk_runs_in_process():
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-test",
        "content": [{"type": "text", "text": "Hello"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    upstream = ScriptedUpstream([json_script(message)])
    async with in_process_client(upstream) as http:
        client = AsyncAnthropic(http_client=http, base_url="http://app", api_key="any", max_retries=0)
        answer = await client.messages.create(
            model="claude-test", max_tokens=9, messages=[{"role": "user", "content": "Hi"}]
        )
    assert answer.content[0].text == "Hello"
    assert upstream.requests[0].path == "/v1/messages"
