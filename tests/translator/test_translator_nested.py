"""Within other parts and around them: what one part says of a failure, the other understands."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from dialogues import (
    ANTHROPIC_HEADERS,
    OPENAI_HEADERS,
    anthropic_answer,
    anthropic_request,
    ended_well,
    error_of,
    events_of,
    openai_answer,
    openai_frames,
    openai_request,
    streamed,
    text_of,
)
from ds2api_asgi.pool import KeyPool
from ds2api_asgi.resilience import Failover, Retry
from ds2api_asgi.testing import EVENT_STREAM, Break, Driver, Hang, ScriptedUpstream, Set, Start, json_script
from ds2api_asgi.translator import Translator

BUSY = json_script(
    {"error": {"message": "busy", "type": "server_error"}}, status=503, headers=[(b"retry-after-ms", b"1")]
)


@pytest.mark.anyio
async def test_around_a_pool_each_attempt_has_a_key_of_the_pool_and_never_the_clients() -> None:
    refused = json_script({"error": {"message": "bad key", "code": "invalid_api_key"}}, status=401)
    upstream = ScriptedUpstream([refused, json_script(openai_answer())])
    pool = KeyPool(upstream, protocol="openai-chat", keys=["sk-one", "sk-two"])
    app = Translator(Retry(pool, protocol="openai-chat"), speaks="openai-chat")
    answer = await Driver(app, headers=ANTHROPIC_HEADERS).request("POST", "/v1/messages", json=anthropic_request())
    assert answer.status == 200
    assert {request.header("authorization") for request in upstream.requests} == {"Bearer sk-one", "Bearer sk-two"}
    assert all(request.header("x-api-key") is None for request in upstream.requests)


@pytest.mark.anyio
async def test_within_a_pool_its_key_changes_the_header() -> None:
    upstream = ScriptedUpstream([json_script(openai_answer())])
    pool = KeyPool(Translator(upstream, speaks="openai-chat"), protocol="anthropic", keys=["sk-pool"])
    answer = await Driver(pool, headers=ANTHROPIC_HEADERS).request("POST", "/v1/messages", json=anthropic_request())
    assert answer.status == 200
    (asked,) = upstream.requests
    assert (asked.header("authorization"), asked.header("x-api-key")) == ("Bearer sk-pool", None)


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True])
async def test_fails_over_to_an_upstream_of_another_protocol(*, stream: bool) -> None:
    down = ScriptedUpstream([BUSY], repeat=True)
    other = ScriptedUpstream([streamed(*openai_frames("Hi", " there")) if stream else json_script(openai_answer())])
    claude = Translator(down, speaks="openai-chat", clients=["anthropic"])
    fleet = Failover([claude, Translator(other, speaks="openai-chat", clients=["anthropic"])], protocol="anthropic")
    answer = await Driver(fleet, headers=ANTHROPIC_HEADERS).request(
        "POST", "/v1/messages", json=anthropic_request(stream=stream)
    )
    assert answer.status == 200
    assert (text_of("anthropic", answer.body) if stream else answer.json()["content"][0]["text"]) == "Hi there"


@pytest.mark.anyio
async def test_a_stream_that_breaks_before_content_is_tried_again_and_after_it_is_an_error_event() -> None:
    frames = openai_frames("Hi", " there")
    before = [Start(200, EVENT_STREAM), frames[0], Break()]
    after = [Start(200, EVENT_STREAM), *frames[:2], Break()]
    upstream = ScriptedUpstream([before, after])
    app = Translator(Retry(upstream, protocol="openai-chat"), speaks="openai-chat")
    answer = await Driver(app, headers=ANTHROPIC_HEADERS).request(
        "POST", "/v1/messages", json=anthropic_request(stream=True)
    )
    assert len(upstream.requests) == 2
    assert text_of("anthropic", answer.body) == "Hi"
    assert not ended_well("anthropic", answer.body)
    error_of("anthropic", events_of(answer.body)[-1])


@pytest.mark.anyio
async def test_a_client_that_left_is_no_failure_to_try_again() -> None:
    reached = anyio.Event()
    upstream = ScriptedUpstream([[Start(200, EVENT_STREAM), Set(reached), Hang()]], repeat=True)
    app = Retry(Translator(upstream, speaks="anthropic"), protocol="openai-chat")
    left = anyio.Event()
    body = b'{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}]}'
    messages = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[Any] = []

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
        "path": "/v1/chat/completions",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in OPENAI_HEADERS.items()],
    }
    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(app, scope, receive, send)
            await reached.wait()
            left.set()
    assert len(upstream.requests) == 1
    assert not sent


@pytest.mark.anyio
async def test_clients_of_both_protocols_share_one_app() -> None:
    upstream = ScriptedUpstream([json_script(anthropic_answer())], repeat=True)
    driver = Driver(Translator(upstream, speaks="anthropic"))
    native = await driver.request("POST", "/v1/messages", json=anthropic_request(), headers=ANTHROPIC_HEADERS)
    foreign = await driver.request("POST", "/v1/chat/completions", json=openai_request(), headers=OPENAI_HEADERS)
    assert native.json() == anthropic_answer()
    assert foreign.json()["choices"][0]["message"]["content"] == "Hi there"
