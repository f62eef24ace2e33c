"""The Responses API over a websocket, without sockets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from ds2api_asgi.stateful import websocket as websocket_module
from ds2api_asgi.testing.scripted import EVENT_STREAM, Break, Hang, Start, Wait
from stateful.stateless import SECRET, Nest, answer, events, frames, message, stream, thought, whole

pytestmark = pytest.mark.anyio

ANSWER = answer(thought(), message("Hello"))


class Socket:
    """The client's side of a connection."""

    def __init__(self, nest: Nest, **scope: Any) -> None:
        self.give, self._receive = anyio.create_memory_object_stream[Any](100)
        self._send, self.take = anyio.create_memory_object_stream[Any](1_000)
        self._part = nest.part
        self._scope = {
            "type": "websocket",
            "path": "/v1/responses",
            "root_path": "",
            "scheme": "wss",
            "query_string": b"",
            "headers": [
                (b"authorization", b"Bearer k1"),
                (b"connection", b"Upgrade"),
                (b"upgrade", b"websocket"),
                (b"sec-websocket-key", b"x"),
            ],
            "subprotocols": [],
            **scope,
        }

    async def run(self) -> None:
        await self._part(self._scope, self._receive.receive, self._send.send)

    async def send(self, document: Any) -> None:
        text = document if isinstance(document, str) else json.dumps(document)
        await self.give.send({"type": "websocket.receive", "text": text})

    async def event(self) -> Any:
        sent = await self.take.receive()
        assert sent["type"] == "websocket.send"
        return json.loads(sent["text"])

    async def until(self, *types: str) -> list[Any]:
        found: list[Any] = []
        while not found or found[-1]["type"] not in types:
            found.append(await self.event())
        return found

    async def turn(self, **request: Any) -> Any:
        """The end of one response."""
        await self.send({"type": "response.create", "model": "m", **request})
        return (await self.until("response.completed", "error"))[-1]

    def close(self) -> None:
        for stream_ in (self.give, self._receive, self._send, self.take):
            stream_.close()


@asynccontextmanager
async def connected(nest: Nest, **scope: Any) -> AsyncIterator[Socket]:
    socket = Socket(nest, **scope)
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(socket.run)
            await socket.give.send({"type": "websocket.connect"})
            assert await socket.take.receive() == {"type": "websocket.accept"}
            yield socket
            await socket.give.send({"type": "websocket.disconnect", "code": 1000})
    socket.close()


@pytest.mark.parametrize("nested", [False, True])
async def test_a_request_in_either_form_is_streamed(anyio_backend: str, nested: bool) -> None:
    nest = Nest(stream(ANSWER))
    async with connected(nest) as socket:
        request = {"model": "m", "input": "hi"}
        if nested:
            await socket.send({"type": "response.create", "response": request})
        else:
            await socket.send({"type": "response.create", **request})
        seen = await socket.until("response.completed")
    assert [event["type"] for event in seen] == [event["type"] for event in events(ANSWER)]
    assert seen[-1]["response"]["id"] == "resp_1"
    assert SECRET not in json.dumps(seen)
    asked = nest.inner.requests[0]
    assert (asked.method, asked.path, asked.header("authorization")) == ("POST", "/v1/responses", "Bearer k1")
    assert {name for name, _ in asked.headers} == {
        b"authorization", b"content-length", b"content-type", b"accept-encoding",
    }  # fmt: skip
    assert set(nest.asked) == {"model", "input", "stream", "store", "include"}
    assert nest.asked["stream"] is True


