"""Host apps of seven frameworks, each with a nest mounted under ``/llm`` as its framework's documentation has it.

Every host has two routes of its own, ``GET /own`` and ``POST /own/echo``, and answers everything else as it likes.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from ds2api_asgi import KeyPool, Mounted, Retry, Translator, Upstream, lifespan


class Noted:
    """Writes down when the app beneath it was opened, and when it was closed for good."""

    def __init__(self, app: Any, log: Path) -> None:
        self.app = app
        self.log = log

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await self.app(scope, receive, send)
            return

        async def noted(message: Any) -> None:
            if message["type"].endswith("startup.complete"):
                self._write("opened")
            await send(message)

        await self.app(scope, receive, noted)
        self._write("closed")

    def _write(self, word: str) -> None:
        with self.log.open("a") as file:
            file.write(word + "\n")


def make_llm(provider: str, log: Path) -> Translator:
    """A nest as people build them: the innermost part is the one whose lifespan is written down."""
    upstream = Noted(Upstream(provider, protocol="openai-chat"), log)
    pool = KeyPool(upstream, protocol="openai-chat", keys=["sk-1", "sk-2"])
    return Translator(Retry(pool, max_attempts=2, backoff=0.01), speaks="openai-chat")


def starlette(llm: Any) -> Any:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse, Response
    from starlette.routing import Mount, Route

    async def own(request: Request) -> Response:
        return PlainTextResponse("own")

    async def echo(request: Request) -> Response:
        return PlainTextResponse(await request.body())

    routes = [Route("/own", own), Route("/own/echo", echo, methods=["POST"]), Mount("/llm", llm)]
    return Starlette(routes=routes, lifespan=lifespan(llm))


def fastapi(llm: Any) -> Any:
    from fastapi import FastAPI, Request
    from fastapi.responses import PlainTextResponse

    app = FastAPI(lifespan=lifespan(llm))

    @app.get("/own", response_class=PlainTextResponse)
    async def own() -> str:
        return "own"

    async def echo(request: Request) -> PlainTextResponse:
        return PlainTextResponse(await request.body())

    echo.__annotations__["request"] = Request  # a local name would not resolve
    app.add_api_route("/own/echo", echo, methods=["POST"], response_model=None)
    app.mount("/llm", llm)
    return app


def litestar(llm: Any) -> Any:
    from litestar import Litestar, MediaType, Request, asgi, get, post

    @get("/own", media_type=MediaType.TEXT)
    async def own() -> str:
        return "own"

    @post("/own/echo", media_type=MediaType.TEXT, status_code=200)
    async def echo(request: Request[Any, Any, Any]) -> str:
        return (await request.body()).decode()

    echo.fn.__annotations__["request"] = Request  # a local name would not resolve
    return Litestar([own, echo, asgi("/llm", is_mount=True, copy_scope=True)(llm)], lifespan=[lifespan(llm)])


def quart(llm: Any) -> Any:
    from quart import Quart, request

    app = Quart("host")

    @app.get("/own")
    async def own() -> str:
        return "own"

    @app.post("/own/echo")
    async def echo() -> bytes:
        return await request.get_data()  # type: ignore[return-value]

    app.asgi_app = Mounted(app.asgi_app, "/llm", llm)  # type: ignore[method-assign]
    return app


def django(llm: Any) -> Any:
    import django as package
    from django.conf import settings
    from django.http import HttpResponse
    from django.urls import path

    async def own(request: Any) -> HttpResponse:
        return HttpResponse("own")

    async def echo(request: Any) -> HttpResponse:
        return HttpResponse(request.body)

    urls = type("urls", (), {"urlpatterns": [path("own", own), path("own/echo", echo)]})
    if not settings.configured:
        settings.configure(ROOT_URLCONF=urls, ALLOWED_HOSTS=["*"], SECRET_KEY="s", MIDDLEWARE=[], LOGGING_CONFIG=None)
        package.setup()
    from django.core.asgi import get_asgi_application

    return Mounted(get_asgi_application(), "/llm", llm)


def falcon(llm: Any) -> Any:
    import falcon.asgi

    class Own:
        async def on_get(self, request: Any, response: Any) -> None:
            response.text = "own"

    class Echo:
        async def on_post(self, request: Any, response: Any) -> None:
            response.data = await request.stream.read()

    app = falcon.asgi.App(media_type=falcon.MEDIA_TEXT)
    app.add_route("/own", Own())
    app.add_route("/own/echo", Echo())
    return Mounted(app, "/llm", llm)


class FalconParts:
    """The other way in Falcon: a middleware that opens the parts when the app starts."""

    def __init__(self, llm: Any) -> None:
        self._llm = llm
        self._stack = AsyncExitStack()

    async def process_startup(self, scope: Any, event: Any) -> None:
        await self._stack.enter_async_context(lifespan(self._llm)(None))

    async def process_shutdown(self, scope: Any, event: Any) -> None:
        await self._stack.aclose()


def blacksheep(llm: Any) -> Any:
    from blacksheep import Application, Request, Response, Router, text

    app = Application(router=Router())

    @app.router.get("/own")
    async def own() -> Response:
        return text("own")

    async def echo(request: Request) -> Response:
        return text((await request.read() or b"").decode())

    echo.__annotations__.update({"request": Request, "return": Response})
    own.__annotations__["return"] = Response
    app.router.post("/own/echo")(echo)

    async def parts(_: Application) -> AsyncIterator[None]:
        async with lifespan(llm)(None):
            yield

    app.lifespan(parts)
    app.mount("/llm", llm)
    return app


HOSTS: dict[str, Callable[[Any], Any]] = {
    "starlette": starlette,
    "fastapi": fastapi,
    "litestar": litestar,
    "quart": quart,
    "django": django,
    "falcon": falcon,
    "blacksheep": blacksheep,
}


def from_environment() -> Any:
    """The host that the environment names: for servers that are processes of their own."""
    llm = make_llm(os.environ["MOUNT_PROVIDER"], Path(os.environ["MOUNT_LOG"]))
    return HOSTS[os.environ["MOUNT_HOST"]](llm)
