"""Limits through the door: what is taken, put right and given back, and how a limit that is reached is said."""

from __future__ import annotations

import json
import secrets
import time
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from access_kit import ALICE, BOB, Hello, alice, bearer, guarded
from dialogues import PATHS, path_of, request_in
from ds2api_asgi import Access, ClientKey, ClientLimits, KeyPool, MemoryLimitStore, RedisLimitStore, Retry, Translator
from ds2api_asgi.access.asked import MAX_RESERVED_OUTPUT, USUAL_OUTPUT, estimate
from ds2api_asgi.access.usage import Usage, text_size
from ds2api_asgi.asgi.exchange import KEY
from ds2api_asgi.asgi.facts import Used
from ds2api_asgi.demo import DemoModel
from ds2api_asgi.protocols import registry
from ds2api_asgi.testing import Driver, ScriptedUpstream, json_script
from leaving import leave_waiting

pytestmark = pytest.mark.anyio

STATED = {
    "openai-chat": "x-ratelimit-remaining-requests",
    "openai-responses": "x-ratelimit-remaining-requests",
    "anthropic": "anthropic-ratelimit-requests-remaining",
}


class Clock:
    def __init__(self) -> None:
        self.now = 1_795_900_000.0

    def __call__(self) -> float:
        return self.now


def limited(app: Any = None, **limits: Any) -> tuple[Access, Clock]:
    clock = Clock()
    door, _ = guarded(app, limits=ClientLimits(**limits), limit_store=MemoryLimitStore(clock=clock), wall=clock)
    return door, clock


async def say(app: Any, client: str = "openai-chat", *, stream: bool | None = None) -> Any:
    return await alice(app).request("POST", path_of(client, stream=stream), json=request_in(client, stream=stream))


@pytest.mark.parametrize("client", PATHS)
async def test_a_rate_that_is_reached_is_said_in_the_clients_words_and_passes_in_time(client: str) -> None:
    app, clock = limited(rpm=2)
    first, second, third = [await say(app, client) for _ in range(3)]
    assert (first.status, second.status, third.status) == (200, 200, 429)
    failure = registry.get(client).decode_error(
        429, {name.decode(): value.decode() for name, value in third.headers}, third.body
    )
    assert failure.kind.value == "rate"
    assert failure.retry_after == 30
    assert "at this gateway (2 requests per minute)" in failure.message
    assert "not the provider's limit" in failure.message
    assert (third.header("retry-after"), third.header("retry-after-ms")) == ("30", "30000")
    assert third.header("x-ds2-refused") == "local"
    if client in STATED:
        assert [answer.header(STATED[client]) for answer in (first, second, third)] == ["1", "0", "0"]
    clock.now += 29.9
    assert (await say(app, client)).status == 429
    clock.now += 0.1
    assert (await say(app, client)).status == 200


async def test_stated_limits_are_read_back_by_their_protocol() -> None:
    app, clock = limited(rpm=10, rpd=12, tpm=100_000, tpd=90_000)
    clients = {"openai-chat": "openai-chat", "anthropic": "anthropic"}
    for client in clients:
        answer = await say(app, client)
        headers = {name.decode(): value.decode() for name, value in answer.headers}
        found = {one.dimension: one for one in registry.get(client).limits(headers, now=clock.now)}
        assert found.keys() == {"requests", "tokens"}
        assert found["requests"].limit == 10  # the minute's is nearer to its end than the day's
        assert found["tokens"].limit == 90_000
        reset = found["requests"].reset_after
        assert reset is not None
        assert 6 <= reset <= 13


async def test_a_providers_limits_give_way_to_the_keys_and_stay_where_the_key_has_none() -> None:
    theirs = ((b"x-ratelimit-limit-requests", b"77"), (b"anthropic-ratelimit-tokens-limit", b"78"))
    upstream = ScriptedUpstream([json_script({}, headers=theirs)], repeat=True)
    app, _ = limited(upstream, rpm=5)
    answer = await say(app)
    assert answer.header("x-ratelimit-limit-requests") == "5"
    assert answer.header("anthropic-ratelimit-tokens-limit") is None
    app, _ = limited(upstream)
    assert (await say(app)).header("x-ratelimit-limit-requests") == "77"


