"""The example apps, as they stand in the tree: over sockets, by the official SDKs, with the demo model and without."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from commands import ROOT, running
from ds2api_asgi.asgi.body import read_body
from ds2api_asgi.demo import DemoModel
from ds2api_asgi.pool import Seat
from ds2api_asgi.testing import serve

EXAMPLES = ("fastapi_app", "litestar_app", "quart_app")
HELLO: Any = [{"role": "user", "content": "Hello"}]

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """The apps run in a server of their own; the clients need no second backend."""
    return "asyncio"


@pytest.fixture(params=EXAMPLES)
def example(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _load(example: str) -> Any:
    """A fresh instance of an example's module."""
    name = f"example_{example}"
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / example / "main.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pydantic look their modules up there
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def _no_modules_left_behind() -> Iterator[None]:
    yield
    for example in (*EXAMPLES, "custom_gateway"):
        sys.modules.pop(f"example_{example}", None)


@asynccontextmanager
async def _sdks(base_url: str) -> AsyncIterator[tuple[openai.AsyncOpenAI, anthropic.AsyncAnthropic]]:
    async with (
        openai.AsyncOpenAI(base_url=f"{base_url}/llm/v1", api_key="any", max_retries=0) as chat,
        anthropic.AsyncAnthropic(base_url=f"{base_url}/llm", api_key="any", max_retries=0) as messages,
    ):
        yield chat, messages


async def _ask(chat: openai.AsyncOpenAI, messages: anthropic.AsyncAnthropic, model: str) -> list[str]:
    """The answer as each SDK tells it, whole and streamed."""
    completion = await chat.chat.completions.create(model=model, messages=HELLO)
    pieces = await chat.chat.completions.create(model=model, messages=HELLO, stream=True)
    streamed = "".join([piece.choices[0].delta.content or "" async for piece in pieces if piece.choices])
    message = await messages.messages.create(model=model, max_tokens=200, messages=HELLO)
    async with messages.messages.stream(model=model, max_tokens=200, messages=HELLO) as stream:
        final = await stream.get_final_text()
    return [completion.choices[0].message.content or "", streamed, message.content[0].text, final]  # type: ignore[union-attr]


async def test_both_sdks_get_the_same_answer_whole_and_streamed(example: str) -> None:
    async with serve(_load(example).app) as base_url, _sdks(base_url) as (chat, messages):
        answers = await _ask(chat, messages, "demo-small")
        assert "Hello" in answers[0]
        assert answers == answers[:1] * 4


async def test_both_sdks_list_the_models(example: str) -> None:
    async with serve(_load(example).app) as base_url, _sdks(base_url) as (chat, messages):
        listed = [model.id async for model in chat.models.list()]
        assert "demo-small" in listed
        assert [model.id async for model in messages.models.list()] == listed


async def test_both_sdks_raise_their_own_error_for_a_prompt_that_is_too_long(example: str) -> None:
    async with serve(_load(example).app) as base_url, _sdks(base_url) as (chat, messages):
        with pytest.raises(openai.BadRequestError):
            await chat.chat.completions.create(model="demo-fail-context", messages=HELLO)
        with pytest.raises(anthropic.BadRequestError):
            await messages.messages.create(model="demo-fail-context", max_tokens=9, messages=HELLO)


