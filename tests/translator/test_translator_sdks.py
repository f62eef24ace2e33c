"""The official SDKs in front of an app of the other protocol, over a real server."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import openai
import pytest

from ds2api_asgi.demo import DemoModel
from ds2api_asgi.testing import in_process_client, serve
from ds2api_asgi.translator import Translator

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

WEATHER: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}
KEY = "sk-demo"


def _anthropic_speaking() -> Translator:
    """An app that speaks nothing but Anthropic."""
    return Translator(DemoModel(keys=[KEY]), speaks="openai-chat", clients=["anthropic"])


@asynccontextmanager
async def _claude(key: str = KEY) -> AsyncIterator[anthropic.AsyncAnthropic]:
    app = Translator(DemoModel(keys=[KEY]), speaks="openai-chat")
    async with serve(app) as url, anthropic.AsyncAnthropic(base_url=url, api_key=key, max_retries=0) as client:
        yield client


@asynccontextmanager
async def _gpt(key: str = KEY) -> AsyncIterator[openai.AsyncOpenAI]:
    app = Translator(_anthropic_speaking(), speaks="anthropic")
    async with serve(app) as url, openai.AsyncOpenAI(base_url=url + "/v1", api_key=key, max_retries=0) as client:
        yield client


async def test_anthropic_whole_and_streamed_say_the_same() -> None:
    async with _claude() as client:
        options: Any = {"model": "demo-large", "max_tokens": 200, "messages": [{"role": "user", "content": "hello"}]}
        whole = await client.messages.create(**options)
        async with client.messages.stream(**options) as stream:
            texts = [text async for text in stream.text_stream]
            final = await stream.get_final_message()
    assert whole.stop_reason == final.stop_reason == "end_turn"
    assert len(texts) > 1
    assert "".join(texts) == final.content[0].text == whole.content[0].text  # type: ignore[union-attr]
    assert whole.usage.input_tokens == final.usage.input_tokens > 0
    assert whole.usage.output_tokens == final.usage.output_tokens > 0


async def test_openai_whole_and_streamed_say_the_same_through_two_translations() -> None:
    async with _gpt() as client:
        options: Any = {"model": "demo-large", "messages": [{"role": "user", "content": "hello"}]}
        whole = await client.chat.completions.create(**options)
        stream = await client.chat.completions.create(**options, stream=True, stream_options={"include_usage": True})
        chunks = [chunk async for chunk in stream]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert whole.choices[0].finish_reason == "stop"
    assert whole.usage is not None
    usage = chunks[-1].usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (whole.usage.prompt_tokens, whole.usage.completion_tokens)


@pytest.mark.parametrize("streamed", [False, True])
async def test_anthropic_tools_loop_to_an_answer(*, streamed: bool) -> None:
    prompt = "Use get_weather for Paris and Tokyo and tell me the results."
    messages: list[Any] = [{"role": "user", "content": prompt}]
    called: list[str] = []
    async with _claude() as client:
        options: Any = {
            "model": "demo-large",
            "max_tokens": 300,
            "tools": [{"name": "get_weather", "description": "Weather", "input_schema": WEATHER}],
        }
        for _ in range(6):
            if streamed:
                async with client.messages.stream(messages=messages, **options) as stream:
                    message = await stream.get_final_message()
            else:
                message = await client.messages.create(messages=messages, **options)
            messages.append({"role": "assistant", "content": [block.to_dict() for block in message.content]})
            calls = [block for block in message.content if block.type == "tool_use"]
            if not calls:
                break
            assert message.stop_reason == "tool_use"
            called += [str(call.input["city"]) for call in calls]  # type: ignore[index]
            results = [
                {"type": "tool_result", "tool_use_id": call.id, "content": f"{call.input}: sunny"} for call in calls
            ]
            messages.append({"role": "user", "content": results})
    assert called
    assert message.stop_reason == "end_turn"
    assert "sunny" in message.content[-1].text


@pytest.mark.parametrize("streamed", [False, True])
async def test_openai_tools_loop_to_an_answer_through_two_translations(*, streamed: bool) -> None:
    prompt = "Use get_weather for Paris and Tokyo and tell me the results."
    messages: list[Any] = [{"role": "user", "content": prompt}]
    tool = {"type": "function", "function": {"name": "get_weather", "description": "Weather", "parameters": WEATHER}}
    rounds = 0
    async with _gpt() as client:
        for _ in range(6):
            options: Any = {"model": "demo-large", "messages": messages, "tools": [tool]}
            if streamed:
                async with client.chat.completions.stream(**options) as stream:
                    completion = await stream.get_final_completion()
            else:
                completion = await client.chat.completions.create(**options)
            choice = completion.choices[0]
            messages.append(_history(choice.message))
            if not choice.message.tool_calls:
                break
            rounds += 1
            assert choice.finish_reason == "tool_calls"
            for call in choice.message.tool_calls:
                arguments = json.loads(call.function.arguments)
                messages.append({"role": "tool", "tool_call_id": call.id, "content": f"{arguments['city']}: sunny"})
    assert rounds
    assert choice.finish_reason == "stop"
    assert "sunny" in choice.message.content


def _history(message: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"role": "assistant", "content": message.content}
    if message.tool_calls:
        calls = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.function.name, "arguments": call.function.arguments},
            }
            for call in message.tool_calls
        ]
        found["tool_calls"] = calls
    return found


async def test_anthropic_companions() -> None:
    async with _claude() as client:
        count = await client.messages.count_tokens(model="demo-small", messages=[{"role": "user", "content": "hello"}])
        models = [model.id async for model in client.models.list()]
        model = await client.models.retrieve("demo-large")
    assert count.input_tokens > 0
    assert {"demo-small", "demo-large"} <= set(models)
    assert (model.id, model.type) == ("demo-large", "model")


async def test_openai_companions_through_two_translations() -> None:
    async with _gpt() as client:
        models = [model.id async for model in client.models.list()]
        model = await client.models.retrieve("demo-large")
        with pytest.raises(openai.NotFoundError):
            await client.embeddings.create(model="demo-embed", input="x")
    assert {"demo-small", "demo-large"} <= set(models)
    assert (model.id, model.object) == ("demo-large", "model")


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("model", "status", "name"),
    [
        ("demo-fail-400", 400, "BadRequestError"),
        ("demo-fail-context", 400, "BadRequestError"),
        ("demo-fail-401", 401, "AuthenticationError"),
        ("demo-fail-403", 403, "PermissionDeniedError"),
        ("unheard-of", 404, "NotFoundError"),
        ("demo-fail-413", 413, "ContentTooLargeError"),
        ("demo-fail-429", 429, "RateLimitError"),
        ("demo-fail-500", 500, "InternalServerError"),
        ("demo-fail-503", 529, "OverloadedError"),
        ("demo-fail-529", 529, "OverloadedError"),
        ("demo-fail-first", 500, "InternalServerError"),
    ],
)
async def test_failures_are_the_anthropic_sdks_own_exceptions(
    model: str, status: int, name: str, *, streamed: bool
) -> None:
    async with _claude() as client:
        with pytest.raises(anthropic.APIStatusError) as caught:
            await _message(client, model, streamed=streamed)
    assert (caught.value.status_code, type(caught.value).__name__) == (status, name)
    if status == 429:
        assert caught.value.response.headers["retry-after"] == "1"


async def _message(client: anthropic.AsyncAnthropic, model: str, *, streamed: bool) -> list[str]:
    """The texts that came."""
    options: Any = {"model": model, "max_tokens": 99, "messages": [{"role": "user", "content": "hello"}]}
    if streamed:
        async with client.messages.stream(**options) as stream:
            return [text async for text in stream.text_stream]
    return [block.text for block in (await client.messages.create(**options)).content if block.type == "text"]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("model", "status", "error"),
    [
        ("demo-fail-400", 400, openai.BadRequestError),
        ("demo-fail-401", 401, openai.AuthenticationError),
        ("demo-fail-403", 403, openai.PermissionDeniedError),
        ("unheard-of", 404, openai.NotFoundError),
        ("demo-fail-429", 429, openai.RateLimitError),
        ("demo-fail-500", 500, openai.InternalServerError),
        ("demo-fail-503", 503, openai.InternalServerError),
        ("demo-fail-first", 500, openai.InternalServerError),
    ],
)
async def test_failures_are_the_openai_sdks_own_exceptions(
    model: str, status: int, error: type[openai.APIStatusError], *, streamed: bool
) -> None:
    async with _gpt() as client:
        with pytest.raises(error) as caught:
            await _completion(client, model, streamed=streamed)
    assert caught.value.status_code == status


async def _completion(client: openai.AsyncOpenAI, model: str, *, streamed: bool) -> list[str]:
    """The texts that came."""
    options: Any = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
    if streamed:
        stream = await client.chat.completions.create(**options, stream=True)
        return [chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]
    return [(await client.chat.completions.create(**options)).choices[0].message.content or ""]


async def test_a_wrong_key_is_an_authentication_error() -> None:
    async with _claude("sk-wrong") as claude:
        with pytest.raises(anthropic.AuthenticationError):
            await _message(claude, "demo-small", streamed=False)
    async with _gpt("sk-wrong") as gpt:
        with pytest.raises(openai.AuthenticationError):
            await _completion(gpt, "demo-small", streamed=False)


@pytest.mark.parametrize("fault", ["cut", "eof", "error"])
@pytest.mark.parametrize("streamed", [False, True])
async def test_an_answer_that_breaks_in_the_middle_raises_in_both_sdks(fault: str, *, streamed: bool) -> None:
    async with _claude() as claude:
        with pytest.raises(anthropic.APIStatusError):
            await _message(claude, f"demo-fail-{fault}", streamed=streamed)
    async with _gpt() as gpt:
        with pytest.raises(openai.APIError):
            await _completion(gpt, f"demo-fail-{fault}", streamed=streamed)


async def test_thinking_of_the_model_reaches_the_anthropic_client() -> None:
    options: Any = {"max_tokens": 32_000, "thinking": {"type": "enabled", "budget_tokens": 16_000}}
    async with (
        _claude() as client,
        client.messages.stream(model="demo-think", messages=[{"role": "user", "content": "why?"}], **options) as stream,
    ):
        message = await stream.get_final_message()
    assert [block.type for block in message.content] == ["thinking", "text"]


async def test_the_sdks_run_in_process_as_well() -> None:
    app = Translator(DemoModel(), speaks="openai-chat")
    async with in_process_client(app) as http:
        client = anthropic.AsyncAnthropic(base_url="http://app", api_key="any", http_client=http)
        message = await client.messages.create(
            model="demo-small", max_tokens=99, messages=[{"role": "user", "content": "hello"}]
        )
    assert message.role == "assistant"
