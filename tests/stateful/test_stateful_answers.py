"""What clients are answered, whatever the app answers, and what is kept of it."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from ds2api_asgi.asgi.lifespan import running
from ds2api_asgi.errors import BrokenStream
from ds2api_asgi.protocols.openai_responses import PROTOCOL
from ds2api_asgi.stateful import MemoryResponseStore
from ds2api_asgi.stateful.replay import events_of
from ds2api_asgi.testing import BrokenResponse
from ds2api_asgi.testing.scripted import EVENT_STREAM, Break, Hang, ScriptBroke, Set, Start, Wait
from ds2api_asgi.universal import jsontext
from lawkit import cuts_of, plain
from stateful.stateless import SECRET, Nest, answer, events, frames, message, parsed, strange, stream, thought, whole

ANSWER = answer(thought(), message("Hello"))


async def kept(nest: Nest, id_: str = "resp_1") -> int:
    found = await nest.driver.request("GET", f"/v1/responses/{id_}")
    return found.status


@given(cuts_of(frames(events(ANSWER))))
def test_however_a_stream_is_cut_into_reads_it_is_the_same(pieces: list[bytes]) -> None:
    async def read(*pieces: bytes) -> Any:
        nest = Nest(stream(ANSWER, *pieces))
        said = await nest.create(input="hi", stream=True)
        return said.body, await kept(nest)

    assert anyio.run(read, *[piece for piece in pieces if piece]) == anyio.run(read, frames(events(ANSWER)))


@pytest.mark.anyio
async def test_a_stream_shows_what_the_client_asked_for_in_every_object(anyio_backend: str) -> None:
    nest = Nest(stream(answer(message("a"))), stream(ANSWER))
    await nest.create(input="hi", stream=True)
    said = await nest.create(input="on", stream=True, previous_response_id="resp_1")
    assert said.header("content-type") == "text/event-stream; charset=utf-8"
    assert said.complete
    found = parsed(said.body)
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    objects = [event["response"] for event in found if "response" in event]
    assert [event["type"] for event in found if "response" in event] == [
        "response.created",
        "response.in_progress",
        "response.completed",
    ]
    for document in objects:
        assert (document["id"], document["previous_response_id"], document["store"]) == ("resp_2", "resp_1", True)
    assert SECRET not in said.text
    assert "event: response.output_text.delta\n" in said.text
    seen = await nest.driver.request("GET", "/v1/responses/resp_2?include=reasoning.encrypted_content")
    assert seen.json() == {**ANSWER, "id": "resp_2", "previous_response_id": "resp_1", "store": True}


@pytest.mark.anyio
async def test_an_answer_is_kept_before_its_end_is_told(anyio_backend: str) -> None:
    hold = anyio.Event()
    script = [*stream(ANSWER), Wait(hold)]
    nest = Nest(script)
    async with nest.driver.open("POST", "/v1/responses", json={"model": "m", "stream": True}) as response:
        body = b""
        while b"response.completed" not in body:
            body += await anext(response)
        assert await kept(nest) == 200  # though the app has not ended
        hold.set()


@pytest.mark.anyio
async def test_chunks_go_on_as_they_come(anyio_backend: str) -> None:
    go = anyio.Event()
    first, *others = [frames([event]) for event in events(ANSWER)]
    nest = Nest([Start(200, EVENT_STREAM), first, Wait(go), *others])
    async with nest.driver.open("POST", "/v1/responses", json={"model": "m", "stream": True}) as response:
        assert b"response.created" in await anext(response)
        assert await kept(nest) == 404
        go.set()
        await response.read()
    assert await kept(nest) == 200


@pytest.mark.anyio
@pytest.mark.parametrize("status", ["completed", "incomplete", "failed"])
@pytest.mark.parametrize("streams", [False, True])
async def test_every_end_is_kept(anyio_backend: str, status: str, streams: bool) -> None:
    document = answer(message("a"), status=status)
    nest = Nest(stream(document) if streams else whole(json.dumps(document).encode()))
    said = await nest.create(input="hi", stream=streams)
    assert said.status == 200
    found = (await nest.driver.request("GET", "/v1/responses/resp_1")).json()
    assert found["status"] == status
    last = parsed((await nest.driver.request("GET", "/v1/responses/resp_1?stream=true")).body)[-1]
    assert (last["type"], last["response"]) == (f"response.{status}", found)


@pytest.mark.anyio
async def test_a_stream_without_an_end_is_not_kept(anyio_backend: str) -> None:
    nest = Nest(stream(ANSWER, frames(events(ANSWER)[:-1])), stream(ANSWER, b"data: {}\n\n"))
    said = parsed((await nest.create(input="hi", stream=True)).body)
    assert [event["type"] for event in said[:-1]] == [event["type"] for event in events(ANSWER)[:-1]]
    assert (said[-1]["type"], said[-1]["code"]) == ("error", "bad_gateway")
    assert [event["sequence_number"] for event in said] == list(range(len(said)))
    assert await kept(nest) == 404


@pytest.mark.anyio
@pytest.mark.parametrize("streams", [False, True])
async def test_an_app_that_breaks_off_is_told_and_raised(anyio_backend: str, streams: bool) -> None:
    script = [*(stream(ANSWER, frames(events(ANSWER)[:3])) if streams else whole(b'{"id"')), Break()]
    nest = Nest(script)
    said: Any = None
    with pytest.raises(ScriptBroke):
        async with nest.driver.open("POST", "/v1/responses", json={"model": "m", "stream": streams}) as response:
            said = await response.read()
    if streams:
        last = parsed(said.body)[-1]
        assert (last["type"], last["code"]) == ("error", "bad_gateway")
        assert last["sequence_number"] == 3
    else:
        assert said.status == 502
    assert await kept(nest) == 404


@pytest.mark.anyio
@pytest.mark.parametrize("started", [False, True])
async def test_an_upstream_that_breaks_off_is_told_only(anyio_backend: str, started: bool) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if started:
            await send({"type": "http.response.start", "status": 200, "headers": list(EVENT_STREAM)})
        raise BrokenStream("reset", "gone")

    nest = Nest(app=app)
    said = await nest.create(input="hi", stream=True)
    assert said.complete
    assert said.status == (200 if started else 502)


@pytest.mark.anyio
async def test_an_app_that_says_nothing_is_a_bad_gateway(anyio_backend: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        pass

    assert (await Nest(app=app).create(input="hi")).status == 502


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("status", "kind", "body"),
    [
        (429, b"application/json", b'{"error": {"message": "slow down"}}'),
        (500, b"text/html", b"<h1>oh"),
        (200, b"text/plain", b"hello"),
        (200, b"application/json", b'{"error": {"message": "x"}}'),
        (200, b"application/json", b"[]"),
        (200, b"application/json", b"no json"),
        (200, b"application/json", b'{"object": "list", "output": []}'),
    ],
)
async def test_what_is_no_response_passes_as_it_is(anyio_backend: str, status: int, kind: bytes, body: bytes) -> None:
    nest = Nest(whole(body, status=status, kind=kind))
    said = await nest.create(input="hi")
    assert (said.status, said.body, said.header("content-type")) == (status, body, kind.decode())
    assert await kept(nest) == 404


@pytest.mark.anyio
async def test_what_is_no_response_passes_as_it_comes(anyio_backend: str) -> None:
    go = anyio.Event()
    nest = Nest([*whole(b"one", kind=b"audio/wav"), Wait(go), b"two"])
    async with nest.driver.open("POST", "/v1/responses", json={"model": "m"}) as response:
        assert await anext(response) == b"one"
        go.set()
        assert (await response.read()).body == b"two"


@pytest.mark.anyio
async def test_a_last_event_without_its_blank_line_is_one(anyio_backend: str) -> None:
    nest = Nest(stream(ANSWER, frames(events(ANSWER))[:-1]))
    assert parsed((await nest.create(stream=True)).body)[-1]["type"] == "response.completed"
    assert await kept(nest) == 200


@pytest.mark.anyio
async def test_a_whole_answer_becomes_a_stream_when_one_was_asked_for(anyio_backend: str) -> None:
    nest = Nest(whole(json.dumps(ANSWER).encode()))
    said = await nest.create(input="hi", stream=True)
    assert said.header("content-type") == "text/event-stream; charset=utf-8"
    found = parsed(said.body)
    assert found[-1]["type"] == "response.completed"
    assert found[-1]["response"]["id"] == "resp_1"
    assert "".join(event["delta"] for event in found if event["type"] == "response.output_text.delta") == "Hello"
    assert SECRET not in said.text
    assert await kept(nest) == 200


@pytest.mark.anyio
async def test_a_stream_becomes_a_whole_answer_when_one_was_asked_for(anyio_backend: str) -> None:
    nest = Nest(stream(ANSWER), stream(ANSWER, frames(events(ANSWER)[:4])))
    said = await nest.create(input="hi")
    assert said.header("content-type") == "application/json"
    assert said.json()["output"] == [{"type": "reasoning", "id": "rs_1", "summary": []}, message("Hello")]
    assert await kept(nest) == 200
    cut = await nest.create(input="hi")
    assert cut.status == 502


@pytest.mark.anyio
async def test_a_sparse_stream_is_kept_whole(anyio_backend: str) -> None:
    """llama.cpp's first events have no output, others leave it out of the last one."""
    sparse = {"id": "inner", "object": "response", "status": "in_progress"}
    said = [
        {"type": "response.created", "response": sparse},
        {"type": "response.output_item.done", "item": message("a")},
        {"type": "response.completed", "response": {**sparse, "status": "completed"}},
    ]
    nest = Nest(
        stream(
            ANSWER, b": hi\n\n", *[b"data: %b\n\n" % json.dumps(event).encode() for event in said], b"data: [DONE]\n\n"
        )
    )
    body = (await nest.create(input="hi", stream=True)).body
    assert body.startswith(b": ping\n\n")
    assert body.endswith(b"data: [DONE]\n\n")
    assert body.count(b'"resp_1"') == 2
    assert b"inner" not in body
    found = (await nest.driver.request("GET", "/v1/responses/resp_1")).json()
    assert found["output"] == [message("a")]


