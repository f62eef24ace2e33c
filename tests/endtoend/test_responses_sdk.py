"""OpenAI's SDK in front of apps of other protocols and of its own, whole and streamed, with async and without.

Whatever it gets is also an answer, or an event, of the open specification (PyPI's openresponses-types).
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import anyio.to_thread
import openai
import pytest
from openresponses_types import types as open_responses
from pydantic import BaseModel

from ds2api_asgi.demo import DemoModel
from ds2api_asgi.framing.sse import SseParser
from ds2api_asgi.testing import Driver, serve
from ds2api_asgi.translator import Translator

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

T = TypeVar("T")
KEY = "sk-demo"
PROMPT = "Use get_weather for Paris and Tokyo, then for Lima, and tell me the results."
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}


class Verdict(BaseModel):
    answer: str
    score: int


def over_chat() -> Any:
    """An upstream that speaks Chat."""
    return Translator(DemoModel(keys=[KEY]), speaks="openai-chat", clients=["openai-responses"])


def over_anthropic() -> Any:
    """An upstream that speaks Anthropic."""
    inner = Translator(DemoModel(keys=[KEY]), speaks="openai-chat", clients=["anthropic"])
    return Translator(inner, speaks="anthropic", clients=["openai-responses"])


def over_responses() -> Any:
    """An upstream that speaks Responses, behind one of Chat: there and back again."""
    chat = Translator(over_chat(), speaks="openai-responses", clients=["openai-chat"])
    return Translator(chat, speaks="openai-chat", clients=["openai-responses"])


apps = pytest.mark.parametrize("app", [over_chat, over_anthropic, over_responses], ids=lambda app: app.__name__)


async def with_client(app: Any, work: Callable[[openai.OpenAI], T], *, key: str = KEY) -> T:
    def run(url: str) -> T:
        with openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as client:
            return work(client)

    async with serve(app) as url:
        return await anyio.to_thread.run_sync(run, url)
    raise AssertionError("unreachable")


@asynccontextmanager
async def gpt(app: Any, key: str = KEY) -> AsyncIterator[openai.AsyncOpenAI]:
    async with serve(app) as url, openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as client:
        yield client


@apps
async def test_whole_streamed_and_helped_say_the_same(app: Any, anyio_backend: str) -> None:
    def work(client: openai.OpenAI) -> list[str]:
        options: Any = {"model": "demo-large", "input": "Hello"}
        whole = client.responses.create(**options)
        assert whole.status == "completed"
        assert whole.usage is not None
        assert whole.usage.total_tokens == whole.usage.input_tokens + whole.usage.output_tokens > 0
        events = client.responses.create(**options, stream=True)
        streamed = "".join(event.delta for event in events if event.type == "response.output_text.delta")
        with client.responses.stream(**options) as stream:
            pieces = [event.delta for event in stream if event.type == "response.output_text.delta"]
            helped = stream.get_final_response()
        assert len(pieces) > 1
        assert helped.usage == whole.usage
        return [whole.output_text, streamed, "".join(pieces), helped.output_text]

    said = await with_client(app(), work)
    assert said[0]
    assert said == said[:1] * 4


@apps
async def test_async_says_the_same(app: Any, anyio_backend: str) -> None:
    async with gpt(app()) as client:
        options: Any = {"model": "demo-large", "input": "Hello", "instructions": "Be kind."}
        whole = await client.responses.create(**options)
        async with client.responses.stream(**options) as stream:
            pieces = [event.delta async for event in stream if event.type == "response.output_text.delta"]
            helped = await stream.get_final_response()
    assert whole.output_text == helped.output_text == "".join(pieces) != ""
    assert whole.instructions == helped.instructions == "Be kind."


@apps
@pytest.mark.parametrize("streamed", [False, True])
async def test_tools_are_called_in_parallel_and_in_steps(app: Any, anyio_backend: str, *, streamed: bool) -> None:
    history: Any = [{"role": "user", "content": PROMPT}]
    steps: list[list[str]] = []

    def work(client: openai.OpenAI) -> str:
        while True:
            options: Any = {"model": "demo-large", "input": history, "tools": [WEATHER], "store": False}
            if streamed:
                with client.responses.stream(**options) as stream:
                    response: Any = stream.get_final_response()
            else:
                response = client.responses.create(**options)
            history.extend(item.to_dict() for item in response.output)
            calls = [item for item in response.output if item.type == "function_call"]
            if not calls:
                return str(response.output_text)
            steps.append([json.loads(call.arguments)["city"] for call in calls])
            history.extend(
                {"type": "function_call_output", "call_id": call.call_id, "output": f"{call.arguments} is sunny"}
                for call in calls
            )

    answer = await with_client(app(), work)
    assert steps == [["Paris", "Tokyo"], ["Lima"]]
    assert answer.count("sunny") == 3


@apps
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_custom_tool_is_called_with_its_text(app: Any, anyio_backend: str, *, streamed: bool) -> None:
    tool: Any = {"type": "custom", "name": "run_shell", "description": "Runs a command."}

    def work(client: openai.OpenAI) -> Any:
        options: Any = {
            "model": "demo-large",
            "input": "Use run_shell for ls.",
            "tools": [tool],
            "tool_choice": {"type": "custom", "name": "run_shell"},
        }
        if streamed:
            with client.responses.stream(**options) as stream:
                return stream.get_final_response()
        return client.responses.create(**options)

    response = await with_client(app(), work)
    calls = [item for item in response.output if item.type != "reasoning"]
    assert [item.type for item in calls] == ["custom_tool_call"]
    assert calls[0].name == "run_shell"
    assert isinstance(calls[0].input, str)


@apps
async def test_answers_are_parsed_into_the_users_class(app: Any, anyio_backend: str) -> None:
    def work(client: openai.OpenAI) -> list[Any]:
        options: Any = {"model": "demo-small", "input": "Judge this.", "text_format": Verdict}
        with client.responses.stream(**options) as stream:
            streamed = stream.get_final_response()
        return [client.responses.parse(**options).output_parsed, streamed.output_parsed]

    for parsed in await with_client(app(), work):
        assert isinstance(parsed, Verdict)


@apps
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("model", "error"), [("demo-fail-400", openai.BadRequestError), ("unheard-of", openai.NotFoundError)]
)
async def test_failures_are_the_sdks_own_classes(
    app: Any, model: str, error: type[Exception], anyio_backend: str, *, streamed: bool
) -> None:
    def work(client: openai.OpenAI) -> None:
        with pytest.raises(error):
            client.responses.create(model=model, input="Hello", stream=streamed)

    await with_client(app(), work)


@apps
async def test_a_wrong_key_is_an_authentication_error(app: Any, anyio_backend: str) -> None:
    def work(client: openai.OpenAI) -> None:
        with pytest.raises(openai.AuthenticationError):
            client.responses.create(model="demo-small", input="Hello")

    await with_client(app(), work, key="sk-wrong")


@apps
async def test_a_state_that_nobody_here_holds_is_refused_and_named(app: Any, anyio_backend: str) -> None:
    def work(client: openai.OpenAI) -> None:
        with pytest.raises(openai.BadRequestError, match="previous_response_id"):
            client.responses.create(model="demo-small", input="Hello", previous_response_id="resp_1")
        with pytest.raises(openai.BadRequestError, match="item_reference"):
            client.responses.create(model="demo-small", input=[{"type": "item_reference", "id": "msg_1"}])

    await with_client(app(), work)


@apps
async def test_companions_answer(app: Any, anyio_backend: str) -> None:
    def work(client: openai.OpenAI) -> int:
        assert "demo-small" in [model.id for model in client.models.list()]
        counted = client.responses.input_tokens.count(model="demo-small", input="Hello there", tools=[WEATHER])
        assert counted.object == "response.input_tokens"
        return counted.input_tokens

    assert await with_client(app(), work) > 0


OPEN_EVENTS = {
    kind.value: model
    for name, model in vars(open_responses).items()
    if name.endswith("StreamingEvent") and isinstance(model, type)
    for kind in model.model_fields["type"].annotation
}
# The specification calls the texts of thoughts by another name than OpenAI and its SDK do, and knows no custom tools.
TIER = {"service_tier": "default"}  # demanded, but nobody can state it for another
OPENAIS_OWN = {"response.reasoning_text.delta", "response.reasoning_text.done"}


@apps
@pytest.mark.parametrize("model", ["demo-large", "demo-think"])
async def test_every_answer_and_event_is_one_of_the_open_specification(
    app: Any, model: str, anyio_backend: str
) -> None:
    driver = Driver(app(), headers={"authorization": f"Bearer {KEY}"})
    document = {"model": model, "input": PROMPT, "tools": [WEATHER]}
    whole = await driver.request("POST", "/v1/responses", json=document)
    assert whole.status == 200
    open_responses.ResponseResource.model_validate({**TIER, **whole.json()})
    answer = await driver.request("POST", "/v1/responses", json={**document, "stream": True})
    parser = SseParser()
    kinds = []
    for event in parser.feed(answer.body) + parser.close():
        data = json.loads(event.data)
        kinds.append(data["type"])
        if "response" in data:
            data["response"] = {**TIER, **data["response"]}
        if data["type"] not in OPENAIS_OWN:
            OPEN_EVENTS[data["type"]].model_validate(data)
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    assert len(set(kinds)) > 6
