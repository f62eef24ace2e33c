"""Realtime websockets through `KeyPool`: a key for a connection's life, and another one when it is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import anyio
import pytest

from ds2api_asgi import KeyPool
from ds2api_asgi.asgi.exchange import KEY, Exchange
from ds2api_asgi.asgi.facts import Judged, KeyLeased, PoolEmpty, Unreachable
from ds2api_asgi.pool import handshake
from pools import SteppedStore, Steps

pytestmark = pytest.mark.anyio

BAD = {"type": "error", "error": {"type": "invalid_request_error", "code": "invalid_api_key", "message": "no"}}
OURS = {"type": "error", "error": {"type": "invalid_request_error", "code": "invalid_value", "message": "no"}}
CREATED = {"type": "session.created"}
ACCEPT = {"type": "websocket.accept", "subprotocol": "realtime", "headers": []}
LEAVE = {"type": "websocket.disconnect", "code": 1000, "reason": ""}
DENIES = {"websocket.http.response": {}}


def text(event: Any) -> dict[str, Any]:
    return {"type": "websocket.send", "text": json.dumps(event)}


def denial(status: int, code: str = "", message: str = "no", **headers: str) -> list[dict[str, Any]]:
    body = json.dumps({"error": {"type": code, "code": code, "message": message}}).encode()
    fields = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return [
        {"type": "websocket.http.response.start", "status": status, "headers": fields},
        {"type": "websocket.http.response.body", "body": body},
    ]


GOOD = [ACCEPT, text(CREATED)]
REFUSED = denial(401, "invalid_api_key")
SAID = [ACCEPT, text(BAD), {"type": "websocket.close", "code": 3000, "reason": "invalid_request_error.invalid_api_key"}]
CLOSED = [ACCEPT, {"type": "websocket.close", "code": 3000, "reason": "invalid_request_error.invalid_api_key"}]


class Upstream:
    """An app that plays a script by key; with a script over it stays until the client leaves."""

    def __init__(self, scripts: Mapping[str, Any]) -> None:
        self.scripts = scripts
        self.scopes: list[dict[str, Any]] = []
        self.heard: list[Any] = []
        self.running = 0

    @property
    def keys(self) -> list[str]:
        return [dict(scope["headers"])[b"authorization"].decode().removeprefix("Bearer ") for scope in self.scopes]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        self.running += 1
        try:
            assert (await receive())["type"] == "websocket.connect"
            script = self.scripts[self.keys[-1]]
            if callable(script):
                script(scope)
                return
            for message in script:
                await send(message)
            if script[-1]["type"] in ("websocket.send", "websocket.accept"):
                while (message := await receive())["type"] != "websocket.disconnect":
                    self.heard.append(message)
        finally:
            self.running -= 1


class Caller:
    """A client, which leaves when it has heard what it waits for, or says what it is told to."""

    def __init__(self, *says: Any, until: int | None = None) -> None:
        self.exchange = Exchange(started=0.0)
        self.sent: list[Any] = []
        self._says = [{"type": "websocket.connect"}, *says]
        self._until = until
        self._heard = anyio.Event()
        self.shut = False

    async def receive(self) -> Any:
        if self._says:
            return self._says.pop(0)
        await self._heard.wait()
        return LEAVE

    async def send(self, message: Any) -> None:
        assert not self.shut, "nothing is sent after the end"
        self.shut = message["type"] in ("websocket.close", "websocket.http.response.body")
        self.sent.append(message)
        if self._until is not None and len(self.sent) >= self._until:
            self._heard.set()

    async def call(
        self, app: Any, path: str = "/v1/realtime", query: bytes = b"model=gpt-realtime", **scope: Any
    ) -> None:
        with anyio.fail_after(20):
            await app(
                {
                    "type": "websocket",
                    "path": path,
                    "query_string": query,
                    "headers": [],
                    "extensions": DENIES,
                    KEY: self.exchange,
                    **scope,
                },
                self.receive,
                self.send,
            )


def pool_of(upstream: Any, *keys: str, **options: Any) -> KeyPool:
    return KeyPool(upstream, protocol="openai-chat", keys=keys, strategy="fill-first", **options)


async def states(pool: KeyPool) -> list[tuple[str, int]]:
    return [(report.state.value, report.in_flight) for report in await pool.snapshot()]


async def test_a_connection_has_a_key_for_its_life_and_gives_it_back() -> None:
    upstream = Upstream({"k1": GOOD})
    pool = pool_of(upstream, "k1")
    caller = Caller(until=2)
    held: list[Any] = []

    async def look(message: Any) -> None:
        held.append((await states(pool))[0][1])
        await Caller.send(caller, message)

    caller.send = look  # type: ignore[method-assign]
    await caller.call(pool)
    assert caller.sent == GOOD
    assert held == [1, 1]
    assert await states(pool) == [("active", 0)]
    assert [fact.key for fact in caller.exchange.all(KeyLeased)]


async def test_the_model_is_that_of_the_query() -> None:
    upstream = Upstream({"k1": denial(404, "model_not_found"), "k2": GOOD})
    pool = pool_of(upstream, "k1", "k2")
    await Caller(until=2).call(pool)
    await Caller(until=2).call(pool)
    await Caller(until=1).call(pool, query=b"model=gpt-other")
    assert upstream.keys == ["k1", "k2", "k2", "k1", "k2"]


async def test_a_transcription_names_no_model_and_has_a_key_all_the_same() -> None:
    upstream = Upstream({"k1": GOOD})
    await Caller(until=2).call(pool_of(upstream, "k1"), query=b"intent=transcription")
    assert upstream.keys == ["k1"]
    assert upstream.scopes[0]["query_string"] == b"intent=transcription"


async def test_no_credential_of_the_client_goes_further() -> None:
    upstream = Upstream({"k1": GOOD})
    hidden = "sk-client-canary-77"
    await Caller(until=2).call(
        pool_of(upstream, "k1"),
        query=f"model=m&api_key={hidden}".encode(),
        headers=[
            (b"authorization", f"Bearer {hidden}".encode()),
            (b"sec-websocket-protocol", f"realtime, openai-insecure-api-key.{hidden}".encode()),
        ],
        subprotocols=["realtime", f"openai-insecure-api-key.{hidden}"],
    )
    (scope,) = upstream.scopes
    assert hidden not in str(scope)
    assert scope["subprotocols"] == ["realtime"]
    assert dict(scope["headers"])[b"sec-websocket-protocol"] == b"realtime"


@pytest.mark.parametrize("refusal", [REFUSED, SAID, CLOSED], ids=["denied", "said", "closed"])
async def test_a_bad_key_is_replaced_before_the_client_hears_of_it(refusal: Any) -> None:
    upstream = Upstream({"k1": refusal, "k2": GOOD})
    pool = pool_of(upstream, "k1", "k2")
    caller = Caller(until=2)
    await caller.call(pool)
    assert upstream.keys == ["k1", "k2"]
    assert caller.sent == GOOD
    assert await states(pool) == [("disabled", 0), ("active", 0)]
    assert [fact.verdict.row for fact in caller.exchange.all(Judged)] == ["openai-chat.401.invalid_api_key"]


async def test_a_rate_limited_key_rests_and_another_one_serves() -> None:
    upstream = Upstream({"k1": denial(429, "rate_limit_exceeded", retry_after="30"), "k2": GOOD})
    pool = pool_of(upstream, "k1", "k2")
    await Caller(until=2).call(pool)
    await Caller(until=2).call(pool)
    assert upstream.keys == ["k1", "k2", "k2"]
    assert (await states(pool))[0] == ("cooling", 0)


async def test_when_all_keys_are_refused_the_client_hears_the_last_refusal() -> None:
    upstream = Upstream({"k1": REFUSED, "k2": denial(429, "insufficient_quota", retry_after="7")})
    pool = pool_of(upstream, "k1", "k2", queue_timeout=0)
    caller = Caller()
    await caller.call(pool)
    start, body = caller.sent
    assert start["status"] == 429
    assert (b"retry-after", b"7") in start["headers"]
    assert json.loads(body["body"])["error"]["code"] == "insufficient_quota"
    assert [in_flight for _, in_flight in await states(pool)] == [0, 0]


async def test_an_error_that_was_said_is_heard_as_it_was_said() -> None:
    caller = Caller()
    await caller.call(pool_of(Upstream({"k1": CLOSED}), "k1"))
    assert caller.sent == CLOSED


async def test_so_many_keys_are_tried_and_no_more() -> None:
    keys = [f"k{number}" for number in range(9)]
    upstream = Upstream(dict.fromkeys(keys, REFUSED))
    await Caller().call(pool_of(upstream, *keys))
    assert upstream.keys == keys[: handshake.MAX_HANDSHAKES]


@pytest.mark.parametrize(
    "refusal",
    [denial(400, "invalid_value"), denial(503, "server_error"), [ACCEPT, text(OURS)]],
    ids=["request", "provider", "said"],
)
async def test_what_is_no_fault_of_the_key_is_told_at_once(refusal: Any) -> None:
    upstream = Upstream({"k1": refusal, "k2": GOOD})
    pool = pool_of(upstream, "k1", "k2")
    caller = Caller(until=2)
    await caller.call(pool)
    assert upstream.keys == ["k1"]
    assert [message["type"] for message in caller.sent] == [message["type"] for message in refusal]
    assert await states(pool) == [("active", 0), ("active", 0)]


async def test_a_provider_that_was_not_reached_says_nothing_of_the_key() -> None:
    async def unreachable(scope: Any, receive: Any, send: Any) -> None:
        scope[KEY].note(Unreachable(reason="connect", processed=False))
        for message in denial(502):
            await send(message)

    pool, caller = pool_of(unreachable, "k1", "k2"), Caller()
    await caller.call(pool)
    assert caller.sent[0]["status"] == 502
    assert [fact.key for fact in caller.exchange.all(KeyLeased)] == [(await pool.snapshot())[0].alias]
    assert await states(pool) == [("active", 0), ("active", 0)]


async def test_where_the_server_cannot_deny_the_websocket_is_closed() -> None:
    caller = Caller()
    await caller.call(pool_of(Upstream({"k1": REFUSED}), "k1"), extensions={})
    assert caller.sent == [{"type": "websocket.close", "code": 1008, "reason": ""}]


async def test_a_provider_that_does_not_speak_first_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "HOLD", 0.02)
    caller = Caller({"type": "websocket.receive", "text": "hello"}, until=1)
    upstream = Upstream({"k1": [ACCEPT]})
    await caller.call(pool_of(upstream, "k1"))
    assert caller.sent == [ACCEPT]
    assert upstream.heard == [{"type": "websocket.receive", "text": "hello"}]


async def test_a_key_that_is_refused_later_is_kept_from_the_next_client() -> None:
    upstream = Upstream({"k1": [*GOOD, text(OURS), *SAID[1:]], "k2": GOOD})
    pool = pool_of(upstream, "k1", "k2")
    caller = Caller()
    await caller.call(pool)
    assert caller.sent[-1]["code"] == 3000
    await Caller(until=2).call(pool)
    assert upstream.keys == ["k1", "k2"]


async def test_a_websocket_waits_for_a_key_like_a_request() -> None:
    upstream = Upstream({"k1": GOOD})
    pool = pool_of(upstream, "k1", max_concurrency=1)
    first, second = Caller(until=2), Caller(until=2)
    hold = anyio.Event()
    leave = first.receive

    async def stay() -> Any:
        message = await leave()
        if message is LEAVE:
            await hold.wait()
        return message

    first.receive = stay  # type: ignore[method-assign]
    async with anyio.create_task_group() as group:
        group.start_soon(first.call, pool)
        await settled(lambda: len(first.sent) == 2)
        group.start_soon(second.call, pool)
        await anyio.wait_all_tasks_blocked()
        assert second.sent == []
        hold.set()
    assert second.sent == GOOD
    assert await states(pool) == [("active", 0)]


async def test_without_a_key_in_time_the_client_is_told_so() -> None:
    pool = pool_of(Upstream({}), "k1", queue_timeout=0)
    await pool.disable((await pool.snapshot())[0].alias)
    caller = Caller()
    await caller.call(pool)
    assert [message.get("status") for message in caller.sent] == [503, None]
    assert caller.exchange.last(PoolEmpty) is not None


def waiting_store(steps: Steps | None = None) -> SteppedStore:
    """A store that waits, and renews leases."""
    store = SteppedStore()
    store.step = Steps(-1) if steps is None else steps
    return store


def fails(scope: Any) -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize("shared", [False, True], ids=["memory", "a store that waits"])
@pytest.mark.parametrize("ending", ["leaves", "closes", "fails", "cancelled", "leaves while held"])
async def test_the_key_comes_back_in_every_ending(ending: str, shared: bool) -> None:
    scripts: dict[str, Any] = {
        "leaves": GOOD,
        "closes": [*GOOD, {"type": "websocket.close", "code": 1000}],
        "fails": fails,
        "cancelled": GOOD,
        "leaves while held": [ACCEPT],
    }
    upstream = Upstream({"k1": scripts[ending]})
    pool = pool_of(upstream, "k1", **({"store": waiting_store()} if shared else {}))
    caller = Caller(*([LEAVE] if ending == "leaves while held" else []), until=2 if ending == "leaves" else None)
    if ending == "fails":
        with pytest.raises(ZeroDivisionError):
            await caller.call(pool)
    elif ending == "cancelled":
        async with anyio.create_task_group() as group:
            group.start_soon(caller.call, pool)
            await settled(lambda: len(caller.sent) == 2)
            group.cancel_scope.cancel()
    else:
        await caller.call(pool)
    assert upstream.running == 0
    assert [in_flight for _, in_flight in await states(pool)] == [0]


@pytest.mark.parametrize("last", range(1, 8))
async def test_the_key_comes_back_wherever_the_client_is_cancelled(last: int) -> None:
    pool_steps = Steps(last)
    store = waiting_store(pool_steps)
    upstream = Upstream({"k1": REFUSED, "k2": GOOD})
    pool = pool_of(upstream, "k1", "k2", store=store)
    with pool_steps.scope:
        await Caller(until=2).call(pool)
    assert [in_flight for _, in_flight in await states(pool)] == [0, 0]
    assert upstream.running == 0


async def test_our_key_is_masked_in_all_that_a_provider_says() -> None:
    key = "sk-pool-canary-31337"
    said = [
        ACCEPT,
        text({"type": "session.created", "for": key}),
        {"type": "websocket.close", "code": 3001, "reason": key},
    ]
    for script in (said, denial(401, "invalid_api_key", f"Incorrect API key provided: {key}")):
        caller = Caller()
        await caller.call(pool_of(Upstream({key: script}), key))
        assert key not in str(caller.sent)
        assert "*" * len(key) in str(caller.sent)
        assert key not in str(list(caller.exchange))


@pytest.mark.parametrize("protocol", ["openai-chat", "openai-responses", "anthropic"])
@pytest.mark.parametrize("path", ["/v1/realtime", "/realtime", "/v1/responses", "/v1/realtime/calls"])
async def test_other_websockets_pass_untouched_and_without_a_key(protocol: str, path: str) -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)

    await Caller().call(KeyPool(app, protocol=protocol, keys=["k1"]), path=path)
    has_key = any(value.endswith(b"k1") for _, value in seen[0]["headers"])
    assert has_key == (protocol != "anthropic" and path in ("/v1/realtime", "/realtime"))


async def settled(done: Callable[[], bool]) -> None:
    with anyio.fail_after(20):
        while not done():  # noqa: ASYNC110 - what is waited for has no event
            await anyio.sleep(0.001)
