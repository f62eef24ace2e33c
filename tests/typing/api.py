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
    PRESETS,
    Access,
    Bounds,
    CarryStore,
    ClientKey,
    ClientKeys,
    ClientLimits,
    Converted,
    Ds2apiError,
    Failover,
    Fault,
    InvalidDocument,
    Journal,
    Key,
    KeyAction,
    KeyLookup,
    KeyPool,
    LimitStore,
    LossRejected,
    MemoryCarryStore,
    MemoryLimitStore,
    MemoryResponseStore,
    Mounted,
    Preset,
    RedisLimitStore,
    RenewedToken,
    ResponseStore,
    Retry,
    RetryScope,
    Route,
    Router,
    Row,
    Rules,
    SQLiteResponseStore,
    StatefulResponses,
    Target,
    Token,
    Traced,
    Translator,
    Upstream,
    Verdict,
    classify,
    convert,
    lifespan,
    preset,
    rows,
    rule,
    running,
    token_of_command,
)
from ds2api_asgi.asgi.secret import Secret
from ds2api_asgi.asgi.trace import Step, Trace
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


class Customers:
    """Client keys in a user's own database: no base class, only the method."""

    async def find(self, digest: str) -> ClientKey | None:
        return ClientKey(digest, name="alice", limits=ClientLimits(rpm=60)) if digest.endswith("0") else None


def the_door_takes_keys_limits_and_bounds(redis: Any) -> list[App]:
    limits = ClientLimits(rpm=60, tpm=100_000, rpd=1_000, tpd=1e6, concurrency=8, budget=2e6, budget_period=3600)
    key = ClientKey("sk-alice-0123456789", name="alice", models=("gpt-5*",), limits=limits, share=2.0, expires_at=2e9)
    assert_type(key.digest, str)
    assert_type(key.opens(0.0), bool)
    lookups: list[KeyLookup] = [Customers(), ClientKeys([key, "sk-bob-0123456789"])]
    stores: list[LimitStore] = [MemoryLimitStore(), RedisLimitStore(redis, prefix="shop", timeout=0.5)]
    doors: list[App] = [Access(own_app, keys=keys, limit_store=store) for keys in lookups for store in stores]
    door = Access(own_app, keys=[key, "sk-carol-0123456789"], others="pass", on_store_error="refuse", forward=True)
    door.replace(["sk-dave-0123456789"])
    return [*doors, door, Bounds(door, max_body=4 * 1024 * 1024, max_depth=32, unique=("model",))]


def failures_are_data(error: bytes) -> list[Row]:
    own = [
        rule("plan", "exhaust-key", status=403, message="upgrade your plan", wait=3600),
        rule("odd", "other-route", status=range(460, 470), code=["odd", 7], reason="context-window"),
    ]
    verdict = classify(429, {"retry-after": "20"}, error, protocol="openai-chat", rules=own, phase="answer", now=0.0)
    assert_type(verdict, Verdict)
    assert_type(verdict.fault, Fault)
    assert_type(verdict.retry, RetryScope)
    assert_type(verdict.key, KeyAction)
    assert_type(verdict.hint, float | None)
    for listed in rows():
        assert_type(listed.id, str)
        assert_type(listed.row.source, str)
    return own


def pools_and_retries_have_rules_and_options() -> App:
    own = failures_are_data(b"")
    keys: list[Key | str] = [Key(secret=Secret("sk-1"), quota_scope="org-blue"), "sk-2"]
    pool = KeyPool(
        own_app,
        protocol="openai-chat",
        keys=keys,
        max_total=100,
        queue_timeout=2.5,
        max_queue=50,
        conversation_header="x-session",
        rules=own,
    )
    return Retry(
        pool,
        protocol="openai-chat",
        max_keys_tried=4,
        max_calls=5,
        wait_cap=2.0,
        backoff=0.1,
        first_content_timeout=20.0,
        idle_timeout=None,
        budget=None,
        keep_pace=False,
        timeout_header="x-request-timeout-ms",
        rules=own,
    )


def traces_go_where_one_likes(app: App) -> Traced:
    def sink(trace: Trace) -> None:
        assert_type(trace.why, str | None)
        assert_type(trace.steps, tuple[Step, ...])

    journal = Journal(size=50)
    end = journal.subscribe(sink)
    end()
    assert_type(journal.get("id"), Trace | None)
    assert_type(journal.query(failed=True, limit=5), list[Trace])
    return Traced(app, log=False, level=10, header="x-ds2-trace", sinks=[journal, sink], usage=True)


def models_are_routed() -> Router:
    for one in PRESETS.values():
        assert_type(one, Preset)
    groq = preset("groq").app(api_key="k", around=lambda app: Retry(app, protocol="openai-chat"))
    assert_type(groq, Translator)
    can = frozenset({"tools"})
    route = Route(
        targets=(Target(app="groq", model="m", weight=2, can=can), "own/large"),
        fallbacks=("last",),
        rules=Rules(default={"temperature": 0.2}, override={"user": "us"}, remove=frozenset({"seed"})),
        rename_answers=True,
    )
    return Router(
        {"groq": groq, "own": own_app}, {"smart": route, "last": "own/small", "gpt-*": ["groq"]}, default="own"
    )


async def fetch_token() -> Token:
    return Token(secret=Secret("ya29.x"), expires_at=2e9)


def tokens_are_renewed() -> list[App]:
    vertex = preset("vertex").app(project="mine", token=fetch_token)
    return [vertex, RenewedToken(own_app, protocol="gemini", fetch=token_of_command(["gcloud"], lifetime=60), ahead=1)]


def mistakes_are_found() -> None:
    RenewedToken(own_app, protocol="gemini", fetch=lambda: "token")  # type: ignore[arg-type, return-value]
    Router({"a": own_app}, {"m": 5})  # type: ignore[dict-item]
    Target("a")  # type: ignore[call-arg]
    Access(own_app)  # type: ignore[call-arg]
    Access(own_app, keys=["k"], others="let-in")  # type: ignore[arg-type]
    Bounds(own_app, 4096)  # type: ignore[call-arg]
    ClientLimits(60)  # type: ignore[call-arg]
    Traced(own_app, sinks=[print, 7])  # type: ignore[list-item]
    classify(429, {}, b"", protocol="openai-chat", phase="late")  # type: ignore[arg-type]
    rule("r", "cool-it", status=429)  # type: ignore[arg-type]
    convert("{}", kind="reply", source="anthropic", target="openai-chat")  # type: ignore[arg-type]
    Translator(own_app)  # type: ignore[call-arg]
    KeyPool(own_app, "openai-chat", ["key"])  # type: ignore[call-arg]
    Upstream()  # type: ignore[call-arg]
    TextTools(eager=1)  # type: ignore[arg-type]
    Translator(own_app, speaks="openai-chat", carry_store={})  # type: ignore[arg-type]
    StatefulResponses(own_app, store="state.db")  # type: ignore[arg-type]
