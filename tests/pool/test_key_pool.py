"""The pool as an app: which key goes up, what answers teach it, and what comes down when there is none."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
from typing import Any
from urllib.parse import quote

import anyio
import pytest

from ds2api_asgi.asgi.exchange import KEY
from ds2api_asgi.asgi.facts import AccountGroup, Judged, KeyLeased, PoolEmpty
from ds2api_asgi.errors import BrokenStream, ConfigurationError
from ds2api_asgi.pool import Ask, Empty, Key, KeyPool, KeyState, Secret
from ds2api_asgi.pool.attempt import MAX_ERROR_BODY
from ds2api_asgi.universal.failure import (
    Fault,
)
from pools import OK, Answer, ByKey, Clock, Script, SteppedStore, Steps, Tiny, answers, ask, scope_of, streams

pytestmark = pytest.mark.anyio


def pool_of(upstream: Any, *keys: Any, **options: Any) -> tuple[KeyPool, Clock]:
    clock = Clock()
    options = {
        "strategy": "round-robin",
        "clock": clock,
        "wall": lambda: 1_700_000_000.0,
        "queue_timeout": 0,
        **options,
    }
    return KeyPool(upstream, protocol=Tiny(), keys=keys, **options), clock


async def states(pool: KeyPool) -> list[KeyState]:
    return [report.state for report in await pool.snapshot()]


async def test_each_attempt_of_one_request_draws_another_key_until_one_works() -> None:
    upstream = ByKey({"k1": answers(429, retry_after="20"), "k2": answers(401), "k3": OK})
    pool, clock = pool_of(upstream, "k1", "k2", "k3")
    scope = scope_of()
    statuses = [(await ask(pool, scope)).status for _ in range(3)]
    assert statuses == [429, 401, 200]
    assert upstream.asked == ["k1", "k2", "k3"]
    assert await states(pool) == [KeyState.COOLING, KeyState.DISABLED, KeyState.ACTIVE]
    assert [report.until for report in await pool.snapshot()] == [20.0, 86_400.0, None]
    for _ in range(10):
        assert (await ask(pool)).status == 200
    assert set(upstream.asked[3:]) == {"k3"}
    clock.now += 20
    upstream.scripts["k1"] = OK
    assert (await ask(pool)).status == 200
    assert upstream.asked[-1] == "k1"
    assert await states(pool) == [KeyState.ACTIVE, KeyState.DISABLED, KeyState.ACTIVE]
    exchange = scope[KEY]
    aliases = [Secret(secret).alias() for secret in ("k1", "k2", "k3")]
    assert [fact.key for fact in exchange.all(KeyLeased)] == aliases
    assert [(fact.status, fact.verdict.fault, fact.key) for fact in exchange.all(Judged)] == [
        (429, Fault.RATE, aliases[0]),
        (401, Fault.KEY, aliases[1]),
    ]


@pytest.mark.parametrize("status", [400, 408, 409, 413, 422, 500, 502, 503, 504, 529])
async def test_what_is_not_the_keys_fault_changes_no_key(status: int) -> None:
    keys = [f"k{number}" for number in range(50)]
    upstream = ByKey(dict.fromkeys(keys, answers(status)))
    pool, _ = pool_of(upstream, *keys)
    for _ in range(100):
        assert (await ask(pool)).status == status
    assert set(await states(pool)) == {KeyState.ACTIVE}
    assert sorted(upstream.asked) == sorted(keys * 2)


async def test_a_client_that_asks_for_a_model_that_is_not_there_leaves_the_keys_to_everybody_else() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = (await receive())["body"]
        await (answers(404) if b"ghost" in body else OK)(scope, receive, send)

    pool, _ = pool_of(app, "k1", "k2")
    for _ in range(2):
        assert (await ask(pool, body=b'{"model": "ghost"}')).status == 404
    assert (await ask(pool, body=b'{"model": "ghost"}')).status == 404
    for _ in range(4):
        assert (await ask(pool)).status == 200


async def test_the_keys_credential_goes_up_and_every_other_one_stays_here() -> None:
    upstream = ByKey({"k1": OK})
    pool, _ = pool_of(upstream, Key(secret=Secret("k1"), alias="first"))
    headers = [
        (b"accept", b"*/*"),
        (b"Authorization", b"Bearer client"),
        (b"x-api-key", b"client"),
        (b"x-api-key", b"client"),
        (b"api-key", b"client"),
        (b"x-goog-api-key", b"client"),
    ]
    scope = scope_of(query=b"a=%2F&key=client&API_KEY=client&%6bey=client&access_token=client&b", headers=headers)
    before = (list(scope["headers"]), scope["query_string"])
    await ask(pool, scope)
    seen = upstream.scopes[0]
    assert seen["headers"] == [(b"accept", b"*/*"), (b"x-api-key", b"k1")]
    assert seen["query_string"] == b"a=%2F&b"
    assert seen["ds2api_asgi.credential"] == "first"
    assert (scope["headers"], scope["query_string"]) == before
    assert "ds2api_asgi.credential" not in scope


@pytest.mark.parametrize(
    "scope",
    [
        {"type": "lifespan"},
        {"type": "websocket", "path": "/v1/chat", "headers": []},
        scope_of(path="/elsewhere"),
        scope_of(method="DELETE"),
    ],
)
async def test_what_the_protocol_does_not_claim_passes_untouched_and_without_a_key(scope: Any) -> None:
    seen = []

    async def app(*arguments: Any) -> None:
        seen.extend(arguments)

    async def receive() -> None: ...

    async def send(message: Any) -> None: ...

    pool, _ = pool_of(app, "k1")
    await pool(scope, receive, send)
    assert seen[0] is scope
    assert seen[1:] == [receive, send]


async def test_a_request_without_a_body_is_not_asked_for_one() -> None:
    async def receive() -> Any:
        raise AssertionError("uvicorn's HTTP/2 never delivers a body to GET")

    upstream, answer = ByKey({"k1": OK}), Answer()
    pool, _ = pool_of(upstream, "k1")
    await pool(scope_of(method="GET", path="/v1/models"), receive, answer.send)
    assert answer.status == 200


async def test_a_body_reaches_the_app_whole() -> None:
    upstream = ByKey({"k1": OK})
    pool, _ = pool_of(upstream, "k1", max_body=20)
    await ask(pool, body=b'{"model": "m"}')
    assert upstream.bodies == [b'{"model": "m"}']
    answer = await ask(pool, body=b'{"model": "m", "more": 1}')
    assert answer.status == 413
    assert json.loads(answer.body)["error"]["kind"] == "too_large"
    assert len(upstream.asked) == 1


@pytest.mark.parametrize(
    ("script", "status", "kind", "advice"),
    [
        (answers(429, retry_after="20"), 429, "rate", (b"20", b"20000", None)),
        (answers(429, b'{"code": "quota"}'), 429, "billing", (b"3600", b"3600000", b"false")),
        (answers(403), 404, "not_found", (b"600", b"600000", b"false")),
        (answers(401), 503, "overloaded", (None, None, b"false")),
    ],
)
async def test_an_empty_pool_says_why_and_when_in_the_protocols_shape_and_asks_nobody(
    script: Script, status: int, kind: str, advice: tuple[bytes | None, ...]
) -> None:
    upstream = ByKey({"k1": script})
    pool, _ = pool_of(upstream, "k1")
    await ask(pool)
    scope = scope_of()
    answer = await ask(pool, scope)
    assert (answer.status, json.loads(answer.body)["error"]["kind"]) == (status, kind)
    told = tuple(answer.headers.get(name) for name in (b"retry-after", b"retry-after-ms", b"x-should-retry"))
    assert told == advice
    assert len(upstream.asked) == 1
    assert scope[KEY].last(PoolEmpty).pool == "pool"


async def test_a_key_that_must_not_be_asked_again_is_not_though_it_stays_in_service() -> None:
    upstream = ByKey({"k1": answers(429, b'{"code": "tpm"}')})
    pool, _ = pool_of(upstream, "k1")
    scope = scope_of()
    await ask(pool, scope)
    answer = await ask(pool, scope)
    assert (answer.status, answer.headers[b"x-should-retry"]) == (429, b"false")
    assert scope[KEY].last(PoolEmpty).reason == "tried"
    assert await states(pool) == [KeyState.ACTIVE]
    await ask(pool)
    assert len(upstream.asked) == 2


async def test_who_waited_for_a_rate_limited_key_may_have_it_again() -> None:
    upstream = ByKey({"k1": answers(429, retry_after="5"), "k2": answers(401)})
    pool, clock = pool_of(upstream, "k1", "k2")
    scope = scope_of()
    assert [(await ask(pool, scope)).status for _ in range(3)] == [429, 401, 429]
    assert scope[KEY].last(PoolEmpty) == PoolEmpty(pool="pool", reason="cooling", retry_after=5.0)
    clock.now += 5
    upstream.scripts["k1"] = OK
    assert (await ask(pool, scope)).status == 200
    assert upstream.asked == ["k1", "k2", "k1"]


async def test_another_pools_judgement_is_not_ours() -> None:
    upstream = ByKey({"k1": answers(429, b'{"code": "tpm"}'), "k2": OK})
    first, _ = pool_of(upstream, Key(secret=Secret("k1"), alias="a"), name="first")
    second, _ = pool_of(upstream, Key(secret=Secret("k2"), alias="a"), name="second")
    scope = scope_of()
    await ask(first, scope)
    assert (await ask(second, scope)).status == 200


@pytest.mark.parametrize(
    ("script", "state", "served", "judged"),
    [
        (streams("start", "delta", "end"), KeyState.ACTIVE, 1, 0),
        (streams("start", "error rate"), KeyState.COOLING, 0, 1),
        (streams("start", "error auth"), KeyState.DISABLED, 0, 1),
        (streams("start", "error overloaded"), KeyState.ACTIVE, 0, 1),
        (streams("start", "delta", "error rate"), KeyState.COOLING, 1, 1),
        (streams("start", "delta", breaks=True), KeyState.ACTIVE, 1, 0),
        (streams("start", breaks=True), KeyState.ACTIVE, 0, 0),
    ],
)
async def test_a_stream_is_judged_by_its_content_not_by_its_status(
    script: Script, state: KeyState, served: int, judged: int
) -> None:
    pool, _ = pool_of(ByKey({"k1": script}), "k1")
    scope = scope_of()
    with contextlib.suppress(BrokenStream):
        await ask(pool, scope)
    (report,) = await pool.snapshot()
    assert (report.state, report.served, report.in_flight) == (state, served, 0)
    assert [(fact.by, fact.status) for fact in scope[KEY].all(Judged)] == [("pool", 0)] * judged


async def test_answers_pass_at_once_and_unchanged() -> None:
    sent: list[Any] = []
    gate = anyio.Event()
    messages = [
        {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]},
        {"type": "http.response.body", "body": b"data: delta 1\n\n", "more_body": True},
        {"type": "http.response.body", "body": b"data: delta 2\n\n", "more_body": False},
    ]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for number, message in enumerate(messages):
            assert len(sent) == number
            await send(message)
        await gate.wait()

    async def send(message: Any) -> None:
        sent.append(message)
        if len(sent) == len(messages):
            gate.set()

    pool, _ = pool_of(app, "k1")
    await ask(pool, answer=type("", (), {"send": staticmethod(send)})())
    assert all(got is given for got, given in zip(sent, messages, strict=True))


async def test_an_error_is_known_to_the_pool_before_its_end_is_known_to_the_client() -> None:
    pool, _ = pool_of(ByKey({"k1": answers(429, retry_after="9")}), "k1")
    seen = []

    class Nosy(Answer):
        async def send(self, message: Any) -> None:
            seen.append((await states(pool))[0])

    await ask(pool, answer=Nosy())
    assert seen == [KeyState.ACTIVE, KeyState.ACTIVE, KeyState.COOLING]


async def test_an_error_of_which_nobody_wants_the_body_still_counts() -> None:
    pool, _ = pool_of(ByKey({"k1": answers(429, retry_after="9")}), "k1")
    with anyio.CancelScope() as lost:

        class Impatient(Answer):
            async def send(self, message: Any) -> None:
                lost.cancel()
                await anyio.lowlevel.checkpoint()

        await ask(pool, answer=Impatient())
    (report,) = await pool.snapshot()
    assert (report.state, report.in_flight) == (KeyState.COOLING, 0)


async def test_a_long_error_body_is_read_up_to_its_bound_and_passes_whole() -> None:
    body = b'{"code": "quota"}' + b" " * (3 * MAX_ERROR_BODY)
    scope = scope_of()
    pool, _ = pool_of(ByKey({"k1": answers(429, body)}), "k1")
    answer = await ask(pool, scope)
    assert answer.body == body
    assert len(list(scope[KEY].all(Judged))) == 1
    assert await states(pool) == [KeyState.EXHAUSTED]


async def test_a_key_with_nothing_left_is_spared_while_there_are_others() -> None:
    upstream = ByKey({"k1": answers(200, x_remaining="0"), "k2": answers(200, x_remaining="5")})
    pool, clock = pool_of(upstream, "k1", "k2")
    for _ in range(6):
        await ask(pool)
    assert upstream.asked == ["k1"] + ["k2"] * 5
    clock.now += 30
    await ask(pool)
    assert upstream.asked[-1] == "k1"


@pytest.mark.parametrize("status", [400, 500])
async def test_a_key_with_nothing_left_is_spared_whatever_it_answered(status: int) -> None:
    upstream = ByKey({"k1": answers(status, x_remaining="0"), "k2": answers(200, x_remaining="5")})
    pool, clock = pool_of(upstream, "k1", "k2")
    for _ in range(4):
        await ask(pool)
    assert upstream.asked == ["k1"] + ["k2"] * 3
    assert await states(pool) == [KeyState.ACTIVE] * 2
    assert [(report.served, report.failed) for report in await pool.snapshot()] == [(0, 0), (3, 0)]
    clock.now += 30
    await ask(pool)
    assert upstream.asked[-1] == "k1"


async def test_a_key_without_a_label_beside_labelled_ones_is_an_account_of_its_own() -> None:
    blue, alone = Key(secret=Secret("k1"), alias="one", quota_scope="blue"), Key(secret=Secret("k2"), alias="two")
    told = []
    for keys in ([blue, alone], [blue], [alone]):
        scope = scope_of()
        pool, _ = pool_of(ByKey({"k1": answers(429), "k2": OK}), *keys)
        for _ in keys:
            await ask(pool, scope)
        told.append([fact.group for fact in scope[KEY].all(AccountGroup)])
    assert told == [["blue", "two"], [], []]


async def test_a_client_that_leaves_costs_no_key_anything() -> None:
    async def waits(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "http.disconnect"

    pool, _ = pool_of(ByKey({"k1": waits}), "k1")
    assert (await ask(pool)).messages == []
    (report,) = await pool.snapshot()
    assert (report.state, report.in_flight, report.failed) == (KeyState.ACTIVE, 0, 0)

    async def gone() -> Any:
        return {"type": "http.disconnect"}

    answer = Answer()
    await pool(scope_of(), gone, answer.send)
    assert answer.messages == []


@pytest.mark.parametrize("script", [OK, answers(429, retry_after="5"), streams("start", "delta", "error rate")])
async def test_whenever_it_is_cancelled_the_key_comes_back(script: Script) -> None:
    for number in range(1, 100):
        store = SteppedStore(clock=Clock())
        store.step = step = Steps(number)

        async def stepped(scope: Any, receive: Any, send: Any, step: Steps = step) -> None:
            await step()
            await receive()

            async def slow(message: Any) -> None:
                await step()
                await send(message)

            await script(scope, receive, slow)
            await step()

        pool = KeyPool(stepped, protocol=Tiny(), keys=["k1"], store=store, max_concurrency=1)
        with step.scope:
            await ask(pool)
        (report,) = await pool.snapshot()
        assert report.in_flight == 0
        if not step.scope.cancel_called:
            break
        await pool.enable(report.alias)
        assert not isinstance(await store.acquire(Ask(model="m")), Empty)
    assert number > 6


async def test_an_app_that_raises_gives_its_key_back_and_its_exception_passes() -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise ZeroDivisionError

    pool, _ = pool_of(ByKey({"k1": broken}), "k1", max_concurrency=1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await ask(pool)
    (report,) = await pool.snapshot()
    assert (report.state, report.in_flight) == (KeyState.ACTIVE, 0)


async def test_an_operator_takes_keys_out_and_in() -> None:
    upstream = ByKey({"k1": OK, "k2": OK})
    pool, _ = pool_of(upstream, Key(secret=Secret("k1"), alias="one"), "k2")
    await pool.disable("one")
    for _ in range(3):
        await ask(pool)
    assert set(upstream.asked) == {"k2"}
    await pool.enable("one")
    for _ in range(2):
        await ask(pool)
    assert "k1" in upstream.asked
    with pytest.raises(ConfigurationError):
        await pool.enable("nobody")


async def test_no_secret_is_seen_anywhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    canaries = [f"sk-canary{number}-7d1f0c9be4a2" for number in range(4)]
    scripts = [answers(429), answers(401), answers(429, b'{"code": "quota"}'), answers(403)]
    pool, _ = pool_of(ByKey(dict(zip(canaries, scripts, strict=True))), *canaries)
    scope = scope_of()
    seen = [repr(pool)]
    for _ in range(6):
        answer = await ask(pool, scope)
        seen += [repr(answer.messages)]
    seen += [repr(await pool.snapshot()), repr(list(scope[KEY])), caplog.text]
    seen += [repr(vars(record)) for record in caplog.records]
    assert len(caplog.records) >= 4
    for canary in canaries:
        for form in (canary, quote(canary), base64.b64encode(canary.encode()).decode(), canary[:12], canary[-8:]):
            assert not any(form in text for text in seen)


@pytest.mark.parametrize(
    "options",
    [
        {"keys": []},
        {"keys": "sk-1"},
        {"keys": [""]},
        {"keys": ["sk-1", "sk-1"]},
        {"strategy": "fastest"},
        {"store": "keys.db"},
        {"max_concurrency": 0},
        {"protocol": "telepathy"},
    ],
)
def test_what_cannot_work_is_refused_when_the_pool_is_made(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        KeyPool(OK, **{"protocol": Tiny(), "keys": ["sk-1"], **options})


def test_one_pool_serves_several_event_loops_one_after_the_other() -> None:
    pool, _ = pool_of(ByKey({"k1": answers(200)}), "k1")

    async def main() -> int:
        return (await ask(pool)).status

    assert [anyio.run(main, backend=backend) for backend in ("asyncio", "trio", "asyncio")] == [200, 200, 200]