async def test_it_continues_what_is_not_stored_and_what_is(anyio_backend: str) -> None:
    nest = Nest(*[stream(answer(message(name, f"msg_{name}"))) for name in "abcd"])
    async with connected(nest) as socket:
        first = (await socket.turn(input="1", store=False))["response"]
        assert first["store"] is False
        second = (await socket.turn(input="2", store=False, previous_response_id=first["id"]))["response"]
        assert second["previous_response_id"] == first["id"]
        third = (await socket.turn(input="3", previous_response_id=second["id"]))["response"]
        assert len(nest.asked["input"]) == 5
        references = [{"type": "item_reference", "id": id_} for id_ in ("msg_a", "msg_c")]
        await socket.turn(input=references)
        assert [item["id"] for item in nest.asked["input"]] == ["msg_a", "msg_c"]
    for id_, status in ((first["id"], 404), (second["id"], 404), (third["id"], 200)):
        assert (await nest.driver.request("GET", f"/v1/responses/{id_}")).status == status
    await nest.create(
        previous_response_id=third["id"], input="4"
    )  # nobody else knows the first two, but what they said
    assert [item.get("id") for item in nest.asked["input"]] == [None, "msg_a", None, "msg_b", None, "msg_c", None]


async def test_another_connection_does_not_know_what_one_remembers(anyio_backend: str) -> None:
    nest = Nest(stream(ANSWER))
    async with connected(nest) as socket, connected(nest) as other:
        first = (await socket.turn(input="1", store=False))["response"]
        lost = await other.turn(input="2", previous_response_id=first["id"])
    assert lost == {
        "type": "error",
        "status": 400,
        "error": {
            "message": f"Previous response with id '{first['id']}' not found.",
            "type": "invalid_request_error",
            "param": "previous_response_id",
            "code": "previous_response_not_found",
        },
    }


async def test_what_a_connection_remembers_is_bounded(anyio_backend: str) -> None:
    count = 20
    nest = Nest(*[stream(ANSWER)] * (count + 1))
    async with connected(nest) as socket:
        ids = [(await socket.turn(input="x", store=False))["response"]["id"] for _ in range(count)]
        assert (await socket.turn(input="y", previous_response_id=ids[0]))["type"] == "error"
        assert (await socket.turn(input="y", previous_response_id=ids[-1]))["type"] == "response.completed"


@pytest.mark.parametrize(
    ("sent", "status", "param", "words"),
    [
        ("no json", 400, None, "not valid JSON"),
        ("[]", 400, None, "must be an object"),
        ({}, 400, "type", "must be response.create"),
        ({"type": 3}, 400, "type", "must be response.create"),
        ({"type": "session.update"}, 400, "type", "must be response.create"),
        ({"type": "response.steer", "input": "x"}, 400, "type", "steering"),
        ({"type": "response.create", "response": 3}, 400, "response", "must be an object"),
        ({"type": "response.create", "input": 3}, 400, "input", "must be a string or an array"),
        ({"type": "response.create", "background": True}, 400, "background", "websocket"),
        ({"type": "response.create", "stream_id": 3}, 400, "stream_id", "must be a string"),
        ({"type": "response.create", "input": "x" * 9_000}, 413, None, "over the limit"),
    ],
)
async def test_what_is_wrong_is_told_and_the_connection_stays(
    anyio_backend: str, sent: Any, status: int, param: str | None, words: str
) -> None:
    nest = Nest(stream(ANSWER), max_body=5_000)
    async with connected(nest) as socket:
        await socket.send(sent)
        error = await socket.event()
        assert (error["type"], error["status"], error["error"]["param"]) == ("error", status, param)
        assert words in error["error"]["message"]
        assert (await socket.turn(input="hi"))["type"] == "response.completed"


