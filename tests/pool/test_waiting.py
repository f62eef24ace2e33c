"""Waiting for a key: handed over while still owned, in fair order, in time, and never leaked."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from ds2api_asgi.asgi.exchange import KEY
from ds2api_asgi.asgi.facts import Attempted, Caller, KeyLeased, PoolEmpty, Queued
from ds2api_asgi.errors import ConfigurationError
from ds2api_asgi.pool import Ask, Empty, Key, KeyPool, Lease, MemoryStore, RateLimits, Secret
from ds2api_asgi.pool import waiting as waiting_module
from ds2api_asgi.resilience import Retry
from pools import OK, Answer, ByKey, SteppedStore, Steps, Tiny, answers, ask, scope_of, streams


def pool_of(app: Any, *keys: Any, **options: Any) -> KeyPool:
    return KeyPool(app, protocol=Tiny(), keys=keys or ["k1"], **{"strategy": "round-robin", **options})


async def until(holds: Callable[[], bool]) -> None:
    with anyio.fail_after(20):
        while not holds():  # noqa: ASYNC110 - what is looked at has no event
            await anyio.sleep(0.001)


class Gated:
    """An upstream that answers when it is told to, and remembers in which order it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.gates: list[anyio.Event] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        caller = scope[KEY].last(Caller)
        self.asked.append("" if caller is None else caller.name)
        gate = anyio.Event()
        self.gates.append(gate)
        await gate.wait()
        await OK(scope, receive, send)

    async def reaches(self, number: int) -> None:
        await until(lambda: len(self.asked) >= number)


async def request(pool: Any, caller: str = "", scope: Any = None) -> Answer:
    scope = scope_of() if scope is None else scope
    if caller:
        scope[KEY].note(Caller(name=caller))
    answer, messages = Answer(), [{"type": "http.request", "body": json.dumps({"model": "m"}).encode()}]

    async def receive() -> Any:
        if not messages:
            await anyio.sleep_forever()
        return messages.pop()

    await pool(scope, receive, answer.send)
    return answer


async def settled(pool: KeyPool, waiting: int) -> None:
    await until(lambda: len(pool._room) == waiting)


async def in_flight(pool: KeyPool) -> int:
    return sum(report.in_flight for report in await pool.snapshot())


async def full(**options: Any) -> KeyPool:
    """A pool whose only key is in use for good."""
    pool = pool_of(OK, max_concurrency=1, **options)
    assert isinstance(await pool._store.acquire(Ask(model="m")), Lease)
    return pool


@pytest.mark.anyio
async def test_a_key_that_comes_free_goes_to_the_first_in_fair_order_and_nobody_barges() -> None:
    upstream = Gated()
    pool = pool_of(upstream, max_concurrency=1)
    async with anyio.create_task_group() as group:
        for number, caller in enumerate(["a", "a", "a", "b"]):
            group.start_soon(request, pool, caller)
            await settled(pool, number)
        await upstream.reaches(1)
        upstream.gates[0].set()
        await upstream.reaches(2)
        group.start_soon(request, pool, "c")  # comes while others wait
        await settled(pool, 3)
        for number in range(1, 5):
            await upstream.reaches(number + 1)
            assert await in_flight(pool) == 1
            upstream.gates[number].set()
    assert upstream.asked == ["a", "a", "b", "c", "a"]
    assert await in_flight(pool) == 0


@pytest.mark.anyio
async def test_the_next_waiter_owns_the_key_before_anybody_else_can_ask() -> None:
    upstream = Gated()
    pool = pool_of(upstream, max_concurrency=1)
    lease = await pool._room.enter((Ask(model="m"),))
    assert isinstance(lease, Lease)
    async with anyio.create_task_group() as group:
        group.start_soon(request, pool, "waits")
        await settled(pool, 1)
        await pool._room.release(lease, held=0.1)
        assert isinstance(await pool._room.enter((Ask(model="m"),)), Empty)  # in the same turn of the event loop
        await upstream.reaches(1)
        upstream.gates[0].set()