@pytest.mark.anyio
@pytest.mark.parametrize("streams", [False, True])
async def test_answers_over_their_bound_are_refused(anyio_backend: str, streams: bool) -> None:
    document = answer(message("x" * 2_000))
    nest = Nest(
        [*(stream(document) if streams else whole(json.dumps(document).encode())), b"x", Hang()], max_answer=1_000
    )
    said = await nest.create(input="hi", stream=streams)
    assert said.complete
    if streams:
        assert parsed(said.body)[-1]["type"] == "error"
    else:
        assert said.status == 502
    assert await kept(nest) == 404


@pytest.mark.anyio
async def test_a_compressed_answer_that_was_not_asked_for_is_refused(anyio_backend: str) -> None:
    headers = ((b"content-type", b"application/json"), (b"content-encoding", b"gzip"))
    nest = Nest([Start(200, headers), b"xx"])
    assert (await nest.create(input="hi")).status == 502
    assert nest.inner.requests[0].header("accept-encoding") == "identity"


@pytest.mark.anyio
async def test_a_store_that_fails_costs_no_answer(anyio_backend: str, caplog: pytest.LogCaptureFixture) -> None:
    class Full(MemoryResponseStore):
        async def put(self, client: str, response: Any) -> None:
            raise OSError("no space left on device")

    nest = Nest(whole(json.dumps(ANSWER).encode()), store=Full())
    assert (await nest.create(input="hi")).status == 200
    assert "could not be kept" in caplog.text