@pytest.mark.parametrize(
    ("script", "status"),
    [
        (whole(b'{"error": {"message": "slow down", "type": "t", "param": null, "code": "c"}}', status=429), 429),
        (whole(b"<h1>", status=500, kind=b"text/html"), 500),
        (whole(b"hello", kind=b"text/plain"), 502),
        ([Break()], 502),
        (
            stream(ANSWER, frames(events(ANSWER)[:2]), b'data: {"type": "error", "message": "hot", "code": "c"}\n\n'),
            None,
        ),
        ([*stream(ANSWER, frames(events(ANSWER)[:2])), Break()], None),
        (stream(ANSWER, frames(events(ANSWER)[:2])), None),
    ],
)
async def test_what_the_app_does_wrong_is_told_and_the_connection_stays(
    anyio_backend: str, script: Any, status: int | None
) -> None:
    nest = Nest(script, stream(ANSWER))
    async with connected(nest) as socket:
        error = await socket.turn(input="hi")
        assert error["type"] == "error"
        assert error.get("status") == status
        assert isinstance(error["error"]["message"], str)
        assert (await socket.turn(input="hi"))["type"] == "response.completed"


async def test_in_a_lane_one_comes_after_the_other_and_lanes_go_on_beside(anyio_backend: str) -> None:
    go = anyio.Event()
    said = events(ANSWER)
    slow = [Start(200, EVENT_STREAM), frames(said[:1]), Wait(go), frames(said[1:])]
    nest = Nest(slow, stream(ANSWER), stream(ANSWER))
    async with connected(nest) as socket:
        create = {"type": "response.create", "model": "m"}
        await socket.send({**create, "input": "1", "stream_id": "a"})
        assert (await socket.event())["stream_id"] == "a"
        await socket.send({**create, "input": "2", "stream_id": "a"})
        await socket.send({**create, "input": "3", "stream_id": "b"})
        beside = await socket.until("response.completed")
        assert {event["stream_id"] for event in beside} == {"b"}
        assert [json.loads(request.body)["input"] for request in nest.inner.requests] == ["1", "3"]
        go.set()
        for _ in range(2):
            assert {event["stream_id"] for event in await socket.until("response.completed")} == {"a"}
        assert [json.loads(request.body)["input"] for request in nest.inner.requests] == ["1", "3", "2"]
        assert "stream_id" not in nest.asked


async def test_lanes_and_what_waits_in_them_are_bounded(anyio_backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket_module, "MAX_LANES", 1)
    monkeypatch.setattr(websocket_module, "MAX_WAITING", 1)
    nest = Nest([Start(200, EVENT_STREAM), frames(events(ANSWER)[:1]), Hang()])
    async with connected(nest) as socket:
        await socket.send({"type": "response.create"})
        await socket.event()
        await socket.send({"type": "response.create"})
        await socket.send({"type": "response.create"})
        assert (await socket.event())["status"] == 503
        await socket.send({"type": "response.create", "stream_id": "b"})
        refused = await socket.event()
        assert (refused["status"], refused["stream_id"]) == (503, "b")


async def test_a_client_that_leaves_stops_what_is_made_for_it(anyio_backend: str) -> None:
    nest = Nest([Start(200, EVENT_STREAM), frames(events(ANSWER)[:1]), Hang()])
    async with connected(nest) as socket:
        await socket.send({"type": "response.create"})
        await socket.event()
    # Leaving the block means that the part has returned: nothing is running.
    assert (await nest.driver.request("GET", "/v1/responses/resp_1")).status == 404


async def test_a_connection_that_is_never_made_is_left(anyio_backend: str) -> None:
    nest = Nest()
    socket = Socket(nest)
    await socket.give.send({"type": "websocket.disconnect"})
    await socket.run()
    socket.close()


async def test_warming_up_asks_nothing_and_can_be_continued(anyio_backend: str) -> None:
    nest = Nest(stream(ANSWER))
    async with connected(nest) as socket:
        warm = (await socket.turn(input="Know this.", instructions="Be brief.", generate=False, store=False))[
            "response"
        ]
        assert (warm["status"], warm["output"], warm["instructions"]) == ("completed", [], "Be brief.")
        assert not nest.inner.requests
        await socket.turn(input="on", previous_response_id=warm["id"])
        assert [item["content"][0]["text"] for item in nest.asked["input"]] == ["Know this.", "on"]
