"""The official OpenAI SDK against the demo model: over a socket, and in process."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager

import httpx2
import openai
import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel

from ds2api_asgi.demo import DemoModel
from ds2api_asgi.testing import in_process_client, serve

# The SDK leaves its generators unfinished at [DONE] and on errors; trio warns of that.
pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")]
PROMPT = "Use get_weather for Paris and Tokyo, then for Lima, and tell me the results."
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}


class Verdict(BaseModel):
    answer: str
    score: int


@asynccontextmanager
async def over_a_socket(**options):
    async with serve(DemoModel(**options)) as base_url, httpx2.AsyncClient() as http:
        yield http, f"{base_url}/v1"


@asynccontextmanager
async def in_process(**options):
    async with in_process_client(DemoModel(**options)) as http:
        yield http, "http://app/v1"


@pytest.fixture(params=[over_a_socket, in_process], ids=["socket", "in process"])
def connect(request):
    @asynccontextmanager
    async def connect(key="sk-any", **options):
        async with request.param(**options) as (http, base_url):
            yield AsyncOpenAI(base_url=base_url, api_key=key, http_client=http, max_retries=0)

    return connect


def hello(**members):
    return {"model": "demo-small", "messages": [{"role": "user", "content": "Hello"}], **members}


async def test_plain_and_streamed_say_the_same(connect):
    async with connect() as client:
        whole = await client.chat.completions.create(**hello())
        stream = await client.chat.completions.create(**hello(), stream=True, stream_options={"include_usage": True})
        chunks = [chunk async for chunk in stream]
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert text == whole.choices[0].message.content
    assert "Hello" in text
    assert chunks[-1].usage == whole.usage


@pytest.mark.parametrize("mode", ["create", "stream"])
async def test_tools_loop_with_parallel_calls_and_two_steps(connect, mode):
    messages = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": PROMPT}]
    steps = []
    async with connect() as client:
        for _ in range(6):
            arguments = {"model": "demo-think", "messages": messages, "tools": [TOOL]}
            if mode == "create":
                message = (await client.chat.completions.create(**arguments)).choices[0].message
            else:
                async with client.chat.completions.stream(**arguments) as stream:
                    message = (await stream.get_final_completion()).choices[0].message
            messages.append(message.to_dict())
            if not message.tool_calls:
                break
            steps.append([json.loads(call.function.arguments)["city"] for call in message.tool_calls])
            for call in message.tool_calls:
                city = json.loads(call.function.arguments)["city"]
                messages.append({"role": "tool", "tool_call_id": call.id, "content": f"{city}: {len(city)}C ☀"})
    assert steps == [["Paris", "Tokyo"], ["Lima"]]
    assert all(result in message.content for result in ("Paris: 5C ☀", "Tokyo: 5C ☀", "Lima: 4C ☀"))


async def test_structured_output_parses(connect):
    async with connect() as client:
        completion = await client.chat.completions.parse(
            model="demo-small", messages=[{"role": "user", "content": "Judge."}], response_format=Verdict
        )
    assert isinstance(completion.choices[0].message.parsed, Verdict)


async def test_reasoning_comes_before_the_text(connect):
    async with connect() as client:
        stream = await client.chat.completions.create(**hello(reasoning_effort="low"), stream=True)
        kinds = []
        async for chunk in stream:
            delta = chunk.choices[0].delta.to_dict()
            kinds += [name for name in ("reasoning_content", "content") if delta.get(name)]
    assert kinds == sorted(kinds, reverse=True)
    assert set(kinds) == {"reasoning_content", "content"}


@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("demo-fail-401", openai.AuthenticationError),
        ("demo-fail-403", openai.PermissionDeniedError),
        ("gpt-9", openai.NotFoundError),
        ("demo-fail-429", openai.RateLimitError),
        ("demo-fail-quota", openai.RateLimitError),
        ("demo-fail-500", openai.InternalServerError),
        ("demo-fail-529", openai.InternalServerError),
        ("demo-fail-context", openai.BadRequestError),
    ],
)
async def test_errors_are_the_sdks_own_classes(connect, model, error):
    async with connect() as client:
        for stream in (False, True):
            with pytest.raises(error) as caught:
                await client.chat.completions.create(**{**hello(), "model": model}, stream=stream)
            assert caught.value.request_id or error is openai.NotFoundError


@pytest.mark.parametrize(
    ("kind", "error"),
    [("error", openai.APIError), ("first", openai.APIError), ("cut", openai.APIConnectionError)],
)
async def test_broken_streams_raise(connect, kind, error):
    async with connect() as client:
        stream = await client.chat.completions.create(**{**hello(), "model": f"demo-fail-{kind}"}, stream=True)
        seen = []

        async def read():
            async for chunk in stream:
                seen.append(chunk)  # noqa: PERF401 - what came before the error counts

        with pytest.raises(error):
            await read()
        assert bool(seen) == (kind != "first")
        await stream.close()


async def test_wrong_key_is_refused(connect):
    async with connect(key="sk-bad", keys=["sk-good"]) as client:
        with pytest.raises(openai.AuthenticationError):
            await client.models.list()


async def test_sdk_retries_a_fault_that_passes(connect):
    async with connect(key="sk-any+429:0.01!1") as client:
        answer = await client.with_options(max_retries=1).chat.completions.create(**hello())
    assert answer.choices[0].finish_reason == "stop"


async def test_models_and_embeddings(connect):
    async with connect() as client:
        listed = [model.id async for model in client.models.list()]
        assert (await client.models.retrieve("demo-small")).id in listed
        embedded = await client.embeddings.create(model="demo-embed", input=["a", "b"], dimensions=8)
    assert [len(item.embedding) for item in embedded.data] == [8, 8]


async def test_a_text_is_completed_whole_and_streamed_alike(connect):
    asked = {"model": "demo-small", "prompt": "def add(a, b):", "suffix": "return c", "max_tokens": 50, "n": 2}
    async with connect() as client:
        whole = await client.completions.create(**asked)
        again = await client.completions.create(**asked)
        stream = await client.completions.create(**asked, stream=True, stream_options={"include_usage": True})
        chunks = [chunk async for chunk in stream]
    assert whole.choices == again.choices
    assert (whole.object, whole.id[:5], chunks[-1].usage) == ("text_completion", "cmpl-", whole.usage)
    for choice in whole.choices:
        parts = [part for chunk in chunks for part in chunk.choices if part.index == choice.index]
        assert "".join(part.text for part in parts) == choice.text
        assert parts[-1].finish_reason == choice.finish_reason == "stop"


@pytest.mark.parametrize("wrong", [{}, {"prompt": 7}, {"prompt": ["a", "b"]}, {"prompt": "a", "suffix": 1}])
async def test_a_text_to_complete_is_one_string(connect, wrong):
    async with connect() as client:
        with pytest.raises(openai.BadRequestError):
            await client.post("/completions", cast_to=object, body={"model": "demo-small", **wrong})


async def test_a_completion_is_short_unless_more_is_asked_for(connect):
    async with connect() as client:
        short = await client.completions.create(model="demo-think", prompt="word " * 40)
        assert (short.choices[0].finish_reason, short.usage.completion_tokens) == ("length", 16)
        one = await client.completions.create(model="demo-small", prompt=["Hello"], stop=["lo"], max_tokens=9)
        assert one.choices[0].text