@pytest.mark.parametrize("client", PATHS)
@pytest.mark.parametrize("stream", [False, True])
async def test_tokens_are_put_right_by_what_the_answer_says(client: str, stream: bool) -> None:
    app, clock = limited(Translator(DemoModel(), speaks="openai-chat"), tpm=10_000)
    whole = (await say(app, client, stream=stream)).status
    assert whole == 200
    store: Any = app._turnstile._store
    (count,) = store._counts.values()
    used = (count.tat - clock.now) * count.rate
    plain = await Driver(DemoModel()).request("POST", PATHS["openai-chat"], json=request_in("openai-chat"))
    # A stream of Chat Completions that was not asked for its usage does not say it: that is a guess.
    slack = 2.0 if stream and client == "openai-chat" else 0.35
    assert used == pytest.approx(plain.json()["usage"]["total_tokens"], rel=slack)
    assert used < USUAL_OUTPUT / 2


async def test_facts_of_parts_within_count_for_more_than_what_is_read() -> None:
    async def noting(scope: Any, receive: Any, send: Any) -> None:
        scope[KEY].note(Used(input=100, output=50))
        scope[KEY].note(Used(input=10, output=5))
        await Hello()(scope, receive, send)

    app, _ = limited(noting, tpd=1_000)
    await say(app)
    answer = await say(app)
    taken = estimate(b"", generates=True)
    assert int(answer.header("x-ratelimit-remaining-tokens")) < 1_000 - 165 - taken + 10


async def test_errors_cost_no_tokens_and_leaving_early_is_not_free() -> None:
    app, _ = limited(ScriptedUpstream([json_script({"error": {}}, status=500)], repeat=True), budget=2_000)
    for _ in range(20):
        assert (await say(app)).status == 500
    app, _ = limited(Forever(), budget=2_000)
    for _ in range(10):
        await leave_waiting(say, app)
    assert (await say(app)).status == 429


async def test_a_budget_is_whole_again_with_the_next_period_and_agents_are_told_to_stop() -> None:
    app, clock = limited(budget=600, budget_period=3_600)
    clock.now = 3_600 * 500_000 + 1_800.0
    statuses = [(await say(app)).status for _ in range(30)]
    assert statuses[0] == 200
    assert statuses[-1] == 429
    refused = await say(app)
    assert refused.json()["error"]["code"] == "gateway_budget_exhausted"
    assert refused.json()["error"]["type"] == "insufficient_quota"
    assert refused.header("x-should-retry") == "false"
    assert refused.header("retry-after") == "1800"
    clock.now += 1_800
    assert (await say(app)).status == 200


async def test_a_request_larger_than_a_whole_limit_passes_once_and_is_paid_off() -> None:
    app, clock = limited(Translator(DemoModel(), speaks="openai-chat"), tpm=60)
    assert (await say(app)).status == 200
    assert (await say(app)).status == 429
    clock.now += 120
    assert (await say(app)).status == 200


