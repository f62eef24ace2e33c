"""User code that only a type checker reads: what the public door promises about types."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, assert_type

from fastapi import FastAPI
from litestar import Litestar, asgi
from quart import Quart
from starlette.applications import Starlette
from starlette.routing import Mount

from ds2api_asgi import (
    CarryStore,
    Converted,
    Ds2apiError,
    Failover,
    InvalidDocument,
    KeyPool,
    LossRejected,
    MemoryCarryStore,
    MemoryResponseStore,
    Mounted,
    ResponseStore,
    Retry,
    SQLiteResponseStore,
    StatefulResponses,
    Translator,
    Upstream,
    convert,
    lifespan,
    running,
)
from ds2api_asgi.demo import DemoModel
from ds2api_asgi.protocols.base import Context, UpstreamRoute
from ds2api_asgi.testing import Driver
from ds2api_asgi.transforms import Begun, TextTools, ThinkTags, Transform
from ds2api_asgi.universal.loss import Loss, LossAction
from ds2api_asgi.universal.request import Request

# What users, asgiref and Starlette call an app.
Message = MutableMapping[str, Any]
App = Callable[[MutableMapping[str, Any], Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Any]


async def own_app(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """An app typed in its author's way."""


def parts_take_any_app_and_are_apps() -> list[App]:
    pool = KeyPool(own_app, protocol="openai-chat", keys=["a", "b"], strategy="round-robin", max_concurrency=4)
    retried = Retry(pool, max_attempts=2, deadline=30.0)
    translated = Translator(retried, speaks="openai-chat", clients=["anthropic"], on_loss="reject")
    fleet = Failover([translated, Upstream("https://example.com", protocol="anthropic", api_key="k")])
    return [pool, retried, translated, fleet, DemoModel(), Mounted(own_app, "/llm", fleet)]


def losses_may_be_judged(app: DemoModel) -> Translator:
    def judge(losses: object) -> LossAction:
        return "allow"

    return Translator(app, speaks="openai-chat", on_loss=judge)


def conversion() -> tuple[bytes, tuple[Loss, ...]]:
    try:
        converted = convert("{}", kind="request", source="anthropic", target="openai-chat", now=0)
    except InvalidDocument as error:
        assert_type(error.path, str)
        raise
    except LossRejected as error:
        assert_type(error.losses, tuple[Loss, ...])
        raise
    except Ds2apiError:
        raise
    assert_type(converted, Converted)
    return converted.body, converted.losses


def conversion_of_what_a_path_completes(body: dict[str, Any]) -> tuple[str, bytes]:
    asked = convert(body, kind="request", source="gemini", target="anthropic", model="m", stream=True)
    assert_type(asked.route, UpstreamRoute | None)
    assert_type(asked.context, Context | None)
    answered = convert(b"", kind="stream", source="anthropic", target="gemini", context=asked.context)
    return (asked.route.path if asked.route else "", answered.body)


class Shelf:
    """A store of a user's own: no base class, only the methods."""

    def put(self, key: bytes, value: bytes) -> None: ...

    def get(self, key: bytes) -> bytes | None: ...


def opaque_state_goes_where_it_belongs() -> list[App]:
    stores: list[CarryStore] = [Shelf(), MemoryCarryStore(max_bytes=1_000_000, ttl=60.0)]
    return [
        Translator(
            own_app,
            speaks="anthropic",
            dialect="2026-10-21",
            transforms=[TextTools(), ThinkTags("<thought>", "</thought>", inside=True)],
            origin="bedrock/team-blue",
            secret="s",
            carry_store=store,
            carry_store_clients=["ollama"],
        )
        for store in stores
    ]


def responses_keep_their_state(clock: Callable[[], float]) -> list[App]:
    stores: list[ResponseStore] = [MemoryResponseStore(clock=clock), SQLiteResponseStore("state.db", ttl=3600.0)]

    def client_of(scope: MutableMapping[str, Any]) -> str:
        return str(scope["client"])

    return [StatefulResponses(own_app, store=store, client_of=client_of, max_background=2) for store in stores]


async def hosts_take_them(app: Translator) -> tuple[FastAPI, Starlette, Litestar, Quart]:
    fastapi = FastAPI(lifespan=lifespan(app))
    fastapi.mount("/llm", app)
    starlette = Starlette(routes=[Mount("/llm", app)], lifespan=lifespan(app))
    litestar = Litestar([asgi("/llm", is_mount=True, copy_scope=True)(app)], lifespan=[lifespan(app)])
    quart = Quart("shop")
    quart.asgi_app = Mounted(quart.asgi_app, "/llm", app)  # type: ignore[assignment, method-assign]
    async with running(app) as state:
        assert_type(state, dict[str, Any])
    return fastapi, starlette, litestar, quart


async def driving(app: Translator) -> bytes:
    async with Driver(app).open("POST", "/v1/messages", json={}) as response:
        assert_type(response.status, int)
        async for chunk in response:
            assert_type(chunk, bytes)
    return (await Driver(app).request("GET", "/v1/models")).body


def transforms_in_a_row(request: Request) -> list[Begun]:
    row: list[Transform] = [TextTools("hermes", eager=True), ThinkTags()]
    begun: list[Begun] = []
    for transform in row:
        begun.append(transform.begin(request))
        assert_type(begun[-1].request, Request)
        request = begun[-1].request
    return begun


def mistakes_are_found() -> None:
    convert("{}", kind="reply", source="anthropic", target="openai-chat")  # type: ignore[arg-type]
    Translator(own_app)  # type: ignore[call-arg]
    KeyPool(own_app, "openai-chat", ["key"])  # type: ignore[call-arg]
    Upstream()  # type: ignore[call-arg]
    TextTools(eager=1)  # type: ignore[arg-type]
    Translator(own_app, speaks="openai-chat", carry_store={})  # type: ignore[arg-type]
    StatefulResponses(own_app, store="state.db")  # type: ignore[arg-type]