@pytest.mark.anyio
async def test_who_waited_says_so_and_who_waited_in_vain_is_told_when_to_come_again() -> None:
    pool = await full(queue_timeout=0.05)
    scope = scope_of()
    began = time.monotonic()
    answer = await request(pool, "late", scope)
    assert time.monotonic() - began >= 0.04
    assert answer.status == 429
    assert int(answer.headers[b"retry-after-ms"]) > 0
    assert int(answer.headers[b"retry-after"]) >= 1
    assert b"x-should-retry" not in answer.headers
    queued, empty = scope[KEY].last(Queued), scope[KEY].last(PoolEmpty)
    assert (queued.pool, queued.position, empty.reason, empty.waited) == ("pool", 0, "busy", True)
    assert queued.seconds >= 0.04
    assert len(pool._room) == 0


@pytest.mark.anyio
async def test_a_busy_pools_advice_is_computed_from_how_long_keys_are_held_and_how_many_wait() -> None:
    pool = pool_of(OK, max_concurrency=2, queue_timeout=0)
    pool._room.held = 8.0
    for _ in range(2):
        await pool._store.acquire(Ask(model="m"))
    answer = await request(pool)
    assert (answer.status, answer.headers[b"retry-after"]) == (429, b"4")


@pytest.mark.anyio
async def test_where_another_app_follows_nobody_waits() -> None:
    pool, scope = await full(queue_timeout=60), scope_of()
    scope[KEY].note(Attempted(number=1, elsewhere=True))
    with anyio.fail_after(20):
        assert (await request(pool, scope=scope)).status == 429
    assert scope[KEY].last(Queued) is None
    assert scope[KEY].last(PoolEmpty).waited is False


@pytest.mark.anyio
@pytest.mark.parametrize("waits", [False, True])
async def test_who_cannot_wait_is_not_turned_away_for_those_who_wait_for_another_model(waits: bool) -> None:
    store = SteppedStore() if waits else MemoryStore()
    if isinstance(store, SteppedStore):
        store.step = Steps(10**9)
    keys = [Key(secret=Secret(name), models=frozenset([name])) for name in ("m", "n")]
    upstream = Gated()
    pool = pool_of(upstream, *keys, max_concurrency=1, store=store)
    async with anyio.create_task_group() as group:
        for number in range(2):
            group.start_soon(request, pool)
            await settled(pool, number)
            await upstream.reaches(1)
        statuses = []
        for model in ("n", "m"):
            scope = scope_of()
            scope[KEY].note(Attempted(number=1, elsewhere=True))

            async def other(scope: Any = scope, body: bytes = b'{"model": "%s"}' % model.encode()) -> None:
                statuses.append((await ask(pool, scope, body=body, stays=True)).status)

            group.start_soon(other)
            if model == "n":
                await upstream.reaches(2)
            else:
                await until(lambda: len(statuses) == 1)
        await settled(pool, 1)
        for number in range(3):
            await upstream.reaches(number + 1)
            upstream.gates[number].set()
    assert sorted(statuses) == [200, 429]


@pytest.mark.anyio
async def test_one_more_than_may_wait_is_refused_at_once() -> None:
    upstream = Gated()
    pool = pool_of(upstream, max_concurrency=1, max_queue=2)
    async with anyio.create_task_group() as group:
        for number in (0, 1, 2):
            group.start_soon(request, pool)
            await settled(pool, number)
        with anyio.fail_after(20):
            assert (await request(pool)).status == 429
        for number in range(3):
            await upstream.reaches(number + 1)
            upstream.gates[number].set()


@pytest.mark.anyio
async def test_a_key_that_rests_is_waited_for() -> None:
    upstream = ByKey({"k1": answers(429, retry_after="0.06")})
    pool = pool_of(upstream)
    await ask(pool)
    upstream.scripts["k1"] = OK
    began = time.monotonic()
    statuses: list[int] = []

    async def one() -> None:
        statuses.append((await request(pool)).status)

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(one)
    assert statuses == [200] * 20
    assert time.monotonic() - began >= 0.04


