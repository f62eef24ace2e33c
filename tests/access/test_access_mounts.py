"""The door in frameworks, under a prefix, behind real servers; lifespan and websockets pass through it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx2
import openai
import pytest

from access_kit import ALICE, STRANGER, Hello, bearer
from ds2api_asgi import Access, Bounds, Mounted, Translator, lifespan, running
from ds2api_asgi.demo import DemoModel
from ds2api_asgi.testing import Driver, serve

pytestmark = pytest.mark.anyio


class Opened:
    """An app with a lifespan."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.events: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return
        for _ in range(2):
            event = (await receive())["type"]
            self.events.append(event)
            await send({"type": f"{event}.complete"})


def starlette(llm: Any) -> Any:
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Mount, Route

    routes = [Route("/own", lambda request: PlainTextResponse("own")), Mount("/llm", llm)]
    return Starlette(routes=routes, lifespan=lifespan(llm))


def fastapi(llm: Any) -> Any:
    from fastapi import FastAPI
    from fastapi.responses import PlainTextResponse

    app = FastAPI(lifespan=lifespan(llm))
    app.get("/own", response_class=PlainTextResponse)(lambda: "own")
    app.mount("/llm", llm)
    return app


def litestar(llm: Any) -> Any:
    from litestar import Litestar, MediaType, asgi, get

    @get("/own", media_type=MediaType.TEXT)
    async def own() -> str:
        return "own"

    return Litestar([own, asgi("/llm", is_mount=True, copy_scope=True)(llm)], lifespan=[lifespan(llm)])


def quart(llm: Any) -> Any:
    from quart import Quart

    app = Quart("host")

    @app.get("/own")
    async def own() -> str:
        return "own"

    app.asgi_app = Mounted(app.asgi_app, "/llm", llm)  # type: ignore[method-assign]
    return app


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("others", ["key", "pass", "refuse"])
@pytest.mark.parametrize("host", [starlette, fastapi, litestar, quart])
async def test_a_mount_lets_in_who_shows_a_key_and_leaves_the_host_alone(
    host: Callable[[Any], Any], others: Any, anyio_backend: str
) -> None:
    inner = Opened(Translator(DemoModel(), speaks="openai-chat"))
    llm = Access(inner, keys=[ALICE], others=others)
    async with serve(host(llm), lifespan="on") as url, httpx2.AsyncClient() as http:
        assert (await http.get(f"{url}/own")).text == "own"
        body = {"model": "demo-small", "messages": [{"role": "user", "content": "hello"}]}
        asked = await http.post(f"{url}/llm/v1/chat/completions", json=body)
        assert asked.status_code == 401
        for key, error in ((ALICE, None), (STRANGER, openai.AuthenticationError)):
            async with openai.AsyncOpenAI(base_url=f"{url}/llm/v1", api_key=key, max_retries=0) as client:
                if error is None:
                    chunks = await client.chat.completions.create(**body, stream=True)  # type: ignore[call-overload]
                    assert len([chunk async for chunk in chunks]) > 2
                else:
                    with pytest.raises(error):
                        await client.chat.completions.create(**body)  # type: ignore[call-overload]
    assert inner.events == ["lifespan.startup", "lifespan.shutdown"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("host", [starlette, fastapi, litestar])
async def test_around_a_whole_app_every_path_needs_a_key_by_default(
    host: Callable[[Any], Any], anyio_backend: str
) -> None:
    """A mount beneath is not known to the door, so nothing may pass that shows no key."""
    app = Access(host(Translator(DemoModel(), speaks="openai-chat")), keys=[ALICE])
    async with serve(app, lifespan="on") as url, httpx2.AsyncClient() as http:
        for path in ("/own", "/llm/v1/models", "/llm/v1/chat/completions"):
            assert (await http.get(url + path)).status_code == 401
        assert (await http.get(f"{url}/own", headers=bearer(ALICE))).text == "own"
        assert (await http.get(f"{url}/llm/v1/models", headers=bearer(ALICE))).status_code == 200


async def test_lifespan_passes_through_on_both_worlds() -> None:
    inner = Opened(Hello())
    async with running(Access(Bounds(inner), keys=[ALICE])):
        assert inner.events == ["lifespan.startup"]
    assert inner.events == ["lifespan.startup", "lifespan.shutdown"]


async def test_streams_pass_piece_by_piece_with_limits_and_all() -> None:
    from ds2api_asgi import ClientKey, ClientLimits
    from ds2api_asgi.testing import ScriptedUpstream, Start

    chunks = [b"data: 1\n\n", b"data: 2\n\n", b"data: 3\n\n"]
    start = Start(status=200, headers=[(b"content-type", b"text/event-stream")])  # type: ignore[arg-type]
    upstream = ScriptedUpstream([[start, *chunks]])
    limits = ClientLimits(rpm=9, tpm=9_000, concurrency=1)
    app = Access(upstream, keys=[ClientKey(ALICE, limits=limits)])
    async with Driver(app, headers=bearer(ALICE)).open("POST", "/v1/chat/completions", json={}) as response:
        assert [chunk async for chunk in response] == chunks


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_large_refused_upload_does_not_hang_a_real_client(anyio_backend: str) -> None:
    async with serve(Access(Hello(), keys=[ALICE])) as url, httpx2.AsyncClient() as http:
        for _ in range(3):
            try:
                answer = await http.post(f"{url}/v1/chat/completions", content=b"x" * 5_000_000)
            except httpx2.TransportError:
                continue  # the server may close before it has read everything
            assert answer.status_code == 401
        answer = await http.post(f"{url}/v1/chat/completions", content=b"{}", headers=bearer(ALICE))
        assert answer.text == "hello"
