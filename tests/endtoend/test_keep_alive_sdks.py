"""The SDKs of OpenAI and Anthropic behind comments that keep their connections, over a real server."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import anyio
import openai
import pytest

from dialogues import error_in, frames_in
from ds2api_asgi import Retry, Translator
from ds2api_asgi.testing import serve

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

QUESTION: Any = [{"role": "user", "content": "q"}]


def slow(upstream: str, heard: list[bytes], *, fails: bool) -> Any:
    """Waits for comments, then answers a stream, and pauses before its last event; or waits and fails."""
    *begin, last = frames_in(upstream, "Hello", " there")

    async def pause() -> None:
        before = comments(heard)
        while comments(heard) < before + 2:  # noqa: ASYNC110 - nobody tells
            await anyio.sleep(0.01)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await pause()
        if fails:
            body = json.dumps(error_in(upstream, "the model is down")).encode()
            kind = (b"content-type", b"application/json")
            await send({"type": "http.response.start", "status": 503, "headers": [kind]})
            await send({"type": "http.response.body", "body": body})
            return
        kind = (b"content-type", b"text/event-stream")
        await send({"type": "http.response.start", "status": 200, "headers": [kind]})
        await send({"type": "http.response.body", "body": b"".join(begin), "more_body": True})
        await pause()
        await send({"type": "http.response.body", "body": last})

    return app


def nest(upstream: str, heard: list[bytes], *, fails: bool) -> Any:
    """A Translator over a Retry that keeps alive; remembers what goes to the client."""
    retry = Retry(slow(upstream, heard, fails=fails), protocol=upstream, max_attempts=1, early_commit_after=0.06)
    translator = Translator(retry, speaks=upstream)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def listening(message: Any) -> None:
            heard.append(message.get("body", b""))
            await send(message)

        if scope["type"] == "http":
            await translator(scope, receive, listening)

    return app


def comments(heard: list[bytes]) -> int:
    return heard.count(b": ping\n\n")


@pytest.mark.parametrize("upstream", ["openai-chat", "anthropic"])
async def test_openai_chat_reads_over_comments(upstream: str, anyio_backend: str) -> None:
    heard: list[bytes] = []
    async with (
        serve(nest(upstream, heard, fails=False), lifespan="off") as url,
        openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as client,
    ):
        stream = await client.chat.completions.create(model="m", messages=QUESTION, stream=True)
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])
    assert text == "Hello there"
    assert comments(heard) >= 4


@pytest.mark.parametrize("upstream", ["openai-chat", "anthropic"])
async def test_openai_responses_reads_over_comments(upstream: str, anyio_backend: str) -> None:
    heard: list[bytes] = []
    async with (
        serve(nest(upstream, heard, fails=False), lifespan="off") as url,
        openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as client,
        client.responses.stream(model="m", input="q") as stream,
    ):
        response = await stream.get_final_response()
    assert response.output_text == "Hello there"
    assert comments(heard) >= 4


@pytest.mark.parametrize("upstream", ["openai-chat", "anthropic"])
async def test_anthropic_reads_over_comments(upstream: str, anyio_backend: str) -> None:
    heard: list[bytes] = []
    async with (
        serve(nest(upstream, heard, fails=False), lifespan="off") as url,
        anthropic.AsyncAnthropic(base_url=url, api_key="k", max_retries=0) as client,
        client.messages.stream(model="m", max_tokens=9, messages=QUESTION) as stream,
    ):
        message = await stream.get_final_message()
    assert [block.text for block in message.content if block.type == "text"] == ["Hello there"]
    assert comments(heard) >= 4


@pytest.mark.parametrize("upstream", ["openai-chat", "anthropic"])
async def test_a_failure_behind_comments_is_an_error_in_every_sdk(upstream: str, anyio_backend: str) -> None:
    heard: list[bytes] = []
    async with serve(nest(upstream, heard, fails=True), lifespan="off") as url:
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as client:
            stream = await client.chat.completions.create(model="m", messages=QUESTION, stream=True)
            with pytest.raises(openai.APIError, match="the model is down"):
                [chunk async for chunk in stream]
            events = await client.responses.create(model="m", input="q", stream=True)
            last = [event async for event in events][-1]
            assert last.type == "error"  # no response was begun that could have failed
            assert last.message == "the model is down"
        async with anthropic.AsyncAnthropic(base_url=url, api_key="k", max_retries=0) as claude:
            messages = await claude.messages.create(model="m", max_tokens=9, messages=QUESTION, stream=True)
            with pytest.raises(anthropic.APIStatusError, match="the model is down"):
                [event async for event in messages]
    assert comments(heard) >= 6