@pytest.mark.anyio
async def test_a_store_that_cannot_be_reached_is_told_and_raised(anyio_backend: str) -> None:
    class Down(MemoryResponseStore):
        async def get(self, client: str, id_: str) -> Any:
            raise OSError("disk")

        async def history(self, client: str, id_: str) -> Any:
            raise OSError("disk")

        async def put(self, client: str, response: Any) -> Any:
            raise OSError("disk")

    nest = Nest(store=Down())
    told: list[int] = []

    async def ask(method: str, path: str, **request: Any) -> None:
        with pytest.raises(OSError, match="disk"):  # noqa: PT012 - the app raises where the block is left
            async with nest.driver.open(method, path, **request) as response:
                document = (await response.read()).json()
                assert document["error"]["type"] == "server_error"
                told.append(response.status)

    async with running(nest.part):
        await ask("GET", "/v1/responses/resp_1")
        await ask("GET", "/v1/responses/resp_1?stream=true")
        await ask("POST", "/v1/responses", json={"previous_response_id": "resp_1"})
        await ask("POST", "/v1/responses", json={"background": True})
    assert told == [500] * 4


@pytest.mark.anyio
@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("said", [False, True])
async def test_a_client_that_leaves_stops_the_app_and_nothing_is_kept(
    anyio_backend: str, streams: bool, said: bool
) -> None:
    begun = anyio.Event()
    beginning = stream(ANSWER, frames(events(ANSWER)[:3])) if streams else whole(b"{")
    nest = Nest([*(beginning if said else ()), Set(begun), Hang()])
    messages = iter([{"type": "http.request", "body": json.dumps({"stream": streams}).encode(), "more_body": False}])
    scope = {"type": "http", "method": "POST", "path": "/v1/responses", "headers": [], "query_string": b""}

    async def receive() -> Any:
        found = next(messages, None)
        if found is None:
            await begun.wait()
        return found or {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        pass

    with anyio.fail_after(20):
        await nest.part(scope, receive, send)
    assert nest.inner.requests[0].left
    assert await kept(nest) == 404


@pytest.mark.anyio
async def test_a_client_that_leaves_with_half_a_body_asks_nothing(anyio_backend: str) -> None:
    nest = Nest()
    messages = iter([{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}])
    scope = {"type": "http", "method": "POST", "path": "/v1/responses", "headers": [], "query_string": b""}

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        raise AssertionError("nobody is there")

    await nest.part(scope, receive, send)
    assert not nest.inner.requests


TEXT = st.text(max_size=8)
CITATION = {"type": "url_citation", "url": "https://a.example", "title": "a", "start_index": 0, "end_index": 1}
PARTS = st.fixed_dictionaries(
    {"type": st.just("output_text"), "text": TEXT, "annotations": st.lists(st.just(CITATION), max_size=2)}
) | st.fixed_dictionaries({"type": st.just("refusal"), "refusal": TEXT})
BODIES = st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("message"), "role": st.just("assistant"), "content": st.lists(PARTS, min_size=1, max_size=3)}
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("reasoning"),
            "summary": st.lists(st.fixed_dictionaries({"type": st.just("summary_text"), "text": TEXT}), max_size=2),
        },
        optional={
            "content": st.lists(
                st.fixed_dictionaries({"type": st.just("reasoning_text"), "text": TEXT}), min_size=1, max_size=1
            ),
            "encrypted_content": st.text(min_size=1, max_size=3),
        },
    ),
    st.fixed_dictionaries(
        {"type": st.just("function_call"), "call_id": st.just("c"), "name": st.just("f"), "arguments": TEXT}
    ),
    st.fixed_dictionaries(
        {"type": st.just("custom_tool_call"), "call_id": st.just("c"), "name": st.just("f"), "input": TEXT}
    ),
    st.fixed_dictionaries({"type": st.just("web_search_call"), "action": st.just({"type": "search", "query": "q"})}),
)