async def test_a_provider_is_asked_with_its_own_keys(example: str, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = DemoModel(keys=["key-1", "key-2"])
    async with serve(provider) as provider_url:
        monkeypatch.setenv("UPSTREAM_URL", provider_url)
        monkeypatch.setenv("UPSTREAM_KEYS", "key-1,key-2")
        async with serve(_load(example).app) as base_url, _sdks(base_url) as sdks:
            answers = await _ask(*sdks, "demo-large")
    assert answers == answers[:1] * 4
    assert provider.requests.of(key="key-1") + provider.requests.of(key="key-2") == provider.requests.total == 4


async def test_the_routes_of_the_hosts_work_beside_the_endpoint(example: str) -> None:
    async with serve(_load(example).app) as base_url, httpx2.AsyncClient(base_url=base_url) as client:
        assert (await client.get("/health")).json() == {"status": "ok"}
        assert (await client.get("/llm/elsewhere")).status_code == 404


async def test_the_fastapi_app_keeps_notes_and_asks_its_own_endpoint_about_them() -> None:
    async with serve(_load("fastapi_app").app) as base_url, httpx2.AsyncClient(base_url=base_url) as client:
        created = await client.post("/notes", json={"text": "buy tea"})
        assert (created.status_code, created.json()) == (201, {"id": 1, "text": "buy tea"})
        assert (await client.get("/notes")).json() == [created.json()]
        assert "buy tea" in (await client.post("/notes/1/summary")).json()["summary"]
        assert (await client.post("/notes/2/summary")).status_code == 404


async def test_the_fastapi_app_says_so_when_the_model_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSTREAM_MODEL", "demo-fail-context")
    async with serve(_load("fastapi_app").app) as base_url, httpx2.AsyncClient(base_url=base_url) as client:
        await client.post("/notes", json={"text": "buy tea"})
        assert (await client.post("/notes/1/summary")).status_code == 502


async def test_the_litestar_app_has_a_catalogue() -> None:
    async with serve(_load("litestar_app").app) as base_url, httpx2.AsyncClient(base_url=base_url) as client:
        names = [item["name"] for item in (await client.get("/items")).json()]
        assert names == ["kettle", "teapot", "cup"]
        assert (await client.get("/items/cup")).json() == {"name": "cup", "price": 700}
        assert (await client.get("/items/spoon")).status_code == 404


async def test_the_quart_app_streams_the_answer_to_a_ticket(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serve(_load("quart_app").app) as base_url, httpx2.AsyncClient(base_url=base_url) as client:
        created = await client.post("/tickets", json={"text": "my tea is cold"})
        assert (created.status_code, created.json()) == (201, {"id": 1, "text": "my tea is cold"})
        async with client.stream("GET", "/tickets/1/answer") as answer:
            pieces = [piece async for piece in answer.aiter_text()]
        assert 'You wrote: "my tea is cold"' in "".join(pieces)
        assert len(pieces) > 1
        assert (await client.get("/tickets/2/answer")).status_code == 404
        assert (await client.post("/tickets", json={"words": "?"})).status_code == 400
    monkeypatch.setenv("UPSTREAM_MODEL", "demo-fail-context")
    async with serve(_load("quart_app").app) as base_url, httpx2.AsyncClient(base_url=base_url) as client:
        await client.post("/tickets", json={"text": "my tea is cold"})
        assert (await client.get("/tickets/1/answer")).text == "the model did not answer"


def test_the_custom_gateway_has_less_than_a_hundred_lines() -> None:
    assert len((ROOT / "examples" / "custom_gateway" / "main.py").read_text().splitlines()) < 100


async def test_the_custom_gateway_withholds_addresses_uses_the_cheap_key_and_the_small_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[str, str]] = []
    demo = DemoModel(keys=["sk-cheap", "sk-dear"])

    async def provider(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await demo(scope, receive, send)
            return
        body = await read_body(receive)
        key = dict(scope["headers"])[b"authorization"].decode().removeprefix("Bearer ")
        asked.append((key, body.peek([])[0] or ""))
        assert b"alice@" not in body.body
        assert b"<email>" in body.body
        await demo(scope, body, send)

    messages: Any = [{"role": "user", "content": "Write to alice@example.com, please"}]
    async with serve(provider) as provider_url:
        monkeypatch.setenv("UPSTREAM_URL", provider_url)
        monkeypatch.setenv("CHEAP_KEY", "sk-cheap")
        monkeypatch.setenv("DEAR_KEY", "sk-dear")
        async with (
            serve(_load("custom_gateway").app) as url,
            openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as chat,
            anthropic.AsyncAnthropic(base_url=url, api_key="any", max_retries=0) as claude,
        ):
            answer = await chat.chat.completions.create(model="anything", messages=messages)
            assert "<email>" in (answer.choices[0].message.content or "")
            assert answer.model == "anything"
            async with claude.messages.stream(model="anything", max_tokens=99, messages=messages) as stream:
                assert "<email>" in await stream.get_final_text()
        assert asked == [("sk-cheap", "demo-small")] * 2
        asked.clear()
        monkeypatch.setenv("SMALL_MODEL", "demo-fail-context")
        async with (
            serve(_load("custom_gateway").app) as url,
            openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as chat,
        ):
            await chat.chat.completions.create(model="anything", messages=messages)
        assert asked == [("sk-cheap", "demo-fail-context"), ("sk-cheap", "demo-large")]


def test_the_cheapest_key_is_spared_when_it_is_busy() -> None:
    strategy = _load("custom_gateway").Cheapest({"cheap": 0.1, "dear": 2.5}, busy=2)
    lineup = strategy.lineup(Random(1))
    cheap, dear = Seat(index=0, alias="cheap"), Seat(index=1, alias="dear")
    lineup.add(dear)
    lineup.add(cheap)
    assert lineup.pick(()) is cheap
    cheap.in_flight = 2
    assert lineup.copy().pick(()) is dear
    dear.in_flight = 2
    assert lineup.pick(()) is cheap
    assert lineup.pick((0,)) is dear
    assert lineup.pick((0, 1)) is None
    lineup.discard(cheap)
    assert lineup.pick(()) is dear


def test_the_custom_gateways_one_command_starts_it() -> None:
    command = "uvicorn --app-dir examples/custom_gateway main:app"
    assert command in (ROOT / "examples" / "custom_gateway" / "main.py").read_text()
    with (
        running(sys.executable, "-m", *command.split(), "--port", "0") as process,
        httpx2.Client(base_url=process.base_url) as client,
    ):
        body = {"model": "any", "messages": HELLO}
        assert client.post("/v1/chat/completions", json=body).status_code == 200


def test_its_one_command_starts_it(example: str) -> None:
    source = (ROOT / "examples" / example / "main.py").read_text()
    command = f"uvicorn --app-dir examples/{example} main:app"
    assert command in source
    with (
        running(sys.executable, "-m", *command.split(), "--port", "0") as process,
        httpx2.Client(base_url=process.base_url) as client,
    ):
        assert client.get("/health").json() == {"status": "ok"}
