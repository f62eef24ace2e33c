"""The official SDKs, as their users write them without async, on the demo gateway over a real server.

The async clients have the other SDK tests; here are the blocking ones and their helpers: streams, parsed answers,
parallel tools in a loop of several steps, raw responses, companions and error classes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import anthropic
import anyio.to_thread
import openai
import pytest
from pydantic import BaseModel

from ds2api_asgi.gateway.commands.demo import demo_gateway
from ds2api_asgi.testing import serve

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

T = TypeVar("T")
PROMPT = "Use get_weather for Paris and Tokyo, then for Lima, and tell me the results."
CITY: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
HELLO: Any = [{"role": "user", "content": "Hello"}]


class Verdict(BaseModel):
    answer: str
    score: int


async def with_gpt(work: Callable[[openai.OpenAI], T]) -> T:
    def run(url: str) -> T:
        with openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client:
            return work(client)

    async with serve(demo_gateway()) as url:
        return await anyio.to_thread.run_sync(run, url)
    raise AssertionError("unreachable")


async def with_claude(work: Callable[[anthropic.Anthropic], T]) -> T:
    def run(url: str) -> T:
        with anthropic.Anthropic(base_url=url, api_key="any", max_retries=0) as client:
            return work(client)

    async with serve(demo_gateway()) as url:
        return await anyio.to_thread.run_sync(run, url)
    raise AssertionError("unreachable")


async def test_openai_whole_streamed_and_helped_say_the_same(anyio_backend: str) -> None:
    def work(client: openai.OpenAI) -> list[str | None]:
        create = client.chat.completions.create
        whole = create(model="demo-small", messages=HELLO).choices[0].message.content
        chunks = create(model="demo-small", messages=HELLO, stream=True)
        streamed = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        with client.chat.completions.stream(model="demo-small", messages=HELLO) as stream:
            pieces = [event.delta for event in stream if event.type == "content.delta"]
            helped = stream.get_final_completion().choices[0].message.content
        raw = client.chat.completions.with_raw_response.create(model="demo-small", messages=HELLO)
        assert raw.headers["content-type"] == "application/json"
        return [whole, streamed, "".join(pieces), helped, raw.parse().choices[0].message.content]

    said = await with_gpt(work)
    assert said[0]
    assert said == said[:1] * 5


async def test_anthropic_whole_streamed_and_helped_say_the_same(anyio_backend: str) -> None:
    def work(client: anthropic.Anthropic) -> list[str]:
        options: Any = {"model": "demo-small", "max_tokens": 200, "messages": HELLO}
        whole = client.messages.create(**options).content[0].text  # type: ignore[union-attr]
        events = client.messages.create(**options, stream=True)
        streamed = "".join(
            event.delta.text
            for event in events
            if event.type == "content_block_delta" and event.delta.type == "text_delta"
        )
        with client.messages.stream(**options) as stream:
            pieces = list(stream.text_stream)
            helped = stream.get_final_text()
        raw = client.messages.with_raw_response.create(**options)
        return [whole, streamed, "".join(pieces), helped, raw.parse().content[0].text]

    said = await with_claude(work)
    assert said[0]
    assert said == said[:1] * 5


async def test_openai_parses_answers_and_streams_into_the_users_class(anyio_backend: str) -> None:
    def work(client: openai.OpenAI) -> list[Any]:
        options: Any = {"model": "demo-small", "messages": HELLO, "response_format": Verdict}
        with client.chat.completions.stream(**options) as stream:
            streamed = stream.get_final_completion()
        return [client.chat.completions.parse(**options).choices[0].message.parsed, streamed.choices[0].message.parsed]

    for parsed in await with_gpt(work):
        assert isinstance(parsed, Verdict)


async def test_anthropic_parses_answers_into_the_users_class(anyio_backend: str) -> None:
    def work(client: anthropic.Anthropic) -> Any:
        return client.messages.parse(model="demo-small", max_tokens=400, messages=HELLO, output_format=Verdict)

    assert isinstance((await with_claude(work)).parsed_output, Verdict)


@pytest.mark.parametrize("streamed", [False, True])
async def test_openai_calls_tools_in_parallel_and_in_steps(anyio_backend: str, *, streamed: bool) -> None:
    tool: Any = {"type": "function", "function": {"name": "get_weather", "parameters": CITY}}
    messages: Any = [{"role": "user", "content": PROMPT}]
    steps: list[list[str]] = []

    def work(client: openai.OpenAI) -> str:
        while True:
            options: Any = {"model": "demo-large", "messages": messages, "tools": [tool]}
            if streamed:
                with client.chat.completions.stream(**options) as stream:
                    message: Any = stream.get_final_completion().choices[0].message
            else:
                message = client.chat.completions.create(**options).choices[0].message
            messages.append(message.to_dict())
            if not message.tool_calls:
                return str(message.content)
            steps.append([json.loads(call.function.arguments)["city"] for call in message.tool_calls])
            messages.extend(
                {"role": "tool", "tool_call_id": call.id, "content": f"{call.function.arguments} is sunny"}
                for call in message.tool_calls
            )

    answer = await with_gpt(work)
    assert steps == [["Paris", "Tokyo"], ["Lima"]]
    assert answer.count("sunny") == 3


@pytest.mark.parametrize("streamed", [False, True])
async def test_anthropic_calls_tools_in_parallel_and_in_steps(anyio_backend: str, *, streamed: bool) -> None:
    messages: Any = [{"role": "user", "content": PROMPT}]
    steps: list[list[str]] = []

    def work(client: anthropic.Anthropic) -> str:
        while True:
            options: Any = {
                "model": "demo-large",
                "max_tokens": 500,
                "messages": messages,
                "tools": [{"name": "get_weather", "input_schema": CITY}],
            }
            if streamed:
                with client.messages.stream(**options) as stream:
                    message: Any = stream.get_final_message()
            else:
                message = client.messages.create(**options)
            messages.append({"role": "assistant", "content": [block.to_dict() for block in message.content]})
            calls = [block for block in message.content if block.type == "tool_use"]
            if not calls:
                assert message.stop_reason == "end_turn"
                return str(message.content[-1].text)
            assert message.stop_reason == "tool_use"
            steps.append([call.input["city"] for call in calls])
            results = [
                {"type": "tool_result", "tool_use_id": call.id, "content": f"{call.input} is sunny"} for call in calls
            ]
            messages.append({"role": "user", "content": results})

    answer = await with_claude(work)
    assert steps == [["Paris", "Tokyo"], ["Lima"]]
    assert answer.count("sunny") == 3


async def test_companions_answer_both(anyio_backend: str) -> None:
    def claude(client: anthropic.Anthropic) -> list[str]:
        counted = client.messages.count_tokens(model="demo-small", messages=HELLO)
        assert counted.input_tokens > 0
        assert client.models.retrieve("demo-small").type == "model"
        return [model.id for model in client.models.list()]

    def gpt(client: openai.OpenAI) -> list[str]:
        assert client.models.retrieve("demo-small").object == "model"
        assert len(client.embeddings.create(model="demo-embed", input="a").data) == 1
        return [model.id for model in client.models.list()]

    listed = await with_claude(claude)
    assert "demo-small" in listed
    assert await with_gpt(gpt) == listed


FAILURES = [
    ("demo-fail-400", "BadRequestError"),
    ("unheard-of", "NotFoundError"),
]


@pytest.mark.parametrize(("model", "error"), FAILURES)
async def test_errors_are_of_the_sdks_own_classes(model: str, error: str, anyio_backend: str) -> None:
    def claude(client: anthropic.Anthropic) -> None:
        with pytest.raises(getattr(anthropic, error)):
            client.messages.create(model=model, max_tokens=9, messages=HELLO)
        with (
            pytest.raises(getattr(anthropic, error)),
            client.messages.stream(model=model, max_tokens=9, messages=HELLO) as stream,
        ):
            stream.get_final_message()

    def gpt(client: openai.OpenAI) -> None:
        for streamed in (False, True):
            with pytest.raises(getattr(openai, error)):
                client.chat.completions.create(model=model, messages=HELLO, stream=streamed)

    await with_claude(claude)
    await with_gpt(gpt)