@given(st.lists(BODIES, max_size=4), st.booleans())
def test_a_stream_made_of_a_response_folds_to_it(bodies: list[dict[str, Any]], status: bool) -> None:
    items = [
        {"id": f"id_{at}", **body, **({"status": "completed"} if status and body["type"] != "custom_tool_call" else {})}
        for at, body in enumerate(bodies)
    ]
    text = jsontext.dumps(answer(*items))
    made = events_of(text)
    assert [json.loads(event)["sequence_number"] for event in made] == list(range(len(made)))
    wire = b"".join(b"data: %b\n\n" % event for event in made)
    decoder = PROTOCOL.stream_decoder()
    folded = plain(PROTOCOL.fold([*decoder.feed(wire), *decoder.close()]))
    assert folded.error is UNSET
    expected = plain(PROTOCOL.decode_response(PROTOCOL.parse(text)))
    parts = [part for turn in expected.candidates[0].turns for part in turn.parts]
    assert [_told(part) for turn in folded.candidates[0].turns for part in turn.parts] == [
        _told(part) for part in parts
    ]
    assert json.loads(made[-1])["response"] == json.loads(text)
    if status:  # whole items are as the API has them, and so then is their stream
        assert strange([json.loads(event) for event in made]) == []


def _told(part: Any) -> Any:
    """What of a part every reader of the stream must know."""
    fields = ("text", "summary", "arguments", "name", "id", "json", "opaque")
    return type(part), {name: found for name in fields if (found := getattr(part, name, UNSET)) not in (UNSET, "", ())}


@pytest.mark.anyio
async def test_a_stream_of_what_was_kept_says_its_items_and_its_end(anyio_backend: str) -> None:
    call = {
        "type": "function_call",
        "id": "fc_1",
        "call_id": "c",
        "name": "f",
        "arguments": '{"a": 1.0}',
        "status": "completed",
    }
    reasoning = {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "short"}],
        "content": [{"type": "reasoning_text", "text": "long"}],
    }
    odd = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {}}
    document = answer(reasoning, message("Hi"), call, odd, 3, status="incomplete")
    nest = Nest(whole(json.dumps(document).encode()))
    await nest.create(input="hi")
    said = await nest.driver.request("GET", "/v1/responses/resp_1?stream=true")
    found = parsed(said.body)
    assert [event["type"].removeprefix("response.") for event in found] == [
        "created", "in_progress",
        "output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta",
        "reasoning_summary_text.done", "reasoning_summary_part.done",
        "reasoning_text.delta", "reasoning_text.done", "output_item.done",
        "output_item.added", "content_part.added", "output_text.delta", "output_text.done", "content_part.done",
        "output_item.done",
        "output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done",
        "output_item.added", "output_item.done", "output_item.added", "output_item.done", "incomplete",
    ]  # fmt: skip
    assert {event["item_id"] for event in found if "item_id" in event} == {"rs_1", "msg_1", "fc_1"}
    assert found[-1]["response"] == {**document, "id": "resp_1", "store": True}
    rest = await nest.driver.request("GET", "/v1/responses/resp_1?stream=true&starting_after=20")
    assert parsed(rest.body) == found[21:]


@pytest.mark.anyio
async def test_a_broken_body_is_no_answer(anyio_backend: str) -> None:
    """An error that breaks off is passed as far as it came."""
    nest = Nest([Start(500, ((b"content-type", b"text/plain"),)), b"half", Break()])
    with pytest.raises((ScriptBroke, BrokenResponse)):
        async with nest.driver.open("POST", "/v1/responses", json={"model": "m"}) as response:
            assert [chunk async for chunk in response] == [b"half"]