class Forever:
    """Never answers."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await anyio.sleep_forever()


class Crash:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("crashed")


async def test_concurrency_is_kept_and_every_place_comes_back_however_a_request_ends() -> None:
    app, _ = limited(Forever(), concurrency=2)
    async with anyio.create_task_group() as group:
        for _ in range(2):
            group.start_soon(say, app)
        await anyio.wait_all_tasks_blocked()
        refused = await say(app)
        assert refused.status == 429
        assert refused.json()["error"]["code"] == "gateway_concurrency_exceeded"
        group.cancel_scope.cancel()
    store: Any = app._turnstile._store
    assert store._leases == {}
    app.app = Crash()
    for _ in range(5):
        with pytest.raises(RuntimeError):
            await say(app)
    app.app = Hello()
    assert (await say(app)).status == 200
    assert store._leases == {}


async def test_one_client_does_not_use_up_anothers_limits() -> None:
    keys = [ClientKey(key, name=name, limits=ClientLimits(rpm=1)) for key, name in ((ALICE, "alice"), (BOB, "bob"))]
    app = Access(Hello(), keys=keys)
    for key in (ALICE, BOB):
        driver = Driver(app, headers=bearer(key))
        assert [(await driver.request("GET", "/v1/models")).status for _ in range(2)] == [200, 429]
    app.replace([ClientKey(secrets.token_hex(16), name="alice", limits=ClientLimits(rpm=1))])
    assert len(app._turnstile._store) == 2  # type: ignore[arg-type]


class Store:
    """A limit store that does what it is told at each await."""

    def __init__(self, *, hang: bool = False, fail: bool = False) -> None:
        self.memory = MemoryLimitStore()
        self.hang = hang
        self.fail = fail

    async def take(self, *args: Any) -> Any:
        taken = await self.memory.take(*args)
        if self.hang:
            await anyio.sleep_forever()
        if self.fail:
            raise ConnectionError("gone")
        await anyio.lowlevel.checkpoint()
        return taken

    async def settle(self, *args: Any) -> None:
        await anyio.lowlevel.checkpoint()
        await self.memory.settle(*args)


async def test_a_cancelled_ask_whose_answer_was_lost_is_given_back() -> None:
    store = Store(hang=True)
    app, _ = guarded(Hello(), limits=ClientLimits(rpm=1, concurrency=1), limit_store=store)
    await leave_waiting(say, app)
    store.hang = False
    assert (await say(app)).status == 200


async def test_every_place_comes_back_when_cancelled_at_any_await() -> None:
    store = Store()
    app, _ = guarded(Steps(), limits=ClientLimits(concurrency=1), limit_store=store)
    for turns in range(40):
        async with anyio.create_task_group() as group:
            group.start_soon(say, app)
            for _ in range(turns):
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        assert store.memory._leases == {}, turns


class Steps:
    """Answers with many awaits in between."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        for _ in range(5):
            await anyio.lowlevel.checkpoint()
        await Hello()(scope, receive, send)