@pytest.mark.anyio
async def test_a_wait_that_cannot_end_in_time_is_not_begun() -> None:
    pool = pool_of(ByKey({"k1": answers(429, retry_after="30")}))
    await ask(pool)
    with anyio.fail_after(20):
        answer = await request(pool)
    assert (answer.status, answer.headers[b"retry-after"]) == (429, b"30")
    limited = pool_of(OK, Key(secret=Secret("k1"), limits=RateLimits(rpm=1)))
    await request(limited)
    scope = scope_of()
    with anyio.fail_after(20):
        answer = await request(limited, scope=scope)
    assert (answer.status, scope[KEY].last(PoolEmpty).reason) == (429, "limited")
    assert 58 <= int(answer.headers[b"retry-after"]) <= 61


@pytest.mark.anyio
async def test_the_exchanges_deadline_bounds_the_wait() -> None:
    pool, scope = await full(queue_timeout=60), scope_of()
    scope[KEY].deadline = anyio.current_time() + 0.05
    with anyio.fail_after(20):
        assert (await request(pool, scope=scope)).status == 429
    assert scope[KEY].last(Queued).seconds < 30


@pytest.mark.anyio
async def test_a_probe_that_serves_lets_the_waiting_in_while_its_stream_goes_on() -> None:
    gate = anyio.Event()
    asked = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal asked
        asked += 1
        if asked == 1:
            await answers(429, retry_after="0.01")(scope, receive, send)
            return
        if asked > 2:
            await OK(scope, receive, send)
            return
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await settled(pool, 1)
        await send({"type": "http.response.body", "body": b"data: delta\n\n", "more_body": True})
        await gate.wait()

    pool = pool_of(app)
    await ask(pool)
    await anyio.sleep(0.02)
    async with anyio.create_task_group() as group:
        group.start_soon(request, pool)
        await until(lambda: asked >= 2)
        assert (await request(pool)).status == 200
        gate.set()


@pytest.mark.anyio
async def test_a_client_that_leaves_while_it_waits_takes_nothing() -> None:
    pool = await full()
    with anyio.fail_after(20):
        answer = await ask(pool)  # its receive says http.disconnect after the body
    assert answer.messages == []
    assert len(pool._room) == 0


@pytest.mark.anyio
async def test_a_key_handed_to_a_waiter_that_is_being_cancelled_goes_to_the_next() -> None:
    upstream = Gated()
    pool = pool_of(upstream, max_concurrency=1)
    lease = await pool._room.enter((Ask(model="m"),))
    assert isinstance(lease, Lease)
    async with anyio.create_task_group() as group:
        lost = anyio.CancelScope()

        async def doomed() -> None:
            with lost:
                await request(pool, "doomed")

        group.start_soon(doomed)
        await settled(pool, 1)
        group.start_soon(request, pool, "next")
        await settled(pool, 2)
        await pool._room.release(lease, held=0.1)
        assert len(pool._room) == 1  # it is the doomed one's already
        lost.cancel()
        await until(lambda: "next" in upstream.asked)
        for gate in upstream.gates:
            gate.set()
    assert await in_flight(pool) == 0


@pytest.mark.anyio
@pytest.mark.parametrize("waits", [False, True])
async def test_whenever_a_waiter_is_cancelled_nothing_leaks_and_the_others_are_served(waits: bool) -> None:
    for number in range(1, 40):
        store = SteppedStore() if waits else MemoryStore()
        if isinstance(store, SteppedStore):
            store.step = Steps(10**9)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await anyio.lowlevel.checkpoint()
            await OK(scope, receive, send)

        pool = pool_of(app, store=store, max_concurrency=1, queue_timeout=5)
        done: list[str] = []
        lost = anyio.CancelScope()

        async def doomed(pool: KeyPool = pool, lost: anyio.CancelScope = lost) -> None:
            with lost:
                await request(pool, "doomed")

        async def other(name: str, pool: KeyPool = pool, done: list[str] = done) -> None:
            assert (await request(pool, name)).status == 200
            done.append(name)

        async def fate(turns: int = number, lost: anyio.CancelScope = lost) -> None:
            for _ in range(turns):
                await anyio.lowlevel.checkpoint()
            lost.cancel()

        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                for task in (lambda: other("one"), doomed, lambda: other("two"), fate):
                    group.start_soon(task)
        assert sorted(done) == ["one", "two"]
        assert (await in_flight(pool), len(pool._room)) == (0, 0)


