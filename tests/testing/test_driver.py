from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import anyio
import pytest

from ds2api_asgi.errors import ClientGone
from ds2api_asgi.testing import BrokenResponse, Driver, NoResponse

pytestmark = pytest.mark.anyio


async def start(send, status=200, headers=()):
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})


async def part(send, body, more=True):
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def test_chunk_n_arrives_before_chunk_n_plus_1_is_made():
    made = []

    async def app(scope, receive, send):
        await start(send)
        for number in range(3):
            made.append(number)
            await part(send, b"%d" % number)
        await part(send, b"", more=False)

    async with Driver(app).open("GET", "/") as response:
        seen = []
        async for chunk in response:
            seen.append(chunk)
            assert made[: len(seen)] == list(range(len(seen)))
            assert len(made) <= len(seen) + 1, "the app may have begun the next one, never the one after it"
    assert seen == [b"0", b"1", b"2"]


async def test_app_that_waits_for_the_client_between_chunks_is_no_deadlock():
    go = anyio.Event()

    async def app(scope, receive, send):
        await start(send)
        await part(send, b"one")
        await go.wait()
        await part(send, b"two", more=False)

    async with Driver(app).open("GET", "/") as response:
        assert await anext(response) == b"one"
        go.set()
        assert await anext(response) == b"two"
        assert [chunk async for chunk in response] == []


@pytest.mark.parametrize("crash", [True, False])
async def test_response_without_its_end_is_broken(crash):
    async def app(scope, receive, send):
        await start(send)
        await part(send, b"half")
        if crash:
            raise ZeroDivisionError

    async with Driver(app).open("GET", "/") as response:
        assert await anext(response) == b"half"
        with pytest.raises(BrokenResponse) as broken:
            await anext(response)
    assert isinstance(broken.value.__cause__, ZeroDivisionError if crash else type(None))
    answer = await Driver(app).request("GET", "/")
    assert (answer.body, answer.complete) == (b"half", False)


async def test_exceptions_before_the_start_and_after_the_end_are_the_apps_own():
    async def early(scope, receive, send):
        raise ZeroDivisionError

    async def late(scope, receive, send):
        await start(send)
        await part(send, b"all", more=False)
        raise ZeroDivisionError

    for app in (early, late):
        with pytest.raises(ZeroDivisionError):
            await Driver(app).request("GET", "/")


async def test_app_that_answers_nothing_is_told_apart():
    async def app(scope, receive, send):
        return

    with pytest.raises(NoResponse):
        await Driver(app).request("GET", "/")


@pytest.mark.parametrize("leaving", ["disconnect", "exit"])
async def test_client_that_leaves_is_told_by_receive(leaving):
    told = []

    async def app(scope, receive, send):
        await start(send)
        await part(send, b"one")
        while (message := await receive())["type"] != "http.disconnect":
            pass
        told.append(message["type"])
        await part(send, b"nobody gets this")

    async with Driver(app).open("POST", "/", body=b"x") as response:
        assert await anext(response) == b"one"
        if leaving == "disconnect":
            await response.disconnect()
            assert [chunk async for chunk in response] == []
    assert told == ["http.disconnect"]


async def test_receive_says_disconnect_again_and_again_after_the_response():
    told = []

    async def app(scope, receive, send):
        await start(send)
        await part(send, b"", more=False)
        told.extend([(await receive())["type"], (await receive())["type"]])

    await Driver(app).request("GET", "/")
    assert told == ["http.disconnect", "http.disconnect"]


async def test_body_comes_in_the_parts_it_was_given_in():
    seen = []

    async def app(scope, receive, send):
        more = True
        while more:
            message = await receive()
            more = message["more_body"]
            seen.append(message["body"])
        await start(send)
        await part(send, b"", more=False)

    def parts() -> Iterator[bytes]:
        yield b"a"
        yield b"b"

    await Driver(app).request("POST", "/", body=parts())
    assert seen == [b"a", b"b", b""]


async def test_scope_is_what_the_specification_says():
    scopes = []

    async def app(scope, receive, send):
        scopes.append(scope)
        await start(send, headers=[(b"x-answer", b"yes")])
        await part(send, b'{"a":1}', more=False)

    driver = Driver(app, root_path="/llm", headers={"X-Always": "1"}, scope={"state": {"k": "v"}})
    answer = await driver.request("POST", "/a%2Fb?x=1", json={"m": "ü"}, headers={"Accept": "*/*"})
    (scope,) = scopes
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == ("/llm/a/b", b"/llm/a%2Fb", b"x=1")
    assert (scope["root_path"], scope["state"]) == ("/llm", {"k": "v"})
    assert scope["headers"] == [
        (b"host", b"testserver"),
        (b"x-always", b"1"),
        (b"accept", b"*/*"),
        (b"content-type", b"application/json"),
    ]
    assert (answer.json(), answer.header("X-Answer"), answer.header("x-none")) == ({"a": 1}, "yes", None)


@pytest.mark.parametrize(
    "messages",
    [
        [{"type": "http.response.body", "body": b""}],
        [{"type": "http.response.start", "status": 200}, {"type": "http.response.start", "status": 200}],
        [
            {"type": "http.response.start", "status": 200},
            {"type": "http.response.body"},
            {"type": "http.response.body"},
        ],
        [{"type": "http.response.trailers"}],
    ],
)
async def test_app_that_breaks_the_protocol_is_told_so(messages):
    told = []

    async def app(scope, receive, send):
        try:
            for message in messages:
                await send(message)
        except RuntimeError as error:
            told.append(str(error))
            raise

    with suppress(RuntimeError):  # it comes out where the response cannot tell of it
        await Driver(app).request("GET", "/")
    assert told


async def test_head_has_no_body():
    async def app(scope, receive, send):
        await start(send)
        await part(send, b"body", more=False)

    assert (await Driver(app).request("HEAD", "/")).body == b""


async def test_exception_of_the_test_itself_comes_out_unwrapped():
    async def app(scope, receive, send):
        await start(send)
        await anyio.sleep_forever()

    with pytest.raises(KeyError):
        async with Driver(app).open("GET", "/"):
            raise KeyError("of the test")


async def test_what_the_app_raises_after_the_client_left_comes_out():
    async def app(scope, receive, send):
        await start(send)
        while (await receive())["type"] != "http.disconnect":
            pass
        raise ClientGone if scope["path"] == "/gone" else ZeroDivisionError

    async with Driver(app).open("GET", "/gone"):
        pass
    with pytest.raises(ZeroDivisionError):
        async with Driver(app).open("GET", "/"):
            pass
