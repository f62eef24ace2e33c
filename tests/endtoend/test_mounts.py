"""A whole nest mounted twice in each framework: routes of the host, official SDKs, and nothing left open at the end."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import anthropic
import anyio
import httpx2
import openai
import pytest
from anyio.abc import SocketAttribute

from ds2api_asgi import KeyPool, Mounted, Retry, Translator, Upstream, lifespan
from ds2api_asgi.demo import DemoModel
from ds2api_asgi.testing import serve

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

HELLO: Any = [{"role": "user", "content": "Hello"}]


def starlette(llm: Any) -> Any:
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Mount, Route

    routes = [
        Route("/own", lambda request: PlainTextResponse("own")),
        Mount("/llm", llm),
        Mount("/v2/other", llm),
    ]
    return Starlette(routes=routes, lifespan=lifespan(llm))


def fastapi(llm: Any) -> Any:
    from fastapi import FastAPI
    from fastapi.responses import PlainTextResponse

    app = FastAPI(lifespan=lifespan(llm))
    app.get("/own", response_class=PlainTextResponse)(lambda: "own")
    app.mount("/llm", llm)
    app.mount("/v2/other", llm)
    return app


def litestar(llm: Any) -> Any:
    from litestar import Litestar, MediaType, asgi, get

    @get("/own", media_type=MediaType.TEXT)
    async def own() -> str:
        return "own"

    mounts = [asgi(path, is_mount=True, copy_scope=True)(llm) for path in ("/llm", "/v2/other")]
    return Litestar([own, *mounts], lifespan=[lifespan(llm)])


def quart(llm: Any) -> Any:
    from quart import Quart

    app = Quart("host")

    @app.get("/own")
    async def own() -> str:
        return "own"

    app.asgi_app = Mounted(Mounted(app.asgi_app, "/llm", llm), "/v2/other", llm)  # type: ignore[method-assign]
    return app


class Relay:
    """Passes bytes on to a server, and counts the connections that are open."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.open = 0
        self.accepted = 0

    async def serve(self, client: Any) -> None:
        self.open += 1
        self.accepted += 1
        try:
            async with (
                client,
                await anyio.connect_tcp("127.0.0.1", self._port) as server,
                anyio.create_task_group() as group,
            ):
                group.start_soon(self._pass, server, client)
                await self._pass(client, server)
                group.cancel_scope.cancel()
        finally:
            self.open -= 1

    async def _pass(self, source: Any, target: Any) -> None:
        try:
            async for data in source:
                await target.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass


@pytest.mark.parametrize("host", [starlette, fastapi, litestar, quart])
async def test_both_mounts_serve_both_sdks_and_close_what_they_opened(
    host: Callable[[Any], Any], anyio_backend: str
) -> None:
    async with (
        serve(DemoModel()) as provider,
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as group,
    ):
        relay = Relay(int(provider.rpartition(":")[2]))
        group.start_soon(listener.serve, relay.serve)
        upstream = Upstream(f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}")
        pool = KeyPool(upstream, protocol="openai-chat", keys=["sk-1", "sk-2"])
        llm = Translator(Retry(pool), speaks="openai-chat")
        async with serve(host(llm), lifespan="on") as url:
            assert await _said(url) == ["own", "llm", "v2/other"]
            assert relay.open == relay.accepted == 1  # requests one by one share a connection
        with anyio.fail_after(20):
            while relay.open:  # noqa: ASYNC110 - sockets set no events
                await anyio.sleep(0.005)
        group.cancel_scope.cancel()
    gc.collect()  # warnings of what was left open are errors


async def _said(url: str) -> list[str]:
    """What works: the host's own route, and each mount for both SDKs."""
    works = []
    async with httpx2.AsyncClient() as http:
        works.append((await http.get(f"{url}/own")).text)
    for mount in ("llm", "v2/other"):
        async with (
            openai.AsyncOpenAI(base_url=f"{url}/{mount}/v1", api_key="any", max_retries=0) as gpt,
            anthropic.AsyncAnthropic(base_url=f"{url}/{mount}", api_key="any", max_retries=0) as claude,
        ):
            completion = await gpt.chat.completions.create(model="demo-small", messages=HELLO)
            chunks = await gpt.chat.completions.create(model="demo-small", messages=HELLO, stream=True)
            streamed = [chunk.choices[0].delta.content or "" async for chunk in chunks if chunk.choices]
            message = await claude.messages.create(model="demo-small", max_tokens=200, messages=HELLO)
            async with claude.messages.stream(model="demo-small", max_tokens=200, messages=HELLO) as stream:
                final = await stream.get_final_text()
            said = completion.choices[0].message.content
            assert said
            assert ["".join(streamed), message.content[0].text, final] == [said] * 3  # type: ignore[union-attr]
            works.append(mount)
    return works