@pytest.mark.anyio
async def test_a_store_that_waits_serves_its_queue_by_one_leader() -> None:
    store = SteppedStore()
    store.step = Steps(10**9)
    upstream = Gated()
    pool = pool_of(upstream, store=store, max_concurrency=1)
    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(request, pool, "c")
        for number in range(4):
            await upstream.reaches(number + 1)
            assert await in_flight(pool) == 1
            upstream.gates[number].set()
    assert (await in_flight(pool), len(pool._room)) == (0, 0)


@pytest.mark.anyio
async def test_a_crowd_waits_for_a_store_that_waits_as_it_does_for_one_that_does_not() -> None:
    stepped = SteppedStore()
    stepped.step = Steps(10**9)
    for store in (MemoryStore(), stepped):
        upstream = Gated()
        pool = pool_of(upstream, *(f"k{number}" for number in range(8)), max_concurrency=1, store=store)
        pool._room.held = 4.0  # of eight keys one comes free every half second
        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(request, pool)
            await upstream.reaches(8)
            for number in range(1, 13):
                group.start_soon(request, pool)
                await settled(pool, number)
            for number in range(20):
                await upstream.reaches(number + 1)
                upstream.gates[number].set()


@pytest.mark.anyio
async def test_a_leader_that_got_a_key_leaves_the_others_to_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting_module, "_POLL", 3600.0)  # nobody looks by itself
    store = SteppedStore()
    store.step = Steps(10**9)
    pool = pool_of(OK, max_concurrency=2, store=store)
    room = pool._room
    leases = [await room.enter((Ask(model="m"),)) for _ in range(2)]
    asked: list[int] = []
    acquire = store.acquire

    async def counted(wanted: Ask) -> Any:
        asked.append(anyio.get_current_task().id)
        return await acquire(wanted)

    store.acquire = counted  # type: ignore[method-assign]
    async with anyio.create_task_group() as group:
        for number in range(2):
            group.start_soon(request, pool)
            await settled(pool, number + 1)
        asked.clear()
        for lease in leases:
            assert isinstance(lease, Lease)
            await store.release(lease)
        room.changed()
        await settled(pool, 0)
    assert len(set(asked)) == 2


@pytest.mark.anyio
async def test_a_retry_around_does_not_wait_a_second_time() -> None:
    pool, scope = await full(queue_timeout=0.05), scope_of()
    with anyio.fail_after(20):
        assert (await request(Retry(pool), scope=scope)).status == 429
    assert len(list(scope[KEY].all(Queued))) == 1


@pytest.mark.anyio
async def test_streams_hold_their_key_to_their_end_and_all_get_their_turn() -> None:
    pool = pool_of(ByKey({"k1": streams("delta", "end")}), max_concurrency=1)
    scopes = [scope_of() for _ in range(5)]
    async with anyio.create_task_group() as group:
        for scope in scopes:
            group.start_soon(request, pool, "", scope)
    assert [len(list(scope[KEY].all(KeyLeased))) for scope in scopes] == [1] * 5


def test_event_loops_in_several_threads_share_one_pool_and_wake_each_other() -> None:
    running, most, lock = 0, 0, threading.Lock()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        await anyio.sleep(0.002)
        with lock:
            running -= 1
        await OK(scope, receive, send)

    pool = pool_of(slow, "k1", "k2", max_concurrency=1, queue_timeout=20)
    statuses: list[int] = []

    async def main() -> None:
        async def one() -> None:
            statuses.append((await request(pool)).status)

        async with anyio.create_task_group() as group:
            for _ in range(25):
                group.start_soon(one)

    threads = [
        threading.Thread(target=anyio.run, args=(main,), kwargs={"backend": backend}, daemon=True)
        for backend in ("asyncio", "trio", "asyncio", "trio")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert statuses == [200] * 100
    assert most <= 2
    assert len(pool._room) == 0


@pytest.mark.parametrize(
    "options", [{"queue_timeout": -1}, {"queue_timeout": math.inf}, {"max_queue": -1}, {"max_total": 0}]
)
def test_numbers_that_cannot_work_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        pool_of(OK, **options)
