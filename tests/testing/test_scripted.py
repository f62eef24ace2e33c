from __future__ import annotations

import threading

import anyio
import httpx2
import pytest

from ds2api_asgi.errors import ConfigurationError
from ds2api_asgi.testing import (
    EVENT_STREAM,
    Break,
    Driver,
    Hang,
    ScriptBroke,
    ScriptedUpstream,
    Set,
    Start,
    Wait,
    event_script,
    json_script,
    serve,
)

pytestmark = pytest.mark.anyio


async def test_each_request_gets_the_next_script_and_is_kept():
    upstream = ScriptedUpstream([json_script({"n": 1}), json_script({"n": 2}, status=429)])
    driver = Driver(upstream)
    answers = [await driver.request("POST", "/v1?q", json={"call": n}, headers={"X-N": str(n)}) for n in range(3)]
    assert [(answer.status, answer.json()) for answer in answers[:2]] == [(200, {"n": 1}), (429, {"n": 2})]
    assert answers[2].status == 500
    assert [request.json() for request in upstream.requests] == [{"call": n} for n in range(3)]
    assert upstream.requests[1].header("x-n") == "1"
    assert (upstream.requests[0].path, upstream.requests[0].query) == ("/v1", b"q")


async def test_repeated_scripts_begin_again():
    driver = Driver(ScriptedUpstream([json_script(1), json_script(2)], repeat=True))
    assert [(await driver.request("GET", "/")).json() for _ in range(5)] == [1, 2, 1, 2, 1]


async def test_script_waits_for_the_test_and_tells_it():
    here, go = anyio.Event(), anyio.Event()
    upstream = ScriptedUpstream([[Start(200, EVENT_STREAM), b"one", Set(here), Wait(go), b"two"]])
    async with Driver(upstream).open("GET", "/") as response:
        assert await anext(response) == b"one"
        await here.wait()
        go.set()
        assert [chunk async for chunk in response] == [b"two"]


async def test_break_before_the_start_and_in_the_middle():
    upstream = ScriptedUpstream([[Break()], event_script({"a": 1}, then=[Break()])])
    with pytest.raises(ScriptBroke):
        await Driver(upstream).request("GET", "/")
    answer = await Driver(upstream).request("GET", "/")
    assert (answer.body, answer.complete) == (b'data: {"a":1}\n\n', False)


async def test_client_that_leaves_a_hanging_script_is_noted():
    upstream = ScriptedUpstream([[Start(), b"x", Hang()]])
    async with Driver(upstream).open("GET", "/") as response:
        assert await anext(response) == b"x"
    assert upstream.requests[0].left


@pytest.mark.parametrize("script", [[b"x"], [Start(), Start()], []])
def test_script_that_cannot_be_played_is_refused(script):
    with pytest.raises(ConfigurationError):
        ScriptedUpstream([script])


async def test_scripts_work_over_a_socket():
    go = threading.Event()
    upstream = ScriptedUpstream([event_script(1, then=[Wait(go)], done=True), event_script(1, then=[Break()])])
    async with serve(upstream, lifespan="off") as base_url, httpx2.AsyncClient() as client:
        async with client.stream("POST", base_url, content=b"hello") as response:
            chunks = response.aiter_raw()
            assert await anext(chunks) == b"data: 1\n\n"
            go.set()
            assert [chunk async for chunk in chunks] == [b"data: [DONE]\n\n"]
        with pytest.raises(httpx2.RemoteProtocolError):
            await client.get(base_url)
    assert upstream.requests[0].body == b"hello"


async def test_server_whose_app_fails_to_start_says_so():
    async def app(scope, receive, send):
        raise ZeroDivisionError

    with pytest.raises(RuntimeError, match="startup"):
        async with serve(app, lifespan="on"):
            pass
