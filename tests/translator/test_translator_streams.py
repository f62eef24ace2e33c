"""Streams: each delta at once, one send per read, and a beginning only when there is something to begin with."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from dialogues import (
    HEADERS,
    PAIRS,
    STREAM_HEADERS,
    STREAM_PATHS,
    anthropic_frames,
    ended_well,
    error_of,
    events_of,
    frames_in,
    openai_chunk,
    openai_frames,
    request_in,
    streamed,
    text_of,
)
from ds2api_asgi.demo import DemoModel
from ds2api_asgi.testing import EVENT_STREAM, Driver, Hang, ScriptedUpstream, Set, Start, Wait
from ds2api_asgi.translator import Translator
from ds2api_asgi.translator.answer import MAX_HELD

BEGIN = {"anthropic": 2, "openai-chat": 1, "openai-responses": 4, "gemini": 1, "ollama": 0}
"""Frames of a stream before its first content."""


def _driver(client: str, speaks: str, app: Any, **options: Any) -> Driver:
    return Driver(Translator(app, speaks=speaks, **options), headers=HEADERS[client])


@pytest.mark.anyio
@pytest.mark.parametrize(("client", "speaks"), PAIRS)
async def test_each_delta_reaches_the_client_before_the_next_is_made(client: str, speaks: str) -> None:
    words = ["Hi", " there", ",", " how", " are you?"]
    frames = frames_in(speaks, *words)
    deltas = [index for index, frame in enumerate(frames) if any(json.dumps(word).encode() in frame for word in words)]
    gates = [anyio.Event() for _ in deltas]
    steps: list[Any] = [Start(200, STREAM_HEADERS[speaks])]
    for index, frame in enumerate(frames):
        steps.append(frame)
        if index in deltas:
            steps.append(Wait(gates[deltas.index(index)]))
    driver = _driver(client, speaks, ScriptedUpstream([steps]))
    with anyio.fail_after(10):
        async with driver.open("POST", STREAM_PATHS[client], json=request_in(client, stream=True)) as response:
            for word, gate in zip(words, gates, strict=True):
                chunk = await anext(response)
                assert text_of(client, chunk) == word
                gate.set()
            rest = await response.read()
    assert ended_well(client, rest.body)


@pytest.mark.anyio
@pytest.mark.parametrize(("client", "speaks"), PAIRS)
async def test_the_events_of_one_read_leave_in_one_send(client: str, speaks: str) -> None:
    frames = frames_in(speaks, *(f"w{n} " for n in range(50)))
    sent = await _sends(client, speaks, b"".join(frames))
    assert [message["type"] for message in sent] == ["http.response.start", *["http.response.body"] * 2]
    assert text_of(client, sent[1]["body"]).count("w") == 50


async def _sends(client: str, speaks: str, *reads: bytes) -> list[Any]:
    sent: list[Any] = []

    async def tap(scope: Any, receive: Any, send: Any) -> None:
        async def tapped(message: Any) -> None:
            sent.append(message)
            await send(message)

        await Translator(ScriptedUpstream([streamed(*reads)]), speaks=speaks, clock=lambda: 1.0)(scope, receive, tapped)

    await Driver(tap, headers=HEADERS[client]).request(
        "POST", STREAM_PATHS[client], json=request_in(client, stream=True)
    )
    return sent


@pytest.mark.anyio
@pytest.mark.parametrize(("client", "speaks"), PAIRS)
async def test_a_stream_arrives_the_same_however_it_is_cut(client: str, speaks: str) -> None:
    whole = b"".join(frames_in(speaks, "Grüße ", "🙂", "\u2028", "end"))
    expected = b"".join(message.get("body", b"") for message in await _sends(client, speaks, whole))
    for size in (1, 2, 3, 7, 64):
        reads = [whole[index : index + size] for index in range(0, len(whole), size)]
        got = b"".join(message.get("body", b"") for message in await _sends(client, speaks, *reads))
        assert got == expected
    assert text_of(client, expected) == "Grüße 🙂\u2028end"


@pytest.mark.anyio
@pytest.mark.parametrize(("client", "speaks"), PAIRS)
async def test_no_read_without_events_makes_a_send(client: str, speaks: str) -> None:
    frames = frames_in(speaks, "Hi")
    sent = await _sends(client, speaks, *(bytes([byte]) for byte in b"".join(frames)))
    assert all(message["body"] or not message["more_body"] for message in sent[1:])


@pytest.mark.anyio
@pytest.mark.parametrize(("client", "speaks"), PAIRS)
async def test_nothing_is_said_before_the_first_content(client: str, speaks: str) -> None:
    frames = frames_in(speaks, "Hi")
    begin = BEGIN[speaks]
    ping = b"\n" if speaks == "ollama" else b": ping\n\n"
    reached, go_on = anyio.Event(), anyio.Event()
    started = anyio.Event()
    script = [Start(200, STREAM_HEADERS[speaks]), *frames[:begin], ping, Set(reached), Wait(go_on), *frames[begin:]]

    async def ask() -> None:
        request = request_in(client, stream=True)
        async with _driver(client, speaks, ScriptedUpstream([script])).open(
            "POST", STREAM_PATHS[client], json=request
        ) as got:
            started.set()
            assert ended_well(client, (await got.read()).body)

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await reached.wait()
        await anyio.wait_all_tasks_blocked()
        assert not started.is_set()
        go_on.set()


ERRORS = {
    "openai-chat": b'data: {"error": {"message": "busy", "type": "service_unavailable_error"}}\n\n',
    "ollama": b'{"error": "server busy"}\n',
    "openai-responses": b'event: error\ndata: {"type": "error", "code": "server_is_overloaded", "message": "busy"}\n\n',
    "gemini": b'data: {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}\n\n',
    "anthropic": b'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}\n\n',
}


@pytest.mark.anyio
@pytest.mark.parametrize(("client", "speaks"), PAIRS)
@pytest.mark.parametrize("frames_before", [0, 1])
@pytest.mark.parametrize("in_one_read", [False, True])
async def test_an_error_before_any_content_is_a_true_status(
    client: str, speaks: str, frames_before: int, *, in_one_read: bool
) -> None:
    frames = [*frames_in(speaks, "", "Hi")[:frames_before], ERRORS[speaks]]
    frames = [b"".join(frames)] if in_one_read else frames
    answer = await _driver(client, speaks, ScriptedUpstream([streamed(*frames)])).request(
        "POST", STREAM_PATHS[client], json=request_in(client, stream=True)
    )
    assert answer.status == (529 if client == "anthropic" else 503)
    assert "busy" in error_of(client, answer.json())["message"]


@pytest.mark.anyio
@pytest.mark.parametrize(("client", "speaks"), PAIRS)
@pytest.mark.parametrize("in_one_read", [False, True])
async def test_an_error_after_content_comes_as_the_last_event_after_the_content(
    client: str, speaks: str, *, in_one_read: bool
) -> None:
    frames = [*frames_in(speaks, "Hi")[: BEGIN[speaks] + 1], ERRORS[speaks]]
    frames = [b"".join(frames)] if in_one_read else frames
    answer = await _driver(client, speaks, ScriptedUpstream([streamed(*frames)])).request(
        "POST", STREAM_PATHS[client], json=request_in(client, stream=True)
    )
    assert answer.status == 200
    assert answer.complete
    assert text_of(client, answer.body) == "Hi"
    assert "busy" in error_of(client, events_of(answer.body)[-1])["message"]
    assert not ended_well(client, answer.body)


@pytest.mark.anyio
async def test_what_comes_before_content_is_held_up_to_a_bound_and_then_sent() -> None:
    ping = b'event: ping\ndata: {"type": "ping"}\n\n'
    frames = anthropic_frames("Hi")
    block = b"".join([ping] * 1000)
    script = [Start(200, EVENT_STREAM), frames[0], *([block] * 200), Hang()]
    with anyio.fail_after(20):
        async with _driver("openai-chat", "anthropic", ScriptedUpstream([script])).open(
            "POST", STREAM_PATHS["openai-chat"], json=request_in("openai-chat", stream=True)
        ) as response:
            chunk = await anext(response)
    assert len(chunk) < 2 * MAX_HELD


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("delta", "said"),
    [
        ({"reasoning_content": "hm"}, True),
        ({"refusal": "no"}, True),
        (
            {
                "tool_calls": [
                    {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}
                ]
            },
            True,
        ),
        ({"content": ""}, False),
        ({}, False),
    ],
)
async def test_thinking_refusals_and_calls_are_content(delta: dict[str, Any], *, said: bool) -> None:
    chunk = b"data: " + json.dumps(openai_chunk(delta)).encode() + b"\n\n"
    script = [Start(200, EVENT_STREAM), openai_frames()[0], chunk, ERRORS["openai-chat"]]
    answer = await _driver("anthropic", "openai-chat", ScriptedUpstream([script])).request(
        "POST", "/v1/messages", json=request_in("anthropic", stream=True)
    )
    assert answer.status == (200 if said else 529)


@pytest.mark.anyio
@pytest.mark.parametrize("phase", ["before the start", "before content", "in the middle"])
async def test_a_client_that_leaves_stops_the_app_and_hears_nothing_more(phase: str) -> None:
    frames = openai_frames("Hi", " there")
    before = {"before the start": [], "before content": [Start(200, EVENT_STREAM), frames[0]]}
    steps = before.get(phase, [Start(200, EVENT_STREAM), *frames[:2]])
    reached = anyio.Event()
    upstream = ScriptedUpstream([[*steps, Set(reached), Hang()]])
    sent: list[Any] = []
    left = anyio.Event()
    body = json.dumps(request_in("anthropic", stream=True)).encode()
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        if messages:
            return messages.pop()
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/messages",
        "headers": [],
        "query_string": b"",
    }
    translator = Translator(upstream, speaks="openai-chat")
    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(translator, scope, receive, send)
            await reached.wait()
            heard = len(sent)
            left.set()
    assert upstream.requests[0].left
    assert len(sent) == heard == (2 if phase == "in the middle" else 0)


@pytest.mark.anyio
async def test_back_pressure_reaches_the_app() -> None:
    made = 0
    frames = openai_frames(*(f"w{n} " for n in range(100)))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal made
        await send({"type": "http.response.start", "status": 200, "headers": list(EVENT_STREAM)})
        for frame in frames:
            await send({"type": "http.response.body", "body": frame, "more_body": True})
            made += 1
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async with _driver("anthropic", "openai-chat", app).open(
        "POST", "/v1/messages", json=request_in("anthropic", stream=True)
    ) as response:
        for _ in range(10):
            await anext(response)
        await anyio.wait_all_tasks_blocked()
        assert made <= 13
        await response.read()
    assert made == len(frames)


@pytest.mark.anyio
async def test_the_demo_model_streams_through_two_translators() -> None:
    inner = Translator(DemoModel(), speaks="openai-chat", clients=["anthropic"])
    outer = Translator(inner, speaks="anthropic", clients=["openai-chat"])
    request = request_in("openai-chat", stream=True)
    direct = await Driver(DemoModel()).request("POST", "/v1/chat/completions", json=request)
    twice = await Driver(outer).request("POST", "/v1/chat/completions", json=request)
    assert text_of("openai-chat", twice.body) == text_of("openai-chat", direct.body) != ""
    assert ended_well("openai-chat", twice.body)