@pytest.mark.parametrize(("word", "status"), [("serve", 200), ("refuse", 503)])
async def test_a_store_that_fails_does_as_it_was_told_and_is_logged_once(
    word: Any, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(fail=True)
    app, _ = guarded(Hello(), limits=ClientLimits(rpm=1), limit_store=store, on_store_error=word)
    for _ in range(5):
        assert (await say(app)).status == status
    assert sum("limit store failed" in record.message for record in caplog.records) == 1
    store.fail = False
    assert (await say(app)).status == 200  # what failed took nothing


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_two_workers_share_their_limits_through_redis(redis_url: str, anyio_backend: str) -> None:
    import redis.asyncio

    prefix = f"test:{secrets.token_hex(8)}"
    async with redis.asyncio.Redis.from_url(redis_url) as one, redis.asyncio.Redis.from_url(redis_url) as two:
        stores = [RedisLimitStore(client, prefix=prefix, timeout=30.0) for client in (one, two)]
        doors = [guarded(Hello(), limits=ClientLimits(rpd=10), limit_store=store)[0] for store in stores]
        statuses: list[int] = []

        async def ask(door: Any) -> None:
            statuses.append((await say(door)).status)

        async with anyio.create_task_group() as group:
            for number in range(30):
                group.start_soon(ask, doors[number % 2])
        assert sorted(statuses) == [200] * 10 + [429] * 20


async def test_limits_around_a_whole_nest() -> None:
    pool = Retry(KeyPool(DemoModel(keys=["k"]), protocol="openai-chat", keys=["k"]))
    app, _ = limited(Translator(pool, speaks="openai-chat"), rpm=3, tpm=100_000)
    assert [(await say(app, "anthropic")).status for _ in range(4)] == [200, 200, 200, 429]


# Reading and guessing


ANSWERS = {
    b'{"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}}': 15,
    b'{"usage":{"input_tokens":10,"output_tokens":5}}': 15,
    b'{"usageMetadata":{"promptTokenCount":10,"candidatesTokenCount":5, "totalTokenCount" : 15}}': 15,
    b'{"done":true,"prompt_eval_count":10,"eval_count":5}\n': 15,
    b'data: {"usage":{"input_tokens":10,"output_tokens":1}}\n\ndata: {"usage":{"output_tokens":5}}\n\n': 15,
    b'{"text":"\\"total_tokens\\": 99"}': None,
    b'{"text":"input_tokens: 9"}': None,
    b'{"total_tokens":"9"}': None,
    b"": None,
}


@given(st.sampled_from(sorted(ANSWERS)), st.data())
def test_what_an_answer_cost_is_read_however_it_is_cut(answer: bytes, data: Any) -> None:
    usage = Usage(stream=answer.endswith(b"\n"))
    padded = answer + b" " * data.draw(st.integers(0, 100))
    while padded:
        size = data.draw(st.integers(1, len(padded)))
        usage.feed(padded[:size])
        padded = padded[size:]
    assert usage.tokens == ANSWERS[answer]


@given(
    st.lists(st.sampled_from([0, 1, 300, 700, 5_000])), st.text(max_size=60).map(str.encode), st.integers(512, 9_000)
)
def test_what_is_written_are_words_and_no_pictures(pictures: list[int], words: bytes, step: int) -> None:
    around = b'data: {"text": " %b", "b64_json": ""}\n\n' % words
    data = b"".join(around.replace(b'""', b'"%b"' % (b"iVBORw0K" * size)) for size in pictures)
    reads = [data[at : at + step] for at in range(0, len(data), step)]
    size = sum(map(text_size, reads))
    assert size <= len(around) * len(pictures) + 128 * 2 * (len(pictures) + len(reads))
    assert any(pictures) or size == len(data)


@pytest.mark.parametrize("whole", [True, False])
async def test_a_picture_costs_what_it_says_that_it_cost(whole: bool) -> None:
    usage = {"input_tokens": 4, "output_tokens": 6_000, "total_tokens": 6_004}
    body = b'{"type":"image_generation.completed","b64_json":"%b","usage":%b}' % (
        b"A" * 5_000_000,
        json.dumps(usage).encode(),
    )
    kind = b"application/json" if whole else b"text/event-stream"
    app, _ = limited(parts(kind, body if whole else b"data: " + body + b"\n\n"), budget=1_000_000)
    await alice(app).request("POST", "/v1/images/generations", json={"model": "m", "prompt": "a", "stream": not whole})
    assert used(app) == 6_004


async def test_sound_that_does_not_say_what_it_cost_is_no_text() -> None:
    event = b'data: {"type":"speech.audio.delta","audio":"%b"}\n\n' % (b"A" * 20_000)
    app, _ = limited(parts(b"text/event-stream", event * 200), budget=1_000_000)
    await alice(app).request("POST", "/v1/audio/speech", json={"model": "m", "input": "a", "stream_format": "sse"})
    assert 200 <= used(app) < 5_000


def parts(kind: bytes, body: bytes) -> Any:
    """An app that answers in reads of an odd size."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
        for at in range(0, len(body), 16_001):
            await send({"type": "http.response.body", "body": body[at : at + 16_001], "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return app


def used(app: Any) -> float:
    (count,) = app._turnstile._store._counts.values()
    return float(count.used)


@pytest.mark.parametrize(
    ("body", "low", "high"),
    [
        (b'{"max_tokens": 100}', 100, 110),
        (b'{"max_completion_tokens": 100, "messages": []}', 100, 115),
        (b'{"max_output_tokens": 64000}', MAX_RESERVED_OUTPUT, MAX_RESERVED_OUTPUT + 10),
        (b'{"generationConfig": {"maxOutputTokens": 7}}', 7, 20),
        (b'{"options": {"num_predict": 7}}', 7, 20),
        (b'{"options": {"num_predict": -1}}', USUAL_OUTPUT, USUAL_OUTPUT + 20),
        (b'{"max_tokens": "many"}', USUAL_OUTPUT, USUAL_OUTPUT + 20),
        (b"not json", USUAL_OUTPUT, USUAL_OUTPUT + 20),
        (b'{"x": "' + b"word " * 4_000 + b'"}', 5_000, 6_000),
        (b'{"x": "' + b"A" * 4_000_000 + b'"}', 1_000, 2_000),  # a picture is not a million tokens
    ],
)
def test_guesses_are_near(body: bytes, low: int, high: int) -> None:
    assert low <= estimate(body, generates=True) <= high


async def test_a_pool_within_is_asked_to_tell_what_was_used_only_where_tokens_are_limited() -> None:
    wanted: list[bool] = []

    async def looking(scope: Any, receive: Any, send: Any) -> None:
        wanted.append(scope[KEY].wants_usage)
        await Hello()(scope, receive, send)

    for limits in ({"rpm": 9}, {"tpm": 9_000}, {"budget": 9_000}):
        app, _ = limited(looking, **limits)
        await say(app)
    assert wanted == [False, True, True]


async def test_a_pool_within_and_the_door_do_not_count_twice() -> None:
    pool = KeyPool(DemoModel(keys=["k"]), protocol="openai-chat", keys=["k"])
    app, _ = limited(pool, budget=10_000)
    answer = await say(app)
    store: Any = app._turnstile._store
    (count,) = store._counts.values()
    assert count.used == answer.json()["usage"]["total_tokens"]


@pytest.mark.parametrize("client", ["anthropic", "ollama", "openai-chat"])
async def test_who_leaves_a_stream_before_its_last_word_pays_for_what_was_written(client: str) -> None:
    words = {
        "anthropic": b"event: content_block_delta\n"
        b'data: {"type":"content_block_delta","index":0,"delta":{"text":"a"}}\n\n',
        "ollama": b'{"model":"m","message":{"role":"assistant","content":"a"},"done":false}\n',
        "openai-chat": b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n',
    }
    begins = {
        "anthropic": b"event: message_start\n"
        b'data: {"type":"message_start","message":{"usage":{"input_tokens":9,"output_tokens":1}}}\n\n'
    }
    kind = b"application/x-ndjson" if client == "ollama" else b"text/event-stream"
    written = anyio.Event()

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
        await send({"type": "http.response.body", "body": begins.get(client, b""), "more_body": True})
        for _ in range(3_000):
            await send({"type": "http.response.body", "body": words[client], "more_body": True})
        written.set()
        await anyio.sleep_forever()

    app, _ = limited(endless, budget=100_000)

    async def ask() -> None:
        await say(app, client, stream=True)

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await written.wait()
        group.cancel_scope.cancel()
    store: Any = app._turnstile._store
    (count,) = store._counts.values()
    assert 3_000 <= count.used < 6_000


async def test_an_answer_whose_tokens_are_counted_is_not_asked_for_compressed() -> None:
    accepted: list[Any] = []

    async def looking(scope: Any, receive: Any, send: Any) -> None:
        accepted.append(dict(scope["headers"]).get(b"accept-encoding"))
        await Hello()(scope, receive, send)

    for limits in ({"rpm": 9}, {"tpm": 9_000}):
        app, _ = limited(looking, **limits)
        driver = Driver(app, headers={**bearer(ALICE), "accept-encoding": "gzip"})
        await driver.request("POST", path_of("openai-chat", stream=False), json=request_in("openai-chat", stream=False))
    assert accepted == [b"gzip", b"identity"]


async def test_a_post_that_no_protocol_claims_costs_what_its_answer_states() -> None:
    compacted = {"id": "r", "object": "response.compaction", "usage": {"input_tokens": 500, "output_tokens": 90}}
    upstream = ScriptedUpstream([json_script(compacted)], repeat=True)
    app, _ = limited(upstream, budget=1_000)
    statuses = [(await alice(app).request("POST", "/v1/responses/compact", json={})).status for _ in range(3)]
    assert statuses == [200, 200, 429]
    app, _ = limited(upstream, budget=1_000)
    assert [(await alice(app).request("GET", "/v1/responses/r")).status for _ in range(3)] == [200, 200, 200]


@given(st.lists(st.tuples(st.integers(0, 5_000), st.sampled_from([b" ", b'"', b",,", b"\xff" * 3_000])), max_size=6))
def test_long_runs_are_found_wherever_they_stand(parts: list[tuple[int, bytes]]) -> None:
    body = b"".join(b"A" * length + gap for length, gap in parts)
    runs = [length for length, _ in parts if length]
    long = [length for length in runs if length >= 2048]
    assert estimate(body, generates=False) == max(1, (len(body) - sum(long)) // 4 + 1_000 * len(long))


def test_guesses_take_linear_time() -> None:
    def seconds(body: bytes) -> float:
        began = time.thread_time()
        estimate(body, generates=True)
        return time.thread_time() - began

    words = min(seconds((b"a" * 2_040 + b" ") * 500) for _ in range(3))
    assert words < 0.25  # 1 MB; a search from every letter takes 1.5 s
