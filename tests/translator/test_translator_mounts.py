"""Under a prefix of a framework, and around one, on a real server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from dialogues import ANTHROPIC_HEADERS, anthropic_request, ended_well, error_of, text_of
from ds2api_asgi.asgi.lifespan import Mounted, lifespan
from ds2api_asgi.demo import DemoModel
from ds2api_asgi.testing import Driver, serve
from ds2api_asgi.translator import Translator


def _llm() -> Translator:
    return Translator(DemoModel(), speaks="openai-chat")


def _starlette() -> Any:
    from starlette.applications import Starlette
    from starlette.routing import Mount

    llm = _llm()
    return Starlette(routes=[Mount("/llm", llm)], lifespan=lifespan(llm))


def _fastapi() -> Any:
    from fastapi import FastAPI

    llm = _llm()
    app = FastAPI(lifespan=lifespan(llm))
    app.mount("/llm", llm)
    return app


def _litestar() -> Any:
    from litestar import Litestar, asgi

    llm = _llm()
    return Litestar([asgi("/llm", is_mount=True, copy_scope=True)(llm)], lifespan=[lifespan(llm)])


def _quart() -> Any:
    from quart import Quart

    app = Quart(__name__)
    app.asgi_app = Mounted(app.asgi_app, "/llm", _llm())  # type: ignore[method-assign]
    return app


HOSTS: dict[str, Callable[[], Any]] = {
    "starlette": _starlette,
    "fastapi": _fastapi,
    "litestar": _litestar,
    "quart": _quart,
}


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("host", HOSTS)
async def test_mounted_under_a_prefix_all_paths_work(host: str) -> None:
    async with serve(HOSTS[host]()) as url, httpx2.AsyncClient(base_url=url, headers=ANTHROPIC_HEADERS) as http:
        for path in ("/llm/v1/messages", "/llm/v1/messages/", "/llm/messages"):
            whole = await http.post(path, json=anthropic_request())
            assert whole.status_code == 200, (path, whole.text)
            assert whole.json()["type"] == "message"
        streamed = await http.post("/llm/v1/messages", json=anthropic_request(stream=True))
        assert text_of("anthropic", streamed.content) == whole.json()["content"][0]["text"]
        assert ended_well("anthropic", streamed.content)
        models = await http.get("/llm/v1/models")
        assert "demo-small" in [model["id"] for model in models.json()["data"]]
        assert (await http.get("/llm/v1/models/demo-small")).json()["type"] == "model"
        wrong = await http.post("/llm/v1/messages", json={"model": 5})
        assert wrong.status_code == 400
        error_of("anthropic", wrong.json())
        native = await http.post(
            "/llm/v1/chat/completions", json={"model": "demo-small", "messages": [{"role": "user", "content": "hello"}]}
        )
        assert native.json()["object"] == "chat.completion"


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_under_a_prefix_that_only_begins_like_the_mount_nothing_is_translated() -> None:
    async with serve(_litestar()) as url, httpx2.AsyncClient(base_url=url) as http:
        answer = await http.post("/llmx/v1/messages", json=anthropic_request())
    assert answer.status_code == 404


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_around_a_quart_app_its_own_routes_stay_its_own() -> None:
    from quart import Quart, request

    app = Quart(__name__)

    @app.post("/v1/chat/completions")
    async def complete() -> dict[str, Any]:
        document = await request.get_json()
        message = {"role": "assistant", "content": f"heard {document['messages'][-1]['content']}"}
        return {
            "id": "c1",
            "object": "chat.completion",
            "created": 1,
            "model": document["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        }

    @app.get("/hello")
    async def hello() -> str:
        return "hello from the app"

    app.asgi_app = Translator(app.asgi_app, speaks="openai-chat")  # type: ignore[method-assign]
    async with serve(app) as url, httpx2.AsyncClient(base_url=url, headers=ANTHROPIC_HEADERS) as http:
        assert (await http.get("/hello")).text == "hello from the app"
        answer = await http.post("/v1/messages", json=anthropic_request())
        assert answer.json()["content"] == [{"type": "text", "text": "heard hello"}]
        missing = await http.get("/nothing")
        assert missing.status_code == 404


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_as_a_middleware_of_starlette_it_sees_what_the_app_answers() -> None:
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.gzip import GZipMiddleware
    from starlette.routing import Mount

    app = Starlette(
        routes=[Mount("/", DemoModel())],
        middleware=[Middleware(Translator, speaks="openai-chat"), Middleware(GZipMiddleware, minimum_size=1)],
    )
    async with serve(app) as url, httpx2.AsyncClient(base_url=url, headers=ANTHROPIC_HEADERS) as http:
        answer = await http.post("/v1/messages", json=anthropic_request())
    assert answer.json()["type"] == "message"
    assert "content-encoding" not in answer.headers


@pytest.mark.anyio
async def test_a_framework_that_raises_on_is_logged_once_and_answered_once() -> None:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.routing import Route

    async def fail(request: Request) -> Any:
        raise ValueError("a bug")

    app = Starlette(routes=[Route("/v1/chat/completions", fail, methods=["POST"])])
    sent: list[Any] = []

    async def tap(scope: Any, receive: Any, send: Any) -> None:
        async def tapped(message: Any) -> None:
            sent.append(message)
            await send(message)

        await Translator(app, speaks="openai-chat")(scope, receive, tapped)

    with pytest.raises(ValueError, match="a bug"):
        await Driver(tap, headers=ANTHROPIC_HEADERS).request("POST", "/v1/messages", json=anthropic_request())
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert sent[0]["status"] == 500
    assert b"api_error" in sent[1]["body"]
