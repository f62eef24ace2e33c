"""Google's SDK, blocking and async, in front of apps that speak another protocol, over a real server."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import anyio.to_thread
import pytest
from google import genai
from google.genai import errors, types
from pydantic import BaseModel

from ds2api_asgi.demo import DemoModel
from ds2api_asgi.testing import serve
from ds2api_asgi.translator import Translator

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("anyio_backend", ["asyncio"]),
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning"),  # the SDK's own
]

T = TypeVar("T")
KEY = "sk-demo"
PROMPT = "Use get_weather for Paris and Tokyo, then for Lima, and tell me the results."
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def _apps() -> dict[str, Translator]:
    demo = DemoModel(keys=[KEY])
    return {
        "openai-chat": Translator(demo, speaks="openai-chat"),
        "anthropic": Translator(Translator(demo, speaks="openai-chat", clients=["anthropic"]), speaks="anthropic"),
    }


APPS = pytest.mark.parametrize("speaks", ["openai-chat", "anthropic"])
VERSIONS = pytest.mark.parametrize("version", ["v1", "v1beta"])


def _client(url: str, version: str = "v1", key: str = KEY) -> genai.Client:
    return genai.Client(api_key=key, http_options=types.HttpOptions(base_url=url, api_version=version))


async def blocking(speaks: str, work: Callable[[genai.Client], T], *, version: str = "v1", key: str = KEY) -> T:
    def run(url: str) -> T:
        with _client(url, version, key) as client:
            return work(client)

    async with serve(_apps()[speaks]) as url:
        return await anyio.to_thread.run_sync(run, url)
    raise AssertionError("unreachable")


@asynccontextmanager
async def asynchronous(speaks: str) -> AsyncIterator[Any]:
    async with serve(_apps()[speaks]) as url, _client(url).aio as client:
        yield client


class Verdict(BaseModel):
    answer: str
    score: int


@APPS
@VERSIONS
async def test_whole_and_streamed_say_the_same(anyio_backend: str, speaks: str, version: str) -> None:
    def work(client: genai.Client) -> None:
        whole = client.models.generate_content(model="demo-large", contents="hello")
        chunks = list(client.models.generate_content_stream(model="demo-large", contents="hello"))
        texts = [chunk.text for chunk in chunks if chunk.text]
        assert len(texts) > 1
        assert whole.text == "".join(texts) != ""
        assert whole.candidates[0].finish_reason == types.FinishReason.STOP  # type: ignore[index]
        assert chunks[-1].candidates[0].finish_reason == types.FinishReason.STOP  # type: ignore[index]
        usage, streamed = whole.usage_metadata, chunks[-1].usage_metadata
        assert usage is not None
        assert streamed is not None
        assert usage.prompt_token_count == streamed.prompt_token_count
        assert usage.candidates_token_count == streamed.candidates_token_count
        assert (usage.prompt_token_count or 0) > 0
        assert whole.model_version == "demo-large"

    await blocking(speaks, work, version=version)


@APPS
async def test_async_whole_and_streamed_say_the_same(anyio_backend: str, speaks: str) -> None:
    async with asynchronous(speaks) as client:
        whole = await client.models.generate_content(model="demo-large", contents="hello")
        stream = await client.models.generate_content_stream(model="demo-large", contents="hello")
        texts = [chunk.text async for chunk in stream if chunk.text]
    assert whole.text == "".join(texts) != ""
    assert len(texts) > 1


@APPS
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_chat_remembers(anyio_backend: str, speaks: str, *, streamed: bool) -> None:
    def work(client: genai.Client) -> list[Any]:
        chat = client.chats.create(model="demo-large", config={"system_instruction": "Be brief."})
        for question in ("hello", "and again"):
            if streamed:
                assert "".join(chunk.text or "" for chunk in chat.send_message_stream(question))
            else:
                assert chat.send_message(question).text
        return chat.get_history(curated=True)

    history = await blocking(speaks, work)
    roles = [content.role for content in history]
    assert roles[0] == "user"
    assert roles.count("user") == 2
    assert len(roles) == 4 or streamed  # a streamed chat keeps a content for each chunk


@APPS
async def test_answers_become_the_users_class(anyio_backend: str, speaks: str) -> None:
    def work(client: genai.Client) -> Any:
        config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=Verdict)
        by_class = client.models.generate_content(model="demo-small", contents="hello", config=config).parsed
        by_schema = client.models.generate_content(
            model="demo-small",
            contents="hello",
            config={"response_mime_type": "application/json", "response_json_schema": Verdict.model_json_schema()},
        )
        return by_class, Verdict.model_validate_json(by_schema.text or "")

    by_class, by_schema = await blocking(speaks, work)
    assert isinstance(by_class, Verdict)
    assert isinstance(by_schema, Verdict)


@APPS
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("declared", ["json", "openapi"])
async def test_tools_are_called_in_parallel_and_in_steps(
    anyio_backend: str, speaks: str, declared: str, *, streamed: bool
) -> None:
    city: Any = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    if declared == "json":
        function = types.FunctionDeclaration(name="get_weather", parameters_json_schema=city)
    else:
        older = {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"]}
        function = types.FunctionDeclaration(name="get_weather", parameters=types.Schema.model_validate(older))
    tool = types.Tool(function_declarations=[function])
    steps: list[list[str]] = []

    def work(client: genai.Client) -> str:
        contents: list[Any] = [types.Content(role="user", parts=[types.Part(text=PROMPT)])]
        while True:
            options: Any = {"model": "demo-large", "contents": contents, "config": {"tools": [tool]}}
            if streamed:
                # As the SDK's chats do: one content for each chunk.
                chunks = list(client.models.generate_content_stream(**options))
                said = [chunk.candidates[0].content for chunk in chunks]  # type: ignore[index]
            else:
                said = [client.models.generate_content(**options).candidates[0].content]  # type: ignore[index]
            contents += said
            parts = [part for content in said for part in (content.parts if content else ()) or ()]
            calls = [part.function_call for part in parts if part.function_call]
            if not calls:
                return "".join(part.text or "" for part in parts)
            assert all(call.id for call in calls)
            steps.append([str((call.args or {})["city"]) for call in calls])
            results = [
                types.Part(
                    function_response=types.FunctionResponse(
                        id=call.id, name=call.name, response={"output": f"{(call.args or {})['city']} is sunny"}
                    )
                )
                for call in calls
            ]
            contents.append(types.Content(role="user", parts=results))

    answer = await blocking(speaks, work)
    assert steps == [["Paris", "Tokyo"], ["Lima"]]
    assert answer.count("sunny") == 3


@APPS
async def test_the_sdk_calls_functions_by_itself(anyio_backend: str, speaks: str) -> None:
    called: list[str] = []

    def get_weather(city: str) -> str:
        """Tell the weather of a city."""
        called.append(city)
        return f"{city} is sunny"

    def work(client: genai.Client) -> str | None:
        return client.models.generate_content(
            model="demo-large", contents=PROMPT, config=types.GenerateContentConfig(tools=[get_weather])
        ).text

    answer = await blocking(speaks, work)
    assert called == ["Paris", "Tokyo", "Lima"]
    assert answer is not None
    assert answer.count("sunny") == 3


@APPS
async def test_the_async_sdk_calls_functions_by_itself(anyio_backend: str, speaks: str) -> None:
    called: list[str] = []

    async def get_weather(city: str) -> dict[str, str]:
        """Tell the weather of a city."""
        called.append(city)
        return {"weather": f"{city} is sunny"}

    async with asynchronous(speaks) as client:
        chat = client.chats.create(model="demo-large", config=types.GenerateContentConfig(tools=[get_weather]))
        answer = (await chat.send_message(PROMPT)).text
    assert sorted(called) == ["Lima", "Paris", "Tokyo"]
    assert answer.count("sunny") == 3


@APPS
async def test_images_are_seen(anyio_backend: str, speaks: str) -> None:
    def work(client: genai.Client) -> Any:
        contents: Any = ["What is this?", types.Part.from_bytes(data=PIXEL, mime_type="image/png")]
        seen = client.models.generate_content(model="demo-vision", contents=contents)
        unseen = client.models.generate_content(model="demo-vision", contents=contents[:1])
        return seen, unseen

    seen, unseen = await blocking(speaks, work)
    assert seen.text
    assert seen.usage_metadata.prompt_token_count > unseen.usage_metadata.prompt_token_count


@APPS
@VERSIONS
async def test_models_and_token_counts(anyio_backend: str, speaks: str, version: str) -> None:
    def work(client: genai.Client) -> None:
        names = [model.name for model in client.models.list(config={"page_size": 2})]
        assert "models/demo-small" in names
        model = client.models.get(model="demo-small")
        assert model.name == "models/demo-small"
        assert "generateContent" in (model.supported_actions or ())
        few = client.models.count_tokens(model="demo-small", contents="hello").total_tokens
        many = client.models.count_tokens(model="demo-small", contents="hello " * 50).total_tokens
        assert 0 < (few or 0) < (many or 0)

    await blocking(speaks, work, version=version)


@APPS
@pytest.mark.parametrize(
    ("model", "key", "status", "word"),
    [
        ("demo-fail-400", KEY, 400, "INVALID_ARGUMENT"),
        ("demo-fail-429", KEY, 429, "RESOURCE_EXHAUSTED"),
        ("unheard-of", KEY, 404, "NOT_FOUND"),
        ("demo-small", "wrong", 401, "UNAUTHENTICATED"),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
async def test_failures_of_the_request_are_client_errors(
    anyio_backend: str, speaks: str, model: str, key: str, status: int, word: str, *, streamed: bool
) -> None:
    with pytest.raises(errors.ClientError) as caught:
        await blocking(speaks, _asking(model, streamed=streamed), key=key)
    assert (caught.value.code, caught.value.status) == (status, word)
    assert caught.value.message


@APPS
@pytest.mark.parametrize("streamed", [False, True])
async def test_failures_of_the_upstream_are_server_errors(anyio_backend: str, speaks: str, *, streamed: bool) -> None:
    with pytest.raises(errors.ServerError) as caught:
        await blocking(speaks, _asking("demo-fail-500", streamed=streamed))
    assert (caught.value.code, caught.value.status) == (500, "INTERNAL")


def _asking(model: str, *, streamed: bool) -> Callable[[genai.Client], Any]:
    def work(client: genai.Client) -> Any:
        if streamed:
            return list(client.models.generate_content_stream(model=model, contents="hello"))
        return client.models.generate_content(model=model, contents="hello")

    return work
